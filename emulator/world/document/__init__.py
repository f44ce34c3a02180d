"""Reads the JSON document of a world, and says what is wrong where."""
