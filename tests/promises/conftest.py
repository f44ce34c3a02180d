"""Retries, polls and waits for peers take milliseconds here."""

from tests.support.pauses import short_pauses

__all__ = ["short_pauses"]
