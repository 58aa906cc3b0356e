"""Chooses the backend from the model string, and finds a model's card before any file is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.cards import find_card
from twofold.errors import InputError

if TYPE_CHECKING:
    from twofold.backend import Backend
    from twofold.keys import Key
    from twofold.models import ModelCard
    from twofold.settings import Settings

FAKE = "fake"


def split_model(model: str) -> tuple[str | None, str]:
    """The provider and the model's name in "<provider>:<model>". The provider is None for a hub id or a folder.

    Raises:
        InputError: the word before the colon is neither a provider nor part of a path.
    """
    scheme, colon, name = model.partition(":")
    if not colon or len(scheme) == 1 or "/" in scheme or "\\" in scheme:  # a drive letter, a path
        return None, model
    from twofold.hosted.providers import PROVIDERS  # noqa: PLC0415 - a table that plain local use never needs

    if scheme == FAKE or scheme in PROVIDERS:
        return scheme, name
    if Path(model).exists():
        return None, model
    raise InputError(f"unknown provider {scheme!r}: choose one of {', '.join(sorted(PROVIDERS))}")


def known_card(model: str) -> ModelCard | None:
    """The card of a model, if it is known without reading a file. Used to check options early."""
    provider, name = split_model(model)
    if provider is not None and provider != FAKE:
        from twofold.hosted.providers import hosted_card  # noqa: PLC0415 - a table that plain local use never needs

        return hosted_card(provider, name)
    return find_card(name) if provider is None and not Path(name).exists() else None


def load_backend(settings: Settings, key: Key, http_client: Any = None) -> Backend:
    """Create the backend of the model string. Only that backend is imported.

    Raises:
        MissingExtra: the extra of that backend is not installed.
        ModelError: the folder or hub id has no usable checkpoint.
    """
    provider, name = split_model(settings.model)
    if provider == FAKE:
        from twofold.fake import FakeBackend  # noqa: PLC0415

        return FakeBackend(name)
    if provider is not None:
        from twofold.hosted.backend import HostedBackend  # noqa: PLC0415

        return HostedBackend(settings, key, http_client)
    from twofold.local.opening import open_backend  # noqa: PLC0415

    return open_backend(settings)
