"""A checkpoint's tokenizer. Turns texts into token counts, and documents into sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import BertWordPieceTokenizer
from tokenizers import Tokenizer as Rust

from twofold.documents import BLANK
from twofold.errors import ModelError
from twofold.local.files.card import BERT_VOCABULARY, tokenizer_file
from twofold.local.files.weights import read_json
from twofold.local.windows import SpansOverTokens, whole_sequence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from twofold.documents import Document
    from twofold.local.windows import Limits, TokenSequence
    from twofold.models import Task

SLICE = 4096
"""The number of texts that are counted at once. The library's output takes far more memory than the texts."""


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

    def count(self, texts: Sequence[str], task: Task) -> list[int]:
        """The number of tokens of each text, with instruction and special tokens."""
        counts: list[int] = []
        for start in range(0, len(texts), SLICE):
            part = [task.prefix + text for text in texts[start : start + SLICE]]
            counts += [len(encoding.ids) for encoding in self._rust.encode_batch_fast(part)]
        return counts

    def sequences(
        self, documents: Sequence[Document], task: Task, limits: Limits, first: int = 0
    ) -> list[TokenSequence]:
        """Each document as one sequence, or as several windows if it is long and has spans; in order.

        `first` is the index of the first document in the caller's list. The rows of the result start at 0.

        Raises:
            InputError: a text exceeds the limit, or a span is longer than a window. It has the document's index.
        """
        texts = [task.prefix + document.text for document in documents]
        if all(document.is_whole for document in documents):
            encodings = self._rust.encode_batch_fast(texts)  # faster, as it computes no offsets
        else:
            encodings = self._rust.encode_batch(texts)
        found: list[TokenSequence] = []
        target = 0
        for index, (document, encoded) in enumerate(zip(documents, encodings, strict=True), first):
            encoding = encoded if encoded.ids else self._rust.encode(task.prefix + BLANK)
            if document.is_whole:
                found.append(whole_sequence(index, target, encoding, limits))
            else:
                found += SpansOverTokens(index, document, encoding, len(task.prefix), limits).sequences(target)
            target += len(document.spans)
        return found


def _wordpiece(vocabulary: Path) -> Rust:
    lower = read_json(vocabulary.with_name("tokenizer_config.json")).get("do_lower_case", True)
    built: Rust = BertWordPieceTokenizer(str(vocabulary), lowercase=lower)._tokenizer  # noqa: SLF001 - the tokenizer inside the wrapper
    return built
