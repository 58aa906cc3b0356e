"""Twofold for llama_index."""
