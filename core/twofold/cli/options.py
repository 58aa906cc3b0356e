"""Every option of an embedder as a flag of the same word, defined once for all commands."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twofold.embedder import Embedder
from twofold.settings import Dtype, Encoding, Settings, Truncate

if TYPE_CHECKING:
    from collections.abc import Callable

BARE_MODEL = "none"
"""The value of `--query-task` and `--document-task` that means no task at all."""

FLAGS: dict[str, tuple[Any, str]] = {
    "model": (str, "A hub id, a checkpoint folder, or <provider>:<model>."),
    "dimensions": (int | None, "Size of the vectors; the model's width where not given."),
    "query_task": (str, f"Task of the query side; '{BARE_MODEL}' is the bare model."),
    "document_task": (str, f"Task of the document side; '{BARE_MODEL}' is the bare model."),
    "normalize": (bool, "Vectors of unit length, or as the model gives them."),
    "truncate": (Truncate, "Refuse a text over the model's length, or cut its end."),
    "query_truncate": (Truncate | None, "The same for queries alone."),
    "batch_tokens": (int | None, "Tokens in one batch or request."),
    "late_window": (int | None, "Tokens in one pass over a long document."),
    "late_overlap": (int | None, "Tokens that two such passes share."),
    "device": (str, "auto, cpu, cuda, cuda:1, mps."),
    "dtype": (Dtype, "What a local model computes in."),
    "revision": (str | None, "A commit, tag or branch of a hub id."),
    "api_key_env": (str | None, "The environment variable that holds a hosted model's key."),
    "base_url": (str | None, "A server that speaks the provider's API."),
    "timeout": (float, "Seconds for a whole hosted call."),
    "concurrency": (int, "Hosted requests under way at once."),
    "encoding": (Encoding, "How a hosted model sends its vectors."),
}

StoreOption = Annotated[str, typer.Option("--store", help="Where: chroma:./folder, weaviate:http://localhost:8080.")]
CollectionOption = Annotated[str, typer.Option("--collection", help="The collection in the store.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def embedder_options(*, model_argument: bool = False, **defaults: Any) -> Callable[[Callable[..., None]], Any]:
    """Give a command, which takes an `embedder`, the flags that make one; `defaults` are the command's own.

    With `model_argument` the model is an argument of the command, not a flag.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        flags = {name: _parameter(name, defaults) for name in FLAGS}
        if model_argument:
            model = Annotated[str, typer.Argument(help=FLAGS["model"][1])]
            flags["model"] = flags["model"].replace(annotation=model)
        parameters = [*(parameter for name, parameter in own.items() if name != "embedder"), *flags.values()]

        @wraps(command)
        def run(**given: Any) -> None:
            options = {name: given.pop(name) for name in FLAGS}
            command(**given, embedder=make_embedder(**options))

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what typer reads
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def make_embedder(**options: Any) -> Embedder:
    """The embedder of some flags' values.

    Raises:
        InputError: an option that no embedder takes.
    """
    bare = {side: None for side in ("query_task", "document_task") if options.get(side) == BARE_MODEL}
    return Embedder(**options | bare)


def _parameter(name: str, defaults: dict[str, Any]) -> inspect.Parameter:
    kind, about = FLAGS[name]
    default = defaults.get(name, next(field.default for field in fields(Settings) if field.name == name))
    option = typer.Option(
        help=about,
        rich_help_panel="The embedder",
        envvar="TWOFOLD_MODEL" if name == "model" and not defaults else None,
        show_default=default not in (MISSING, None) and not defaults.get(name),
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=Annotated[kind, option],
    )
