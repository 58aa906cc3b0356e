"""The one message for a part of Twofold whose extra is not installed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from twofold.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn an import that fails inside the block into the command that installs the extra `name`.

    Raises:
        MissingExtra: a distribution of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] == "twofold":
            raise  # our own bug, not the user's environment
        message = f"{missing.name} is not installed: pip install 'twofold[{name}]'"
        raise MissingExtra(message, name=missing.name) from missing
