"""Everything about reading a checkpoint: its files, its weights, how it is recognised."""
