"""Long jobs over a store: index, re-index."""
