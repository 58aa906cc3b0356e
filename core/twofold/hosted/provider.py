"""What a provider is, and a model there: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from twofold.cards import find_card
from twofold.errors import InputError
from twofold.models import ModelCard

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING: frozenset[str] = frozenset()
UNKNOWN = ModelCard("", width=1, max_tokens=8192)
"""Of a model that nothing is known of; its server refuses what is too long."""


@dataclass(frozen=True, slots=True)
class HostedModel:
    """A model at a provider.

    Attributes:
        card: the same card as the local model's, where there is one.
        accepts: which of task, dimensions, late, normalize, truncate a request for it may have.
        bare: whether leaving the task out gives the bare model, and not some default task.
        sizes: the only values of `dimensions` that the provider takes; empty where it takes any.
        default: the size that comes where none is said; None is the card's width.
    """

    card: ModelCard
    accepts: frozenset[str] = NOTHING
    bare: bool = True
    sizes: tuple[int, ...] = ()
    default: int | None = None

    def asked_size(self, dimensions: int) -> int | None:
        """The `dimensions` of a request so that at least as many come back; None leaves them out, for all."""
        if "dimensions" not in self.accepts or dimensions == (self.default or self.card.width):
            return None
        return min((size for size in self.sizes if size >= dimensions), default=dimensions)


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A provider's batch API.

    Attributes:
        dialect: the module of `twofold.wires` that it speaks.
        models: those that it takes; empty where it takes all.
        lines, bytes: what one batch may hold.
        first: what the first batch may hold, where it is to show that the vectors are those of single requests.
    """

    dialect: str
    lines: int
    bytes: int
    models: frozenset[str] = NOTHING
    first: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How one provider is reached and spoken to.

    Attributes:
        base_url: its public API; None where every user has an endpoint of their own.
        path: what is added to the base URL; "{model}" in it becomes the model's name, unless `base_url` has it.
        late_path: the same for late-chunked requests, where they go elsewhere.
        carrier: what carries requests there: "http", or boto3 to "sagemaker" or "bedrock".
        key_env: the environment variable in which its users keep the key.
        key_header, key_prefix: the header that the key travels in, and what stands before it there.
        dialect: the module of `twofold.wires` that it speaks.
        late_dialect: the same for late-chunked requests, where it is another.
        models: those known, by the provider's own names.
        unknown: what a request may have for a model that is not in `models`.
        template: the card of a model that is not known at all, but for its name and width: the provider's own tasks.
        encodings: how it can send vectors, the first by default.
        max_items, max_tokens, max_bytes: texts, tokens and bytes in one request.
        late_items, late_tokens: chunks and tokens in a late-chunked one.
        instructs: whether it puts a task's instruction before the text itself.
        unit: whether its public API always gives vectors of unit length.
        aliases: names that it answers with for a model that was asked for by another.
        busy: statuses that are worth another try there, beyond the usual ones.
        counts: whether it refuses a text over the model's length; where it cuts in silence, what may be too long by
            estimate is refused here.
        batch: its batch API, where it has one and it is spoken here.
        apart: rows of the models that are asked in another way: another path, dialect, or limit.
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
        """The row by which `model` is asked for."""
        return next((row for row in self.apart if model in row.models), self)

    def find(self, model: str) -> HostedModel | None:
        """What is known of `model` here; None for one of which only the server knows.

        Raises:
            InputError: no name, or a model whose tasks this provider has no word for.
        """
        if not model:
            raise InputError(f"no model is named: write '{self.name}:<model>'")
        for row in (self, *self.apart):
            if model in row.models:
                return row.models[model]
        card = find_card(model)
        if card is None:
            return None
        if any(task.adapter for task in card.tasks) and "task" not in self.unknown:
            raise InputError(
                f"{card.name} must be told its task, and {self.name!r} has no word for it: for a server of your own "
                "that speaks Jina's API, use 'jina:jina-embeddings-v3' with base_url"
            )
        return HostedModel(card, self.unknown)
