"""The public types, as a type checker sees them. Checked by mypy, never run."""

import asyncio
from pathlib import Path
from typing import Any, Literal, assert_type

import numpy as np
from numpy.typing import NDArray

from twofold import Document, Embedder, ModelCard, Settings, Space, SpaceRecord, Task, TwofoldError
from twofold.testing import Call, FakeEmbedder

Vectors = NDArray[np.float32]

embedder = Embedder("jinaai/jina-embeddings-v3", dimensions=512, query_task=None, truncate="end", dtype="bfloat16")
Embedder(Path("models") / "v3", device="cuda:1", normalize=False)
Embedder("jina:jina-embeddings-v3", api_key=lambda: "key", timeout=30)
Embedder("a/model", truncate="start")  # type: ignore[arg-type]
Embedder("a/model", dimension=512)  # type: ignore[call-arg]
Embedder("a/model", 512)  # type: ignore[call-arg]

assert_type(embedder.embed_query("one"), Vectors)
assert_type(embedder.embed_queries(["one"]), Vectors)
assert_type(embedder.embed_documents(("one", "two"), progress=True), Vectors)
assert_type(embedder.embed_documents(text for text in ("one", "two")), Vectors)
assert_type(embedder.embed_chunks(["one", "two"]), Vectors)
assert_type(embedder.embed_late([Document.whole("one")]), list[Vectors])
assert_type(embedder.embed(["one"], task="separation"), Vectors)
assert_type(embedder.count_tokens(["one"]), list[int])
embedder.embed_query(["one"])  # type: ignore[arg-type]
embedder.embed_late(["one"])  # type: ignore[list-item]
embedder.embed(["one"])  # type: ignore[call-arg]


async def twins() -> None:
    assert_type(await embedder.aembed_query("one"), Vectors)
    assert_type(await embedder.aembed_queries(["one"]), Vectors)
    assert_type(await embedder.aembed_documents(["one"]), Vectors)
    assert_type(await embedder.aembed_chunks(["one"]), Vectors)
    assert_type(await embedder.aembed_late([Document.whole("one")]), list[Vectors])
    assert_type(await embedder.aembed(["one"], task=None), Vectors)


asyncio.run(twins())

assert_type(embedder.dimensions, int)
assert_type(embedder.card, ModelCard)
assert_type(embedder.query_task, Task)
assert_type(embedder.settings, Settings)
assert_type(embedder.space, Space)
assert_type(embedder.record(), SpaceRecord)
assert_type(embedder.check(embedder.record()), None)
assert_type(Embedder.from_settings(embedder.settings), Embedder)
assert_type(FakeEmbedder.from_settings(embedder.settings), FakeEmbedder)
assert_type(FakeEmbedder().calls, list[Call])

assert_type(Document.from_chunks(["one", "two"]).spans, tuple[tuple[int, int], ...])
assert_type(embedder.space.tag, str)
assert_type(embedder.space.differences(embedder.space), list[str])
assert_type(embedder.space.relation(embedder.space), Literal["same", "unproven", "different"])
assert_type(SpaceRecord.from_json("{}").canaries, Vectors)
assert_type(embedder.card.task("separation").prefix, str)
assert_type(embedder.settings.to_dict(), dict[str, Any])
embedder.settings.dimensions = 3  # type: ignore[misc]

root: type[Exception] = TwofoldError
