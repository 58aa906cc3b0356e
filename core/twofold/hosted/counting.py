"""The length of a text in a hosted model's tokens: exact if its tokenizer is on this machine, otherwise estimated.

The estimate is meant to be higher than the real count, so that a text under the estimated limit is under the real one.
After NFKC normalisation it counts half a token for each ASCII letter of a word, two tokens for a character beyond
Unicode's basic plane, one for any other character, and none for white space. For English prose it is about twice the
real count.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.models import ModelCard

SPECIAL = 2
"""Special tokens that a tokenizer adds to every input."""

_WORDS = re.compile(r"[A-Za-z]+")
_OTHERS = re.compile(r"[^A-Za-z\s]")


class Counter:
    """Counts tokens for one model. `exact` tells whether it counts or estimates."""

    def __init__(self, card: ModelCard) -> None:
        """Look for the model's tokenizer in the hub's cache; nothing is downloaded."""
        self._tokenizer = _tokenizer(card.name)
        self.exact = self._tokenizer is not None

    def count(self, texts: Sequence[str], *, special: bool = True) -> list[int]:
        """The tokens of each text, with special tokens unless `special` is False."""
        if self._tokenizer is None:
            return [estimate(text) + SPECIAL * special for text in texts]
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=special)
        return [len(encoding.ids) for encoding in encodings]

    def cut(self, text: str, tokens: int) -> str:
        """The start of a text that has `tokens` tokens, special tokens included. Requires `exact`."""
        encoding = self._tokenizer.encode(text)
        kept = [end for (start, end) in encoding.offsets if end > start][: tokens - SPECIAL]
        return text[: kept[-1]]


def estimate(text: str) -> int:
    """A high estimate of the tokens of `text`, for any model."""
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    words = sum((len(word) + 1) // 2 for word in _WORDS.findall(text))
    others = _OTHERS.findall(text)
    return words + len(others) + sum(ord(character) > 0xFFFF for character in others)


@lru_cache(maxsize=16)
def _tokenizer(name: str) -> Any:
    """The tokenizer of a hub id, from the hub's cache; None if the library or the file is missing."""
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415
    except ImportError:
        return None
    path = cached_file(name, "tokenizer.json")
    if path is None:
        return None
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def cached_file(name: str, file: str) -> str | None:
    """The path of a hub id's file in the hub's cache; None if the file or the library is missing."""
    try:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415
    except ImportError:
        return None
    path = try_to_load_from_cache(name, file) if name.count("/") == 1 else None
    return path if isinstance(path, str) else None
