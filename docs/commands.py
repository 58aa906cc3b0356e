"""Write `reference/commands.md` from the commands' own help: `python docs/commands.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.cli.app import COMMANDS, Loaded, flags_of
from twofold.cli.options import READING
from twofold.settings import options

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = Path(__file__).parent / "reference" / "commands.md"
EMBEDDER = [option.name for option in options()]


def page() -> str:
    """The whole page, as Markdown."""
    commands = Loaded()
    shared = flags_of(commands["index"])
    parts = ["# Every command", "Written by `docs/commands.py` from the commands' own help."]
    for name, command in commands.items():
        own = [flag for word, flag in flags_of(command).items() if not _is_shared(word, flag, shared)]
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        usage = " ".join(command.get_usage(_context(command, f"twofold {name}")).split()[1:])
        parts += [f"## twofold {name}", COMMANDS[name].help, f"```text\n{usage}\n```", _table(command, arguments + own)]
    index, flags = commands["index"], shared
    parts += ["## Options of an embedder", "Every command that embeds takes them."]
    parts += [_table(index, [flags[word] for word in EMBEDDER])]
    parts += ["## How files are read", "`twofold index` and `twofold embed` take them."]
    parts += [_table(index, [flags[word] for word in READING])]
    return "\n\n".join(parts) + "\n"


def _is_shared(word: str, flag: Any, shared: dict[str, Any]) -> bool:
    """Whether it is an option of an embedder or of reading, and means here what it means everywhere."""
    return word in {*EMBEDDER, *READING} and flag.help == shared[word].help


def _context(command: Any, name: str) -> Any:
    return command.context_class(command, info_name=name)


def _table(command: Any, parameters: Iterable[Any]) -> str:
    records = (each.get_help_record(_context(command, "")) for each in parameters)
    rows = [(f"`{names.strip('* ')}`", text.replace("<", "&lt;")) for names, text in filter(None, records)]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {' | '.join(_cell(each) for each in row)} |" for row in rows)])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
