"""The length of a text in a hosted model's tokens: exact with the provider's tokenizer, otherwise a bound.

A tokenizer is used if its library is installed and its file is on this machine; nothing is downloaded. Without one, a
text has at most as many tokens as bytes in UTF-8, and at least as many as words: no tokenizer in use merges two words,
or splits a byte. Requests are packed by a number in between, since a request that is too large is split anyway.
"""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from functools import lru_cache
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.models import ModelCard

SPECIAL = 2
"""Special tokens that a tokenizer adds to every input."""
MARK = 1
"""The token that some tokenizers put before the first word."""
TIKTOKEN = dict.fromkeys(("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"), "cl100k_base")
ORGANISATIONS = {"voyage-": "voyageai/", "embed-english-": "Cohere/Cohere-", "embed-multilingual-": "Cohere/Cohere-"}
"""Starts of models' names -> starts of the hub ids of their tokenizers."""


_SPACES = re.compile(r"[ \t\r\n]+")  # other white space may be removed, which joins two words


class Tokenizer(Protocol):
    """One provider's tokenizer."""

    def count(self, texts: Sequence[str], *, special: bool) -> list[int]:
        """The tokens of each text."""

    def cut(self, text: str, tokens: int) -> str:
        """The start of a text that has `tokens` tokens, special tokens included."""


class Counter:
    """Counts tokens for one model. `exact` tells whether it counts with the model's tokenizer."""

    def __init__(self, card: ModelCard) -> None:
        """Look for the model's tokenizer on this machine; nothing is downloaded."""
        self._tokenizer = _tiktoken(TIKTOKEN[card.name]) if card.name in TIKTOKEN else _tokenizer(_hub_id(card.name))
        self.exact = self._tokenizer is not None

    def count(self, texts: Sequence[str], *, special: bool = True) -> list[int]:
        """The tokens of each text: exact, or a bound that is never too low."""
        if self._tokenizer is None:
            return [most_tokens(text) + (SPECIAL + MARK) * special for text in texts]
        return self._tokenizer.count(texts, special=special)

    def weigh(self, texts: Sequence[str], *, special: bool = True) -> list[int]:
        """The tokens of each text: exact, or likely ones, for the sizes of requests."""
        if self._tokenizer is None:
            return [likely_tokens(text) + SPECIAL * special for text in texts]
        return self._tokenizer.count(texts, special=special)

    def cut(self, text: str, tokens: int) -> str:
        """The start of a text that has `tokens` tokens, special tokens included. Requires `exact`."""
        assert self._tokenizer is not None  # noqa: S101 - required
        return self._tokenizer.cut(text, tokens)


def most_tokens(text: str) -> int:
    """As many tokens as any tokenizer can make of a text. Some normalise it before, which may lengthen it."""
    if text.isascii():
        return len(text)
    return max(len(text.encode()), len(unicodedata.normalize("NFKC", text).encode()))


def likely_tokens(text: str) -> int:
    """About as many tokens as usual, rather too many: a third of the ASCII letters, two for any other character."""
    return len(text) // 3 + (0 if text.isascii() else len(text.encode()) - len(text))


def least_tokens(text: str) -> int:
    """As few tokens as any tokenizer can make of a text: its words that have a letter or a digit."""
    return sum(any(map(str.isalnum, word)) for word in _SPACES.split(text))


# -- tokenizers -------------------------------------------------------------------------------------------------------


class _Hub:
    """A tokenizer.json of the hub."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def count(self, texts: Sequence[str], *, special: bool) -> list[int]:
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=special)
        return [len(encoding.ids) for encoding in encodings]

    def cut(self, text: str, tokens: int) -> str:
        encoding = self._tokenizer.encode(text)
        kept = [end for (start, end) in encoding.offsets if end > start][: tokens - SPECIAL]
        return text[: kept[-1]]


class _Tiktoken:
    """OpenAI's tokenizer, which adds no special tokens."""

    def __init__(self, encoding: Any) -> None:
        self._encoding = encoding

    def count(self, texts: Sequence[str], *, special: bool) -> list[int]:
        return [len(ids) for ids in self._encoding.encode_batch(list(texts), disallowed_special=())]

    def cut(self, text: str, tokens: int) -> str:
        ids = self._encoding.encode(text, disallowed_special=())
        if len(ids) <= tokens:
            return text
        starts = self._encoding.decode_with_offsets(ids)[1]
        return text[: starts[tokens]]  # the character in which the next token starts is left out


def _hub_id(name: str) -> str:
    return next((start + name for model, start in ORGANISATIONS.items() if name.startswith(model)), name)


@lru_cache(maxsize=16)
def _tokenizer(name: str) -> Tokenizer | None:
    """The tokenizer of a hub id, from the hub's cache; None if the library or the file is missing."""
    try:
        from tokenizers import Tokenizer as HubTokenizer  # noqa: PLC0415
    except ImportError:
        return None
    path = cached_file(name, "tokenizer.json")
    if path is None:
        return None
    tokenizer = HubTokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return _Hub(tokenizer)


@lru_cache(maxsize=4)
def _tiktoken(name: str) -> Tokenizer | None:
    """An encoding of tiktoken, from tiktoken's cache; None if the library or the file is missing."""
    address = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
    places = (os.environ.get(variable) for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"))
    folder = next((place for place in places if place is not None), str(Path(tempfile.gettempdir(), "data-gym-cache")))
    if not Path(folder, sha1(address.encode()).hexdigest()).is_file():  # noqa: S324 - as tiktoken names the file
        return None
    try:
        import tiktoken  # noqa: PLC0415
    except ImportError:
        return None
    return _Tiktoken(tiktoken.get_encoding(name))


def cached_file(name: str, file: str) -> str | None:
    """The path of a hub id's file in the hub's cache; None if the file or the library is missing."""
    try:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415
    except ImportError:
        return None
    path = try_to_load_from_cache(name, file) if name.count("/") == 1 else None
    return path if isinstance(path, str) else None
