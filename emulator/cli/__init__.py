"""The commands run and serve, and what they print."""
