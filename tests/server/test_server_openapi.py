"""The published schema: what it promises, the page of it, and that no body that it lets in or keeps out does harm."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.serving import http, serving
from twofold.server import Limits
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "30"))
"""Bodies for each route; `make fuzz` sends 25,000 to each."""
PATHS = ("/v1/embeddings", "/v2/embed", "/v1/embed", "/embed", "/api/embed", "/vectors")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(FakeEmbedder(), limits=Limits(body_bytes=200_000)) as address:
        yield address


@pytest.fixture(scope="module")
def document(url: str) -> Any:
    return http.get(f"{url}/openapi.json").json()


def test_every_route_of_it_is_there(url: str, document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answer = http.request(method.upper(), url + path, content=b"{" if method == "post" else None)
            assert answer.status_code not in (404, 405), path
            assert operation["summary"]


def test_every_reference_of_it_is_defined(document: Any) -> None:
    names = set(re.findall(r"#/components/schemas/([\w.]+)", json.dumps(document)))
    assert names
    assert names <= set(document["components"]["schemas"])


def test_requests_and_answers_are_what_it_says(url: str, document: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    asked: dict[str, Any] = {
        "/v1/embeddings": {"input": ["a", {"text": "b"}], "task": "query", "dimensions": 8, "truncate": "END"},
        "/v2/embed": {"texts": ["a"], "input_type": "search_query", "embedding_types": ["float", "int8"]},
        "/embed": {"inputs": "a", "normalize": True},
        "/vectors": {"text": "a", "config": {"task_type": "query"}},
    }
    for path, body in asked.items():
        operation = document["paths"][path]["post"]
        said = operation["requestBody"]["content"]["application/json"]["schema"]
        jsonschema.validate(body, {**said, "components": document["components"]})
        for sent, status in ((body, "200"), ({**body, "model": 7, "text": 7, "inputs": 7}, "422")):
            answer = http.post(url + path, json=sent)
            assert str(answer.status_code) == status, answer.text
            said = operation["responses"][status]["content"]["application/json"]["schema"]
            jsonschema.validate(answer.json(), {**said, "components": document["components"]})


def test_the_page_of_it_needs_nothing_from_elsewhere(url: str) -> None:
    answer = http.get(f"{url}/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"<script|https?://|src=", answer.text)
    for path in PATHS:
        assert f"POST {path}" in answer.text
    assert "late_chunking" in answer.text


def test_with_keys_it_says_so() -> None:
    with serving(FakeEmbedder(), api_keys=["one"]) as url:
        assert http.get(f"{url}/openapi.json").json()["security"] == [{"key": []}]


# -- what hypothesis makes of it --------------------------------------------------------------------------------------

TEXT = st.one_of(st.text(max_size=40), st.sampled_from(["a", "ships and fog", "\ud800", "\x00", "w " * 600, "🌊" * 50]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["query", "document", "passage", "search_query", "topic", "float", "base64", "binary", "ubinary", "int8", "END"]
)


def bodies(schema: Any, parts: Any) -> st.SearchStrategy[Any]:
    """Values of a schema, and of it with one thing or another wrong."""
    if "$ref" in schema:
        return bodies(parts[schema["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in schema:
        return st.one_of(*(bodies(one, parts) for one in schema["anyOf"]))
    kinds: dict[str, Any] = {
        "string": st.one_of(TEXT, WORDS),
        "integer": st.one_of(st.integers(-1, 70), st.integers()),
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    if schema.get("type") == "array":
        return st.lists(bodies(schema.get("items", {}), parts), max_size=6)
    if schema.get("type") == "object":
        members = {name: bodies(one, parts) for name, one in schema.get("properties", {}).items()}
        needed = {name: members.pop(name) for name in schema.get("required", [])}
        return st.fixed_dictionaries(needed, optional={name: st.one_of(one, JSON) for name, one in members.items()})
    found: st.SearchStrategy[Any] = kinds.get(schema.get("type", ""), JSON)
    return found


@pytest.mark.parametrize("path", PATHS)
def test_no_body_makes_the_server_fail(url: str, document: Any, path: str) -> None:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    valid = bodies(schema, document["components"]["schemas"])
    raw = st.one_of(
        valid.map(lambda body: json.dumps(body).encode()),
        JSON.map(lambda body: json.dumps(body).encode()),
        st.binary(max_size=60),
        st.tuples(valid, st.integers(0, 400)).map(lambda cut: json.dumps(cut[0]).encode()[: cut[1]]),
    )

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(raw)
    def send(body: bytes) -> None:
        answer = http.post(url + path, content=body)
        assert answer.status_code < 500, (answer.status_code, answer.text, body)
        assert answer.headers["content-type"] == "application/json"
        answer.json()

    send()
    assert http.post(url + path, content=b"{").status_code == 400, "it answers still"
