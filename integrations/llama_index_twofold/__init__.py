"""Twofold for LlamaIndex: an embedding with two sides, its cache, late chunking, and stores that know their space."""

from llama_index_twofold.embedding import TwofoldEmbedding
from llama_index_twofold.late import LateChunking, LateChunkingNodeParser
from llama_index_twofold.store import aadd_documents, add_documents, aopen_collection, open_collection

__all__ = [
    "LateChunking",
    "LateChunkingNodeParser",
    "TwofoldEmbedding",
    "aadd_documents",
    "add_documents",
    "aopen_collection",
    "open_collection",
]
