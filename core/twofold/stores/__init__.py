"""What all vector stores share: rows, identity checks, opening and writing."""

from twofold.stores.opening import aopen_collection, open_collection, open_store
from twofold.stores.rows import Held, Hit, Row, Stored
from twofold.stores.store import Store, connect_store, find_store
from twofold.stores.writing import aadd_documents, add_documents

__all__ = [
    "Held",
    "Hit",
    "Row",
    "Store",
    "Stored",
    "aadd_documents",
    "add_documents",
    "aopen_collection",
    "connect_store",
    "find_store",
    "open_collection",
    "open_store",
]
