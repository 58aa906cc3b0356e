"""Long jobs over a store: index a corpus, search it, re-index what changed."""

from twofold.jobs.corpus import Item, read_corpus
from twofold.jobs.indexing import Counts, Cutting, Plan, index
from twofold.jobs.searching import search
from twofold.stores import Hit, OpenStore, Row, Store, open_store

__all__ = [
    "Counts",
    "Cutting",
    "Hit",
    "Item",
    "OpenStore",
    "Plan",
    "Row",
    "Store",
    "index",
    "open_store",
    "read_corpus",
    "search",
]
