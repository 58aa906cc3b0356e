"""Identity: `Space` says which vectors may be compared, so that vectors of two models are never mixed.

Every store keeps a `SpaceRecord` with its vectors and compares it on every open, for writing and for searching. Keys,
URLs, device, batch size and dtype do not change the meaning of a vector, so they are not part of the space.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twofold.errors import SpaceMismatch
from twofold.vectors import from_base64, normalize, to_base64

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.vectors import FloatArray

CANARIES = (
    "The lighthouse keeper counted nine ships before the fog came in.",
    "Wie spät ist es in Reykjavík, wenn in São Paulo die Sonne untergeht?",
    "def mean(xs): return sum(xs) / len(xs)",
    "東京の地下鉄は、朝八時に最も混雑する。",
)
"""Texts whose vectors, as queries and as documents, show that two embedders have the same space."""

CANARY_COSINE = 0.999
_DOORS = frozenset({"provider", "weights"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Which vectors may be compared: two vectors may if their spaces are equal.

    How a long text was cut or windowed is not part of the space: it changes what a vector represents, not what it may
    be compared with. It is part of the digest of an indexed document.

    Attributes:
        model: the model's name on its card.
        weights: a digest of the weights of a local model.
        provider: the provider of a hosted model.
        query_task, query_prefix, document_task, document_prefix: how each side is encoded.
        dimensions: the size of the vectors, cut from `width`.
        pooling: mean, cls or last.
        normalized: whether vectors have unit length.
        quantisation: how the stored values were quantised, or None.
        version: the version of this format.
    """

    model: str
    weights: str | None
    provider: str | None
    query_task: str | None
    query_prefix: str
    document_task: str | None
    document_prefix: str
    dimensions: int
    width: int
    pooling: str
    normalized: bool
    quantisation: str | None = None
    version: int = 2

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of this space's canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @property
    def tag(self) -> str:
        """A readable and unique name: `jina-embeddings-v3-512d-0a1b2c3d4e5f`."""
        return f"{self.model.rpartition('/')[2]}-{self.dimensions}d-{self.fingerprint}"

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no white space, ASCII."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Space:
        """The space that `to_json` wrote.

        Raises:
            SpaceMismatch: not JSON of a space, or written by a version with other fields.
        """
        return _parse_space(_parse(text))

    def differences(self, other: Space) -> list[str]:
        """The fields that differ, one line for each; empty if the vectors may be compared."""
        return [
            f"{field.name.replace('_', ' ')}: {mine!r} and {theirs!r}"
            for field in fields(self)
            if (mine := getattr(self, field.name)) != (theirs := getattr(other, field.name))
        ]

    def relation(self, other: Space) -> Literal["same", "unproven", "different"]:
        """`unproven` if they differ only because one is local and the other hosted. Then the canaries decide."""
        differing = {field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)}
        if not differing:
            return "same"
        one_hosted = (self.provider is None) != (other.provider is None)
        return "unproven" if one_hosted and differing <= _DOORS else "different"


@dataclass(frozen=True, slots=True, eq=False)
class SpaceRecord:
    """The space of stored vectors, with the vectors of the canary texts.

    `canaries` has shape (2 x len(CANARIES), dimensions): each text as a query, then each text as a document.
    """

    space: Space
    canaries: FloatArray

    def to_json(self) -> str:
        """JSON with the canaries as base64 of float16: about 22 kB at 1024 dimensions."""
        return json.dumps({"space": asdict(self.space), "canaries": to_base64(self.canaries, "<f2")}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> SpaceRecord:
        """The record that `to_json` wrote.

        Raises:
            SpaceMismatch: not JSON of a record.
        """
        raw = _parse(text)
        space = _parse_space(raw.get("space"))
        try:
            canaries = from_base64(raw["canaries"], "<f2").reshape(2 * len(CANARIES), space.dimensions)
        except (KeyError, TypeError, ValueError):
            raise SpaceMismatch("the stored space has no canary vectors that can be read") from None
        return cls(space, canaries)

    def require(self, current: Space, canaries: Callable[[], FloatArray]) -> None:
        """Check that vectors of `current` may be compared with the stored vectors.

        `canaries` embeds the canary texts now. It is called only if the relation of the spaces is `unproven`.

        Raises:
            SpaceMismatch: the spaces differ. The message names both and the differing fields.
        """
        relation = self.space.relation(current)
        if relation == "same":
            return
        differences = self.space.differences(current)
        if relation == "unproven":
            cosine = lowest_cosine(self.canaries, canaries())
            if cosine >= CANARY_COSINE:
                return
            differences.append(f"canary vectors: a cosine of {cosine:.4f}, under {CANARY_COSINE}")
        raise SpaceMismatch(mismatch_message(self.space, current, differences))


def mismatch_message(stored: Space, current: Space, differences: list[str]) -> str:
    """The message of a `SpaceMismatch`: both spaces, their differences, and what to do."""
    listed = "".join(f"\n  {line}" for line in differences)
    return (
        f"the stored vectors are {stored.tag}, this embedder's are {current.tag}; they differ in (stored and current):"
        f"{listed}\nOpen it with the embedder that wrote it, or embed its documents again into a new collection."
    )


def lowest_cosine(one: FloatArray, other: FloatArray) -> float:
    """The smallest cosine between rows at the same place; -1 if the shapes differ."""
    if one.shape != other.shape:
        return -1.0
    return float(np.min(np.sum(normalize(one) * normalize(other), axis=1)))


def _parse(text: str) -> dict[str, Any]:
    try:
        raw = json.loads(text)
    except (TypeError, ValueError):
        raw = None
    if not isinstance(raw, dict):
        raise SpaceMismatch("the stored space cannot be read: it is not JSON that Twofold wrote")
    return raw


def _parse_space(raw: object) -> Space:
    known = {field.name for field in fields(Space)}
    if not isinstance(raw, dict) or set(raw) != known:
        raise SpaceMismatch("the stored space was written by another version of Twofold, or is not a space")
    return Space(**raw)
