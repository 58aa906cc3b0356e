"""Hosted models: a provider's API over HTTP. Needs the extra `hosted`."""
