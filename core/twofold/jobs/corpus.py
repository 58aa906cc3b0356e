"""A corpus on disk: folders and files, read in a fixed order, each document with an id that stays the same."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.errors import InputError, MissingExtra
from twofold.jobs.readers import READERS, Broken, Source, known_suffixes, reader_of
from twofold.jobs.readers.source import NoField

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from twofold.stores.rows import Scalar

NEEDED = {".html": "bs4", ".htm": "bs4", ".xhtml": "bs4", ".pdf": "pypdf", ".parquet": "pyarrow"}
"""What reads a kind of file that the standard library does not."""


@dataclass(frozen=True, slots=True)
class Item:
    """A document to index.

    Attributes:
        id: any string, no two alike in a corpus.
        text: all of it.
        metadata: its fields.
        source: where it comes from, a path for example; what has an id from one source is not overwritten from another.
    """

    id: str
    text: str
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What should have been a document and cannot be read: a file in another encoding, a broken line.

    Attributes:
        id: that the document would have had.
        reason: what is wrong with it.
        source: where it is.
    """

    id: str
    reason: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a corpus is read.

    Attributes:
        include: patterns (`*.md`, `guide/*`) of the files of a folder that are read, whatever their endings; all of a
            known kind where there are none.
        exclude: patterns of files and folders that are not.
        encoding: of text; None is UTF-8.
        id_root: the folder that ids are relative to; None is the paths as they are given.
        text_field, id_field: which fields of a record (JSON, CSV, Parquet) are its text and its id.

    Raises:
        InputError: no such encoding.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    encoding: str | None = None
    id_root: Path | None = None
    text_field: str = "text"
    id_field: str = "id"

    def __post_init__(self) -> None:
        """Refuse an encoding that is none."""
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except LookupError:
                raise InputError(f"unknown encoding {self.encoding!r}: utf-8, latin-1, cp1252 or utf-16, say") from None


