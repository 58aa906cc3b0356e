"""What of the Weaviate adapter needs no server."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from twofold import Embedder, InputError, SpaceMismatch, StoreError
from twofold.cards import JINA_V3
from twofold.fake import FakeBackend
from twofold.testing import FakeEmbedder
from weaviate_twofold import Layout, TwofoldVectorizer, WeaviateStore, connect, server_side
from weaviate_twofold.layout import vectors_of
from weaviate_twofold.writing import checked_ids, object_id


@pytest.fixture
def layout() -> Layout:
    return Layout(FakeEmbedder().record(), {"all": ("title", "tags"), "title": ("title",)}, " / ")


# -- the layout -------------------------------------------------------------------------------------------------------


def test_properties_are_joined_in_their_order(layout: Layout) -> None:
    assert layout.texts({"tags": ["a", "b"], "title": "T", "other": 3}, 0) == ["T / a / b", "T"]
    assert layout.texts({"tags": None, "title": "T"}, 0) == ["T", "T"]


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"tags": ["a"]}, "vector 'title' of object 4 has no text: 'title' is empty or missing"),
        ({"title": "", "tags": [" "]}, "vector 'all' of object 4 has no text: 'title', 'tags'"),
        ({"title": "T", "tags": [1]}, "property 'tags' of object 4 is of type list, not text"),
    ],
)
def test_objects_without_text_are_named(layout: Layout, properties: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        layout.texts(properties, 4)
    assert error.value.index == 4


@pytest.mark.parametrize(
    ("vectorize", "wanted"),
    [
        ("body", {"default": ("body",)}),
        (["title", "body"], {"default": ("title", "body")}),
        ({"one": "title", "two": ["body", "title"]}, {"one": ("title",), "two": ("body", "title")}),
    ],
)
def test_properties_are_named_in_three_ways(vectorize: Any, wanted: dict[str, tuple[str, ...]]) -> None:
    assert vectors_of(vectorize) == wanted


@pytest.mark.parametrize("vectorize", ["", [], {}, {"one": []}, ["a", "a"], {"one": [3]}])
def test_vectors_of_nothing_are_refused(vectorize: Any) -> None:
    with pytest.raises(InputError, match="vectorize"):
        vectors_of(vectorize)


def test_the_layout_is_read_as_it_was_written(layout: Layout) -> None:
    for description in (None, "", "Articles.\nMore of them. twofold: {no}"):
        text = layout.describe(description)
        assert text.startswith(description or "twofold: ")
        again = Layout.read("Articles", text)
        assert (again.vectors, again.separator) == (layout.vectors, layout.separator)
        assert again.record.to_json() == layout.record.to_json()
        assert again.describe(description) == text


@pytest.mark.parametrize(
    "description", [None, "", "mine", "twofold: ", "twofold: {}", "twofold: []", 'twofold: {"vectors": 1}']
)
def test_a_description_without_a_layout_is_refused(description: str | None) -> None:
    with pytest.raises(StoreError, match="'Articles' does not say what its vectors are"):
        Layout.read("Articles", description)


def test_layouts_of_other_versions_are_refused(layout: Layout) -> None:
    with pytest.raises(StoreError, match="version 2, this Twofold reads 1"):
        Layout.read("Articles", layout.describe().replace('"version": 1, "vectors"', '"version": 2, "vectors"'))
    with pytest.raises(SpaceMismatch):
        Layout.read("Articles", layout.describe().replace('"canaries": "', '"canaries": "?'))


# -- ids --------------------------------------------------------------------------------------------------------------


def test_ids_are_uuids_or_made_into_them() -> None:
    own = "5940d678-4da1-484b-b9a9-57a7f2f9b6d5"
    assert str(object_id(own)) == own
    assert object_id("chat#0") == object_id("chat#0") != object_id("chat#1")
    objects: list[dict[str, Any]] = [{"a": 1, "b": [2]}, {"b": [2], "a": 1}, {"a": 2}]
    one, same, other = checked_ids(None, objects)
    assert one == same != other


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["a"], "1 ids for 2 objects"),
        ("ab", "2 ids for 2 objects"),
        (["a", "a"], "id 1, 'a', is there twice"),
        (["a", ""], "id 1, '', is empty"),
        (["5940D678-4DA1-484B-B9A9-57A7F2F9B6D5", "5940d678-4da1-484b-b9a9-57a7f2f9b6d5"], "is there twice"),
    ],
)
def test_ids_that_lose_an_object_are_refused(ids: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        checked_ids(ids, [{"a": 1}, {"a": 2}])


# -- the vectorizer ---------------------------------------------------------------------------------------------------


def test_it_is_made_of_an_embedder_or_of_its_options() -> None:
    assert TwofoldVectorizer("fake:", dimensions=16).embedder.dimensions == 16
    with pytest.raises(InputError, match="dimensions to the embedder"):
        TwofoldVectorizer(Embedder("fake:"), dimensions=16)
    again = pickle.loads(pickle.dumps(TwofoldVectorizer("fake:", dimensions=16)))
    assert repr(again) == "TwofoldVectorizer(Embedder('fake:', dimensions=16))"


@pytest.mark.parametrize("option", ["vector_config", "vectorizer_config", "vector_index_config"])
def test_what_the_vectorizer_decides_is_no_option(option: str) -> None:
    with pytest.raises(InputError, match=f"{option} is the vectorizer's"):
        TwofoldVectorizer("fake:").create_collection(None, "Articles", **{option: None})  # type: ignore[call-overload]


# -- server-side vectors ----------------------------------------------------------------------------------------------


class JinaV3(FakeEmbedder):
    """The fake, with v3's card."""

    @property
    def backend(self) -> FakeBackend:
        if not isinstance(self._backend, FakeBackend):
            self._backend = FakeBackend()
            self._backend.card = JINA_V3
        return self._backend


