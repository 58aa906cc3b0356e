"""Very long texts are tokenised only as far as needed, and the files' options for the tokenizer are obeyed."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from support.checkpoints import sentence_transformers_files, unigram, wordpiece, write_json
from support.families import byte_level
from twofold import Embedder, InputError
from twofold.local import tokenizer as module
from twofold.local.tokenizer import Tokenizer, needed
from twofold.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.checkpoints import Made

PIECES = [
    *("fog", "Berlin", "harbour", "query:", "a", "e\u0301", "nai\u0308ve", "ﬁ", "\u1100\u1161", "aaaa", "12345", "!!!"),
    *("東京の地下鉄は", "最も", "。", "👩‍👩‍👧", "مرحبا", "\u200f", "Ⅷ", "½", "\u00ad", "don't", "lighthouse"),
    *(" ", "   ", "\n", "\n\n\t", "\u3000", "\xa0", ".", ", ", "x\x00y"),
]
KINDS: dict[str, Callable[[Path], int]] = {
    "wordpiece": wordpiece,
    "unigram": unigram,
    "unigram with leading spaces": lambda folder: unigram(folder, split=False),
    "byte-level": byte_level,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_start_of_a_long_text_has_the_same_tokens(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words, one long word, scripts without spaces, and characters that a normaliser removes."""
    KINDS[kind](tmp_path)
    rust = Tokenizer(tmp_path)._rust
    monkeypatch.setattr(module, "LEAST", 64)
    draw = random.Random(0)
    shortened = 0
    for number in range(80):
        chosen = draw.sample(PIECES, draw.randrange(1, len(PIECES)))
        if number % 4 == 0:
            chosen = [piece for piece in chosen if not any(map(str.isspace, piece))] or ["a"]
        text = "".join(draw.choice(chosen) for _ in range(draw.choice([50, 500, 2000])))
        limit = draw.randrange(2, 80)
        start = needed(rust, text, limit)
        whole, part = rust.encode(text).ids, rust.encode(start).ids
        assert whole[:limit] == part[:limit]
        assert (len(whole) > limit) == (len(part) > limit)
        shortened += len(start) < len(text)
    assert shortened > 20


def test_a_text_of_megabytes_is_not_tokenised_whole(
    embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "The lighthouse keeper counted nine ships before the fog came in. " * 40_000
    seen: list[int] = []
    real = Tokenizer._encode

    def encode(self: Tokenizer, texts: list[str], *, offsets: bool) -> object:
        seen.extend(map(len, texts))
        return real(self, texts, offsets=offsets)

    monkeypatch.setattr(Tokenizer, "_encode", encode)
    cut = embedder("bert", truncate="end")
    short = embedder("bert", truncate="end").embed_documents([text[:20_000]])
    np.testing.assert_array_equal(cut.embed_documents([text]), short)
    assert max(seen) < 30_000
    with pytest.raises(InputError, match=r"text 1 has more than \d+ tokens, the limit is 128"):
        embedder("bert").embed_documents(["fog", text])


def test_lower_case_in_sentence_transformers_file(made: Callable[[str], Made], tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = shutil.copytree(made("xlm-roberta").folder, tmp_path / "lower")
    sentence_transformers_files(folder)
    texts = ["The KEEPER Counted", "BERLIN fog"]
    plain = Embedder(folder, dtype="float32", device="cpu")
    unchanged, digest = plain.embed_documents(texts), plain.space.weights
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 128, "do_lower_case": True})
    lower = Embedder(folder, dtype="float32", device="cpu")
    want = normalize(SentenceTransformer(str(folder), device="cpu").encode(texts))
    np.testing.assert_allclose(lower.embed_documents(texts), want, atol=1e-5)
    assert not np.allclose(unchanged, want, atol=1e-3)
    assert lower.space.weights != digest


def test_a_tokenizer_that_cuts_the_start(made: Callable[[str], Made], tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = shutil.copytree(made("bert").folder, tmp_path / "left")
    sentence_transformers_files(folder, length=24)
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    write_json(folder / "tokenizer_config.json", {**config, "truncation_side": "left"})
    texts = ["nine ships " * 30 + "before the fog came in", "fog"]
    mine = Embedder(folder, dtype="float32", device="cpu", truncate="end").embed_documents(texts)
    want = normalize(SentenceTransformer(str(folder), device="cpu").encode(texts))
    np.testing.assert_allclose(mine, want, atol=1e-5)
    right = Embedder(made("bert").folder, dtype="float32", device="cpu", truncate="end")
    assert not np.allclose(right.embed_documents(texts)[0], mine[0], atol=1e-3)
