"""`Document`: a text and its character spans. Each span gets one vector.

A plain text is a document with one span over the whole text, so late chunking is not a special case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import index as whole_number
from typing import TYPE_CHECKING, Any, TypeAlias
from unicodedata import category

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Span: TypeAlias = tuple[int, int]
"""Character offsets of a piece of a text, `text[start:end]`."""

BLANK = "."
"""Embedded in place of a blank text by a provider, which may reject an empty string, and by a model without special
tokens in place of a text that has no token.
"""

INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
"""Unicode's categories of invisible characters: control and format characters (NUL, a byte order mark), white space."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text and its spans. A backend returns one vector for each span, in the order of `spans`.

    Raises:
        InputError: there is no span, or a span is empty, blank or outside the text. The message has its number.
    """

    text: str
    spans: tuple[Span, ...]

    def __post_init__(self) -> None:
        check_text(self.text)
        object.__setattr__(self, "spans", tuple(_span(number, span) for number, span in enumerate(_listed(self.spans))))
        if not self.spans:
            raise InputError("a document needs at least one span")
        for number, (start, end) in enumerate(self.spans):
            if not 0 <= start < end <= len(self.text):
                raise InputError(
                    f"span {number}, ({start}, {end}), is empty or outside the text of {len(self.text)} characters"
                )
            if is_blank(self.text[start:end]):
                raise InputError(f"span {number}, ({start}, {end}), is blank: leave it out")

    @property
    def is_whole(self) -> bool:
        """Whether the only span is the whole text, so that nothing is late-chunked."""
        return self.spans == ((0, len(self.text)),)

    @classmethod
    def whole(cls, text: str) -> Document:
        """A document with one span over the whole `text`: a query or a passage."""
        check_text(text)
        return cls(text, ((0, len(text)),))

    @classmethod
    def empty(cls) -> Document:
        """The empty text, which all other constructors reject. See `embed_texts`."""
        document = object.__new__(cls)
        object.__setattr__(document, "text", "")
        object.__setattr__(document, "spans", ((0, 0),))
        return document

    @classmethod
    def from_chunks(cls, chunks: Iterable[str]) -> Document:
        """Consecutive chunks of one document, joined as they are.

        Keep the white space between chunks in the chunks: "a" and "b" become the one word "ab".
        """
        if not (chunks := check_texts(chunks, "chunk")):
            raise InputError("a document needs at least one chunk")
        ends = [0, *accumulate(map(len, chunks))]
        return cls("".join(chunks), tuple(pairwise(ends)))

    @classmethod
    def from_spans(cls, text: str, spans: Iterable[Span]) -> Document:
        """Any spans of `text`, in any order. They may overlap, and may leave parts of the text out."""
        return cls(text, spans)  # type: ignore[arg-type] # the constructor makes it a tuple


def _listed(spans: Iterable[Span]) -> Iterable[Span]:
    try:
        return iter(spans)
    except TypeError:
        raise InputError(f"expected a list of spans (start, end), got {_kind(spans)}") from None


def _span(number: int, span: Span) -> Span:
    try:
        start, end = map(whole_number, span)  # whole numbers of any type, numpy's too
    except (TypeError, ValueError):
        raise InputError(f"span {number} is {span!r}, not two whole numbers (start, end)") from None
    return start, end


def check_text(text: object, index: int | None = None, name: str = "text", *, blank: bool = False) -> str:
    """Return `text` if it can be embedded; a blank one only if `blank` allows it.

    Raises:
        InputError: it is not a string, is empty or blank, or has a lone surrogate, which cannot be encoded as UTF-8.
    """
    which = name if index is None else f"{name} {index}"
    if not isinstance(text, str):
        raise InputError(f"{which} is of type {type(text).__name__}, not a string", index=index)
    if not blank and is_blank(text):
        raise InputError(
            f"{which} is {'blank' if text else 'empty'}: leave it out, it has no meaning to embed", index=index
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{which} has a lone surrogate, {text[error.start]!r}, at character {error.start}: "
            "decode its source again, or replace it by text.encode(errors='replace').decode()",
            index=index,
        ) from None
    return text


def is_blank(text: str) -> bool:
    """Whether `text` is empty or has only white space, control and format characters."""
    return all(category(character) in INVISIBLE for character in text)


def check_texts(texts: Iterable[str], name: str = "text", *, blank: bool = False) -> list[str]:
    """Return `texts` as a list of checked texts, with blank ones only if `blank` allows them.

    Accepts arrays and columns of strings (NumPy, pandas, Arrow).

    Raises:
        InputError: `texts` is a single string, a table, a mapping, or not iterable; or a text is invalid, and the
            message has its index.
    """
    if isinstance(texts, str | bytes):
        raise InputError(f"expected a list of {name}s, got one: pass [{name}]")
    if isinstance(texts, Mapping):
        raise InputError(f"expected a list of {name}s, got {_kind(texts)}: pass list({name}s.values())")
    if hasattr(texts, "columns"):
        raise InputError(f"expected a list of {name}s, got {_kind(texts)}: pass one of its columns")
    if len(shape := getattr(texts, "shape", (0,))) != 1:
        raise InputError(f"expected a list of {name}s, got an array of shape {tuple(shape)}: pass one dimension of it")
    try:
        items = _values(texts)
    except TypeError:
        raise InputError(f"expected a list of {name}s, got {_kind(texts)}") from None
    return [check_text(item, index, name, blank=blank) for index, item in enumerate(items)]


def _values(texts: Any) -> list[Any]:
    """The items of a list or array as Python values. Arrow's arrays have their own value types."""
    for method in ("to_pylist", "tolist"):
        if callable(convert := getattr(texts, method, None)):
            return list(convert())
    return list(texts)


def _kind(thing: object) -> str:
    """The type of `thing` with its article."""
    if thing is None:
        return "None"
    name = type(thing).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def check_documents(documents: Iterable[Document]) -> list[Document]:
    """Return `documents` as a list.

    Raises:
        InputError: not a list, or an item is not a `Document`. The message has its index.
    """
    if isinstance(documents, Document):
        raise InputError("expected a list of documents, got one: pass [document]")
    try:
        items = list(documents)
    except TypeError:
        raise InputError(f"expected a list of documents, got {_kind(documents)}") from None
    for index, item in enumerate(items):
        if not isinstance(item, Document):
            raise InputError(f"document {index} is of type {type(item).__name__}, not a Document", index=index)
    return items


def too_long(
    name: str,
    count: int,
    limit: int,
    *,
    index: int | None = None,
    is_least: bool = False,
    note: str = "",
    way_out: str = "split it (embed_chunks keeps the context), or cut its end with truncate='end'",
) -> InputError:
    """The error for a text over the model's length. `name` is "text 3" or similar; `note` stands before `way_out`.

    With `is_least`, `count` is only a lower bound.
    """
    least = "more than " if is_least else ""
    return InputError(f"{name} has {least}{count} tokens, the limit is {limit}{note}: {way_out}", index=index)


def span_counts(documents: Sequence[Document]) -> list[int]:
    """The number of vectors of each document."""
    return [len(document.spans) for document in documents]
