"""Twofold for weaviate."""
