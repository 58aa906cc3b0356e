"""The core itself: the door that the others are measured against."""

from __future__ import annotations

from twofold import Embedder
from twofold.testing import Door

DOOR = Door(
    name="core",
    make=Embedder,
    query=lambda embedder, text: embedder.embed_query(text),
    documents=lambda embedder, texts: embedder.embed_documents(texts),
    aquery=lambda embedder, text: embedder.aembed_query(text),
    adocuments=lambda embedder, texts: embedder.aembed_documents(texts),
    settings=lambda embedder: embedder.settings,
    round_trips={
        "settings": lambda embedder: Embedder.from_settings(embedder.settings),
        "dict": lambda embedder: Embedder.from_settings(type(embedder.settings).from_dict(embedder.settings.to_dict())),
    },
    surfaces=lambda embedder: [repr(embedder.settings), str(embedder.settings.to_dict()), embedder.space.to_json()],
)
