"""Embeds in many processes or on many machines: Daft for jobs and data frames, a callable class for Ray Data."""

from twofold.jobs.distributed.engine import Engine
from twofold.jobs.distributed.ray_data import EmbedBatch

__all__ = ["EmbedBatch", "Engine"]
