"""Twofold for LlamaIndex: an embedding with two sides, its cache, and late chunking in node parsers and pipelines."""

from llama_index_twofold.embedding import TwofoldEmbedding
from llama_index_twofold.late import LateChunking, LateChunkingNodeParser

__all__ = ["LateChunking", "LateChunkingNodeParser", "TwofoldEmbedding"]
