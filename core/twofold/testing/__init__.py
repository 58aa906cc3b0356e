"""For tests, yours and ours: an embedder without a model, and the contract that every adapter keeps."""

from twofold.fake import FAKE_CARD, Call, FakeBackend
from twofold.testing.contract import AdapterContract, Door, VectorContract, pickled, spawned
from twofold.testing.embedder import FakeEmbedder

__all__ = [
    "FAKE_CARD",
    "AdapterContract",
    "Call",
    "Door",
    "FakeBackend",
    "FakeEmbedder",
    "VectorContract",
    "pickled",
    "spawned",
]
