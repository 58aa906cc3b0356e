"""What the integration of a host imports besides `twofold`. Stores have their own names: see `twofold.stores`."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any, TypeAlias

from twofold.cache import Lookup
from twofold.documents import Span, check_text, check_texts, is_blank
from twofold.embedder import Embedder, aembed_texts, embed_texts
from twofold.errors import InputError
from twofold.extras import extra
from twofold.keys import KeySource
from twofold.models import Side
from twofold.offsets import cut, locate
from twofold.progress import reporting
from twofold.settings import Options, options
from twofold.space import mismatch_message
from twofold.stores.checks import warn_blank
from twofold.stores.threads import check_cancelled, invoke, resolve, run_in_thread
from twofold.vectors import FloatArray

__all__ = [
    "FloatArray",
    "KeySource",
    "Lookup",
    "Model",
    "Options",
    "Side",
    "Span",
    "aembed_texts",
    "as_embedder",
    "check_cancelled",
    "check_text",
    "check_texts",
    "cut",
    "embed_texts",
    "extra",
    "invoke",
    "is_blank",
    "locate",
    "mismatch_message",
    "option_fields",
    "option_names",
    "options",
    "reporting",
    "resolve",
    "run_in_thread",
    "warn_blank",
]

Model: TypeAlias = "Any"
"""What hosts accept as a model: an `Embedder`, a host's object with an `embedder`, or a model string or path."""


def as_embedder(model: Model, **chosen: Any) -> Embedder:
    """The embedder that `model` is or has, or a new one from the options `chosen`.

    Raises:
        InputError: there are options although the embedder exists, or an option is unknown.
    """
    made = model if isinstance(model, Embedder) else getattr(model, "embedder", None)
    if not isinstance(made, Embedder):
        return Embedder(model, **chosen)
    given = sorted(name for name, value in chosen.items() if value is not None)
    if given:
        raise InputError(f"{', '.join(given)}: the embedder already exists; pass these options when you create it")
    return made


def option_names() -> frozenset[str]:
    """The names of an embedder's options, including the model."""
    return frozenset(option.name for option in options())


def option_fields() -> dict[str, tuple[Any, Any]]:
    """Each option's type and default (`...` for the model), as `pydantic.create_model` takes fields."""
    return {option.name: (option.hint, ... if option.default is MISSING else option.default) for option in options()}
