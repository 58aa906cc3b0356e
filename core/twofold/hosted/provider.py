"""Providers and their models as plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from math import inf
from typing import TYPE_CHECKING

from twofold.cards import find_card
from twofold.errors import InputError
from twofold.models import ModelCard

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING: frozenset[str] = frozenset()
UNKNOWN = ModelCard("", width=1, max_tokens=8192)
"""The card of an unknown model. Its server refuses texts that are too long."""


@dataclass(frozen=True, slots=True)
class HostedModel:
    """A model at a provider.

    Attributes:
        card: the model's card, shared with the local engine.
        accepts: which of task, dimensions, late, normalize and truncate a request may have.
        bare: whether a request without a task uses the bare model, not a default task.
        sizes: the only values of `dimensions` that the provider accepts; empty if it accepts any.
        default: the width of the vectors if a request has no `dimensions`; None is the card's width.
    """

    card: ModelCard
    accepts: frozenset[str] = NOTHING
    bare: bool = True
    sizes: tuple[int, ...] = ()
    default: int | None = None

    def asked_size(self, dimensions: int) -> int | None:
        """The `dimensions` of a request that returns at least as many; None if the request needs no `dimensions`."""
        if "dimensions" not in self.accepts or dimensions == (self.default or self.card.width):
            return None
        return min((size for size in self.sizes if size >= dimensions), default=dimensions)


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A provider's batch API.

    Attributes:
        dialect: its module in `twofold.wires`.
        models: the models that it accepts; empty if it accepts all.
        lines, bytes: the limits of one batch.
        first: the lines of a first batch that shows whether its vectors equal those of single requests; None if no
            such batch is needed.
    """

    dialect: str
    lines: int
    bytes: int
    models: frozenset[str] = NOTHING
    first: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider: its address, key, dialect, models and limits.

    Attributes:
        name: its name in a model string.
        base_url: its public API; None if every user has their own endpoint.
        path: appended to the base URL. "{model}" becomes the model's name, unless `base_url` has it already.
        late_path: the path of late-chunked requests, if it differs.
        carrier: how requests are sent: "http", or boto3 for "sagemaker" and "bedrock".
        key_env: the usual environment variable of its key.
        key_header, key_prefix: the header that holds the key, and what precedes the key there.
        dialect: its module in `twofold.wires`.
        late_dialect: the module for late-chunked requests, if it differs.
        models: the known models, by the provider's names.
        unknown: what `accepts` is for a model that is not in `models`.
        template: the card of an unknown model, with the provider's tasks but without name and width.
        encodings: the encodings of vectors that it supports; the first is the default.
        max_items, max_tokens, max_bytes: texts, tokens and bytes in one request.
        late_items, late_tokens: chunks and tokens in a late-chunked request.
        instructs: whether the provider itself puts the task's instruction before each text.
        unit: whether its public API always returns vectors of unit length.
        aliases: model names in answers -> the names in requests.
        busy: statuses that are retried in addition to the usual ones.
        counts: whether it refuses a text over the model's length. If it cuts silently instead, a text that is too long
            by estimate is refused here.
        batch: its batch API, if it is supported.
        apart: rows of models that need another path, dialect or limit.
    """

    name: str
    base_url: str | None
    path: str = ""
    late_path: str = ""
    carrier: str = "http"
    key_env: str
    key_header: str = "authorization"
    key_prefix: str = "Bearer "
    dialect: str
    late_dialect: str = ""
    models: Mapping[str, HostedModel] = field(default_factory=dict)
    unknown: frozenset[str] = NOTHING
    template: ModelCard = UNKNOWN
    encodings: tuple[str, ...] = ("base64", "float")
    max_items: int = 512
    max_tokens: int = 65_536
    max_bytes: float = inf
    late_items: int = 512
    late_tokens: int = 8192
    instructs: bool = True
    unit: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    busy: frozenset[int] = frozenset()
    counts: bool = True
    batch: BatchRow | None = None
    apart: tuple[Provider, ...] = ()

    def row_of(self, model: str) -> Provider:
        """The row for `model`: one of `apart`, or this one."""
        return next((row for row in self.apart if model in row.models), self)

    def check_spelling(self, model: str) -> None:
        """Reject a name that is almost that of a known model. Another version or date is a new model.

        Raises:
            InputError: the message has the known name.
        """
        for known in (name for row in (self, *self.apart) for name in row.models):
            if _is_misspelt(model, known):
                raise InputError(f"{self.name} has no model {model!r}: did you mean {known!r}?")

    def find(self, model: str) -> HostedModel | None:
        """What is known about `model` at this provider; None if it is unknown.

        Raises:
            InputError: the name is empty, or the provider cannot be told the model's task.
        """
        if not model:
            raise InputError(f"the model's name is missing: write '{self.name}:<model>'")
        for row in (self, *self.apart):
            if model in row.models:
                return row.models[model]
        card = find_card(model)
        if card is None:
            return None
        if any(task.adapter for task in card.tasks) and "task" not in self.unknown:
            raise InputError(
                f"{card.name} must be told its task, which {self.name!r} does not support: for your own server "
                "with Jina's API, use 'jina:jina-embeddings-v3' with base_url"
            )
        return HostedModel(card, self.unknown)


def _is_misspelt(model: str, known: str) -> bool:
    """Whether two names differ in punctuation or case only, or in a few letters while all numbers are the same."""
    if model == known:
        return False
    letters, known_letters = (re.findall(r"[a-z]+", name.casefold()) for name in (model, known))
    if re.findall(r"\d+", model) != re.findall(r"\d+", known):
        return False
    ratio = SequenceMatcher(None, "".join(letters), "".join(known_letters)).ratio()
    return ratio >= 0.9 and (len(letters) == len(known_letters) or ratio == 1)
