"""What an `Embedder` is made of, as a signature: every option of `Settings`, and what is no plain data."""

from __future__ import annotations

import inspect
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from twofold.settings import Settings

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from twofold.keys import KeySource

P = ParamSpec("P")


@dataclass(frozen=True)
class Arguments(Settings):
    """The arguments of an `Embedder`."""

    model: str | os.PathLike[str]  # type: ignore[assignment] # a path becomes a string
    _: KW_ONLY
    api_key: KeySource = None
    http_client: Any = None


def takes(arguments: Callable[P, object]) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Show a constructor with the signature of `arguments`, to type checkers and to `help()`."""

    def decorate(constructor: Callable[..., None]) -> Callable[Concatenate[Any, P], None]:
        shown = inspect.signature(arguments)
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        constructor.__signature__ = shown.replace(parameters=[own, *shown.parameters.values()])  # type: ignore[attr-defined]
        return constructor

    return decorate
