"""Embedding texts with a provider's batch API: what to submit, what was submitted, and the results."""
