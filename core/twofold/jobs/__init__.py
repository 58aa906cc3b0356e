"""Long jobs over a store: index a corpus, search it, re-index what changed."""

from twofold.jobs.chunking import Cutting
from twofold.jobs.corpus import Corpus, Item, Reading, Unreadable, read_corpus
from twofold.jobs.estimating import Estimate, estimate
from twofold.jobs.indexing import Counts, index
from twofold.jobs.searching import search
from twofold.jobs.verifying import Verified, verify
from twofold.stores import Hit, OpenStore, Row, Store, open_store

__all__ = [
    "Corpus",
    "Counts",
    "Cutting",
    "Estimate",
    "Hit",
    "Item",
    "OpenStore",
    "Reading",
    "Row",
    "Store",
    "Unreadable",
    "Verified",
    "estimate",
    "index",
    "open_store",
    "read_corpus",
    "search",
    "verify",
]