class Corpus:
    """The documents under some paths; it may be read again and again.

    Attributes:
        skipped: how many files, or parts of them, the last reading passed over, by what they are.

    Raises:
        InputError: a path that is not there, or that is outside of the root of ids.
        MissingExtra: a file that was named needs the extra `inputs`.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]], reading: Reading | None = None) -> None:
        """Look at the paths."""
        self.paths, self.reading = [Path(path) for path in paths], reading or Reading()
        self.skipped: Counter[str] = Counter()
        for path in self.paths:
            if not path.exists():
                raise InputError(f"{path} is not there")
            self._name(path)
            if not path.is_dir() and (lacking := _lacking(self._source(path))):
                raise MissingExtra(f"{lacking} is not installed: pip install 'twofold[inputs]'", name=lacking)

    def __iter__(self) -> Iterator[Item | Unreadable]:
        """The documents, in order, blank ones and those that cannot be read too.

        Raises:
            InputError: a folder without documents.
        """
        self.skipped.clear()
        seen: set[str] = set()
        for path in self.paths:
            count = 0
            for file in self._files(path) if path.is_dir() else (path,):
                name = self._name(file)
                if name in seen:
                    count += 1
                    continue
                seen.add(name)
                for item in self._read(self._source(file), name, named=file is path):
                    count += 1
                    yield item
            if not count and path.is_dir():
                kinds = " ".join(known_suffixes())
                raise InputError(f"folder {path} has no documents in it (files ending in {kinds}){self._said()}")

    def _read(self, source: Source, name: str, *, named: bool) -> Iterator[Item | Unreadable]:
        where = source.path.absolute().as_posix()
        try:
            for found in reader_of(source)(source):
                if isinstance(found, Broken):
                    yield Unreadable(name + found.part, found.reason, where)
                else:
                    yield Item(found.id or name + found.part, found.text, found.metadata, where)
        except NoField as error:
            if named:
                yield Unreadable(name, str(error), where)
            else:
                self.skipped[f"{source.suffix} files without a field {source.text_field!r}"] += 1
        except InputError as error:
            yield Unreadable(name, f"{source.path}: {error}", where)

    def _files(self, folder: Path) -> Iterator[Path]:
        """Every file of a folder that is read, sorted; links to folders are not followed, nothing hidden is read."""
        for inside in _walk(folder, lambda inside: _matches(inside, self.reading.exclude), self.skipped):
            file, source = folder / inside, self._source(folder / inside)
            if _matches(inside, self.reading.exclude):
                self.skipped["excluded files"] += 1
            elif self.reading.include and not _matches(inside, self.reading.include):
                self.skipped["files that are not included"] += 1
            elif not self.reading.include and source.suffix not in READERS:
                self.skipped[f"{file.suffix.lower()} files" if file.suffix else "files without an ending"] += 1
            elif _lacking(source):
                self.skipped[f"{source.suffix} files (pip install 'twofold[inputs]')"] += 1
            else:
                yield file

    def _source(self, file: Path) -> Source:
        reading = self.reading
        return Source(file, reading.encoding, reading.text_field, reading.id_field)

    def _name(self, path: Path) -> str:
        """What the id of a file begins with: its path as it was given, or from the root of ids on."""
        if self.reading.id_root is None:
            return _encodable(Path(os.path.normpath(path)))
        name = Path(os.path.relpath(path.absolute(), self.reading.id_root.absolute()))
        if ".." in name.parts:
            raise InputError(f"{path} is not under {self.reading.id_root}, which ids are relative to")
        return _encodable(name)

    def _said(self) -> str:
        return "; it has " + ", ".join(f"{n:,} {what}" for what, n in self.skipped.items()) if self.skipped else ""


def read_corpus(paths: Iterable[str | os.PathLike[str]], reading: Reading | None = None) -> Corpus:
    """The documents under `paths`, in order; a folder is read through, sorted by name, hidden files left out.

    A text, Markdown or HTML file is one document, a page of a PDF is one, a record of JSON, JSONL, CSV, TSV or Parquet
    is one; all of them may be gzipped. An id is the path as it is given (`docs/a.md`), or relative to
    `reading.id_root`, with what tells a page or a record in it: its number, or a digest of its text. A record's own
    `id` is taken as it is; its other fields are metadata, a nested one as JSON, a null one left out.

    What cannot be read is an `Unreadable` in its place.

    Raises:
        InputError: see `Corpus`.
        MissingExtra: HTML, PDF and Parquet need the extra `inputs`.
    """
    return Corpus(paths, reading)


def _encodable(path: Path) -> str:
    """A path as text; bytes in it that are no UTF-8 are escaped."""
    return path.as_posix().encode(errors="surrogateescape").decode(errors="backslashreplace")


def _lacking(source: Source) -> str | None:
    """The library that reads a file, where it is not installed."""
    needed = NEEDED.get(source.suffix)
    return needed if needed is not None and find_spec(needed) is None else None


def _matches(inside: Path, patterns: Sequence[str]) -> bool:
    """Whether a pattern is that of the path in its folder, of its name, or of a folder that it lies in."""
    names = {name for one in (inside, *inside.parents[:-1]) for name in (one.as_posix(), one.name)}
    return any(fnmatch(name, pattern) for pattern in patterns for name in names)


def _walk(
    folder: Path, left_out: Callable[[Path], bool], skipped: Counter[str], inside: Path = Path()
) -> Iterator[Path]:
    """The files under a folder, by their paths in it, in the order of those."""
    try:
        entries = sorted(os.scandir(folder / inside), key=lambda entry: entry.name)
    except OSError:
        skipped["folders that cannot be read"] += 1
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = inside / entry.name
        if entry.is_dir(follow_symlinks=False):
            if not left_out(path):
                yield from _walk(folder, left_out, skipped, path)
        elif entry.is_file():
            yield path
