"""How providers say things: our words into a request's JSON, an answer's JSON into vectors. No network here."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.vectors import from_base64, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from twofold.vectors import FloatArray

BINARY = frozenset({"binary", "ubinary"})


class Violation(ValueError):
    """An answer that is not what was asked for; it says what is wrong with it, and never leaves this package."""


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
        encoding: how vectors are to be sent: float, base64, binary or ubinary.
    """

    model: str
    texts: tuple[str, ...]
    task: str | None = None
    dimensions: int | None = None
    late: bool | None = None
    normalize: bool | None = None
    truncate: bool | None = None
    encoding: str = "float"


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer says: a vector for each input in order, the model's name and the tokens, where they are said."""

    vectors: FloatArray
    model: str | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """A request's body from an `Ask`, and a `Reply` from an answer's JSON; the latter raises `Violation`."""

    write: Callable[[Ask], dict[str, Any]]
    read: Callable[[Any, Ask], Reply]


def _said(**words: Any) -> dict[str, Any]:
    """Only what there is to say."""
    return {name: value for name, value in words.items() if value is not None}


# -- writing ----------------------------------------------------------------------------------------------------------


def _write_jina(ask: Ask) -> dict[str, Any]:
    return _said(
        model=ask.model,
        input=ask.texts,
        task=ask.task,
        dimensions=ask.dimensions,
        late_chunking=ask.late,
        normalized=ask.normalize,
        truncate=ask.truncate,
        embedding_type=ask.encoding,
    )


def _write_openai(ask: Ask) -> dict[str, Any]:
    return _said(model=ask.model, input=ask.texts, dimensions=ask.dimensions, encoding_format=ask.encoding)


def _write_voyage(ask: Ask) -> dict[str, Any]:
    return _said(
        model=ask.model,
        input=ask.texts,
        input_type=ask.task,
        output_dimension=ask.dimensions,
        truncation=ask.truncate,
        encoding_format="base64" if ask.encoding == "base64" else None,
        output_dtype=ask.encoding if ask.encoding in BINARY else None,
    )


def _write_cohere(ask: Ask) -> dict[str, Any]:
    return _said(
        model=ask.model,
        texts=ask.texts,
        input_type=ask.task,
        output_dimension=ask.dimensions,
        truncate=None if ask.truncate is None else "END" if ask.truncate else "NONE",
        embedding_types=[ask.encoding],
    )


def _write_tei(ask: Ask) -> dict[str, Any]:
    return _said(inputs=ask.texts, normalize=ask.normalize, truncate=ask.truncate)


def _write_sagemaker(ask: Ask) -> dict[str, Any]:
    plain = ask.model.startswith("jina-code-")
    parameters = _said(task=ask.task, dimensions=ask.dimensions, late_chunking=ask.late)
    return _said(data=[text if plain else {"text": text} for text in ask.texts], parameters=parameters or None)


# -- reading ----------------------------------------------------------------------------------------------------------


def _read_data(body: Any, ask: Ask) -> Reply:
    """`{"data": [{"index": 0, "embedding": …}], "model": …, "usage": {"total_tokens": …}}`, in any order."""
    items = _member(body, "data", list)
    rows: dict[int, Any] = {}
    for place, item in enumerate(items):
        index = _member(item, "index", int) if isinstance(item, dict) and "index" in item else place
        if index in rows:
            raise Violation(f"index {index} came twice")
        rows[index] = _member(item, "embedding", (list, str))
    if set(rows) != set(range(len(ask.texts))):
        raise Violation(f"{len(ask.texts)} inputs were sent, and the answer has {_indices(rows)}")
    return Reply(
        stack([rows[index] for index in range(len(rows))], ask.encoding),
        _optional(body, "model", str),
        _tokens(body, items),
    )


def _tokens(body: Any, items: Sequence[Any]) -> int | None:
    """The tokens of the whole answer, or the sum of those said for each vector, as SageMaker does."""
    total: int | None = _optional(_optional(body, "usage", dict), "total_tokens", int)
    each = [_optional(_optional(item, "usage", dict), "total_tokens", int) for item in items]
    return sum(each) if total is None and each and None not in each else total


