"""Reads checkpoints: their small files, their weights, and how their family is recognised."""
