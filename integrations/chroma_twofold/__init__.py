"""Twofold for chroma."""
