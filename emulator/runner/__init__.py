"""Runs the real function against the emulator, and collects what came of it."""
