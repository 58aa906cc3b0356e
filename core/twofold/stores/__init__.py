"""What all vector stores share: rows, identity checks, opening, writing, and following a collection that has moved.

A third party's store needs `Store`, `Row`, `Held`, `Hit`, `Stored` and `Where`. Everything else is for hosts whose own
collections are opened, checked and written.
"""

from twofold.stores.checks import Checked, Given, check_ids, check_lengths, check_metadata
from twofold.stores.moving import MIGRATION, MOVED, Movable, Original, check_not_closed, follow
from twofold.stores.opening import (
    Adopt,
    aopen_collection,
    check_record,
    check_space,
    open_collection,
    open_store,
    read_record,
)
from twofold.stores.rows import (
    DOCUMENT,
    END,
    FIELDS,
    HELD_FIELDS,
    OWN_PREFIX,
    SOURCE,
    START,
    Held,
    Hit,
    Metadata,
    Row,
    Stored,
    Where,
    digest_of,
    search_filtered,
)
from twofold.stores.store import Store, connect_store, find_store, store_over
from twofold.stores.writing import SLICE, Entry, Metadatas, aadd_documents, add_documents, embed_entries, version

__all__ = [
    "DOCUMENT",
    "END",
    "FIELDS",
    "HELD_FIELDS",
    "MIGRATION",
    "MOVED",
    "OWN_PREFIX",
    "SLICE",
    "SOURCE",
    "START",
    "Adopt",
    "Checked",
    "Entry",
    "Given",
    "Held",
    "Hit",
    "Metadata",
    "Metadatas",
    "Movable",
    "Original",
    "Row",
    "Store",
    "Stored",
    "Where",
    "aadd_documents",
    "add_documents",
    "aopen_collection",
    "check_ids",
    "check_lengths",
    "check_metadata",
    "check_not_closed",
    "check_record",
    "check_space",
    "connect_store",
    "digest_of",
    "embed_entries",
    "find_store",
    "follow",
    "open_collection",
    "open_store",
    "read_record",
    "search_filtered",
    "store_over",
    "version",
]
