"""Checks whether a model runs correctly on this machine and gives its published vectors: `twofold doctor`."""

from twofold.doctor.examine import examine
from twofold.doctor.finding import Finding

__all__ = ["Finding", "examine"]
