"""Migrates collections to the space of another model: plan, apply, verify, cut over, roll back, prune."""

from twofold.jobs.migration.carried import Carried
from twofold.jobs.migration.following import Following
from twofold.jobs.migration.judging import Judged
from twofold.jobs.migration.migration import Migration
from twofold.jobs.migration.plan import Plan
from twofold.jobs.migration.proving import Proof
from twofold.jobs.migration.verdict import Fault, Verdict
from twofold.jobs.questions import Question, read_questions

__all__ = [
    "Carried",
    "Fault",
    "Following",
    "Judged",
    "Migration",
    "Plan",
    "Proof",
    "Question",
    "Verdict",
    "read_questions",
]
