"""Which space a function of Chroma's may work in, however far Chroma's call is from it."""

from __future__ import annotations

import functools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import chromadb
import numpy as np
import pytest
from chromadb.api.types import EmbeddingFunction

from chroma_twofold import TwofoldEmbeddingFunction, add_documents, open_collection
from chroma_twofold import embedding as chroma_embedding
from chroma_twofold.embedding import RECORD, SPACE
from twofold import InputError, SpaceMismatch, StoreError, TwofoldWarning
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID


@pytest.fixture(scope="module")
def shared() -> Iterator[Any]:
    opened: Any = chromadb.EphemeralClient()
    yield opened
    opened.close()


@pytest.fixture
def client(shared: Any) -> Any:
    for collection in shared.list_collections():
        shared.delete_collection(collection.name)
    return shared


def embedder_a(**options: Any) -> FakeEmbedder:
    return FakeEmbedder(dimensions=16, **options)


def embedder_b() -> FakeEmbedder:
    return FakeEmbedder(dimensions=16, document_task="topic", query_task=None)


def function_of(client: Any, name: str) -> dict[str, Any]:
    return dict(client.get_collection(name).configuration_json["embedding_function"]["config"])


def is_refused(collection: Any, count: int) -> None:
    with pytest.raises(SpaceMismatch, match=r"document.task"):
        collection.query(query_texts=["x"])
    with pytest.raises(SpaceMismatch, match=r"document.task"):
        collection.upsert(ids=["z"], documents=["x"])
    assert collection.count() == count


# -- however far the collection is from the function ------------------------------------------------------------------


class Subclass(TwofoldEmbeddingFunction):
    def __call__(self, input: Any) -> Any:  # noqa: A002 - Chroma passes it by this name
        return super().__call__(input)

    def embed_query(self, input: Any) -> Any:  # noqa: A002 - Chroma passes it by this name
        return super().embed_query(input)


class Subclass2(Subclass):
    def __call__(self, input: Any) -> Any:  # noqa: A002 - Chroma passes it by this name
        return super().__call__(input)


class Subclass3(Subclass2):
    def __call__(self, input: Any) -> Any:  # noqa: A002 - Chroma passes it by this name
        return super().__call__(input)


def deep(frames: int, call: Callable[[], Any]) -> Any:
    return call() if frames == 0 else deep(frames - 1, call)


