"""The commands, one file each, imported when they are called: `twofold --help` loads none of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from twofold.cli.config import Config, read_config
from twofold.cli.say import line


class Place(NamedTuple):
    """Where a command is written, and what it does in a sentence."""

    module: str
    function: str
    help: str


COMMANDS = {
    "embed": Place("embed", "embed", "Embed texts: a line of JSON for each, or one array in NumPy's format."),
    "index": Place(
        "index", "index", "Index a corpus: what is unchanged is skipped, what changed replaced, a killed run continues."
    ),
    "search": Place("search", "search", "Search a collection, best first, with the cosine of each row."),
    "collections": Place("manage", "collections", "List the collections of a store, with their models and sizes."),
    "info": Place("manage", "info", "Show what a collection holds, and whether it is sound."),
    "drop": Place("manage", "drop", "Remove a collection, after a question."),
    "export": Place("transfer", "export", "Write a collection to a file, with its vectors and its record."),
    "import": Place("transfer", "import_", "Read an exported file into a collection of the same space."),
    "migrate": Place(
        "migrate", "migrate", "Move a collection into the space of another model, while it is read and written."
    ),
    "tune": Place(
        "tune", "tune", "Measure on a corpus what sizes, quantisation, tasks, late chunking and models are worth."
    ),
    "plot": Place("plot", "plot", "Draw a map of a collection, or the similarities of a few texts."),
    "serve": Place(
        "serve", "serve", "Serve models over HTTP, in the dialects that clients speak already, with a page to try them."
    ),
    "models": Place(
        "models", "models", "List the models that Twofold knows; another is known by its checkpoint's files."
    ),
    "doctor": Place(
        "doctor", "doctor", "Check a model: files, licence, device, and whether its vectors are the published ones."
    ),
    "demo": Place("demo", "demo", "Index the documentation of Python's standard library, ask it questions, measure."),
}


class Command(TyperCommand):
    """A command that takes options from a file, and whose help has them under their headings, none of them cut."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read flags, then variables, then the file."""
        if parent is not None and isinstance(parent.obj, Config):
            flags = flags_of(self)
            given = parent.obj.options_of(str(info_name), flags, _all_flags)
            extra["default_map"] = {flags[name].name: _as_taken(flags[name], value) for name, value in given.items()}
        return super().make_context(info_name, args, parent, **extra)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write each heading with the options under it."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
                heading = getattr(parameter, "rich_help_panel", None) or usual
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class Group(TyperGroup):
    """The commands, by `COMMANDS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, without loading them."""
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """What each does, whole."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in COMMANDS.items()])


class Loaded(Mapping[str, TyperCommand]):
    """The commands, each loaded when it is asked for."""

    def __getitem__(self, name: str) -> TyperCommand:
        """Import a command and make its flags.

        Raises:
            KeyError: there is none of that name.
        """
        place = COMMANDS[name]
        function = getattr(import_module(f"twofold.cli.{place.module}"), place.function)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        alone.command(name, cls=Command, context_settings=HELP, epilog=EPILOG)(function)
        command: Any = typer.main.get_command(alone)
        for word, parameter in flags_of(command).items():
            if word not in WITHOUT_VARIABLE:
                parameter.envvar, parameter.show_envvar = f"TWOFOLD_{word.upper()}", False
        return command  # type: ignore[no-any-return] # it is of the class that was asked for

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        return iter(COMMANDS)

    def __len__(self) -> int:
        """How many there are."""
        return len(COMMANDS)


def flags_of(command: TyperCommand) -> dict[str, Any]:
    """The options of a command, by the words of their flags."""
    found = (parameter for parameter in command.params if parameter.param_type_name == "option")
    return {_word(parameter): parameter for parameter in found if parameter.name != "help"}


def _word(parameter: Any) -> str:
    """`--query-task` as `query_task`."""
    return str(max(parameter.opts, key=len)).lstrip("-").replace("-", "_")


def _all_flags() -> set[str]:
    return {name for command in Loaded().values() for name in flags_of(command)}


def _as_taken(parameter: Any, value: Any) -> Any:
    return [value] if parameter.multiple and not isinstance(value, list) else value


HELP: dict[Any, Any] = {"help_option_names": ["-h", "--help"]}
WITHOUT_VARIABLE = ("yes",)
"""Options that ask for something in this one call."""
EPILOG = (
    "Each option can also be set by a variable (TWOFOLD_MODEL for --model) or in a file: pyproject.toml's "
    "[tool.twofold], or twofold.toml; a flag comes before a variable, a variable before the file."
)

app = typer.Typer(
    name="twofold",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP,
    epilog=EPILOG,
)


def _say_version(asked: bool) -> None:
    if asked:
        import twofold  # noqa: PLC0415

        line(f"twofold {twofold.__version__}")
        raise typer.Exit


@app.callback()
def options_of_all(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option(envvar="TWOFOLD_CONFIG", help="A file of options; found by itself if none is given.")
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """One embedder with two sides, query and document, plugged into every vector store."""
    ctx.obj = read_config(config, COMMANDS)


def command_line() -> TyperGroup:
    """The whole command line."""
    group: Any = typer.main.get_command(app)
    group.commands = Loaded()
    return group  # type: ignore[no-any-return] # it is of the class that was asked for
