"""The life of one incident: from the bytes of a notification to its outcome.

Knows no Google client and no responder by name: both are handed in.
"""
