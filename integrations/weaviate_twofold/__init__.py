"""Twofold for Weaviate.

from twofold import Embedder
from weaviate_twofold import TwofoldVectorizer, open_collection

vectorizer = TwofoldVectorizer(Embedder("jinaai/jina-embeddings-v3"))
articles = open_collection(client, "Articles", vectorizer, vectorize=["title", "body"])
vectorizer.add_objects(articles, [{"title": "...", "body": "..."}])
vectorizer.near_text(articles, "a question", limit=3)
"""

from weaviate_twofold.connect import connect
from weaviate_twofold.embedding import TwofoldVectorizer
from weaviate_twofold.server_side import server_side
from weaviate_twofold.store import WeaviateStore, aadd_documents, add_documents, aopen_collection, open_collection

__all__ = [
    "TwofoldVectorizer",
    "WeaviateStore",
    "aadd_documents",
    "add_documents",
    "aopen_collection",
    "connect",
    "open_collection",
    "server_side",
]
