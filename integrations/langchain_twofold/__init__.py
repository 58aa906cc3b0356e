"""Twofold for LangChain: embeddings with two sides, a cache, record keys, precomputed vectors, late chunking."""

from langchain_twofold.cache import CachedEmbeddings, cached
from langchain_twofold.embeddings import TwofoldEmbeddings
from langchain_twofold.late import alate_chunk, late_chunk
from langchain_twofold.records import record_key_encoder
from langchain_twofold.stores import add_documents

__all__ = [
    "CachedEmbeddings",
    "TwofoldEmbeddings",
    "add_documents",
    "alate_chunk",
    "cached",
    "late_chunk",
    "record_key_encoder",
]
