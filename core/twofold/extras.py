"""The one message for a part of a package whose dependency is not installed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from twofold.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def extra(name: str = "", *, package: str = "twofold") -> Iterator[None]:
    """Turn an import that fails inside the block into the command that installs what is missing.

    Args:
        name: the extra; empty where `package` itself brings its host.
        package: the distribution to install: Twofold's, or that of an integration of your own.

    Raises:
        MissingExtra: a distribution of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] == "twofold":
            raise  # our own bug, not the user's environment
        wanted = f"'{package}[{name}]'" if name else package
        raise MissingExtra(f"{missing.name} is not installed: pip install {wanted}", name=missing.name) from missing
