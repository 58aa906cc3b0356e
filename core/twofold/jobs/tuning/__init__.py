"""The right size, form, task, chunking and model, measured on a corpus of one's own."""

from twofold.jobs.tuning.tuning import Result, Tuned, Way, sizes_of, tune

__all__ = ["Result", "Tuned", "Way", "sizes_of", "tune"]
