"""The seam between the embedder and what computes: one verb, and how the model string chooses who does it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from twofold.errors import InputError
from twofold.models import find_card

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twofold.documents import Document
    from twofold.hosted.keys import Key
    from twofold.models import ModelCard, Task
    from twofold.settings import Settings
    from twofold.vectors import FloatArray

Report: TypeAlias = "Callable[[int, int], None]"
"""Called as work goes on with the documents and the tokens that are newly done."""


@runtime_checkable
class Backend(Protocol):
    """What computes. It owns its batching; the embedder owns everything that is the same for all of them."""

    @property
    def card(self) -> ModelCard:
        """What the model is."""

    @property
    def weights(self) -> str | None:
        """A digest of the weights, for a local model."""

    @property
    def provider(self) -> str | None:
        """Who serves the model, for a hosted one."""

    def embed(
        self, documents: Sequence[Document], task: Task, dimensions: int, *, report: Report | None = None
    ) -> FloatArray:
        """One vector for each span, in order: shape (n_spans, at least dimensions), float32, not normalised.

        Raises:
            InputError: a text that can not be embedded, before any work, named by its index.
        """

    async def aembed(
        self, documents: Sequence[Document], task: Task, dimensions: int, *, report: Report | None = None
    ) -> FloatArray:
        """The same, without holding up the event loop."""

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The length of each text as the model sees it, instruction and special tokens included."""


def split_model(model: str) -> tuple[str | None, str]:
    """The provider and the model's name in "<provider>:<model>"; no provider for a hub id or a folder.

    Raises:
        InputError: a word before the colon that is neither a provider nor part of a path.
    """
    scheme, colon, name = model.partition(":")
    if not colon or len(scheme) == 1 or "/" in scheme or "\\" in scheme:  # a drive letter, a path
        return None, model
    from twofold.hosted.providers import PROVIDERS  # noqa: PLC0415 - a table that plain local use never needs

    if scheme == FAKE or scheme in PROVIDERS:
        return scheme, name
    if Path(model).exists():
        return None, model
    raise InputError(f"{scheme!r} is no provider that Twofold knows: it has {', '.join(sorted(PROVIDERS))}")


FAKE = "fake"


def known_card(model: str) -> ModelCard | None:
    """The card of a model string that is certain without reading any file, to check options early."""
    provider, name = split_model(model)
    if provider is not None and provider != FAKE:
        from twofold.hosted.providers import hosted_card  # noqa: PLC0415 - a table that plain local use never needs

        return hosted_card(provider, name)
    return find_card(name) if provider is None and not Path(name).exists() else None


def load_backend(settings: Settings, key: Key, http_client: Any = None) -> Backend:
    """Choose who computes, by the model string, and import only that.

    Raises:
        MissingExtra: the extra of that backend is not installed.
        ModelError: a folder or hub id without a usable checkpoint.
    """
    provider, name = split_model(settings.model)
    if provider == FAKE:
        from twofold.testing import FakeBackend  # noqa: PLC0415

        return FakeBackend(name, settings.truncate)
    if provider is not None:
        from twofold.hosted.backend import HostedBackend  # noqa: PLC0415

        return HostedBackend(settings, key, http_client)
    from twofold.local.backend import open_backend  # noqa: PLC0415

    return open_backend(settings)
