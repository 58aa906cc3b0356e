"""An output file appears whole or not at all, and what was paid for before a failure is used by the next run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.faultserver import FaultServer
from twofold import BudgetExceeded, Embedder, InputError, ProviderUnavailable
from twofold.cli.embed import EmbeddingRun, Side
from twofold.cli.files import whole_file
from twofold.cli.texts import Texts
from twofold.cli.unfinished import Unfinished
from twofold.fake import FakeBackend
from twofold.jobs import Budget, Item, Spending

if TYPE_CHECKING:
    from cli.conftest import Run

pytestmark = pytest.mark.slow

TEXTS = [f"text number {number}" for number in range(9)]
FLAGS = ("--model", "fake:", "--dimensions", "8")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A model that fails at its third slice, two texts of three done; the texts that it was given."""
    monkeypatch.setattr("twofold.cli.embed.SLICE_TOKENS", 9)  # three texts
    seen: list[str] = []
    whole = FakeBackend.embed

    def embed(self: FakeBackend, documents: Any, *arguments: Any, **options: Any) -> Any:
        if len(seen) == 6:
            partial = dict(enumerate(whole(self, documents[:2], *arguments, **options)[:, None]))
            seen.extend(document.text for document in documents[:2])
            raise ProviderUnavailable("the provider is gone", partial=partial, failed={2: "gone"})
        seen.extend(document.text for document in documents)
        return whole(self, documents, *arguments, **options)

    monkeypatch.setattr(FakeBackend, "embed", embed)
    return seen


@pytest.mark.parametrize("name", ["out.npy", "out.jsonl"])
def test_another_run_goes_on_where_one_failed(twofold: Run, failing: list[str], name: str) -> None:
    Path(name).write_text("what was there")
    code, out, err = twofold("embed", *TEXTS, *FLAGS, "--output", name)
    assert (code, out) == (1, "")
    assert f"8 of 9 texts are in {name}.unfinished: run the command again to continue" in err
    assert Path(name).read_text() == "what was there"
    assert sorted(path.name for path in Path.cwd().iterdir()) == [name, f"{name}.unfinished"]

    code, _, err = twofold("embed", *TEXTS, *FLAGS, "--output", name)
    assert code == 0, err
    assert [path.name for path in Path.cwd().iterdir()] == [name]
    assert failing == TEXTS  # each was embedded once
    expected = Embedder("fake:", dimensions=8).embed_documents(TEXTS)
    if name.endswith("npy"):
        assert np.array_equal(np.load(name), expected)
    else:
        lines = list(map(json.loads, Path(name).read_text().splitlines()))
        assert [line["id"] for line in lines] == [str(number) for number in range(9)]
        assert np.array_equal(np.array([line["embedding"] for line in lines], np.float32), expected)


def test_what_was_written_to_standard_output_is_said(twofold: Run, failing: list[str]) -> None:
    code, out, err = twofold("embed", *TEXTS, *FLAGS)
    assert code == 1
    assert [json.loads(line)["id"] for line in out.splitlines()] == [str(number) for number in range(8)]
    assert "8 of 9 texts were embedded" in err
    assert len(failing) == 8


def test_vectors_of_something_else_are_not_used(twofold: Run, failing: list[str]) -> None:
    del failing
    twofold("embed", *TEXTS, *FLAGS, "--output", "out.npy")
    kept = Path("out.npy.unfinished").read_bytes()
    for other in (["--task", "topic"], ["--query"], ["--dimensions", "16"], ["--truncate", "end"]):
        code, _, err = twofold("embed", *TEXTS, *FLAGS, *other, "--output", "out.npy")
        assert code == 2
        assert "out.npy.unfinished has vectors of an unfinished run of another model or task" in err
    assert Path("out.npy.unfinished").read_bytes() == kept