def retried(call: Callable[..., Any]) -> Callable[..., Any]:
    """Like tenacity's decorator: a loop that keeps the attempt as an object."""

    class Attempt:
        def __init__(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
            self.outcome = functools.partial(function, *arguments, **named)

        def result(self) -> Any:
            return self.outcome()

    @functools.wraps(call)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        last: Exception | None = None
        for _ in range(2):
            try:
                return Attempt(call, *arguments, **named).result()
            except SpaceMismatch as error:
                last = error
        assert last is not None
        raise last

    return wrapper


def traced(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        return deep(12, functools.partial(call, *arguments, **named))

    return wrapper


class Wrapper(EmbeddingFunction[Any]):
    """Somebody's own function around ours, which calls it through `around`."""

    def __init__(self, inner: TwofoldEmbeddingFunction, around: Callable[..., Any]) -> None:
        self.inner = inner
        self.around = around

    def __call__(self, input: Any) -> Any:  # noqa: A002 - Chroma passes it by this name
        return self.around(self.inner)(input=input)

    def embed_query(self, input: Any) -> Any:  # noqa: A002 - Chroma passes it by this name
        return self.around(self.inner.embed_query)(input=input)

    @staticmethod
    def name() -> str:
        return TwofoldEmbeddingFunction.name()


def wrapped(*decorators: Callable[..., Any]) -> Callable[[Any], Any]:
    def around(call: Any) -> Any:
        for decorator in decorators:
            call = decorator(call if hasattr(call, "__name__") else call.__call__)
        return call

    return lambda embedder: Wrapper(TwofoldEmbeddingFunction(embedder), around)


WAYS: dict[str, Callable[[Any], Any]] = {
    "plain": TwofoldEmbeddingFunction,
    "a subclass of a subclass of a subclass": Subclass3,
    "12 frames": wrapped(traced),
    "retries": wrapped(retried),
    "retries of traces of retries of traces": wrapped(traced, retried, traced, retried),
}


@pytest.mark.parametrize("record", [True, False], ids=["with a record", "made natively"])
@pytest.mark.parametrize("way", WAYS)
def test_a_function_passed_to_get_collection_is_refused_however_it_is_wrapped(
    client: Any, way: str, record: bool
) -> None:
    if record:
        made = open_collection(client, "docs", embedder_a())
    else:
        made = client.create_collection("docs", embedding_function=TwofoldEmbeddingFunction(embedder_a()))
    made.add(ids=["a"], documents=["x y"])
    stranger = embedder_b()
    is_refused(client.get_collection("docs", embedding_function=WAYS[way](stranger)), 1)
    assert not stranger.calls
    same = client.get_collection("docs", embedding_function=WAYS[way](embedder_a(batch_tokens=9)))
    assert same.query(query_texts=["x y"])["ids"] == [["a"]]


def test_a_collection_used_in_a_thread_is_found_there(client: Any) -> None:
    open_collection(client, "docs", embedder_a()).add(ids=["a"], documents=["x y"])
    stranger = client.get_collection("docs", embedding_function=TwofoldEmbeddingFunction(embedder_b()))
    with ThreadPoolExecutor(4) as pool:
        for asked in [pool.submit(is_refused, stranger, 1) for _ in range(8)]:
            asked.result()


def in_thread(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


class Threaded(TwofoldEmbeddingFunction):
    """Embeds in a thread of its own."""

    def __call__(self, input: Any) -> Any:  # noqa: A002 - Chroma passes it by this name
        return in_thread(lambda: super(Threaded, self).__call__(input))

    def embed_query(self, input: Any) -> Any:  # noqa: A002 - Chroma passes it by this name
        return in_thread(lambda: super(Threaded, self).embed_query(input))


def test_a_function_that_embeds_in_another_thread_is_refused_too(client: Any) -> None:
    open_collection(client, "docs", embedder_a()).add(ids=["a"], documents=["x y"])
    is_refused(client.get_collection("docs", embedding_function=Threaded(embedder_b())), 1)


def test_where_the_collection_cannot_be_found_a_warning_says_so_once(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chroma_embedding, "_warned", False)
    open_collection(client, "docs", embedder_a()).add(ids=["a"], documents=["x y"])
    function = Wrapper(
        TwofoldEmbeddingFunction(embedder_a()), lambda call: lambda **named: in_thread(lambda: call(**named))
    )
    collection = client.get_collection("docs", embedding_function=function)
    with pytest.warns(TwofoldWarning, match="the collection's space is not checked: open the collection with"):
        collection.query(query_texts=["x"])
    collection.query(query_texts=["x"])  # a second warning would be an error here
    open_collection(client, "docs", embedder_a()).query(query_texts=["x"])


def test_a_direct_call_is_neither_refused_nor_warned_about(client: Any) -> None:
    collection = open_collection(client, "docs", embedder_a())  # in this frame, but it does not call the function

    def embed(collection: Any, texts: list[str]) -> Any:  # noqa: ARG001 - its first argument is a collection
        return TwofoldEmbeddingFunction(embedder_b())(input=texts)

    assert np.shape(embed(collection, ["x"])) == (1, 16)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(embed(collection, ["x"])))
    thread.start()
    thread.join()
    assert np.shape(found[0]) == (1, 16)


def test_a_function_of_a_collection_needs_no_stack(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    open_collection(client, "docs", embedder_a()).add(ids=["a"], documents=["x y"])
    monkeypatch.setattr(chroma_embedding, "_calling", lambda _: None)
    config = function_of(client, "docs")
    assert TwofoldEmbeddingFunction.build_from_config(config).embed_query(input=["x"])
    other = {**config, "document_task": "topic"}
    for built in (other, {**other, RECORD: config[RECORD]}):
        with pytest.raises(SpaceMismatch, match="document task: 'document' and 'topic'"):
            TwofoldEmbeddingFunction.build_from_config(built)(input=["x"])


# -- the record in the stored configuration ---------------------------------------------------------------------------


def test_a_collection_without_its_metadata_keeps_its_record(client: Any) -> None:
    collection = open_collection(client, "docs", embedder_a(), metadata={"owner": "us"})
    collection.add(ids=["a"], documents=["x y"])
    collection.modify(metadata={"other": 1})
    assert RECORD not in client.get_collection("docs").metadata
    is_refused(client.get_collection("docs", embedding_function=TwofoldEmbeddingFunction(embedder_b())), 1)
    for adopt in (False, True):
        with pytest.raises(SpaceMismatch, match="document task: 'document' and 'topic'"):
            open_collection(client, "docs", embedder_b(), adopt=adopt)
    with pytest.raises(SpaceMismatch, match="document task: 'document' and 'topic'"):
        add_documents(collection, ids=["b"], documents=["y"], embedder=embedder_b())
    opened = open_collection(client, "docs", embedder_a())
    assert add_documents(opened, ids=["b"], documents=["y"]) == ["b"]
    assert opened.query(query_texts=["x y"], n_results=1)["ids"] == [["a"]]


def test_records_that_contradict_each_other_are_refused(client: Any) -> None:
    collection = open_collection(client, "docs", embedder_a())
    collection.modify(metadata={RECORD: embedder_b().record().to_json()})
    for embedder in (embedder_a(), embedder_b()):
        with pytest.raises(SpaceMismatch, match="collection 'docs': its metadata has the record of fake-16d-"):
            open_collection(client, "docs", embedder)
        with pytest.raises(SpaceMismatch, match="collection 'docs'"):
            client.get_collection("docs", embedding_function=TwofoldEmbeddingFunction(embedder)).query(query_texts="x")


def native(client: Any, embedder: Any) -> Any:
    return client.create_collection("docs", embedding_function=TwofoldEmbeddingFunction(embedder))


@pytest.mark.parametrize("known", [True, False], ids=["the space was known", "only settings were known"])
def test_a_collection_made_natively_is_not_adopted_by_another_space(client: Any, known: bool) -> None:
    embedder, stranger, texts = embedder_a(), embedder_b(), ["x", "y", "z"]
    if known:
        assert embedder.space
    collection = native(client, embedder)
    assert (SPACE in function_of(client, "docs")) is known
    for rows in (0, 3):  # even if the stranger has written to it, by vectors of its own
        vectors = stranger.embed_documents(texts[:rows])
        if rows:
            collection.add(ids=texts, documents=texts, embeddings=vectors.tolist())
        with pytest.raises(SpaceMismatch, match="document task: 'document' and 'topic'"):
            open_collection(client, "docs", stranger, adopt=True)
    assert RECORD not in (client.get_collection("docs").metadata or {})
    with pytest.raises(SpaceMismatch, match="was not written by this embedder"):
        open_collection(client, "docs", embedder_a(), adopt=True)
    collection.delete(ids=texts)
    collection.add(ids=texts, documents=texts)
    assert open_collection(client, "docs", embedder_a(), adopt=True).count() == 3
    assert client.get_collection("docs").metadata[RECORD] == function_of(client, "docs")[RECORD]
    client.get_collection("docs").modify(metadata={"owner": "us"})
    is_refused(client.get_collection("docs", embedding_function=TwofoldEmbeddingFunction(embedder_b())), 3)


def test_settings_that_say_the_same_are_the_same_and_another_model_is_named(client: Any) -> None:
    native(client, FakeEmbedder()).add(ids=["a"], documents=["x y"])
    explicit = FakeEmbedder(dimensions=64, query_task="query")
    same = client.get_collection("docs", embedding_function=TwofoldEmbeddingFunction(explicit))
    assert same.query(query_texts=["x y"])["ids"] == [["a"]]
    other = client.get_collection("docs", embedding_function=TwofoldEmbeddingFunction("fake:other"))
    with pytest.raises(
        SpaceMismatch, match=r"made for an embedder with other settings .*\n  model: 'fake:' and 'fake:o"
    ):
        other.query(query_texts=["x"])


def test_a_change_of_configuration_keeps_the_record_and_a_refused_one_changes_nothing(client: Any) -> None:
    collection = open_collection(client, "docs", embedder_a())
    before = function_of(client, "docs")
    with pytest.raises(SpaceMismatch, match=r"cannot change in .*document_task \(from 'auto' to 'topic'\)"):
        collection.modify(configuration={"embedding_function": TwofoldEmbeddingFunction(embedder_b())})
    assert function_of(client, "docs") == before
    collection.modify(configuration={"embedding_function": TwofoldEmbeddingFunction(embedder_a(batch_tokens=9))})
    assert function_of(client, "docs") == {**before, "batch_tokens": 9}


# -- a handle of a collection that is gone ----------------------------------------------------------------------------


def test_a_stale_handle_never_reaches_a_collection_made_again(client: Any) -> None:
    stale = open_collection(client, "docs", embedder_a())
    stale.add(ids=["a"], documents=["x y"])
    client.delete_collection("docs")
    made: UUID = open_collection(client, "docs", embedder_b()).id
    assert made != stale.id
    with pytest.raises(chromadb.errors.NotFoundError):
        stale.query(query_texts=["x"])
    with pytest.raises(StoreError, match="Chroma's collection 'docs' is not available: it no longer exists"):
        add_documents(stale, ids=["b"], documents=["y"])
    assert client.get_collection("docs").count() == 0


def test_what_a_function_shows_and_refuses(client: Any) -> None:
    function = TwofoldEmbeddingFunction(embedder_a())
    assert repr(function) == "TwofoldEmbeddingFunction(FakeEmbedder('fake:', dimensions=16))"
    with pytest.raises(InputError, match="cannot name a base_url"):
        TwofoldEmbeddingFunction.validate_config({**function.get_config(), "base_url": "http://evil.example"})
    assert sys.getrefcount(function) < 10  # no frame is kept
    assert not client.list_collections()
