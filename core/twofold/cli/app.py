"""The commands. Each is imported when it is called: `twofold --help` loads none of them."""

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
    """The module and function of a command, and its help in one sentence."""

    module: str
    function: str
    help: str


COMMANDS = {
    "embed": Place("embed", "embed", "Embed texts. Write one line of JSON per text, or one NumPy array."),
    "index": Place("index", "index", "Index files into a collection. Unchanged documents are skipped."),
    "search": Place("search", "search", "Search a collection. The best rows come first, with their cosines."),
    "collections": Place("manage", "collections", "List the collections of a store with their models and sizes."),
    "info": Place("manage", "info", "Show what a collection contains, and check it for faults."),
    "drop": Place("manage", "drop", "Remove a collection. Asks for confirmation."),
    "export": Place("transfer", "export", "Write a collection to a file, with its vectors and its record."),
    "import": Place("transfer", "import_", "Read an exported file into a collection of the same space."),
    "migrate": Place("migrate", "migrate", "Move a collection to another model while it stays in use."),
    "tune": Place("tune", "tune", "Compare dimensions, quantisation, tasks, chunking and models on your documents."),
    "plot": Place("plot", "plot", "Draw a map of a collection, or the similarities of a few texts."),
    "serve": Place("serve", "serve", "Serve models over HTTP for existing clients, with a page to try them."),
    "models": Place("models", "models", "List the known models. Other models are read from their checkpoints."),
    "doctor": Place("doctor", "doctor", "Check a model: files, licence, device, and known vectors."),
    "demo": Place("demo", "demo", "Index the documentation of Python's standard library and ask it questions."),
}


class Command(TyperCommand):
    """A command that reads options from a file. Its help lists options under headings and truncates none."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Use the file's options as defaults. Flags and variables take precedence."""
        if parent is not None and isinstance(parent.obj, Config):
            flags = flags_of(self)
            given = parent.obj.options_of(str(info_name), flags, _all_flags)
            extra["default_map"] = {flags[name].name: _as_taken(flags[name], value) for name, value in given.items()}
        return super().make_context(info_name, args, parent, **extra)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
                heading = getattr(parameter, "rich_help_panel", None) or usual
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class CommandGroup(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        """List the names. Loads no command."""
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command's help without truncating it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in COMMANDS.items()])


class LazyCommands(Mapping[str, TyperCommand]):
    """The commands, each imported when it is looked up."""

    def __getitem__(self, name: str) -> TyperCommand:
        """Import a command and create its flags."""
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
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def flags_of(command: TyperCommand) -> dict[str, Any]:
    """The options of a command by the names of their flags, such as `query_task`."""
    found = (parameter for parameter in command.params if parameter.param_type_name == "option")
    return {_word(parameter): parameter for parameter in found if parameter.name != "help"}


def _word(parameter: Any) -> str:
    """`--query-task` as `query_task`."""
    return str(max(parameter.opts, key=len)).lstrip("-").replace("-", "_")


def _all_flags() -> set[str]:
    return {name for command in LazyCommands().values() for name in flags_of(command)}


def _as_taken(parameter: Any, value: Any) -> Any:
    return [value] if parameter.multiple and not isinstance(value, list) else value


HELP: dict[Any, Any] = {"help_option_names": ["-h", "--help"]}
WITHOUT_VARIABLE = ("yes",)
"""Options that can only be given as flags."""
EPILOG = (
    "You can also set each option with an environment variable (TWOFOLD_MODEL for --model) or in a file: twofold.toml, "
    "or [tool.twofold] in pyproject.toml. Flags take precedence over variables, and variables over the file."
)

app = typer.Typer(
    name="twofold",
    cls=CommandGroup,
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
        Path | None, typer.Option(envvar="TWOFOLD_CONFIG", help="A file with options. Default: the nearest one.")
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """One embedder with two sides, query and document, plugged into every vector store."""
    ctx.obj = read_config(config, COMMANDS)


def command_line() -> TyperGroup:
    group: Any = typer.main.get_command(app)
    group.commands = LazyCommands()
    return group  # type: ignore[no-any-return] # it is of the class that was asked for
