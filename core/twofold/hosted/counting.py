"""How long a text is for a hosted model: counted exactly where its tokenizer is on this machine, else estimated.

The estimate is meant to be over the truth, so that what must stay under a limit does: half a token for each ASCII
letter of a word, one for every other character, two for one beyond Unicode's basic plane, after compatibility forms
are spelled out (NFKC); white space has none. English prose comes to about twice its real count.
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
"""The tokens that a tokenizer puts around every input."""

_WORDS = re.compile(r"[A-Za-z]+")
_OTHERS = re.compile(r"[^A-Za-z\s]")


class Counter:
    """Counts the tokens of texts for one model. `exact` says whether it counts or estimates."""

    def __init__(self, card: ModelCard) -> None:
        """Look for the model's tokenizer in the hub's cache; nothing is fetched."""
        self._tokenizer = _tokenizer(card.name)
        self.exact = self._tokenizer is not None

    def count(self, texts: Sequence[str], *, special: bool = True) -> list[int]:
        """Tokens of each text, those that the tokenizer adds included unless `special` is False."""
        if self._tokenizer is None:
            return [estimate(text) + SPECIAL * special for text in texts]
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=special)
        return [len(encoding.ids) for encoding in encodings]

    def cut(self, text: str, tokens: int) -> str:
        """As much of a text as has `tokens` tokens with those that the tokenizer adds; only where it is exact."""
        encoding = self._tokenizer.encode(text)
        kept = [end for (start, end) in encoding.offsets if end > start][: tokens - SPECIAL]
        return text[: kept[-1]]


def estimate(text: str) -> int:
    """Tokens in `text` for any model, on the high side."""
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    words = sum((len(word) + 1) // 2 for word in _WORDS.findall(text))
    others = _OTHERS.findall(text)
    return words + len(others) + sum(ord(character) > 0xFFFF for character in others)


@lru_cache(maxsize=16)
def _tokenizer(name: str) -> Any:
    """The tokenizer of a hub id, from its cache; None where the libraries or the file are missing."""
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
    """The path of a hub id's file in the hub's cache; None where it, or the library, is missing."""
    try:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415
    except ImportError:
        return None
    path = try_to_load_from_cache(name, file) if name.count("/") == 1 else None
    return path if isinstance(path, str) else None
