"""LangChain: its own standard suites, unchanged, and what is special to `TwofoldEmbeddings`."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.load import dumps, loads
from langchain_core.stores import InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from langchain_text_splitters import CharacterTextSplitter
from pydantic import ValidationError

from langchain_twofold import TwofoldEmbeddings, add_documents, late_chunk, open_collection, record_key_encoder
from twofold import Embedder, InputError
from twofold.adapters import option_fields

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings


class TestStandardUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return TwofoldEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "fake:"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"JINA_API_KEY": "sk-test"}, {"model": "jina:jina-embeddings-v3"}, {"model": "jina:jina-embeddings-v3"}


class TestStandardIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return TwofoldEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "fake:", "dimensions": 32}


def test_every_option_is_a_field_with_the_same_default() -> None:
    own = {name: field.default for name, field in TwofoldEmbeddings.model_fields.items()}
    assert TwofoldEmbeddings.model_fields["model"].is_required()
    secrets = {"api_key": None, "http_client": None}
    assert own | {"model": ...} == {name: default for name, (_, default) in option_fields().items()} | secrets


def test_every_option_of_an_embedder_is_a_field() -> None:
    assert set(TwofoldEmbeddings.model_fields) == set(inspect.signature(Embedder).parameters)


def test_no_texts_give_no_vectors() -> None:
    embeddings = TwofoldEmbeddings(model="fake:")
    assert embeddings.embed_documents([]) == []
    assert asyncio.run(embeddings.aembed_documents([])) == []


def test_texts_go_in_as_they_are() -> None:
    embeddings = TwofoldEmbeddings(model="fake:")
    embeddings.embed_documents(["two\nlines"])
    assert embeddings.embedder.backend.calls[-1].texts == ("two\nlines",)  # type: ignore[attr-defined]


def test_the_repr_shows_what_was_given() -> None:
    embeddings = TwofoldEmbeddings(model="fake:", dimensions=16, api_key="sk-secret")
    assert repr(embeddings) == "TwofoldEmbeddings(model='fake:', dimensions=16)"


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(InputError, match="dimension; did you mean dimensions"):
        TwofoldEmbeddings("fake:", dimension=16)  # type: ignore[call-arg]


def test_an_embedder_that_exists_is_taken_with_what_it_has() -> None:
    embedder = Embedder("fake:", dimensions=16, api_key="sk-secret")
    embeddings = TwofoldEmbeddings(embedder)
    assert embeddings.embedder is TwofoldEmbeddings(embeddings).embedder is embedder
    assert embeddings.dimensions == 16
    assert copy.deepcopy(embeddings).embedder is embedder
    loaded = pickle.loads(pickle.dumps(embeddings))
    assert (loaded.embedder.settings, loaded.embedder._key.reveal()) == (embedder.settings, None)
    for shown in (repr(embeddings), embeddings.model_dump_json(), str(vars(embeddings))):
        assert "sk-secret" not in shown


def test_options_beside_an_embedder_that_exists_are_refused() -> None:
    embeddings = TwofoldEmbeddings(Embedder("fake:"))
    with pytest.raises(InputError, match="dimensions: the embedder already exists"):
        TwofoldEmbeddings(embeddings.embedder, dimensions=16)
    with pytest.raises(InputError, match="dimensions: the embedder already exists"):
        embeddings.model_copy(update={"dimensions": 16})


def test_it_is_frozen_so_that_fields_and_embedder_agree() -> None:
    embeddings = TwofoldEmbeddings(model="fake:")
    with pytest.raises(ValidationError, match="frozen"):
        embeddings.dimensions = 16


def test_a_copy_has_an_embedder_of_its_own_options() -> None:
    embeddings = TwofoldEmbeddings(model="fake:", api_key="sk-secret")
    shorter = embeddings.model_copy(update={"dimensions": 16})
    assert len(shorter.embed_query("a ship")) == 16
    assert len(embeddings.embed_query("a ship")) == 64
    for same in (shorter, copy.copy(embeddings), copy.deepcopy(embeddings)):
        assert same.embedder._key.reveal() == "sk-secret"


def test_a_copy_with_a_wrong_option_is_refused() -> None:
    with pytest.raises(InputError, match="dimensions=0"):
        TwofoldEmbeddings(model="fake:").model_copy(update={"dimensions": 0})


def test_copies_of_copies_behave_like_the_original() -> None:
    embeddings = TwofoldEmbeddings(model="fake:", api_key="sk-secret")
    for copied in (copy.copy(embeddings), copy.deepcopy(embeddings), embeddings.model_copy()):
        shorter = copied.model_copy(update={"dimensions": 16})
        assert (shorter.dimensions, shorter.embedder._key.reveal()) == (16, "sk-secret")
        assert shorter == embeddings.model_copy(update={"dimensions": 16})
    given = TwofoldEmbeddings(Embedder("fake:"))
    for copied in (given, copy.copy(given), TwofoldEmbeddings(given)):
        with pytest.raises(InputError, match="dimensions: the embedder already exists"):
            copied.model_copy(update={"dimensions": 16})


def test_embeddings_of_equal_options_are_equal_and_have_equal_hashes() -> None:
    one, other = TwofoldEmbeddings("fake:", dimensions=16), TwofoldEmbeddings(Embedder("fake:", dimensions=16))
    assert one == other == copy.copy(one) == pickle.loads(pickle.dumps(one))
    assert len({one, other}) == 1
    assert one != TwofoldEmbeddings("fake:")
    assert one != one.embedder


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_langchains_dumps_and_loads_keep_the_options_and_not_the_key() -> None:
    embeddings = TwofoldEmbeddings("fake:", dimensions=16, document_task="topic", api_key="sk-secret")
    told = dumps(embeddings)
    assert "sk-secret" not in told
    again = loads(told, allowed_objects=[TwofoldEmbeddings], valid_namespaces=["langchain_twofold"])
    assert again == embeddings
    assert (again.embed_query("fog"), again.embedder._key.reveal()) == (embeddings.embed_query("fog"), None)


@pytest.mark.parametrize("way", ["add_documents", "record_key_encoder", "late_chunk", "open_collection"])
def test_langchains_own_cache_is_refused_and_ours_is_offered(way: str) -> None:
    cache = CacheBackedEmbeddings.from_bytes_store(
        TwofoldEmbeddings("fake:"), InMemoryByteStore(), key_encoder="sha256"
    )
    calls: dict[str, Any] = {
        "add_documents": lambda: add_documents(InMemoryVectorStore(cache), []),
        "record_key_encoder": lambda: record_key_encoder(InMemoryVectorStore(cache)),
        "late_chunk": lambda: late_chunk([], CharacterTextSplitter(), cache),
        "open_collection": lambda: open_collection(None, "articles", cache),
    }
    with pytest.raises(
        InputError, match=r"CacheBackedEmbeddings, whose space is unknown: use langchain_twofold.cached"
    ):
        calls[way]()


def test_a_key_may_be_a_callable_that_is_asked_for_each_request() -> None:
    keys = iter(["one", "two"])
    embeddings = TwofoldEmbeddings(model="jina:jina-embeddings-v3", api_key=lambda: next(keys))
    assert [embeddings.embedder._key.reveal() for _ in range(2)] == ["one", "two"]


def test_a_key_of_a_wrong_type_is_refused_and_not_shown() -> None:
    with pytest.raises(ValidationError) as caught:
        TwofoldEmbeddings(model="fake:", api_key=b"\xff sk-secret")  # type: ignore[arg-type]
    assert "sk-secret" not in str(caught.value)


def test_async_is_the_embedders_own(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = TwofoldEmbeddings(model="fake:")
    backend: Any = embeddings.embedder.backend
    asked = []

    async def aembed(*arguments: Any, **options: Any) -> Any:
        asked.append(asyncio.current_task())
        return backend.embed(*arguments, **options)

    async def ask() -> asyncio.Task[Any] | None:
        await embeddings.aembed_query("fog")
        await embeddings.aembed_documents(["fog"])
        return asyncio.current_task()

    monkeypatch.setattr(backend, "aembed", aembed)
    task = asyncio.run(ask())
    assert asked == [task, task]
