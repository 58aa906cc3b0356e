"""`Key`: an API key that is never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, TypeAlias

from twofold.errors import InputError

KeySource: TypeAlias = str | Callable[[], str] | None

WORD_LENGTH = 8
"""A shorter key may be a part of ordinary words."""
_LIKE_KEYS = re.compile(r"(?i:\bbearer\s+\S+|\b(?:sk[-_]|pa-|jina_|hf_)[\w-]{12,})|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")


class Key:
    """An API key: a string, a callable that is called for each request, or an environment variable read when needed.

    Its repr and its pickle do not have the value. A pickle has only the name of the environment variable, so the
    process that receives it reads its own key. A key never changes, so copying it returns it.
    """

    __slots__ = ("_source", "variable")

    def __init__(self, source: KeySource | Key = None, variable: str | None = None) -> None:
        if isinstance(source, Key):
            source = source._source  # noqa: SLF001 - its own class
        unwrap = getattr(source, "get_secret_value", None)  # pydantic's SecretStr, which LangChain users hold
        self._source: str | Callable[[], str] | None = unwrap() if unwrap else source
        self.variable = variable

    @property
    def is_given(self) -> bool:
        """Whether it was passed as an argument, and is thus lost in a pickle."""
        return self._source is not None

    @property
    def is_asked_for(self) -> bool:
        """Whether a callable returns it. The callable may block, fail, or return another key each time."""
        return callable(self._source)

    def reveal(self, variable: str | None = None) -> str | None:
        """The value, for a request's header only; None if there is no key. `variable` is the provider's usual one.

        Raises:
            InputError: the value is not a string, or has a character that a header cannot have.
        """
        value = self._source() if callable(self._source) else self._source
        if value is None and (name := self.variable or variable):
            value = os.environ.get(name)
        if value is None:
            return None
        wrong = _wrong(value)
        if wrong is None:
            return value.strip() or None
        del value  # a traceback may show the local variables of this frame
        raise InputError(wrong)

    def resolved(self, variable: str | None = None) -> Key:
        """The key of one request: it holds the value that is sent.

        Raises:
            InputError: see `reveal`.
        """
        return Key(self.reveal(variable))

    def header(self, name: str, prefix: str) -> dict[str, str]:
        """The header of this resolved key; empty if there is no key."""
        return {name: f"{prefix}{self._source}"} if self._source else {}

    def identity(self, variable: str | None = None) -> str | None:
        """A digest that identifies the account without showing the key. A callable is not called."""
        if self.is_asked_for:
            return f"callable {id(self._source)}"
        return blake2b(value.encode()).hexdigest() if (value := self.reveal(variable)) else None

    def redact(self, text: str) -> str:
        """Remove this resolved key, and everything that looks like a key, from a text that came from outside."""
        key = self._source if isinstance(self._source, str) else ""
        if len(key) >= WORD_LENGTH:
            text = text.replace(key, "***")
        elif key:
            text = re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "***", text)
        return _LIKE_KEYS.sub("***", text)

    def redact_bytes(self, body: bytes) -> bytes:
        """Remove this resolved key from an answer's body, which may be large. A short key is kept: see `redact`."""
        key = self._source.encode() if isinstance(self._source, str) else b""
        return body.replace(key, b"***") if len(key) >= WORD_LENGTH and key in body else body

    def __repr__(self) -> str:
        return f"Key({'given' if self._source else self.variable or 'environment'})"

    def __copy__(self) -> Key:
        return self  # within a process a copy needs the value too

    def __deepcopy__(self, _: Any) -> Key:
        return self

    def __reduce__(self) -> tuple[type[Key], tuple[Any, ...]]:
        return Key, (None, self.variable)


def _wrong(value: Any) -> str | None:
    """What is wrong with a value, in words that do not show it."""
    if not isinstance(value, str):
        return f"api_key returned a value of type {type(value).__name__}, not a string"
    stripped = value.strip()
    if stripped and not (stripped.isascii() and stripped.isprintable() and " " not in stripped):
        return "the key has an invalid character: a space, a line break, or a character outside ASCII"
    return None
