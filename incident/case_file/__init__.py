"""The store: append-only records, paths, manifests, listing, verification."""
