"""A user's program with right and wrong options, as three type checkers see it; never run.

Each wrong line carries an ignore comment, and a checker that finds nothing to ignore there reports the comment.
"""

from pathlib import Path
from typing import Any, Unpack

from langchain_twofold import TwofoldEmbeddings
from llama_index_twofold import TwofoldEmbedding
from twofold import Embedder
from twofold.adapters import Options
from twofold.testing import FakeEmbedder

Embedder("a/model", dimensions=512, truncate="end", query_truncate=None, cache=Path("vectors"))
Embedder(Path("models") / "v3", late_window=2048, timeout=30, normalize=False, http_client=object())
Embedder("jina:jina-embeddings-v3", api_key=lambda: "key", encoding="base64", concurrency=8)

Embedder("a/model", dimension=512)  # type: ignore[call-arg]
Embedder("a/model", task="separation")  # type: ignore[call-arg]
Embedder("a/model", dimensions="512")  # type: ignore[arg-type]
Embedder("a/model", truncate="start")  # type: ignore[arg-type]
Embedder("a/model", normalize=None)  # type: ignore[arg-type]
Embedder("a/model", timeout="5")  # type: ignore[arg-type]
Embedder("a/model", 512)  # type: ignore[call-arg]
Embedder()  # type: ignore[call-arg]
Embedder("a/model").encode(["one"])  # type: ignore[attr-defined]
Embedder("a/model").embed_documents(["one"], late_chunking=True)  # type: ignore[call-arg]
Embedder("a/model").with_options(dimension=3)  # type: ignore[call-arg]
Embedder("a/model").with_options(dimensions="3")  # type: ignore[arg-type]
FakeEmbedder(dimension=3)  # type: ignore[call-arg]
FakeEmbedder(truncate="start")  # type: ignore[arg-type]


class Host:
    """What a host's own object does: it takes the options and hands them on."""

    def __init__(self, model: str, **options: Unpack[Options]) -> None:
        self.embedder = Embedder(model, **options)


Host("a/model", dimensions=512, api_key="key", truncate="end")
Host("a/model", dimension=512)  # type: ignore[call-arg]
Host("a/model", dimensions="512")  # type: ignore[arg-type]
Host("a/model", truncate="start")  # type: ignore[arg-type]

stored: dict[str, Any] = {"dimensions": 512}
Embedder("a/model", **stored)
Host("a/model", **stored)

TwofoldEmbeddings("a/model", dimensions=512, api_key=lambda: "key", truncate="end")
TwofoldEmbeddings(Embedder("a/model"))
TwofoldEmbeddings("a/model", dimension=512)  # type: ignore[call-arg]
TwofoldEmbeddings("a/model", dimensions="512")  # type: ignore[arg-type]
TwofoldEmbeddings("a/model", truncate="start")  # type: ignore[arg-type]
TwofoldEmbedding("a/model", dimensions=512, api_key="key", embed_batch_size=64, num_workers=2)
TwofoldEmbedding(Embedder("a/model"), embed_batch_size=64)
TwofoldEmbedding("a/model", dimension=512)  # type: ignore[call-arg]
TwofoldEmbedding("a/model", dimensions="512")  # type: ignore[arg-type]
TwofoldEmbedding("a/model", embed_batch_size="64")  # type: ignore[arg-type]
