"""Reads a corpus from disk: folders and files in a fixed order, each document with a stable id."""

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
"""The optional library that each file type needs."""


@dataclass(frozen=True, slots=True)
class Item:
    """A document to index.

    Attributes:
        id: any string, unique in the corpus.
        text: the whole text.
        metadata: fields stored with each of its rows.
        source: where it comes from, such as a path. A document is not overwritten by one from another source.
    """

    id: str
    text: str
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document that cannot be read, such as a file in another encoding or a broken line.

    Attributes:
        id: the id that the document would have had.
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
        include: patterns (`*.md`, `guide/*`) of the files to read in a folder, whatever their suffix. If empty, every
            file of a known type is read.
        exclude: patterns of files and folders to skip.
        encoding: text encoding; None means UTF-8.
        id_root: the folder that ids are relative to; None keeps the paths as given.
        text_field, id_field: the fields of a record (JSON, CSV, Parquet) that hold its text and its id.

    Raises:
        InputError: the encoding is unknown.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    encoding: str | None = None
    id_root: Path | None = None
    text_field: str = "text"
    id_field: str = "id"

    def __post_init__(self) -> None:
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except LookupError:
                raise InputError(f"unknown encoding {self.encoding!r}: try utf-8, latin-1, cp1252 or utf-16") from None


class Corpus:
    """The documents under some paths. It can be iterated any number of times.

    Attributes:
        skipped: what the last iteration skipped, with a count for each kind.

    Raises:
        InputError: a path is missing, or is outside `id_root`.
        MissingExtra: a file given by name needs the extra `inputs`.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]], reading: Reading | None = None) -> None:
        self.paths, self.reading = [Path(path) for path in paths], reading or Reading()
        self.skipped: Counter[str] = Counter()
        for path in self.paths:
            if not path.exists():
                raise InputError(f"{path} does not exist")
            self._name(path)
            if not path.is_dir() and (lacking := _lacking(self._source(path))):
                raise MissingExtra(f"{lacking} is not installed: pip install 'twofold[inputs]'", name=lacking)

    def __iter__(self) -> Iterator[Item | Unreadable]:
        """The documents in order, including blank and unreadable ones.

        Raises:
            InputError: a folder has no documents.
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
                raise InputError(f"folder {path} has no documents (files ending in {kinds}){self._said()}")

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
        """The files to read in a folder, sorted. Skips hidden files and links to folders."""
        for inside in _walk(folder, lambda inside: _matches(inside, self.reading.exclude), self.skipped):
            file, source = folder / inside, self._source(folder / inside)
            if _matches(inside, self.reading.exclude):
                self.skipped["excluded files"] += 1
            elif self.reading.include and not _matches(inside, self.reading.include):
                self.skipped["files not included"] += 1
            elif not self.reading.include and source.suffix not in READERS:
                self.skipped[f"{file.suffix.lower()} files" if file.suffix else "files without a suffix"] += 1
            elif _lacking(source):
                self.skipped[f"{source.suffix} files (pip install 'twofold[inputs]')"] += 1
            else:
                yield file

    def _source(self, file: Path) -> Source:
        reading = self.reading
        return Source(file, reading.encoding, reading.text_field, reading.id_field)

    def _name(self, path: Path) -> str:
        """The first part of a file's id: its path as given, or relative to `id_root`."""
        if self.reading.id_root is None:
            return _encodable(Path(os.path.normpath(path)))
        name = Path(os.path.relpath(path.absolute(), self.reading.id_root.absolute()))
        if ".." in name.parts:
            raise InputError(f"{path} is not inside {self.reading.id_root}, the folder that ids are relative to")
        return _encodable(name)

    def _said(self) -> str:
        return "; it has " + ", ".join(f"{n:,} {what}" for what, n in self.skipped.items()) if self.skipped else ""


def read_corpus(paths: Iterable[str | os.PathLike[str]], reading: Reading | None = None) -> Corpus:
    """The documents under `paths`, in order. Folders are read recursively, sorted by name, without hidden files.

    Each text, Markdown or HTML file is one document. So is each page of a PDF, and each record of a JSON, JSONL, CSV,
    TSV or Parquet file. Any file may be gzipped. A document's id is its path as given (`docs/a.md`), or relative to
    `reading.id_root`. Pages add their number and records add a digest of their text. A record's own `id` is used
    unchanged. Its other fields become metadata: nested values as JSON, null values omitted.

    A document that cannot be read appears as an `Unreadable`.

    Raises:
        InputError: see `Corpus`.
        MissingExtra: HTML, PDF and Parquet need the extra `inputs`.
    """
    return Corpus(paths, reading)


def _encodable(path: Path) -> str:
    """The path as text. Bytes that are not UTF-8 are escaped."""
    return path.as_posix().encode(errors="surrogateescape").decode(errors="backslashreplace")


def _lacking(source: Source) -> str | None:
    """The library that the file needs, if it is not installed."""
    needed = NEEDED.get(source.suffix)
    return needed if needed is not None and find_spec(needed) is None else None


def _matches(inside: Path, patterns: Sequence[str]) -> bool:
    """Whether a pattern matches the relative path, the file name, or one of its folders."""
    names = {name for one in (inside, *inside.parents[:-1]) for name in (one.as_posix(), one.name)}
    return any(fnmatch(name, pattern) for pattern in patterns for name in names)


def _walk(
    folder: Path, left_out: Callable[[Path], bool], skipped: Counter[str], inside: Path = Path()
) -> Iterator[Path]:
    """The paths of the files under a folder, relative to it and sorted."""
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
