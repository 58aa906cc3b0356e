"""`twofold migrate` and `twofold tune`, step by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cli.conftest import Run

NEW = ("--model", "fake:")


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes while these cut over."""
    monkeypatch.setattr("twofold.jobs.migration.moving.GRACE", 0.0)


def test_step_by_step(twofold: Run, notes: tuple[str, ...]) -> None:
    code, out, _ = twofold("migrate", "plan", "notes", *notes, *NEW, "--json")
    plan = json.loads(out)
    assert (code, plan["rows"], plan["proofs"][0]["agreeing"]) == (0, 4, 4)
    said = twofold("migrate", "plan", "notes", *notes, *NEW, "--no-trial")[1]
    assert "4 rows of 4 documents" in said
    assert "proved: fake-32d" in said
    assert "advice: vectors will be larger: 64 dimensions instead of 32" in said
    code, out, _ = twofold("migrate", "apply", "notes", *notes, *NEW)
    assert (code, out.partition(",")[0]) == (0, "4 rows embedded (26 tokens)")
    questions = Path("questions.jsonl")
    questions.write_text('{"text": "boats in the harbour", "answers": ["boats"]}\n')
    code, out, _ = twofold("migrate", "verify", "notes", *notes, *NEW, "--questions", str(questions))
    assert (code, out.splitlines()[-1]) == (0, "GO")
    assert "nDCG@10 1.000 (before 1.000" in out
    assert twofold("migrate", "cutover", "notes", *notes, *NEW)[0] == 0
    assert json.loads(twofold("search", "ships", "--collection", "notes", *notes, "--json")[1].splitlines()[0])
    assert "served from the old" in twofold("migrate", "rollback", "notes", *notes)[1]
    code, _, err = twofold("migrate", "cutover", "notes", *notes, *NEW)
    assert (code, "was not verified" in err) == (1, True)
    assert json.loads(twofold("migrate", "verify", "notes", *notes, *NEW, "--json")[1])["go"]
    assert json.loads(twofold("migrate", "cutover", "notes", *notes, *NEW, "--json")[1])["unchanged"] == 4
    code, _, err = twofold("migrate", "prune", "notes", *notes)
    assert (code, "--yes" in err) == (2, True)
    assert twofold("migrate", "prune", "notes", *notes, "--yes")[0] == 0
    assert "fake-64d" in twofold("collections", *notes)[1]


def test_what_was_written_since_the_cutover_is_taken_back_or_kept(twofold: Run, notes: tuple[str, ...]) -> None:
    old, new = (*NEW, "--dimensions", "32"), NEW
    Path("more.jsonl").write_text('{"id": "more", "text": "another document"}\n')
    Path("most.jsonl").write_text('{"id": "most", "text": "one document more"}\n')
    for step in ("apply", "verify", "cutover"):
        assert twofold("migrate", step, "notes", *notes, *new)[0] == 0
    assert twofold("index", "more.jsonl", *notes, "--collection", "notes", *new)[0] == 0
    code, out, _ = twofold("migrate", "rollback", "notes", *notes, "--carry")
    assert (code, "1 rows were copied back" in out) == (0, True)
    found = twofold("search", "another document", "--collection", "notes", *notes, "--json")[1]
    assert "more" in found
    for step in ("verify", "cutover"):
        assert twofold("migrate", step, "notes", *notes, *new)[0] == 0
    assert twofold("index", "most.jsonl", *notes, "--collection", "notes", *new)[0] == 0
    assert twofold("migrate", "rollback", "notes", *notes)[0] == 0
    code, _, err = twofold("migrate", "apply", "notes", *notes, *new)
    assert (code, "1 of its rows are missing from 'notes' or differ there (most)" in err) == (1, True)
    assert twofold("index", "most.jsonl", *notes, "--collection", "notes", *old)[0] == 0
    assert twofold("migrate", "apply", "notes", *notes, *new)[0] == 0  # nothing would be lost any more
    code, _, err = twofold("migrate", "rollback", "notes", *notes, "--discard")
    assert "--discard is an option of apply, not of rollback" in err


def test_no_go_has_an_exit_code(twofold: Run, notes: tuple[str, ...]) -> None:
    twofold("migrate", "apply", "notes", *notes, *NEW)
    Path("more.jsonl").write_text('{"id": "more", "text": "another document"}\n')
    twofold("index", "more.jsonl", *notes, "--collection", "notes", *NEW, "--dimensions", "32")
    code, out, _ = twofold("migrate", "verify", "notes", *notes, *NEW)
    assert (code, out.splitlines()[-1]) == (4, "NO-GO")
    assert "WRONG: 1 rows are missing (the first is 'more')" in out
    assert twofold("migrate", "verify", "notes", *notes, *NEW, "--behind", "1")[0] == 0


def test_the_old_model_is_named_where_no_record_says_it(twofold: Run, notes: tuple[str, ...]) -> None:
    code, out, _ = twofold("migrate", "plan", "notes", *notes, *NEW, "--from", "fake:", "--json", "--no-trial")
    assert (code, json.loads(out)["proofs"][0]["agreeing"]) == (0, 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "notes"), "give the model to migrate to with --model"),
        (("plan", "notes", *NEW, "--budget", "1"), "--budget is an option of apply, cutover and rollback, not of plan"),
        (("rollback", "notes", "--sample", "3"), "--sample is an option of plan and verify, not of rollback"),
        (("apply", "nowhere", *NEW), "no collection 'nowhere'"),
        (("apply", "notes", *NEW, "--dimensions", "32"), "already in this space"),
        (("rollback", "notes"), "is not being migrated"),
    ],
)
def test_what_cannot_be_done_is_said(
    twofold: Run, notes: tuple[str, ...], arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = twofold("migrate", *arguments, *notes)
    assert code in (1, 2)
    assert said in err


def test_tune_prints_a_table_and_draws_a_picture(twofold: Run, tmp_path: Path) -> None:
    pytest.importorskip("ir_measures")
    pytest.importorskip("matplotlib")
    lines = [{"id": f"n{n}", "text": f"The keeper of light {n}\n\nkeeper {n} counts light {n}"} for n in range(30)]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("\n".join(map(json.dumps, lines)))
    command = ("tune", str(corpus), *NEW, "--sizes", "64,16", "--task", "topic")
    code, out, err = twofold(*command, "--output", "tuned.svg")
    assert code == 0, err
    assert "30 documents, 30 questions derived from titles" in out
    assert "smallest within 2% of the best" in out
    assert "nDCG@10" in Path("tuned.svg").read_text()
    tuned = json.loads(twofold(*command, "--json", "--forms", "float", "--against", "fake:other")[1])
    assert [one["way"] for one in tuned["results"][::2]] == ["fake", "fake, topic", "fake:other"]
    chunks = json.loads(twofold(*command, "--json", "--forms", "float", "--chunk-tokens", "10")[1])
    assert {one["way"] for one in chunks["results"]} >= {"fake, chunks alone", "fake, late chunking"}
    code, _, err = twofold("tune", str(corpus), *NEW, "--sizes", "many")
    assert (code, "whole numbers" in err) == (2, True)
