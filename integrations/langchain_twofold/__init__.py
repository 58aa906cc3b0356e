"""Twofold for langchain."""
