"""The table of routes, members of other APIs, who may use the server, and offers of an upgrade."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from support.serving import http, serving
from twofold.server.routes import ROUTES
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def vectors(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return np.array([one["embedding"] for one in answer.json()["data"]])


def same(got: Any, want: Any) -> bool:
    return np.shape(got) == np.shape(want) and np.allclose(got, want, atol=1e-6)


# -- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/query", "/models/fake", "/models/fake/query", "/query/models/fake", "/query/"])
def test_a_prefix_alone_takes_the_requests_of_hugging_faces_clients(
    post: Callable[..., httpx.Response], embedder: FakeEmbedder, prefix: str
) -> None:
    want = embedder.embed_query("fog") if "query" in prefix else embedder.embed(["fog"], task=None)[0]
    assert same(post(prefix, {"inputs": "fog"}).json()[0], want)


def test_the_path_and_the_body_agree_on_the_model(embedder: FakeEmbedder) -> None:
    with serving({"one": embedder, "a/two": FakeEmbedder(dimensions=8)}) as url:
        assert len(vectors(http.post(f"{url}/models/a/two/v1/embeddings", json={"input": "a"}))[0]) == 8
        assert (
            len(vectors(http.post(f"{url}/models/a/two/v1/embeddings", json={"input": "a", "model": "a/two"}))[0]) == 8
        )
        both = http.post(f"{url}/models/one/v1/embeddings", json={"input": "a", "model": "a/two"})
        assert (both.status_code, "name only one" in both.json()["detail"]) == (422, True)
        unknown = http.post(f"{url}/models/nope/v1/embeddings", json={"input": "a", "model": "one"})
        assert (unknown.status_code, "no model 'nope'" in unknown.json()["detail"]) == (404, True)
        assert http.get(f"{url}/v1/models/a/two").json()["id"] == "a/two"
        assert http.get(f"{url}/models/a/two/info").json()["model_id"] == "a/two"


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/v1/embeddings", 405, "POST"),
        ("GET", "/query/v1/embeddings/", 405, "POST"),
        ("POST", "/health", 405, "GET, HEAD"),
        ("DELETE", "/", 405, "POST, GET, HEAD"),
        ("POST", "/v1/nothing", 404, None),
        ("GET", "/v1/nothing", 404, None),
        ("POST", "/query/health", 404, None),
        ("POST", "/models/fake/metrics", 404, None),
    ],
)
def test_unknown_paths_and_methods_are_answered_in_json(
    url: str, method: str, path: str, status: int, allowed: str | None
) -> None:
    answer = http.request(method, url + path)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allowed)
    assert answer.json()["error"]["message"]


def test_a_slash_at_the_end_or_two_of_them_do_not_matter(post: Callable[..., httpx.Response]) -> None:
    want = vectors(post("/v1/embeddings", {"input": "a"}))
    for path in ("/v1/embeddings/", "//v1//embeddings", "/query//v1/embeddings"):
        assert not same(vectors(post(path, {"input": "a", "task": "topic"})), want)
        assert same(vectors(post(path.removeprefix("/query"), {"input": "a"})), want)


def test_routes_are_open_or_need_a_key_as_the_table_says(embedder: FakeEmbedder) -> None:
    with serving(embedder, api_keys=["k-canary"]) as url:
        document = http.get(f"{url}/openapi.json").json()
        for route in ROUTES:
            path = route.paths[0]
            answer = http.request(route.method, url + path, json={} if route.dialect else None)
            assert (answer.status_code != 401) == route.is_open, path
            assert (document["paths"][path][route.method.lower()].get("security") == []) == route.is_open
            allowed = http.request(route.method, url + path, headers={"authorization": "Bearer k-canary"})
            assert allowed.status_code != 401


# -- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": "fog", "output_dimension": 8}),
        ("/v1/embeddings", {"input": "fog", "truncate_dim": 8}),
        ("/v1/embeddings", {"inputs": ["fog"], "dimension": 8, "normalize": True}),
        ("/v1/embeddings", {"texts": ["fog"], "dimensions": 8, "truncation": True, "truncation_direction": "Right"}),
    ],
)
def test_members_under_the_names_of_other_apis_are_obeyed(
    post: Callable[..., httpx.Response], embedder: FakeEmbedder, path: str, body: dict[str, Any]
) -> None:
    want = embedder.with_options(dimensions=8).embed(["fog"], task=None)
    answer = post(path, body)
    assert same(vectors(answer), want)
    assert "x-twofold-ignored" not in answer.headers


def test_members_for_which_other_apis_have_another_name_in_other_dialects(post: Callable[..., httpx.Response]) -> None:
    assert len(post("/v2/embed", {"texts": ["a"], "dimensions": 8}).json()["embeddings"]["float"][0]) == 8
    assert len(post("/embed", {"inputs": "a", "output_dimension": 8}).json()[0]) == 8
    binary = post("/v1/embeddings", {"input": "a", "output_dtype": "ubinary"}).json()["data"][0]["embedding"]
    assert len(binary) == 8
    half = post("/v1/embeddings", {"input": "a", "normalized": False, "normalize": True})
    assert half.headers["x-twofold-ignored"] == "normalize"  # its own name counts


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("prompt", "Find: ", "prompt: this server cannot use a free instruction"),
        ("truncation_direction", "left", "cuts only the end"),
        ("images", ["x"], "texts only"),
        ("output_dimension", "many", "Expected `int"),
    ],
)
def test_members_that_change_vectors_and_cannot_be_obeyed_are_refused(
    post: Callable[..., httpx.Response], member: str, value: Any, said: str
) -> None:
    answer = post("/v1/embeddings", {"input": "a", member: value})
    assert (answer.status_code, said in answer.json()["detail"]) == (422, True), answer.text


def test_other_members_are_named_in_a_header(post: Callable[..., httpx.Response]) -> None:
    answer = post("/v1/embeddings", {"input": "a", "user": "me", "taks": "query", "prompt": None, "ä\r\nx: y": 1})
    assert answer.headers["x-twofold-ignored"] == "taks, user"


def test_version_1_of_coheres_api(post: Callable[..., httpx.Response], embedder: FakeEmbedder) -> None:
    want = embedder.embed_queries(["a", "b"]).tolist()
    plain = post("/v1/embed", {"texts": ["a", "b"], "input_type": "search_query", "truncate": "END"}).json()
    assert same(plain["embeddings"], want)
    assert plain["response_type"] == "embeddings_floats"
    by_type = post(
        "/v1/embed", {"texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float", "int8"]}
    ).json()
    assert by_type["embeddings"]["float"] == plain["embeddings"]
    assert by_type["response_type"] == "embeddings_by_type"


def test_the_inputs_of_coheres_version_2(post: Callable[..., httpx.Response], embedder: FakeEmbedder) -> None:
    parts = [{"type": "text", "text": "fog "}, {"type": "text", "text": "horn"}]
    answer = post("/v2/embed", {"inputs": [{"content": parts}], "input_type": "search_document"})
    want = embedder.embed_documents(["fog horn"]).tolist()
    assert same(answer.json()["embeddings"]["float"], want)
    image = post("/v2/embed", {"inputs": [{"content": [{"type": "image_url", "image_url": {}}]}]})
    assert "input 0 has a part that is not a text" in image.json()["message"]
    assert "either texts or inputs" in post("/v2/embed", {"model": "fake"}).json()["message"]


def test_ollamas_api(post: Callable[..., httpx.Response], embedder: FakeEmbedder) -> None:
    answer = post("/passage/api/embed", {"model": "fake", "input": ["a", "b"], "keep_alive": "5m", "options": {}})
    assert same(answer.json()["embeddings"], embedder.embed_documents(["a", "b"]))
    assert post("/api/embed", {"model": "other", "input": "a"}).json()["error"]


# -- who may use it ---------------------------------------------------------------------------------------------------


def test_pages_of_allowed_sites_may_use_it(embedder: FakeEmbedder) -> None:
    site = {"origin": "https://example.org", "sec-fetch-site": "cross-site"}
    with serving(embedder, allow_origins=["https://example.org"]) as url:
        asked = {**site, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        before = http.options(f"{url}/v1/embeddings", headers=asked)
        assert before.headers["access-control-allow-origin"] == "https://example.org"
        answer = http.post(f"{url}/v1/embeddings", json={"input": "a"}, headers=site)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://example.org")
        other = http.post(
            f"{url}/v1/embeddings", json={"input": "a"}, headers={**site, "origin": "https://evil.example"}
        )
        assert (other.status_code, other.headers.get("access-control-allow-origin")) == (403, None)
    with serving(embedder) as url:
        assert http.post(f"{url}/v1/embeddings", json={"input": "a"}, headers=site).status_code == 403


def test_other_host_names_are_refused_where_a_list_is_given(embedder: FakeEmbedder) -> None:
    with serving(embedder, allow_hosts=["Twofold.Internal"]) as url:
        for host, status in (
            ("localhost:80", 200),
            ("[::1]:80", 200),
            ("127.0.0.1", 200),
            ("twofold.internal", 200),
            ("evil.example", 403),
            ("evil.example:127", 403),
        ):
            for path in ("/v1/models", "/health"):
                assert http.get(url + path, headers={"host": host}).status_code == status, host
            sent = http.post(f"{url}/v1/embeddings", json={"input": "a"}, headers={"host": host})
            assert sent.status_code == status, host


def test_an_id_of_the_request_comes_back(post: Callable[..., httpx.Response]) -> None:
    body = {"input": "a"}
    assert post("/v1/embeddings", body, headers={"x-request-id": "job-1/7"}).headers["x-request-id"] == "job-1/7"
    ids = {post("/v1/embeddings", body, headers={"x-request-id": "a b\tc"}).headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_sighup_reads_the_keys_again_and_the_first_line_has_the_port(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# ours\nfirst-canary\n", "utf-8")
    command = [sys.executable, "-m", "twofold", "serve", "--model", "fake:", "--port", "0", "--api-key-file", str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}) as server:
        assert server.stderr is not None
        try:
            port = re.search(r":(\d+) ", server.stderr.readline())
            assert port is not None
            assert port[1] != "0"

            def status(key: str) -> int:
                sent = {"authorization": f"Bearer {key}"}
                return http.get(f"http://127.0.0.1:{port[1]}/v1/models", headers=sent).status_code

            assert (status("first-canary"), status("second-canary")) == (200, 401)
            file.write_text("second-canary\n", "utf-8")
            server.send_signal(signal.SIGHUP)
            assert "1 keys are accepted now" in server.stderr.readline()
            assert (status("first-canary"), status("second-canary")) == (401, 200)
            file.write_text("\n", "utf-8")
            server.send_signal(signal.SIGHUP)
            assert "the keys were not changed: the file of keys" in server.stderr.readline()
            assert status("second-canary") == 200
        finally:
            server.terminate()
            rest = server.stderr.read()
        assert "canary" not in rest


# -- offers of an upgrade ---------------------------------------------------------------------------------------------

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
BODY = json.dumps({"input": "fog", "dimensions": 8}).encode()


@pytest.mark.parametrize("piece", [1, 7, 100, 10_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_body_is_read_after_an_offer_of_an_upgrade(url: str, piece: int, chunked: bool) -> None:
    """Java's client offers HTTP/2 with every first request."""
    if chunked:
        framing, body = b"Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    else:
        framing, body = b"Content-Length: %d\r\n" % len(BODY), BODY
    offered = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\n" + OFFER + framing + b"\r\n" + body
    plain = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n" + body
    sent = offered + offered + plain  # pipelined
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port or 0), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(sent), piece):
            connection.sendall(sent[start : start + piece])
        stream = connection.makefile("rb")
        answers = []
        for _ in range(3):
            assert stream.readline().startswith(b"HTTP/1.1 200")
            headers = dict(line.strip().split(b": ", 1) for line in iter(stream.readline, b"\r\n"))
            answers.append(json.loads(stream.read(int(headers[b"content-length"])))["data"])
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0][0]["embedding"]) == 8
