"""`Key`: an API key that can be used and cannot be seen."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias

from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

KeySource: TypeAlias = "str | Callable[[], str] | None"


class Key:
    """An API key: given, asked of a callable for each request, or read from the environment when it is needed.

    It has no value in its repr, and pickles and copies to the environment variable's name alone, so that a process
    that receives it finds its own key.
    """

    __slots__ = ("_source", "variable")

    def __init__(self, source: KeySource = None, variable: str | None = None) -> None:
        """Hold the key, or what gives it, and the environment variable to fall back to."""
        unwrap = getattr(source, "get_secret_value", None)  # pydantic's SecretStr, which LangChain users hold
        self._source: str | Callable[[], str] | None = unwrap() if unwrap else source
        self.variable = variable

    def under(self, variable: str | None) -> Key:
        """The same key, with another environment variable to fall back to."""
        return Key(self._source, variable)

    def reveal(self, variable: str | None = None) -> str | None:
        """The key, for a request's header alone; None where there is none. `variable` is the provider's usual one.

        Raises:
            InputError: the callable gave something other than a string.
        """
        value = self._source() if callable(self._source) else self._source
        if value is None and (name := self.variable or variable):
            value = os.environ.get(name)
        if value is not None and not isinstance(value, str):
            raise InputError(f"api_key gave a value of type {type(value).__name__}, not a string")
        return value.strip() or None if value else None

    def __repr__(self) -> str:
        """Say where it comes from."""
        return f"Key({'given' if self._source else self.variable or 'environment'})"

    def __reduce__(self) -> tuple[type[Key], tuple[Any, ...]]:
        """Leave the value behind."""
        return Key, (None, self.variable)
