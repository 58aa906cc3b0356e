"""Every option of an embedder as a flag of the same word, defined once for all commands."""

from __future__ import annotations

import inspect
from dataclasses import MISSING
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twofold.embedder import Embedder
from twofold.settings import options

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.option import Option

BARE_MODEL = "none"
"""The value of `--query-task` and `--document-task` that means no task at all."""

TASKS = ("query_task", "document_task")

StoreOption = Annotated[str, typer.Option("--store", help="Where: chroma:./folder, weaviate:http://localhost:8080.")]
CollectionOption = Annotated[str, typer.Option("--collection", help="The collection in the store.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def embedder_options(*, model_argument: bool = False, **defaults: Any) -> Callable[[Callable[..., None]], Any]:
    """Give a command, which takes an `embedder`, the flags that make one; `defaults` are the command's own.

    With `model_argument` the model is an argument of the command, not a flag.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        flags = {option.name: _parameter(option, defaults) for option in options()}
        if model_argument:
            model = Annotated[str, typer.Argument(help=options()[0].help)]
            flags["model"] = flags["model"].replace(annotation=model)
        parameters = [*(parameter for name, parameter in own.items() if name != "embedder"), *flags.values()]

        @wraps(command)
        def run(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in flags}
            command(**given, embedder=make_embedder(**chosen))

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what typer reads
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def make_embedder(**chosen: Any) -> Embedder:
    """The embedder of some flags' values.

    Raises:
        InputError: an option that no embedder takes.
    """
    bare = {side: None for side in TASKS if chosen.get(side) == BARE_MODEL}
    return Embedder(**chosen | bare)


def _parameter(option: Option, defaults: dict[str, Any]) -> inspect.Parameter:
    default = defaults.get(option.name, option.default)
    bare = f" ('{BARE_MODEL}' on the command line)" if option.name in TASKS else ""
    flag = typer.Option(
        help=option.help + bare,
        rich_help_panel="The embedder",
        envvar="TWOFOLD_MODEL" if option.name == "model" and not defaults else None,
        show_default=default not in (MISSING, None) and not defaults.get(option.name),
    )
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=Annotated[option.hint, flag],
    )
