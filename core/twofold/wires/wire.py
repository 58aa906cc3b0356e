"""A request and its answer, independent of the dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.vectors import FloatArray

BINARY = frozenset({"binary", "ubinary"})
ENCODINGS = ("float", "base64", "int8", "binary", "ubinary")


class Violation(ValueError):
    """A body is not what was requested. The message says what is wrong; callers turn it into a public error."""


class OtherModel(Violation):
    """Another model answered. Asking again costs the same and changes nothing."""


class Garbled(ValueError):
    """A body is not JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request. What is None is left out of the body.

    Attributes:
        model: the provider's name of the model.
        texts: the inputs, with their instruction unless the provider adds it.
        task: the task's name.
        dimensions: the size of the vectors.
        late: whether the inputs are the chunks of one document.
        normalize: whether vectors should have unit length.
        truncate: whether the end of a text that is too long may be cut.
        encoding: the encoding of the vectors in the answer, one of `ENCODINGS`.
        others: more encodings of the same vectors in the answer, if the dialect supports several.
        plain: whether the answer is a list of vectors without the name of their encoding, if the dialect has both.
        ignored: the members of a request's body that the server does not know.
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
    plain: bool = False
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: one vector for each input in order, and the model's name and the tokens if they are stated."""

    vectors: FloatArray
    model: str | None = None
    tokens: int | None = None