def _read_cohere(body: Any, ask: Ask) -> Reply:
    """`{"embeddings": {"float": [[…]]}, "meta": {"billed_units": {"input_tokens": …}}}`, in the order of the inputs."""
    rows = _member(_member(body, "embeddings", dict), ask.encoding, list)
    billed = _optional(_optional(body, "meta", dict), "billed_units", dict)
    return Reply(_counted(rows, ask), tokens=_optional(billed, "input_tokens", int))


def _read_list(body: Any, ask: Ask) -> Reply:
    """`[[…], […]]`, in the order of the inputs."""
    if not isinstance(body, list):
        raise Violation(f"a list of vectors was expected, and {type(body).__name__} came")
    return Reply(_counted(body, ask))


def _counted(rows: list[Any], ask: Ask) -> FloatArray:
    if len(rows) != len(ask.texts):
        raise Violation(f"{len(ask.texts)} inputs were sent, and {len(rows)} vectors came")
    return stack(rows, ask.encoding)


def _indices(rows: Mapping[int, Any]) -> str:
    return f"{len(rows)} vectors, with indices {min(rows)} to {max(rows)}" if rows else "no vectors"


def _member(value: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """A member that must be there."""
    member = value.get(name) if isinstance(value, dict) else None
    if not isinstance(member, kind) or isinstance(member, bool):
        raise Violation(f"{name!r} is missing, or {type(member).__name__}")
    return member


def _optional(value: Any, name: str, kind: type) -> Any:
    """A member that may be missing, or of another type, which is as good as missing."""
    member = value.get(name) if isinstance(value, dict) else None
    return member if isinstance(member, kind) and not isinstance(member, bool) else None


def stack(rows: Sequence[Any], encoding: str) -> FloatArray:
    """Vectors as they came, base64 or lists, float or packed bits, as one float32 array of shape (n, width).

    Raises:
        Violation: a row that is no vector, or rows of different widths.
    """
    vectors = [_vector(row, index, encoding) for index, row in enumerate(rows)]
    widths = sorted({len(vector) for vector in vectors})
    if len(widths) != 1 or not widths[0]:
        raise Violation(f"vectors of {' and '.join(map(str, widths)) or 'no'} dimensions came")
    return np.stack(vectors)


def _vector(row: Any, index: int, encoding: str) -> FloatArray:
    try:
        if encoding in BINARY:
            return unpack(_packed(row, np.int8 if encoding == "binary" else np.uint8))
        if isinstance(row, str):
            return from_base64(row)
        with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and is refused as such
            return _numbers(row, "fiu").astype(np.float32)
    except (ValueError, TypeError, OverflowError):
        raise Violation(f"vector {index} can not be read as {encoding}") from None


def _packed(row: Any, kind: type[np.int8 | np.uint8]) -> NDArray[Any]:
    """Eight dimensions in a number: a list of them, or base64; one that does not fit is refused, never wrapped."""
    if isinstance(row, str):
        return np.frombuffer(base64.b64decode(row, validate=True), kind)
    numbers, limits = _numbers(row, "iu"), np.iinfo(kind)
    if numbers.size and not limits.min <= numbers.min() <= numbers.max() <= limits.max:
        raise ValueError(row)
    return numbers.astype(kind)


def _numbers(row: Any, kinds: str) -> NDArray[Any]:
    numbers = np.asarray(row)
    if numbers.ndim != 1 or numbers.dtype.kind not in kinds:
        raise ValueError(row)
    return numbers


JINA = Wire(_write_jina, _read_data)
OPENAI = Wire(_write_openai, _read_data)
VOYAGE = Wire(_write_voyage, _read_data)
COHERE = Wire(_write_cohere, _read_cohere)
TEI = Wire(_write_tei, _read_list)
SAGEMAKER = Wire(_write_sagemaker, _read_data)
