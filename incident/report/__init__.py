"""Render an outcome as JSON, HTML report, chat text and terminal text."""
