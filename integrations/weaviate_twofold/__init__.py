"""Twofold for Weaviate.

from twofold import Embedder
from weaviate_twofold import TwofoldVectorizer

vectorizer = TwofoldVectorizer(Embedder("jinaai/jina-embeddings-v3"))
articles = vectorizer.create_collection(client, "Articles", vectorize=["title", "body"])
vectorizer.add_objects(articles, [{"title": "...", "body": "..."}])
vectorizer.near_text(articles, "a question", limit=3)
"""

from weaviate_twofold.address import connect
from weaviate_twofold.layout import Layout
from weaviate_twofold.server_side import server_side
from weaviate_twofold.store import WeaviateStore
from weaviate_twofold.vectorizer import TwofoldVectorizer

__all__ = ["Layout", "TwofoldVectorizer", "WeaviateStore", "connect", "server_side"]
