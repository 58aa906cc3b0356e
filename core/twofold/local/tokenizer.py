"""A checkpoint's tokenizer. Turns texts into token counts, and documents into sequences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tokenizers import BertWordPieceTokenizer, normalizers
from tokenizers import Tokenizer as Rust
from tokenizers.models import WordPiece

from twofold.documents import BLANK
from twofold.errors import ModelError
from twofold.local.files.card import BERT_VOCABULARY, reads_lower, tokenizer_file
from twofold.local.files.weights import read_json
from twofold.local.windows import SpansOverTokens, whole_sequence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokenizers import Encoding

    from twofold.documents import Document
    from twofold.local.windows import Limits, TokenSequence
    from twofold.models import Task

SLICE = 4096
"""The number of texts that are counted at once. The library's output takes far more memory than the texts."""
FAR = 8
"""Characters per token of the limit. Longer texts are tokenised only as far as needed."""
SHORT = 2**16
"""A text of up to this many characters is always tokenised whole, so that an error can state its number of tokens."""

LEAST = 1024
"""Characters of the first start that is tried."""


class Tokenizer:
    """A checkpoint's own tokenizer, with padding and truncation switched off."""

    def __init__(self, folder: Path) -> None:
        """Read `tokenizer.json`, or build BERT's tokenizer from `vocab.txt`.

        Raises:
            ModelError: both are missing, or the file cannot be read.
        """
        file = tokenizer_file(folder)
        try:
            self._rust = _wordpiece(file) if file.name == BERT_VOCABULARY else Rust.from_file(str(file))
        except Exception as error:  # noqa: BLE001 - the library raises plain exceptions
            raise ModelError(f"{folder} has a tokenizer that cannot be read: {error}") from None
        self._rust.no_padding()
        self._rust.no_truncation()
        if reads_lower(folder):
            self._rust.normalizer = _lower(self._rust)
        side = read_json(folder / "tokenizer_config.json").get("truncation_side")
        self._cuts_start = side == "left"

    def count(self, texts: Sequence[str], task: Task) -> list[int]:
        """The number of tokens of each text, with instruction and special tokens."""
        counts: list[int] = []
        for start in range(0, len(texts), SLICE):
            part = [task.prefix + text for text in texts[start : start + SLICE]]
            counts += [len(encoding.ids) for encoding in self._rust.encode_batch_fast(part)]
        return counts

    def _encode(self, texts: list[str], *, offsets: bool) -> list[Encoding]:
        return (self._rust.encode_batch if offsets else self._rust.encode_batch_fast)(texts)  # faster without offsets

    def sequences(
        self, documents: Sequence[Document], task: Task, limits: Limits, first: int = 0
    ) -> list[TokenSequence]:
        """Each document as one sequence, or as several windows if it is long and has spans; in order.

        `first` is the index of the first document in the caller's list. The rows of the result start at 0.

        Raises:
            InputError: a text exceeds the limit, or a span is longer than a window. It has the document's index.
        """
        texts = [task.prefix + document.text for document in documents]
        if not self._cuts_start:  # such tokenizers are rare: their texts are tokenised whole
            texts = [
                needed(self._rust, text, limits.tokens) if document.is_whole and is_far(text, limits.tokens) else text
                for document, text in zip(documents, texts, strict=True)
            ]
        encodings = self._encode(texts, offsets=not all(document.is_whole for document in documents))
        found: list[TokenSequence] = []
        target = 0
        for index, (document, text, encoded) in enumerate(zip(documents, texts, encodings, strict=True), first):
            encoding = encoded if encoded.ids else self._rust.encode(task.prefix + BLANK)
            if document.is_whole:
                is_part = len(text) < len(task.prefix) + len(document.text)
                cuts = {"cuts_start": self._cuts_start, "is_part": is_part}
                found.append(whole_sequence(index, target, encoding, limits, **cuts))
            else:
                found += SpansOverTokens(index, document, encoding, len(task.prefix), limits).sequences(target)
            target += len(document.spans)
        return found


def _lower(rust: Rust) -> normalizers.Normalizer:
    return normalizers.Sequence([normalizers.Lowercase(), *([rust.normalizer] if rust.normalizer is not None else [])])


def is_far(text: str, limit: int) -> bool:
    """Whether a text is so far over `limit` tokens that only a part of it is tokenised."""
    return len(text) > max(SHORT, FAR * limit)


def needed(rust: Rust, text: str, limit: int) -> str:
    """The start of a text that has the same first `limit` tokens as the whole text, or the whole text.

    Tokens near a cut may differ from those of the whole text. So the start is doubled until it has more than `limit`
    tokens, and twice as much of it begins with the same ones. Both are cut between words where there are any.
    """
    longest = getattr(rust.model, "max_input_chars_per_word", 0)  # a longer word is a single unknown token
    size, before = max(LEAST, FAR // 2 * limit, FAR * longest), None
    while size < len(text):
        place = _between_words(text, size)
        start = text[: place or size]
        ids = rust.encode(start).ids
        is_long = len(ids) > limit and (place is not None or _is_solid(rust, start[size // 2 :]))
        if is_long and before is not None and ids[:limit] == before[:limit]:
            return start
        before = ids if is_long else None
        size *= 2
    return text


def _between_words(text: str, size: int) -> int | None:
    """The last place up to `size` where a space follows a word, or None if the second half has no such place."""
    places = re.finditer(r"(?<=\S)\s", text[size // 2 : size])
    return max((size // 2 + place.start() for place in places), default=None)


def _is_solid(rust: Rust, part: str) -> bool:
    """Whether the normaliser keeps most characters of a part, so that a long word stays long."""
    return rust.normalizer is None or 2 * len(rust.normalizer.normalize_str(part)) > len(part)


def _wordpiece(vocabulary: Path) -> Rust:
    lower = read_json(vocabulary.with_name("tokenizer_config.json")).get("do_lower_case", True)
    built: Rust = BertWordPieceTokenizer(WordPiece.read_file(str(vocabulary)), lowercase=lower)._tokenizer  # noqa: SLF001 - the tokenizer inside the wrapper
    return built
