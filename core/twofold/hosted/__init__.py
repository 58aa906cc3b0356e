"""Hosted models, over a provider's HTTP API. Needs the extra `hosted`."""
