"""Groups rows into units that are embedded together: a row alone, or the late-chunked rows of a document."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from twofold.documents import Document, is_blank
from twofold.jobs.chunking import SECTION
from twofold.stores.opening import rebuild
from twofold.stores.writing import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from twofold.stores.moving import Original
    from twofold.stores.rows import Row
    from twofold.vectors import FloatArray

READERS = "twofold.rows"
"""Entry points of hosts that embed something other than a row's text, named after the field that marks their rows."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A document to embed and the rows that get its vectors.

    Attributes:
        key: the id of the row or of the document.
        rows: one row that gets the vectors of all spans; or, if `late`, one row for each span.
        document: the text and its spans.
        late: whether the rows are late-chunked.
    """

    key: str
    rows: tuple[Original, ...]
    document: Document
    late: bool = False

    def entry(self) -> Entry:
        return Entry(self.key, self.document, late=self.late)

    def texts(self) -> list[str]:
        """The texts that the model processes."""
        return [one.text for one in self.entry().units()]

    def vectors(self, made: FloatArray) -> list[FloatArray]:
        """Split the vectors of all spans into those of each row, shape (texts of the row, dimensions)."""
        return [made[number : number + 1] for number in range(len(self.rows))] if self.late else [made]


def read_embedded(one: Original) -> tuple[Row, tuple[str, ...]]:
    """The row with the document that its vector belongs to, and the texts that its vectors are computed from.

    Raises:
        MissingExtra: the row can only be read by its host, which is not installed.
    """
    for field, read in _readers().items():
        if field in one.row.metadata and len(one.texts) == 1:
            row = read()(one.row)
            return row, (row.text,)
    return one.row, one.texts


@cache
def _readers() -> dict[str, Callable[[], Any]]:
    """The loader of each host's reader. Loading imports the host."""
    return {one.name: one.load for one in entry_points(group=READERS)}


def is_chunk(one: Original) -> bool:
    """Whether a row is a chunk of a document."""
    row, _ = read_embedded(one)
    return row.document != row.id


def single_unit(one: Original) -> Unit | None:
    """The unit for a row that is embedded alone; None if it has no text."""
    row, texts = read_embedded(one)
    if any(is_blank(text) for text in texts):
        return None
    document = Document.from_spans("".join(texts), pairwise([0, *accumulate(map(len, texts))]))
    return Unit(row.id, (one,), document)


def late_units(document: str, originals: Iterable[Original]) -> Iterator[Unit]:
    """Late-chunk a document's rows in sections, as `index` does. Rows without text are left out."""
    rows = [(read_embedded(one)[0], one) for one in originals]
    rows = sorted((pair for pair in rows if not is_blank(pair[0].text)), key=lambda pair: (pair[0].span, pair[0].id))
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end][0].span[1] - rows[start][0].span[0] > SECTION:
            some = rows[start:end]
            yield Unit(document, tuple(one for _, one in some), rebuild([row for row, _ in some]), late=True)
            start = end


def same_texts(one: Original, other: Original) -> bool:
    """Whether two versions of a row have the same text and position, so that its vectors can stay the same."""
    (row, texts), (theirs, others) = read_embedded(one), read_embedded(other)
    return texts == others and (row.document, row.span) == (theirs.document, theirs.span)
