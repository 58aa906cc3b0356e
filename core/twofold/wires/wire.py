"""A request and its answer in our own words, whichever dialect they travel in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.vectors import FloatArray

BINARY = frozenset({"binary", "ubinary"})
ENCODINGS = ("float", "base64", "int8", "binary", "ubinary")


class Violation(ValueError):
    """A body that is not what was asked for; it says what is wrong with it, and never leaves this package."""


class Garbled(ValueError):
    """A body that is not JSON at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request in our own words; what is None is not said.

    Attributes:
        model: the provider's name of the model.
        texts: the inputs, with their instruction where the provider does not add it.
        task: the task's name.
        dimensions: the size of the vectors.
        late: whether the inputs are the chunks of one document.
        normalize: whether vectors are to have unit length.
        truncate: whether the end of a text that is too long may be cut off.
        encoding: how vectors are to be sent: one of `ENCODINGS`.
        others: further forms in which the same vectors are to be sent, where a dialect has a place for them.
    """

    model: str
    texts: tuple[str, ...]
    task: str | None = None
    dimensions: int | None = None
    late: bool | None = None
    normalize: bool | None = None
    truncate: bool | None = None
    encoding: str = "float"
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer says: a vector for each input in order, the model's name and the tokens, where they are said."""

    vectors: FloatArray
    model: str | None = None
    tokens: int | None = None
