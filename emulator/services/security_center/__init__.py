"""Security Command Center API v2: findings, marks and notifications."""
