"""What an integration imports besides `twofold`."""

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
from twofold.stores.checks import Checked, Given, check_ids, check_lengths, check_metadata, warn_blank
from twofold.stores.moving import MIGRATION, MOVED, Original, check_not_closed, follow
from twofold.stores.opening import Adopt, aopen_collection, check_record, check_space, open_collection, read_record
from twofold.stores.rows import (
    DOCUMENT,
    END,
    FIELDS,
    HELD_FIELDS,
    OWN_PREFIX,
    SOURCE,
    START,
    Held,
    Hit,
    Metadata,
    Row,
    Stored,
    Where,
    digest_of,
    search_filtered,
)
from twofold.stores.store import Store, store_over
from twofold.stores.threads import check_cancelled, invoke, resolve, run_in_thread
from twofold.stores.writing import SLICE, Entry, Metadatas, aadd_documents, add_documents, embed_entries, version
from twofold.vectors import FloatArray

__all__ = [
    "DOCUMENT",
    "END",
    "FIELDS",
    "HELD_FIELDS",
    "MIGRATION",
    "MOVED",
    "OWN_PREFIX",
    "SLICE",
    "SOURCE",
    "START",
    "Adopt",
    "Checked",
    "Entry",
    "FloatArray",
    "Given",
    "Held",
    "Hit",
    "KeySource",
    "Lookup",
    "Metadata",
    "Metadatas",
    "Model",
    "Options",
    "Original",
    "Row",
    "Side",
    "Span",
    "Store",
    "Stored",
    "Where",
    "aadd_documents",
    "add_documents",
    "aembed_texts",
    "aopen_collection",
    "as_embedder",
    "check_cancelled",
    "check_ids",
    "check_lengths",
    "check_metadata",
    "check_not_closed",
    "check_record",
    "check_space",
    "check_text",
    "check_texts",
    "cut",
    "digest_of",
    "embed_entries",
    "embed_texts",
    "extra",
    "follow",
    "invoke",
    "is_blank",
    "locate",
    "mismatch_message",
    "open_collection",
    "option_fields",
    "option_names",
    "options",
    "read_record",
    "reporting",
    "resolve",
    "run_in_thread",
    "search_filtered",
    "store_over",
    "version",
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
