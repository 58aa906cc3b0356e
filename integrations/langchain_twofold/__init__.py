"""Twofold for LangChain: embeddings with two sides, checked stores, late chunking, a cache, record keys."""

from langchain_twofold.cache import CachedEmbeddings, cached
from langchain_twofold.embedding import TwofoldEmbeddings
from langchain_twofold.late import LateVectors, alate_chunk, late_chunk
from langchain_twofold.store import (
    aadd_documents,
    add_documents,
    aopen_collection,
    arecord_key_encoder,
    open_collection,
    record_key_encoder,
)

__all__ = [
    "CachedEmbeddings",
    "LateVectors",
    "TwofoldEmbeddings",
    "aadd_documents",
    "add_documents",
    "alate_chunk",
    "aopen_collection",
    "arecord_key_encoder",
    "cached",
    "late_chunk",
    "open_collection",
    "record_key_encoder",
]
