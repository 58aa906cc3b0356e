"""Every option of an embedder as a flag of the same word, made from the one list that `twofold.settings` has."""

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
"""The value of `--query-task` and `--document-task` that means no task at all."""

TASKS = ("query_task", "document_task")

StoreOption = Annotated[str, typer.Option("--store", help="Where: chroma:./folder, weaviate:http://localhost:8080.")]
CollectionOption = Annotated[str, typer.Option("--collection", help="The collection in the store.")]
CollectionArgument = Annotated[str, typer.Argument(help="The collection.", show_default=False)]
BudgetOption = Annotated[
    float | None, typer.Option("--budget", help="US dollars that a hosted model may cost, at its list price.")
]
BudgetTokensOption = Annotated[int | None, typer.Option("--budget-tokens", help="Tokens that a hosted model may bill.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
READING: dict[str, tuple[Any, str]] = {
    "include": (list[str], "Read these files of a folder: '*.md', 'guide/*'; all of known kinds if none are given."),
    "exclude": (list[str], "Leave out these files and folders."),
    "text_encoding": (str, "The encoding of text; UTF-8 if none is given."),
    "id_root": (Path, "Ids are paths relative to this folder; the paths as they are given if none is."),
    "text_field": (str, "The field of a record, or column of a table, that is its text; 'text' if none is given."),
    "id_field": (str, "The field that is its id; 'id' if none is given."),
}
RENAMED = {"text_encoding": "encoding"}
"""`--encoding` is an option of embedders."""

Given: TypeAlias = dict[str, Any]
"""Options of an embedder that were given, by a flag, a variable or a file, with their values."""


def embedder_options(*, model_argument: bool = False, **defaults: Any) -> Callable[[Callable[..., None]], Any]:
    """Give a command, which takes an `embedder`, the flags that make one; `defaults` are the command's own.

    With `model_argument` the model is an argument of the command, not a flag.
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
    """Give a command, which takes `embedders`, the flags that make several: `--model` again for each, NAME=MODEL.

    The other options hold for all of them. The command has an `api_key_env` of its own.
    """
    flags = {option.name: _parameter(option, {}) for option in options() if option.name != "api_key_env"}
    several = Annotated[list[str], typer.Option(help=f"{options()[0].help} Again for each; NAME=MODEL names it.")]
    flags["model"] = flags["model"].replace(annotation=several)

    def run(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in flags}
        models = [_named(model) for model in chosen.pop("model")]
        names = [name for name, _ in models]
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"two models are called {twice[0]!r}: name one of them, NAME=MODEL")
        command(**given, embedders={name: make_embedder(model=model, **chosen) for name, model in models})

    return _with_flags(run, command, "embedders", flags)


def _named(model: str) -> tuple[str, str]:
    """The name and the model of "NAME=MODEL"; where no name is said, the last part of the model."""
    name, sign, rest = model.partition("=")
    if sign and name and not {"/", ":"} & set(name):
        return name, rest
    provider, name = split_model(model)
    return Path(name).name or provider or model, model


def given_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, which takes `given`, the same flags, none of them needed: the collection says the rest."""
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
    """Give a command, which takes `reading`, the flags that say how files are read."""
    from twofold.jobs.corpus import Reading  # noqa: PLC0415 - what help of other commands does without

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
    """The embedder of some flags' values.

    Raises:
        InputError: an option that no embedder takes.
    """
    from twofold.embedder import Embedder  # noqa: PLC0415 - NumPy, which help does without

    return Embedder(**with_bare_tasks(chosen))


def budget_of(dollars: float | None, tokens: int | None, *, ahead: bool) -> Budget | None:
    """What `--budget` and `--budget-tokens` say; None where neither is given."""
    from twofold.jobs import Budget  # noqa: PLC0415 - NumPy, which help does without

    return None if dollars is None and tokens is None else Budget(dollars=dollars, tokens=tokens, ahead=ahead)


def with_bare_tasks(given: Given) -> Given:
    """The same options, a task that is said to be none being None."""
    return given | {side: None for side in TASKS if given.get(side) == BARE_MODEL}


def _with_flags(
    run: Callable[..., None], command: Callable[..., None], replaced: str, flags: dict[str, inspect.Parameter]
) -> Callable[..., None]:
    """`run` with the parameters of `command`, but for the one that is replaced by flags, and its name and help."""
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
        rich_help_panel="The embedder" if own_defaults else "The embedder, where it is not as the collection says",
        show_default=own_defaults and default not in (MISSING, None) and not defaults.get(option.name),
    )
    hint = option.hint if default is not None else option.hint | None
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=Annotated[hint, flag],
    )