def entry(*arguments: Any, **options: Any) -> dict[str, Any]:
    made = server_side(*arguments, **options)
    module: dict[str, Any] = made.vectorizer._to_dict()
    return {
        **module,
        "name": made.name,
        "source": made.properties,
        "metric": made.vectorIndexConfig._to_dict()["distance"],
    }


def test_the_transformers_module_gets_a_url_for_each_side() -> None:
    made = entry(FakeEmbedder(dimensions=16), "http://127.0.0.1:9000/", name="v", properties=["title"])
    assert made == {
        "poolingStrategy": "masked_mean",
        "dimensions": 16,
        "passageInferenceUrl": "http://127.0.0.1:9000/passage",
        "queryInferenceUrl": "http://127.0.0.1:9000/query",
        "vectorizeClassName": False,
        "name": "v",
        "source": ["title"],
        "metric": "cosine",
    }


def test_the_jina_module_gets_a_base_url_and_a_model_that_keeps_the_sides() -> None:
    embedder = JinaV3(dimensions=500)
    made = entry(embedder, "https://embed.example/base", module="text2vec-jinaai")
    assert made["baseURL"] == "https://embed.example/base"
    assert (made["model"], made["dimensions"], made["vectorizeClassName"]) == ("jina-embeddings-v3", 500, False)


@pytest.mark.parametrize("embedder", [FakeEmbedder(), JinaV3(query_task="classification")])
def test_the_jina_module_is_refused_where_it_loses_the_sides(embedder: Embedder) -> None:
    with pytest.raises(InputError, match=r"would lose the sides .* take 'text2vec-transformers'"):
        server_side(embedder, "http://127.0.0.1:9000", module="text2vec-jinaai")


def test_a_model_without_sides_has_none_to_lose() -> None:
    made = entry(FakeEmbedder(query_task=None, document_task=None), "http://h", module="text2vec-jinaai")
    assert made["model"] == "fake"


@pytest.mark.parametrize(
    ("url", "module"), [("localhost:9000", "text2vec-transformers"), ("http://h", "text2vec-openai")]
)
def test_other_urls_and_modules_are_refused(url: str, module: Any) -> None:
    with pytest.raises(InputError, match=r"http://|text2vec-jinaai"):
        server_side(FakeEmbedder(), url, module=module)


# -- the store's address ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["localhost:8080", "./folder", "", "http://", "ftp://host"])
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(InputError, match="no Weaviate server: write http://localhost:8080"):
        WeaviateStore.open(address, "Articles", FakeEmbedder())


@pytest.mark.parametrize("address", ["http://127.0.0.1:9?grpc_port=x", "http://127.0.0.1:70000", "http://127.0.0.1:x"])
def test_a_port_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="has a port that is none"):
        WeaviateStore.open(address, "Articles", FakeEmbedder())


def test_http_and_grpc_have_a_port_each() -> None:
    with pytest.raises(InputError, match="name that one as"):
        connect("http://127.0.0.1:50051")


def test_a_key_is_not_taken_from_an_address_nor_shown() -> None:
    with pytest.raises(InputError, match="put the key into WEAVIATE_API_KEY") as error:
        WeaviateStore.open("https://user:s3cret@host", "Articles", FakeEmbedder())
    assert "s3cret" not in str(error.value)


def test_a_server_that_is_not_there_is_a_store_error() -> None:
    with pytest.raises(StoreError, match=r"no Weaviate server answers at 127\.0\.0\.1.*grpc_port="):
        WeaviateStore.open("http://127.0.0.1:9", "Articles", FakeEmbedder())
