"""The seam for hosts, ours and anyone's: all that an integration imports beside `twofold`."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any, TypeAlias

from twofold.cache import Lookup, cache_key
from twofold.documents import Span, check_text, check_texts
from twofold.embedder import Embedder
from twofold.errors import InputError
from twofold.extras import extra
from twofold.keys import Key, KeySource
from twofold.models import Side
from twofold.offsets import cut, locate
from twofold.progress import reporting
from twofold.settings import Options, options
from twofold.space import SpaceRecord, lowest_cosine, mismatch_message
from twofold.stores.checks import Checked, Given, as_document, check_documents, check_ids, check_metadata, warn_blank
from twofold.stores.drivers import Calls, MaybeAwaitable, done, run
from twofold.stores.faces import aadd_documents, add_documents, aopen_collection, open_collection
from twofold.stores.filtering import among, matches
from twofold.stores.lengths import check_lengths, checking_lengths
from twofold.stores.moving import (
    HOPS,
    MIGRATION,
    MOVED,
    Original,
    moved_to,
    refuse_closed,
    refusing_closed,
    takes_over,
)
from twofold.stores.opened import OpenStore
from twofold.stores.opening import checking, checking_space, opening, stored_record
from twofold.stores.replacing import replacing
from twofold.stores.rows import (
    DIGEST,
    DOCUMENT,
    END,
    OWN_PREFIX,
    ROWS,
    SECTION,
    SOURCE,
    START,
    Held,
    Hit,
    Metadata,
    Row,
    Stored,
    Where,
    digest_of,
)
from twofold.stores.store import Store, store_over
from twofold.stores.threads import ThreadedStore
from twofold.stores.writing import SLICE, Entry, Metadatas, adding, embedding, version, writing
from twofold.vectors import FloatArray

__all__ = [
    "DIGEST",
    "DOCUMENT",
    "END",
    "HOPS",
    "MIGRATION",
    "MOVED",
    "OWN_PREFIX",
    "ROWS",
    "SECTION",
    "SLICE",
    "SOURCE",
    "START",
    "Calls",
    "Checked",
    "Entry",
    "FloatArray",
    "Given",
    "Held",
    "Hit",
    "Key",
    "KeySource",
    "Lookup",
    "MaybeAwaitable",
    "Metadata",
    "Metadatas",
    "Model",
    "OpenStore",
    "Options",
    "Original",
    "Row",
    "Side",
    "SpaceRecord",
    "Span",
    "Store",
    "Stored",
    "ThreadedStore",
    "Where",
    "aadd_documents",
    "add_documents",
    "adding",
    "among",
    "aopen_collection",
    "as_document",
    "as_embedder",
    "cache_key",
    "check_documents",
    "check_ids",
    "check_lengths",
    "check_metadata",
    "check_text",
    "check_texts",
    "checking",
    "checking_lengths",
    "checking_space",
    "cut",
    "digest_of",
    "done",
    "embedding",
    "extra",
    "locate",
    "lowest_cosine",
    "matches",
    "mismatch_message",
    "moved_to",
    "open_collection",
    "opening",
    "option_fields",
    "option_names",
    "options",
    "refuse_closed",
    "refusing_closed",
    "replacing",
    "reporting",
    "run",
    "store_over",
    "stored_record",
    "takes_over",
    "version",
    "warn_blank",
    "writing",
]

Model: TypeAlias = "Any"
"""What every host takes as its model: an `Embedder`, a host's object that holds one, or what makes one."""


def as_embedder(model: Model, **chosen: Any) -> Embedder:
    """The embedder that `model` is or holds, or the one that it makes with the options `chosen`.

    Raises:
        InputError: options for an embedder that is made already, or those that no embedder has.
    """
    made = model if isinstance(model, Embedder) else getattr(model, "embedder", None)
    if not isinstance(made, Embedder):
        return Embedder(model, **chosen)
    given = sorted(name for name, value in chosen.items() if value is not None)
    if given:
        raise InputError(f"{', '.join(given)}: the embedder is made already; give these where it is made")
    return made


def option_names() -> frozenset[str]:
    """The names of an embedder's options, the model's among them."""
    return frozenset(option.name for option in options())


def option_fields() -> dict[str, tuple[Any, Any]]:
    """Each option's type and default (`...` for the model), as `pydantic.create_model` takes fields."""
    return {option.name: (option.hint, ... if option.default is MISSING else option.default) for option in options()}
