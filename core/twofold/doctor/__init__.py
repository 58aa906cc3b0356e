"""Is this model what it says it is, and does it run rightly here? What `twofold doctor` prints."""

from twofold.doctor.examine import examine
from twofold.doctor.finding import Finding

__all__ = ["Finding", "examine"]
