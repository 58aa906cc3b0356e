"""Options from a file: twofold.toml, or `[tool.twofold]` in pyproject.toml, in this folder or one above it.

A key sets an option for every command that has it. A table sets options for one command:

    [tool.twofold]
    model = "sentence-transformers/all-MiniLM-L6-v2"

    [tool.twofold.search]
    limit = 5
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

OWN, SHARED = "twofold.toml", "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Config:
    """The options in a file: `shared` for all commands that have them, `own` by the name of a command."""

    file: Path
    shared: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def options_of(self, command: str, names: Collection[str], others: Callable[[], Iterable[str]]) -> dict[str, Any]:
        """The file's options for a command that has the options `names`. `others` returns those of all commands.

        Raises:
            InputError: the file sets an unknown option.
        """
        own = self.own.get(command, {})
        self._check(own, names, f"an option of {command}")
        if self.shared.keys() - names:
            self._check(self.shared, {*names, *others()}, "an option of any command")
        return {name: value for name, value in (*self.shared.items(), *own.items()) if name in names}

    def _check(self, given: Iterable[str], known: Collection[str], what: str) -> None:
        if unknown := sorted(set(given) - set(known)):
            near = get_close_matches(unknown[0], known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"{self.file}: {unknown[0]} is not {what}{meant}")


def read_config(path: Path | None, commands: Collection[str]) -> Config | None:
    """Read the file at `path`, or the nearest one if `path` is None. Returns None if there is no file.

    Raises:
        InputError: the file does not exist or is invalid.
    """
    found = (path, _load(path)) if path is not None else _find(Path.cwd())
    if found is None:
        return None
    file, table = found
    tables = {name: value for name, value in table.items() if isinstance(value, dict)}
    for name in tables.keys() - commands:
        raise InputError(f"{file}: [{name}] is not a command. The commands are {', '.join(commands)}")
    own = {name: _named(file, options) for name, options in tables.items()}
    return Config(file, _named(file, {name: table[name] for name in table.keys() - tables}), own)


def _find(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The nearest file that sets options."""
    for above in (folder, *folder.parents):
        if (own := above / OWN).is_file():
            return own, _load(own)
        if (shared := above / SHARED).is_file() and (table := _load(shared)):
            return shared, table
    return None


def _load(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    if path.name != SHARED:
        return table
    own = table.get("tool", {}).get("twofold", {})
    return own if isinstance(own, dict) else {}


def _named(file: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with underscores in their names, however the file writes them."""
    for name, value in options.items():
        if not isinstance(value, str | int | float | bool | list):
            raise InputError(f"{file}: {name} is {value!r}; expected a string, a number, true, false or a list")
    return {name.replace("-", "_"): value for name, value in options.items()}
