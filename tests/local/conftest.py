"""Embedders over the tiny checkpoints that the session shares."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from support.checkpoints import sentence_transformers_files
from twofold import Embedder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.checkpoints import Made


@pytest.fixture
def embedder(made: Callable[[str], Made]) -> Callable[..., Embedder]:
    """Embedders in float32 over a tiny checkpoint."""

    def get(name: str, **options: Any) -> Embedder:
        return Embedder(made(name).folder, **{"dtype": "float32", "device": "cpu", **options})

    return get


@pytest.fixture
def bert_with(made: Callable[[str], Made], tmp_path: Path) -> Callable[..., str]:
    """A BERT with sentence-transformers' files beside it."""

    def get(pooling: str = "mean", length: int = 128, **prompts: str) -> str:
        folder = shutil.copytree(made("bert").folder, tmp_path / "bert", dirs_exist_ok=True)
        sentence_transformers_files(folder, pooling, length, **prompts)
        return str(folder)

    return get
