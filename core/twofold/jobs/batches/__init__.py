"""Texts left with a provider's batch API: what is to be embedded, what was submitted, and what has come back."""
