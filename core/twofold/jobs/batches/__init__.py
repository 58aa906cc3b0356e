"""Embeds texts with a provider's batch API: selects texts, submits them, and collects the results."""
