"""Long jobs over a store: index a corpus, search it, index changes, migrate it to another space."""

from twofold.jobs.batches.batching import Batched, batch
from twofold.jobs.batches.texts import texts_to_embed
from twofold.jobs.budget import Budget, Spending
from twofold.jobs.chunking import Cutting
from twofold.jobs.corpus import Corpus, Item, Reading, Unreadable, read_corpus
from twofold.jobs.counts import Counts
from twofold.jobs.dry_run import DryRun, dry_run
from twofold.jobs.indexing import index
from twofold.jobs.migration import Carried, Following, Migration, Plan, Question, Verdict, read_questions
from twofold.jobs.searching import search
from twofold.jobs.verifying import Verified, verify
from twofold.stores import Hit, Row, Store, connect_store, open_store

__all__ = [
    "Batched",
    "Budget",
    "Carried",
    "Corpus",
    "Counts",
    "Cutting",
    "DryRun",
    "Following",
    "Hit",
    "Item",
    "Migration",
    "Plan",
    "Question",
    "Reading",
    "Row",
    "Spending",
    "Store",
    "Unreadable",
    "Verdict",
    "Verified",
    "batch",
    "connect_store",
    "dry_run",
    "index",
    "open_store",
    "read_corpus",
    "read_questions",
    "search",
    "texts_to_embed",
    "verify",
]
