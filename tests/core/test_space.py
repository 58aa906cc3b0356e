"""Identity: what makes two vectors comparable, and what is stored to prove it."""

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from twofold import Space, SpaceMismatch, SpaceRecord
from twofold.space import CANARIES, lowest_cosine
from twofold.testing import FakeEmbedder
from twofold.vectors import FloatArray

SPACE = Space(
    model="jinaai/jina-embeddings-v3",
    weights="0123456789ab",
    provider=None,
    query_task="retrieval.query",
    query_prefix="Represent the query for retrieving evidence documents: ",
    document_task="retrieval.passage",
    document_prefix="Represent the document for retrieval: ",
    dimensions=512,
    width=1024,
    pooling="mean",
    normalized=True,
)
HOSTED = replace(SPACE, weights=None, provider="jina")


def _unwanted() -> FloatArray:
    raise AssertionError("the canaries were embedded though the spaces decide")


def _canaries(noise: float = 0.0, size: int = 512) -> FloatArray:
    random = np.random.default_rng(3)
    exact = random.standard_normal((2 * len(CANARIES), size), dtype=np.float32)
    return exact + noise * random.standard_normal(exact.shape, dtype=np.float32)


def test_the_fingerprint_never_changes() -> None:
    # Pinned: it stands in users' stores. A change of it asks every user to embed everything again.
    assert SPACE.fingerprint == "61c4dd05185e"
    assert SPACE.tag == "jina-embeddings-v3-512d-61c4dd05185e"


def test_the_json_of_a_space_is_always_the_same() -> None:
    text = SPACE.to_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert replace(SPACE, query_prefix="質問: ").to_json().isascii()
    assert Space.from_json(text) == SPACE
    assert Space.from_json(json.dumps(json.loads(text), indent=2)).fingerprint == SPACE.fingerprint


@pytest.mark.parametrize("field", [field.name for field in fields(Space)])
def test_every_field_is_part_of_the_identity(field: str) -> None:
    value = getattr(SPACE, field)
    other: Any = {bool: False, int: 3, str: "other", type(None): "other"}[type(value)]
    changed = replace(SPACE, **{field: other})
    assert changed.fingerprint != SPACE.fingerprint
    assert changed.tag != SPACE.tag
    assert SPACE.differences(changed) == [f"{field.replace('_', ' ')}: {value!r} and {other!r}"]
    assert SPACE.relation(changed) != "same"


def test_a_space_agrees_with_itself() -> None:
    assert SPACE.differences(replace(SPACE)) == []
    assert SPACE.relation(replace(SPACE)) == "same"


def test_two_doors_to_one_model_are_unproven() -> None:
    assert SPACE.relation(HOSTED) == "unproven"
    assert HOSTED.relation(SPACE) == "unproven"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SPACE, replace(SPACE, weights="ba9876543210")),  # two fine-tunings
        (HOSTED, replace(HOSTED, provider="azure")),  # two providers
        (SPACE, replace(HOSTED, dimensions=256)),
        (SPACE, replace(HOSTED, query_task="text-matching")),
    ],
)
def test_anything_else_is_different(one: Space, other: Space) -> None:
    assert one.relation(other) == "different"


def test_the_same_space_is_let_in_without_embedding() -> None:
    SpaceRecord(SPACE, _canaries()).require(replace(SPACE), _unwanted)


def test_a_different_space_is_refused_without_embedding() -> None:
    other = replace(SPACE, model="jinaai/jina-embeddings-v2-base-en", dimensions=768, width=768)
    with pytest.raises(SpaceMismatch) as caught:
        SpaceRecord(SPACE, _canaries()).require(other, _unwanted)
    message = str(caught.value)
    assert SPACE.tag in message
    assert other.tag in message
    assert "model: 'jinaai/jina-embeddings-v3' and 'jinaai/jina-embeddings-v2-base-en'" in message
    assert "dimensions: 512 and 768" in message
    assert "into a new collection" in message


def test_canaries_decide_what_is_unproven() -> None:
    record = SpaceRecord(SPACE, _canaries())
    record.require(HOSTED, lambda: _canaries(noise=0.01))
    with pytest.raises(SpaceMismatch, match=r"canary vectors: a cosine of 0\.9\d+, under 0\.999"):
        record.require(HOSTED, lambda: _canaries(noise=0.1))


def test_one_wrong_side_is_enough_to_refuse() -> None:
    sides_swapped = np.roll(_canaries(), len(CANARIES), axis=0)
    with pytest.raises(SpaceMismatch, match="canary vectors"):
        SpaceRecord(SPACE, _canaries()).require(HOSTED, lambda: sides_swapped)


def test_canaries_of_another_size_are_refused() -> None:
    with pytest.raises(SpaceMismatch, match=r"a cosine of -1\.0000"):
        SpaceRecord(SPACE, _canaries()).require(HOSTED, lambda: _canaries(size=256))


def test_the_lowest_cosine_counts() -> None:
    rows = np.eye(2, dtype=np.float32)
    assert lowest_cosine(rows, rows * 5) == pytest.approx(1)
    assert lowest_cosine(rows, np.array([[1, 0], [1, 1]], np.float32)) == pytest.approx(2**-0.5)


def test_a_record_goes_through_json() -> None:
    record = FakeEmbedder().record()
    text = record.to_json()
    read = SpaceRecord.from_json(text)
    assert read.space == record.space
    assert read.canaries.dtype == np.float32
    np.testing.assert_allclose(read.canaries, record.canaries, atol=1e-3)
    assert lowest_cosine(read.canaries, record.canaries) > 0.99999
    assert read.to_json() == text


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"text"', None])
def test_what_is_no_json_of_ours_is_refused(text: str) -> None:
    for kind in (Space, SpaceRecord):
        with pytest.raises(SpaceMismatch, match="cannot be read"):
            kind.from_json(text)


@pytest.mark.parametrize("change", [{"extra": 1}, {"version": None}])
def test_a_space_of_another_version_is_refused(change: dict[str, object]) -> None:
    raw = json.loads(SPACE.to_json())
    for name, value in change.items():
        if value is None:
            del raw[name]
        else:
            raw[name] = value
    with pytest.raises(SpaceMismatch, match="another version of Twofold"):
        Space.from_json(json.dumps(raw))


@pytest.mark.parametrize("canaries", [None, 5, "not base64!", "AAAA", ""])
def test_a_record_without_canaries_is_refused(canaries: object) -> None:
    raw = json.loads(FakeEmbedder().record().to_json())
    raw["canaries"] = canaries
    with pytest.raises(SpaceMismatch, match="no canary vectors"):
        SpaceRecord.from_json(json.dumps(raw))
    del raw["canaries"]
    with pytest.raises(SpaceMismatch, match="no canary vectors"):
        SpaceRecord.from_json(json.dumps(raw))
