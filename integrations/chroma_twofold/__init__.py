"""Twofold for Chroma: an embedding function, collections that know their space, and a store for jobs.

Importing this package registers the embedding function, so that Chroma can reopen collections that another process
made with it.
"""

from chroma_twofold.connect import connect
from chroma_twofold.embedding import TwofoldEmbeddingFunction
from chroma_twofold.store import ChromaStore, aadd_documents, add_documents, aopen_collection, open_collection

__all__ = [
    "ChromaStore",
    "TwofoldEmbeddingFunction",
    "aadd_documents",
    "add_documents",
    "aopen_collection",
    "connect",
    "open_collection",
]
