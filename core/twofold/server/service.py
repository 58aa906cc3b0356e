"""The state that all routes of an application share: models, keys, limits and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from twofold.embedder import Embedder
from twofold.errors import InputError
from twofold.resolve import split_model
from twofold.server.bodies import Bodies
from twofold.server.guard import Guard
from twofold.server.limits import Limits
from twofold.server.metrics import Metrics
from twofold.server.refusal import Refusal
from twofold.server.served import Served

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Embedders: TypeAlias = "Embedder | Sequence[Embedder] | Mapping[str, Embedder]"


class Service:
    """The models, keys, limits and metrics of an application.

    Raises:
        InputError: there is no embedder, two embedders have the same name, or a key is invalid.
    """

    def __init__(
        self,
        embedders: Embedders,
        api_keys: Iterable[str],
        limits: Limits | None,
        origins: Iterable[str] = (),
        hosts: Iterable[str] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.guard, self.metrics = Guard(api_keys, origins, hosts), Metrics()
        self.bodies = Bodies(self.limits)
        self.models: list[Served] = []
        for name, embedder in _named(embedders):
            self._add(name, embedder)
        if not self.models:
            raise InputError("there is nothing to serve: give at least one embedder")

    def _add(self, name: str, embedder: Embedder) -> None:
        if self._called(name):
            raise InputError(f"two models are called {name!r}: give each a different name")
        self.models.append(Served(embedder, name, self.limits, self.metrics))

    async def find(self, name: str) -> Served:
        """Return the loaded model with this name, or the first one if the name is empty.

        Raises:
            Refusal: the model is unknown.
            TwofoldError: the model cannot be loaded.
        """
        served = self._called(name) if name else self.models[0]
        if served is None and not self.ready:  # a checkpoint's own name is only known once it is loaded
            await asyncio.gather(*(one.loaded() for one in self.models))
            served = self._called(name)
        if served is None:
            raise self._no_model(name)
        if not served.ready:
            await served.loaded()
        return served

    def named(self, name: str) -> Served:
        """The model with this name, loaded or not; the first one if the name is empty.

        Raises:
            Refusal: the model is unknown.
        """
        served = self._called(name) if name else self.models[0]
        if served is None:
            raise self._no_model(name)
        return served

    def _no_model(self, name: str) -> Refusal:
        known = ", ".join(one.name for one in self.models)
        return Refusal(404, f"there is no model {name[:80]!r} here; the models are: {known}", "model")

    def _called(self, name: str) -> Served | None:
        """Find a model by its served name, or else by its checkpoint's name."""
        own = (served for served in self.models if name == served.name)
        return next(own, None) or next((served for served in self.models if name in served.names), None)

    async def start(self) -> None:
        """Start loading all models. Requests wait until their model is loaded."""
        for served in self.models:
            served.start()

    async def stop(self) -> None:
        await asyncio.gather(*(served.stop() for served in self.models))

    @property
    def failure(self) -> Exception | None:
        """The first error that loading a model raised, or None."""
        return next((served.failure for served in self.models if served.failure is not None), None)

    @property
    def ready(self) -> bool:
        """Whether all models are loaded."""
        return all(served.ready for served in self.models)


def _named(embedders: Embedders) -> Iterable[tuple[str, Embedder]]:
    if isinstance(embedders, Mapping):
        return embedders.items()
    several = [embedders] if isinstance(embedders, Embedder) else embedders
    return [(name_of(embedder.settings.model), embedder) for embedder in several]


def name_of(model: str) -> str:
    """The last part of a model string, so that a name never shows a path of this machine."""
    provider, name = split_model(model)
    return Path(name).name or provider or "model"
