"""Fills in what a world leaves out."""
