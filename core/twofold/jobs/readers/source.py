"""A file to read, and the documents found in it."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from twofold.documents import check_text, is_blank
from twofold.errors import InputError
from twofold.stores.checks import check_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from twofold.stores.rows import Scalar

UTF8 = "utf-8"
GZIP = ".gz"
DIGITS = 16
"""Hexadecimal digits of an id derived from a record's text, enough for ten million records without a collision."""


class Found(NamedTuple):
    """A document found in a file.

    Attributes:
        text: its text.
        metadata: its fields.
        part: what its id adds to the file's name; empty if the file is one document.
        id: the record's own id, used instead of name and part.
    """

    text: str
    metadata: Mapping[str, Scalar]
    part: str = ""
    id: str | None = None


class Broken(NamedTuple):
    """A document that cannot be read.

    Attributes:
        reason: what is wrong and where in the file.
        part: what its id would add to the file's name.
    """

    reason: str
    part: str = ""


class NoField(InputError):
    """The file's records do not have the text field. Such files are skipped in folders."""


@dataclass(slots=True)
class Source:
    """A file and how to read it.

    Attributes:
        path: where it is.
        encoding: its text encoding. None means UTF-8, or the encoding that an HTML file declares.
        text_field, id_field: the fields of a record that hold its text and its id.
    """

    path: Path
    encoding: str | None = None
    text_field: str = "text"
    id_field: str = "id"
    _seen: Counter[str] = field(default_factory=Counter)
    _records: int = 0

    @property
    def suffix(self) -> str:
        """The suffix in lower case, without a final `.gz`."""
        name = PurePath(self.path.name.lower())
        return PurePath(name.stem).suffix if name.suffix == GZIP else name.suffix

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file and decompress it.

        Raises:
            InputError: the file cannot be read. May be raised while reading, too.
        """
        packed = self.path.name.lower().endswith(GZIP)
        try:
            with gzip.open(self.path) if packed else self.path.open("rb") as stream:
                yield cast("BinaryIO", stream)
        except EOFError:
            raise InputError("the compressed file is truncated") from None
        except OSError as error:
            raise InputError(f"it cannot be read: {error.strerror or error}") from None
        except gzip.zlib.error as error:  # type: ignore[attr-defined] # gzip imports it
            raise InputError(f"it cannot be read: {error}") from None

    def read(self) -> str:
        """The whole file as text."""
        with self.open() as stream:
            return self.decode(stream.read())

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines that are not blank, numbered from 1. Only a line feed ends a line."""
        encoding = self.encoding or UTF8
        with self.open() as stream:
            if "\n".encode(encoding) == b"\n":
                lines: Iterable[bytes] = stream
            else:  # UTF-16 or UTF-32: the byte of a line feed occurs in other characters
                texts = self.decode(stream.read()).split("\n")
                lines = (line.encode(encoding) if line.strip() else b"" for line in texts)
            yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip())

    def decode(self, raw: bytes) -> str:
        """Decode bytes and remove a byte order mark.

        Raises:
            InputError: the bytes are invalid in this encoding.
        """
        encoding = self.encoding or UTF8
        try:
            return raw.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            wrong = f"byte {raw[error.start]:#04x} at offset {error.start}" if error.start < len(raw) else error.reason
            raise InputError(f"not {encoding.upper()}: {wrong}; set its encoding, such as latin-1") from None

    def attempt(self, place: str, parse: Callable[[], Any]) -> Found | Broken:
        """Parse a record into a document: its text, its id if it has one, and other fields as metadata.

        Raises:
            NoField: the file's first record does not have the text field.
        """
        where = f"{self.path}, {place}"
        self._records += 1
        try:
            return self._record(parse())
        except NoField as error:
            if self._records == 1:
                raise NoField(f"{where}: {error}") from None
            return Broken(f"{where}: {error}", f"#{place.replace(' ', '=')}")
        except InputError as error:
            return Broken(f"{where}: {error}", f"#{place.replace(' ', '=')}")

    def _record(self, raw: Any) -> Found:
        if not isinstance(raw, dict):
            raise NoField("not a JSON object")
        if self.text_field not in raw:
            raise NoField(f"no field {self.text_field!r} among {_listed(raw)}")
        text = raw[self.text_field]
        if not isinstance(text, str):
            raise InputError(f"field {self.text_field!r} is of type {type(text).__name__}, not a string")
        if not is_blank(text):  # blank texts are counted later, not rejected
            check_text(text, name=f"field {self.text_field!r}")
        key = self._id(raw)
        metadata = {name: _scalar(name, value) for name, value in raw.items() if self._is_metadata(name, value)}
        metadata = check_metadata(metadata, keeps_lists=False)
        return Found(text, metadata, self._part(text) if key is None else "", key)

    def _part(self, text: str) -> str:
        """The id part of a record without an id: a digest of its text, and a number if the text occurred before."""
        digest = sha256(text.encode()).hexdigest()[:DIGITS]
        self._seen[digest] += 1
        count = self._seen[digest]
        return f"#{digest}" if count == 1 else f"#{digest}-{count}"

    def _id(self, raw: Mapping[str, Any]) -> str | None:
        if self.id_field not in raw:
            return None
        key = raw[self.id_field]
        if not isinstance(key, str | int) or isinstance(key, bool) or key == "":
            raise InputError(f"field {self.id_field!r} is {key!r}: expected a non-empty string or an integer")
        return _encodable(self.id_field, str(key))

    def _is_metadata(self, name: str, value: object) -> bool:
        return value is not None and name not in (self.text_field, self.id_field)


def _scalar(name: str, value: Any) -> Scalar:
    _encodable(name, name)
    if isinstance(value, str):
        return _encodable(name, value)
    if isinstance(value, int | float):
        return value
    try:
        return _encodable(name, json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"field {name!r} cannot be stored as JSON: {error}") from None


def _encodable(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        lone, place = value[error.start], error.start
        raise InputError(f"field {name!r} has a lone surrogate, {lone!r}, at character {place}") from None
    return value


def _listed(names: Mapping[str, Any]) -> str:
    shown = ", ".join(map(repr, list(names)[:8])) or "none"
    return shown + (", …" if len(names) > 8 else "")
