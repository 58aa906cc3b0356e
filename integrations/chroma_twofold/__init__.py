"""Twofold for Chroma: an embedding function, collections that know their space, and a store for jobs.

Importing this package registers the embedding function, so that a collection made with it in another process can be
opened again.
"""

from chroma_twofold.aio import aadd_documents, aopen_collection
from chroma_twofold.collection import check_collection, open_collection
from chroma_twofold.documents import add_documents
from chroma_twofold.function import TwofoldEmbeddingFunction
from chroma_twofold.store import ChromaStore

__all__ = [
    "ChromaStore",
    "TwofoldEmbeddingFunction",
    "aadd_documents",
    "add_documents",
    "aopen_collection",
    "check_collection",
    "open_collection",
]
