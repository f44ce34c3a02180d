"""Pub/Sub: publishing to topics, and push deliveries."""
