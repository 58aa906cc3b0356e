"""The fake embedder: what others' tests may rely on."""

import pytest

from twofold import InputError
from twofold.testing import Call, FakeEmbedder


def test_it_is_the_same_on_every_machine() -> None:
    vector = FakeEmbedder().embed_query("the lighthouse")
    assert vector[:4].tolist() == pytest.approx([-0.338096, -0.033106, 0.12062, -0.105196], abs=1e-6)


def test_texts_that_share_words_are_near() -> None:
    embedder = FakeEmbedder()
    query = embedder.embed_query("the lighthouse keeper")
    near, far = embedder.embed_documents(["a lighthouse and its keeper", "tea with milk"])
    assert query @ near > query @ far + 0.2


def test_it_records_what_it_was_asked() -> None:
    embedder = FakeEmbedder(dimensions=8)
    embedder.embed_query("one")
    embedder.embed_chunks(["one ", "two"])
    assert embedder.calls == [Call(("one",), "query", 8), Call(("one two",), "document", 8)]


def test_its_length_counts_the_instruction() -> None:
    embedder = FakeEmbedder()
    assert embedder.embed_documents(["word " * 512]).shape == (1, 64)
    with pytest.raises(InputError, match="text 0 has 513 tokens, the limit is 512"):
        embedder.embed_query("word " * 512)


async def test_a_slow_one_sleeps_over_each_document(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("twofold.fake.time.sleep", slept.append)
    monkeypatch.setattr("twofold.fake.asyncio.sleep", sleep)
    slow, quick = FakeEmbedder("fake:2.5ms"), FakeEmbedder()
    assert (slow.embed_documents(["one", "two"]) == quick.embed_documents(["one", "two"])).all()
    await slow.aembed_query("one")
    assert [seconds for seconds in slept if seconds] == [0.005, 0.0025]
    assert slow.space == quick.space
