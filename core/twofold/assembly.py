"""How an embedder is put together: its options, the backend that they choose, and what follows from both."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

from twofold.arguments import Arguments, takes
from twofold.backend import CALLER
from twofold.errors import InputError
from twofold.keys import Key
from twofold.models import warn_untrained
from twofold.resolve import known_card, load_backend
from twofold.settings import Settings, check_names
from twofold.space import Space

if TYPE_CHECKING:
    import os

    from twofold.backend import Backend
    from twofold.keys import KeySource
    from twofold.models import ModelCard, Task


class Assembled:
    """What an `Embedder` is, before it embeds."""

    @takes(Arguments)
    def __init__(
        self, model: str | os.PathLike[str], *, api_key: KeySource = None, http_client: Any = None, **options: Any
    ) -> None:
        """Check the options; touch neither a weight nor the network."""
        key = Key(api_key)
        del api_key  # what stands in a frame may be shown with its traceback
        check_names(options)
        self.settings = Settings(model, **options)  # type: ignore[arg-type] # a path becomes a string
        self._key = key.under(self.settings.api_key_env)
        self._http_client = http_client
        self._loading = threading.Lock()
        self._backend: Backend | None = None
        if (card := known_card(self.settings.model)) is not None:
            self._check_options(card)

    @classmethod
    def from_settings(cls, settings: Settings, *, api_key: KeySource = None, http_client: Any = None) -> Self:
        """The embedder that `settings` describe: how adapters and stored configurations make one."""
        return cls(**asdict(settings), api_key=api_key, http_client=http_client)

    def with_options(self, **options: Any) -> Self:
        """Another embedder, with these options in place of its own; its key and its client stay.

        Raises:
            InputError: see `Embedder`.
        """
        other = type(self)(**{**asdict(self.settings), **options}, http_client=self._http_client)
        other._key = self._key.under(other.settings.api_key_env)  # noqa: SLF001 - of its own class
        return other

    def check_travels(self) -> None:
        """Refuse an embedder that another machine could not make from its pickle.

        Raises:
            InputError: its key or its client was handed over, and stays in this process.
        """
        if self._key.is_given:
            raise InputError(
                "a key that is passed as api_key stays in its process: set the provider's environment variable, or "
                "that of api_key_env, on every machine"
            )
        if self._http_client is not None:
            raise InputError("an http_client stays in its process: other machines cannot use it")

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def backend(self) -> Backend:
        """What computes; made at the first use."""
        if self._backend is None:
            with self._loading:
                if self._backend is None:
                    backend = load_backend(self.settings, self._key, self._http_client)
                    self._check_options(backend.card)
                    self._backend = backend
        return self._backend

    @property
    def card(self) -> ModelCard:
        """The model's card: width, length, tasks, licence."""
        return self.backend.card

    @property
    def dimensions(self) -> int:
        """The size of the vectors."""
        return self.card.check_dimensions(self.settings.dimensions)

    @property
    def query_task(self) -> Task:
        """How queries go in."""
        return self._side("query", self.settings.query_task, self.settings.query_instruction)

    @property
    def document_task(self) -> Task:
        """How documents go in."""
        return self._side("document", self.settings.document_task, self.settings.document_instruction)

    @cached_property
    def space(self) -> Space:
        """What these vectors are; see `Space`. Reads the weights' files once to digest them."""
        card, settings = self.card, self.settings
        return Space(
            model=card.name,
            weights=self.backend.weights_digest,
            provider=self.backend.provider,
            query_task=self.query_task.name,
            query_prefix=self.query_task.prefix,
            document_task=self.document_task.name,
            document_prefix=self.document_task.prefix,
            dimensions=self.dimensions,
            width=card.width,
            pooling=card.pooling,
            normalized=settings.normalize,
            quantisation="binary" if settings.encoding in {"binary", "ubinary"} else None,
        )

    # -- inside -------------------------------------------------------------------------------------------------------

    def _side(self, side: Literal["query", "document"], chosen: str | None, instruction: str | None) -> Task:
        task = self.card.side(side, chosen)
        return task if instruction is None else replace(task, prefix=instruction)

    async def _loaded(self) -> Self:
        """Make the backend, which may read files or ask a hub, where it does not hold up the event loop."""
        return self if self._backend is not None else await self._off_the_loop("backend")

    async def _ready(self) -> Self:
        """The same for the space, which digests the weights' files."""
        return await self._off_the_loop("space")

    async def _off_the_loop(self, name: str) -> Self:
        before = CALLER.set(asyncio.get_running_loop())
        try:
            await asyncio.to_thread(getattr, self, name)
        finally:
            CALLER.reset(before)
        return self

    def _check_options(self, card: ModelCard) -> None:
        dimensions = card.check_dimensions(self.settings.dimensions)
        card.side("query", self.settings.query_task)
        card.side("document", self.settings.document_task)
        card.late_policy(self.settings.late_window, self.settings.late_overlap)
        if dimensions != card.width and dimensions not in card.matryoshka:
            warn_untrained(card, dimensions)

    def __copy__(self) -> Self:
        """Itself: it never changes, and a copy needs the key too."""
        return self

    def __deepcopy__(self, _: Any) -> Self:
        """Itself."""
        return self

    def __repr__(self) -> str:
        """The settings that were given, and nothing secret."""
        if not hasattr(self, "settings"):  # its options were refused, and a traceback shows what there is
            return f"{type(self).__name__}(…)"
        given = self.settings.to_dict()
        options = "".join(f", {name}={value!r}" for name, value in given.items() if name != "model")
        return f"{type(self).__name__}({self.settings.model!r}{options})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle to the settings: neither weights, nor a client, nor a key."""
        return type(self).from_settings, (self.settings,)
