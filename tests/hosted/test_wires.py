"""Dialects of JSON: what is written, and what is read, refused or passed over, without a network."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from twofold.hosted.providers import PROVIDERS
from twofold.wires import find_wire, openai, weaviate
from twofold.wires.wire import Ask, Garbled, Reply, Violation

DIALECTS = sorted({way.dialect for row in PROVIDERS.values() for way in (row, *row.apart)})
ONE = Ask(model="m", texts=("t",))


def answered(vector: Any, encoding: str = "float", **more: Any) -> np.ndarray:
    """The vector that OpenAI's dialect reads from an answer for one text."""
    body = json.dumps({"data": [{"embedding": vector}], **more}).encode()
    (vector_read,) = openai.read_answer(body, Ask(model="m", texts=("t",), encoding=encoding)).vectors
    return np.asarray(vector_read)


@pytest.mark.parametrize("row", [[], [None], ["1"], [[1.0]], {"a": 1}, 3, "!!", [10**400], [True], "AAA=", None])
def test_what_is_no_vector_is_refused(row: Any) -> None:
    with pytest.raises((Violation, Garbled)):
        answered(row)


@pytest.mark.parametrize("row", [[1.5], [300], [-129], ["1"], [], "!!"])
def test_what_is_no_packed_vector_is_refused(row: Any) -> None:
    with pytest.raises(Violation):
        answered(row, "binary")
    with pytest.raises(Violation):
        answered([-1], "ubinary")


def test_packed_vectors_are_unpacked() -> None:
    bits = [1, -1, 1, -1, -1, -1, -1, -1]
    assert answered(base64.b64encode(bytes([0b10100000])).decode(), "ubinary").tolist() == bits
    assert answered([0b10100000 - 128], "binary").tolist() == bits


def test_a_usage_or_a_name_of_another_type_is_passed_over() -> None:
    for odd in ({"usage": [3]}, {"usage": {"total_tokens": "3"}}, {"usage": {"total_tokens": True}}, {"model": 7}):
        body = json.dumps({"data": [{"embedding": [1.0]}], **odd}).encode()
        reply = openai.read_answer(body, ONE)
        assert (reply.model, reply.tokens) == (None, None)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"x": ' + b"[" * 60_000, b'{"data": [', b"\xff\xfe{}", b'{"a": NaN}']
)
def test_what_is_not_json_is_told_apart(body: bytes) -> None:
    for dialect in DIALECTS:
        with pytest.raises((Garbled, Violation)):
            find_wire(dialect).read_answer(body, ONE)
    with pytest.raises(Garbled):
        openai.read_answer(body, ONE)


def test_what_is_not_said_is_not_on_the_wire() -> None:
    for dialect in DIALECTS:
        body = json.loads(find_wire(dialect).write_request(ONE))
        assert None not in body.values()
        assert "t" in json.dumps(body)


@pytest.mark.parametrize(
    ("config", "side", "size"),
    [
        ({"pooling_strategy": "masked_mean", "task_type": "passage", "dimensions": 256}, "passage", 256),
        ({"pooling_strategy": "masked_mean", "task_type": "query"}, "query", None),
        ({"pooling_strategy": "cls"}, None, None),
        (None, None, None),
    ],
)
def test_weaviates_request_is_read_and_answered(config: Any, side: str | None, size: int | None) -> None:
    """The junk members are those that a Weaviate 1.40 server was seen to send."""
    body = json.dumps({"text": "a text", "dims": 0, "vector": None, "error": "", "config": config}).encode()
    ask = weaviate.read_request(body)
    assert (ask.texts, ask.task, ask.dimensions) == (("a text",), side, size)
    answer = json.loads(weaviate.write_answer(Reply(np.array([[0.5, -1.0]], np.float32)), ask))
    assert answer == {"text": "a text", "vector": [0.5, -1.0], "dim": 2}


def test_a_request_of_weaviates_without_a_text_is_refused() -> None:
    with pytest.raises(Violation, match="text"):
        weaviate.read_request(b'{"texts": ["a"]}')
