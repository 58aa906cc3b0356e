"""Options that commands share. Each option of an embedder is a flag, generated from the list in `twofold.settings`."""

from __future__ import annotations

import inspect
from dataclasses import MISSING
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from twofold.errors import InputError
from twofold.resolve import split_model
from twofold.settings import options

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.embedder import Embedder
    from twofold.jobs import Budget
    from twofold.settings import Option

BARE_MODEL = "none"
"""The value of `--query-task` and `--document-task` that means no task."""

TASKS = ("query_task", "document_task")

StoreOption = Annotated[
    str, typer.Option("--store", help="Store, such as chroma:./folder or weaviate:http://localhost:8080.")
]
CollectionOption = Annotated[str, typer.Option("--collection", help="Name of the collection.")]
CollectionArgument = Annotated[str, typer.Argument(help="Name of the collection.", show_default=False)]
BudgetOption = Annotated[
    float | None,
    typer.Option("--budget", help="Stop before a hosted model costs more than this, in US dollars at its list price."),
]
BudgetTokensOption = Annotated[
    int | None, typer.Option("--budget-tokens", help="Stop before a hosted model bills more tokens than this.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
READING: dict[str, tuple[Any, str]] = {
    "include": (list[str], "Only read matching files: '*.md', 'guide/*'. Repeatable. Default: all supported files."),
    "exclude": (list[str], "Skip matching files and folders. Repeatable."),
    "text_encoding": (str, "Encoding of text files. Default: UTF-8."),
    "id_root": (Path, "Make ids relative to this folder. Default: ids are the paths as given."),
    "text_field": (str, "Field of a record, or column of a table, that holds the text. Default: 'text'."),
    "id_field": (str, "Field or column that holds the id. Default: 'id'."),
}
RENAMED = {"text_encoding": "encoding"}
"""`--encoding` already is an option of embedders."""

Given: TypeAlias = dict[str, Any]
"""Options of an embedder that were set by a flag, a variable or a file."""


def embedder_options(*, model_argument: bool = False, **defaults: Any) -> Callable[[Callable[..., None]], Any]:
    """Replace a command's parameter `embedder` by the flags that define one.

    `defaults` override the options' defaults. With `model_argument`, the model is an argument instead of a flag.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        flags = {option.name: _parameter(option, defaults) for option in options()}
        if model_argument:
            model = Annotated[str, typer.Argument(help=options()[0].help)]
            flags["model"] = flags["model"].replace(annotation=model)

        def run(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in flags}
            command(**given, embedder=make_embedder(**chosen))

        return _with_flags(run, command, "embedder", flags)

    return decorate


def several_embedders(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter `embedders` by flags: `--model` is repeatable, and NAME=MODEL names a model.

    The other options apply to all models. The command defines its own `api_key_env`.
    """
    flags = {option.name: _parameter(option, {}) for option in options() if option.name != "api_key_env"}
    several = Annotated[list[str], typer.Option(help=f"{options()[0].help} Repeatable; NAME=MODEL sets its name.")]
    flags["model"] = flags["model"].replace(annotation=several)

    def run(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in flags}
        models = [_named(model) for model in chosen.pop("model")]
        names = [name for name, _ in models]
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"two models are called {twice[0]!r}: rename one with NAME=MODEL")
        command(**given, embedders={name: make_embedder(model=model, **chosen) for name, model in models})

    return _with_flags(run, command, "embedders", flags)


def _named(model: str) -> tuple[str, str]:
    """Split "NAME=MODEL". Without a name, the name is the last part of the model."""
    name, sign, rest = model.partition("=")
    if sign and name and not {"/", ":"} & set(name):
        return name, rest
    provider, name = split_model(model)
    return Path(name).name or provider or model, model


def given_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter `given` by the same flags, all optional: the collection defines the rest."""
    flags = {option.name: _parameter(option, {"model": None}, own_defaults=False) for option in options()}

    def run(ctx: typer.Context, **values: Any) -> None:
        chosen = {name: values.pop(name) for name in flags}
        command(**values, given={name: value for name, value in chosen.items() if _was_given(ctx, name)})

    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    return _with_flags(run, command, "given", {**flags, "ctx": context})


def _was_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter `reading` by the flags that define how files are read."""
    from twofold.jobs.corpus import Reading  # noqa: PLC0415 - not needed by other commands

    flags = {
        name: inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[hint | None, typer.Option(help=text, rich_help_panel="The files")],
        )
        for name, (hint, text) in READING.items()
    }

    def run(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in flags}
        renamed = {RENAMED.get(name, name): value for name, value in chosen.items() if value is not None}
        command(**given, reading=Reading(**renamed))

    return _with_flags(run, command, "reading", flags)


def make_embedder(**chosen: Any) -> Embedder:
    """Create an embedder from the values of flags.

    Raises:
        InputError: an option is invalid.
    """
    from twofold.embedder import Embedder  # noqa: PLC0415 - imports NumPy, which help does not need

    return Embedder(**with_bare_tasks(chosen))


def budget_of(dollars: float | None, tokens: int | None, *, ahead: bool) -> Budget | None:
    """The budget of `--budget` and `--budget-tokens`, or None if neither is given."""
    from twofold.jobs import Budget  # noqa: PLC0415 - imports NumPy, which help does not need

    return None if dollars is None and tokens is None else Budget(dollars=dollars, tokens=tokens, ahead=ahead)


def with_bare_tasks(given: Given) -> Given:
    """Replace the task 'none' by None."""
    return given | {side: None for side in TASKS if given.get(side) == BARE_MODEL}


def _with_flags(
    run: Callable[..., None], command: Callable[..., None], replaced: str, flags: dict[str, inspect.Parameter]
) -> Callable[..., None]:
    """Give `run` the name, help and parameters of `command`, with `flags` instead of the parameter `replaced`."""
    own = inspect.signature(command, eval_str=True).parameters
    parameters = [*(parameter for name, parameter in own.items() if name != replaced), *flags.values()]
    run = wraps(command)(run)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameter(option: Option, defaults: dict[str, Any], *, own_defaults: bool = True) -> inspect.Parameter:
    default = defaults.get(option.name, option.default)
    bare = f" ('{BARE_MODEL}' on the command line)" if option.name in TASKS else ""
    flag = typer.Option(
        help=option.help + bare,
        rich_help_panel="The embedder" if own_defaults else "The embedder (default: as in the collection)",
        show_default=own_defaults and default not in (MISSING, None) and not defaults.get(option.name),
    )
    hint = option.hint if default is not None else option.hint | None
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=Annotated[hint, flag],
    )
