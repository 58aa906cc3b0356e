"""A corpus on disk: folders and files of text, Markdown or JSONL, read in a fixed order."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from twofold.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from twofold.stores.rows import Scalar

TEXT_SUFFIXES = frozenset({".txt", ".text", ".md", ".markdown", ".rst"})
JSONL_SUFFIXES = frozenset({".jsonl", ".ndjson"})


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


def read_corpus(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Item]:
    """The documents under `paths`, in order; a folder is read through, sorted by name, hidden files left out.

    A text or Markdown file is one document. Its id is its path from the folder that was named, that folder's own name
    first, so that it stays the same from wherever the command is run; blank files in a folder are passed over.
    A JSONL file has one document a line: `text`, an `id` (a file's path and line where there is none), and any other
    fields as metadata; a nested field is kept as JSON, a null one left out.

    Raises:
        InputError: a path that is not there, a folder without documents, or a file or line that can not be read; the
            message names it.
    """
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path} is not there")
        root = path.resolve()
        files = _files(root) if root.is_dir() else [root]
        if not files:
            kinds = " ".join(sorted(TEXT_SUFFIXES | JSONL_SUFFIXES))
            raise InputError(f"folder {path} has no documents in it (files ending in {kinds})")
        for file in files:
            name = file.relative_to(root.parent).as_posix()
            if file.suffix.lower() in JSONL_SUFFIXES:
                yield from _read_lines(file, name)
            elif (text := _read(file)).strip() or file == root:
                yield Item(name, text)


def _files(folder: Path) -> list[Path]:
    """Every file that may hold documents, by path; links to folders are not followed."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in TEXT_SUFFIXES | JSONL_SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    )


def _read(file: Path) -> str:
    try:
        return _decode(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"{file} can not be read: {error.strerror}") from None


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8: byte {raw[error.start]:#04x} at offset {error.start}") from None


def _read_lines(file: Path, name: str) -> Iterator[Item]:
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _parse(_decode(line, f"{file}, line {number}"), f"{file}, line {number}", f"{name}:{number}")
    except OSError as error:
        raise InputError(f"{file} can not be read: {error.strerror}") from None


def _parse(line: str, where: str, name: str) -> Item:
    try:
        raw = json.loads(line, parse_constant=_refuse_constant)
    except ValueError as error:
        raise InputError(f"{where} is not JSON: {error}") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("text"), str):
        raise InputError(f'{where} is not an object with a string "text"')
    key = raw.get("id", name)
    if not isinstance(key, str | int) or isinstance(key, bool) or key == "":
        raise InputError(f'{where}: "id" is {key!r}; a string or a whole number is wanted')
    fields = {field: value for field, value in raw.items() if field not in ("id", "text") and value is not None}
    return Item(str(key), raw["text"], {field: _scalar(value) for field, value in fields.items()})


def _scalar(value: Any) -> Scalar:
    return value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
