"""Each model is checked once per process and weights, when it is loaded; `twofold doctor` reports the result."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from support.families import qwen3_embedding
from twofold import Embedder, ModelError
from twofold.doctor import examine
from twofold.local import backend
from twofold.local.backend import LocalBackend
from twofold.local.verification import SAME_COSINE, TEXTS, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.checkpoints import Made


def test_once_for_the_same_weights_and_tasks(
    embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[tuple[str | None, ...]] = []

    def count(*given: Any) -> Any:
        found = verify(*given)
        checked.append(found.sides)
        return found

    monkeypatch.setattr(backend, "verify", count)
    backend.unload()
    for options in ({}, {}, {"dimensions": 32}, {"query_task": "separation"}):
        embedder("jina-v3", **options).embed_query("fog")
    assert checked == [("retrieval.query", "retrieval.passage"), ("separation", "retrieval.passage")]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("name", ["bert", "jina-v2", "jina-v3"])
def test_sound_models_pass_in_every_precision(embedder: Callable[..., Embedder], name: str, dtype: str) -> None:
    model = embedder(name, dtype=dtype)
    assert isinstance(model.backend, LocalBackend)
    assert SAME_COSINE[dtype] <= model.backend.verified.cosine <= 1 + 1e-6


def test_weights_that_are_not_finite_are_refused_and_the_doctor_says_why(
    made: Callable[[str], Made], tmp_path: Path
) -> None:
    folder = shutil.copytree(made("bert").folder, tmp_path / "nan")
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.1.output.dense.bias"][0] = float("nan")
    save_file(tensors, folder / "model.safetensors")
    model = Embedder(folder, dtype="float32", device="cpu")
    with pytest.raises(ModelError, match=r"bert-3x48 computes vectors that are not finite or are zero, without a task"):
        model.embed_query("fog")
    last = list(examine(model, []))[-1]
    assert (last.name, last.ok) == ("weights", False)
    assert "not finite" in last.detail


def test_a_text_that_depends_on_its_neighbours_is_refused(
    embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalBackend._run

    def mixed(self: LocalBackend, loaded: Any, group: Any, adapter: str | None) -> Any:
        return np.roll(real(self, loaded, group, adapter), len(group), axis=1)

    backend.unload()
    monkeypatch.setattr(LocalBackend, "_run", mixed)
    with pytest.raises(ModelError, match=r"a text different vectors alone and in a batch.*expected at least 0.99"):
        embedder("bert").embed_query("fog")


def test_the_doctor_reports_it_for_both_engines(embedder: Callable[..., Embedder], tmp_path: Path) -> None:
    qwen3_embedding(tmp_path)
    for model, tasks in (
        (embedder("jina-v3"), "retrieval.query, retrieval.passage"),
        (Embedder(tmp_path, dtype="float32", device="cpu", truncate="end"), "query, the bare model"),
    ):
        findings = list(examine(model, []))
        (finding,) = (one for one in findings if one.name == "alone and in a batch")
        assert finding.ok
        assert finding.detail.startswith(f"{tasks}: the lowest cosine is ")
        assert not [one for one in findings if one.ok is False]
    assert len(set(map(len, TEXTS))) == 2  # so that a batch of both has padding where an engine pads