def test_what_was_kept_is_there_after_a_kill(tmp_path: Path) -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    script = (
        "import os, sys, pathlib, numpy as np\n"
        "from twofold.cli.unfinished import Unfinished\n"
        "kept = Unfinished(pathlib.Path(sys.argv[1]), {'space': 's'})\n"
        "kept.keep(['a', 'b'], np.arange(8, dtype=np.float32).reshape(2, 4))\n"
        "kept._db.execute('BEGIN')\n"
        "kept._db.execute('INSERT INTO vectors VALUES (?, ?)', (bytes(16), bytes(16)))\n"
        "os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "x")], check=False)
    with Unfinished(tmp_path / "x", {"space": "s"}) as kept:
        assert [kept.has(text) for text in "abc"] == [True, True, False]
        kept.keep(["c", "b"], vectors[[2, 1]])
        assert kept.count == 3
        assert np.array_equal(kept.vectors(["a", "b", "c", "a"]), vectors[[0, 1, 2, 0]])
    with pytest.raises(InputError, match="another model or task"):
        Unfinished(tmp_path / "x", {"space": "t"})
    (tmp_path / "y.unfinished").write_bytes(b"something else" * 100)
    with pytest.raises(InputError, match="another model or task"):
        Unfinished(tmp_path / "y", {"space": "s"})


def test_an_array_is_the_one_that_numpy_writes(twofold: Run) -> None:
    twice = [*TEXTS, TEXTS[0]]
    code, _, err = twofold("embed", *twice, *FLAGS, "--output", "made.npy")
    assert code == 0, err
    np.save("expected.npy", Embedder("fake:", dimensions=8).embed_documents(twice))
    assert Path("made.npy").read_bytes() == Path("expected.npy").read_bytes()


def test_a_budget_keeps_what_was_paid_for(twofold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.cli.embed.SLICE_TOKENS", 60)
    monkeypatch.setenv("KEY", "k")
    with FaultServer() as server:
        model = ("--model", "jina:jina-embeddings-v3", "--base-url", server.url, "--api-key-env", "KEY")
        where = ("embed", *TEXTS, *model, "--output", "out.npy")
        code, _, err = twofold(*where, "--budget-tokens", "10")
        assert (code, server.count, list(Path.cwd().iterdir())) == (1, 0, [])
        assert "the budget is 10 tokens, but this run needs about" in err
        code, _, err = twofold(*where, "--budget-tokens", "10000")
        assert (code, np.load("out.npy").shape) == (0, (9, 1024)), err


def test_a_budget_that_is_spent_ends_it_between_two_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer() as server, Texts() as todo, Unfinished(None, {}) as kept:
        embedder = Embedder("jina:jina-embeddings-v3", base_url=server.url, api_key="k")
        for _ in todo.read(embedder, None, [Item(text, text) for text in TEXTS]):
            pass
        monkeypatch.setattr("twofold.cli.embed.SLICE_TOKENS", todo.tokens // 3)
        spending = Spending(embedder, Budget(tokens=todo.tokens))
        work = EmbeddingRun(Side(embedder, query=False, task=None), todo, lambda: False, spending)
        with pytest.raises(BudgetExceeded, match="stopped within the budget"):
            keep_all(work, kept, spending)
        assert 0 < kept.count < len(TEXTS)


def keep_all(work: EmbeddingRun, kept: Unfinished, spending: Spending) -> None:
    for some, vectors in work.do(kept):
        kept.keep([text.text for text in some], vectors)
        spending.limit = spending.spent  # the provider bills more than was counted


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with whole_file(target) as stream:
        stream.write(b"first")
    target.chmod(0o640)
    with pytest.raises(KeyboardInterrupt):
        cut_short(target)
    assert target.read_bytes() == b"first"
    with whole_file(target) as stream:
        stream.write(b"second")
    assert target.read_bytes() == b"second"
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [target]


def cut_short(target: Path) -> None:
    with whole_file(target) as stream:
        stream.write(b"seco")
        raise KeyboardInterrupt


@pytest.mark.skipif(os.name == "nt", reason="devices are POSIX's")
def test_a_device_is_written_to() -> None:
    with whole_file(Path("/dev/null")) as stream:
        stream.write(b"gone")
    assert not Path("/dev/null").is_file()
