"""Containment actions: where each fits, what it writes, and how it is undone."""
