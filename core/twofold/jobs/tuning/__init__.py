"""Measures sizes, forms, tasks, chunking and models on your own corpus."""

from twofold.jobs.tuning.tuning import Result, Tuned, Way, sizes_of, tune

__all__ = ["Result", "Tuned", "Way", "sizes_of", "tune"]
