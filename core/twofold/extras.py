"""The error message for a missing optional dependency."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from twofold.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def extra(name: str = "", *, package: str = "twofold") -> Iterator[None]:
    """Turn an import that fails inside the block into an error with the command that installs what is missing.

    Args:
        name: the extra; empty if `package` itself depends on its host.
        package: the distribution to install: Twofold's, or that of another integration.

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
