"""A small Google Cloud for a laptop, spoken to by Google's own client libraries.

Nothing of the product is imported here, and nothing here is ever deployed.
"""
