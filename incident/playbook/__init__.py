"""The steps of the response plan that are left to people, one module per subject. Pure.

In which order they stand, and what the responder does by itself, is not decided here.
"""
