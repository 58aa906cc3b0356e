"""What every vector store shares: rows, checks, identity, opening and writing."""

from twofold.stores.faces import aadd_documents, add_documents, aopen_collection, open_collection
from twofold.stores.opened import OpenStore
from twofold.stores.opening import open_store
from twofold.stores.rows import Held, Hit, Row, Stored
from twofold.stores.store import Store, find_store

__all__ = [
    "Held",
    "Hit",
    "OpenStore",
    "Row",
    "Store",
    "Stored",
    "aadd_documents",
    "add_documents",
    "aopen_collection",
    "find_store",
    "open_collection",
    "open_store",
]
