"""`Key`: an API key that can be used and cannot be seen."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, TypeAlias

from twofold.errors import InputError

KeySource: TypeAlias = str | Callable[[], str] | None

WORD_LENGTH = 8
"""Characters of a key below which it may be a part of ordinary words."""
_LIKE_KEYS = re.compile(r"(?i)\bbearer\s+\S+|\b(?:sk|jina|pa|co|hf)[-_][\w-]{12,}")


class Key:
    """An API key: given, asked of a callable for each request, or read from the environment when it is needed.

    It has no value in its repr, and pickles to the environment variable's name alone, so that a process that receives
    it finds its own key. It never changes, so a copy is itself.
    """

    __slots__ = ("_source", "variable")

    def __init__(self, source: KeySource | Key = None, variable: str | None = None) -> None:
        """Hold the key, or the callable that returns it, and the environment variable to fall back to."""
        if isinstance(source, Key):
            source = source._source  # noqa: SLF001 - its own class
        unwrap = getattr(source, "get_secret_value", None)  # pydantic's SecretStr, which LangChain users hold
        self._source: str | Callable[[], str] | None = unwrap() if unwrap else source
        self.variable = variable

    @property
    def is_given(self) -> bool:
        """Whether it was handed over, so that a pickle, which has the variable's name alone, is less than it."""
        return self._source is not None

    @property
    def is_asked_for(self) -> bool:
        """Whether a callable gives it, which may block, fail, and give another each time."""
        return callable(self._source)

    def reveal(self, variable: str | None = None) -> str | None:
        """The key, for a request's header alone; None where there is none. `variable` is the provider's usual one.

        Raises:
            InputError: there is something other than a string, or with a character that no header can carry.
        """
        value = self._source() if callable(self._source) else self._source
        if value is None and (name := self.variable or variable):
            value = os.environ.get(name)
        if value is None:
            return None
        wrong = _wrong(value)
        if wrong is None:
            return value.strip() or None
        del value  # what stands in a frame may be shown with its traceback
        raise InputError(wrong)

    def resolved(self, variable: str | None = None) -> Key:
        """The key of one request: it holds the very value that is sent.

        Raises:
            InputError: see `reveal`.
        """
        return Key(self.reveal(variable))

    def header(self, name: str, prefix: str) -> dict[str, str]:
        """The header that this key, which is resolved, travels in; none where there is no key."""
        return {name: f"{prefix}{self._source}"} if self._source else {}

    def identity(self, variable: str | None = None) -> str | None:
        """What tells its account from others', without showing it; a callable is not asked."""
        if self.is_asked_for:
            return f"callable {id(self._source)}"
        return blake2b(value.encode()).hexdigest() if (value := self.reveal(variable)) else None

    def redact(self, text: str) -> str:
        """Take this key, which is resolved, and what looks like any out of text that came from outside."""
        key = self._source if isinstance(self._source, str) else ""
        if len(key) >= WORD_LENGTH:
            text = text.replace(key, "***")
        elif key:
            text = re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "***", text)
        return _LIKE_KEYS.sub("***", text)

    def __repr__(self) -> str:
        """Say where it comes from."""
        return f"Key({'given' if self._source else self.variable or 'environment'})"

    def __copy__(self) -> Key:
        """Itself: within a process a copy needs the value too."""
        return self

    def __deepcopy__(self, _: Any) -> Key:
        """Itself."""
        return self

    def __reduce__(self) -> tuple[type[Key], tuple[Any, ...]]:
        """Leave the value behind."""
        return Key, (None, self.variable)


def _wrong(value: Any) -> str | None:
    """What makes a value no key, in words that do not show it."""
    if not isinstance(value, str):
        return f"api_key gave a value of type {type(value).__name__}, not a string"
    stripped = value.strip()
    if stripped and not (stripped.isascii() and stripped.isprintable() and " " not in stripped):
        return "the key has a character that no key has: a space, a line break, or one beyond ASCII"
    return None
