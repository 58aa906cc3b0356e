"""The commands, as a user runs them: in this process where nothing but output matters."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from twofold import Embedder
from twofold.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

SMALL = ("--model", "fake:", "--dimensions", "8")


@pytest.fixture
def twofold(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line on some arguments: its exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["twofold", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return code, out.decode("utf-8", "surrogateescape"), err.decode()

    return run


def rows(out: str) -> dict[str, list[float]]:
    return {row["id"]: row["embedding"] for row in map(json.loads, out.splitlines())}


def test_texts_become_lines_of_json_in_order(twofold: Run) -> None:
    code, out, err = twofold("embed", "one text", "another", *SMALL)
    assert code == 0
    assert "2 of 2" in err
    expected = Embedder("fake:", dimensions=8).embed_documents(["one text", "another"])
    found = rows(out)
    assert list(found) == ["0", "1"]
    assert np.array_equal(np.array(list(found.values()), np.float32), expected)  # every digit of a float32 is there


@pytest.mark.parametrize(
    ("flags", "task"),
    [(["--query"], "query"), (["--task", "topic"], "topic"), (["--task", "none"], None), ([], "document")],
)
def test_the_side_or_the_task_is_chosen(twofold: Run, flags: list[str], task: str | None) -> None:
    code, out, _ = twofold("embed", "a text", *SMALL, *flags)
    assert code == 0
    assert rows(out)["0"] == pytest.approx(Embedder("fake:", dimensions=8).embed(["a text"], task=task)[0])


def test_lines_of_standard_input(twofold: Run) -> None:
    code, out, _ = twofold("embed", *SMALL, stdin="first line\n\nsecond line\n")
    assert code == 0
    assert list(rows(out)) == ["0", "1"]


def test_files_and_folders_by_their_ids(twofold: Run, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "note.md").write_text("a note")
    (tmp_path / "more.jsonl").write_text('{"id": "x", "text": "an x"}\n')
    code, out, _ = twofold("embed", *SMALL, "--file", str(tmp_path / "corpus"), "--file", str(tmp_path / "more.jsonl"))
    assert code == 0
    assert list(rows(out)) == ["corpus/note.md", "x"]


def test_an_array_by_the_name_of_the_file(twofold: Run, tmp_path: Path) -> None:
    code, out, _ = twofold("embed", "one", "two", *SMALL, "--output", str(tmp_path / "vectors.npy"))
    assert (code, out) == (0, "")
    assert np.array_equal(
        np.load(tmp_path / "vectors.npy"), Embedder("fake:", dimensions=8).embed_documents(["one", "two"])
    )


def test_an_array_on_standard_output(twofold: Run) -> None:
    code, out, _ = twofold("embed", "one", "two", *SMALL, "--format", "npy")
    assert code == 0
    assert np.load(io.BytesIO(out.encode("utf-8", "surrogateescape"))).shape == (2, 8)


def test_many_texts_go_slice_by_slice(twofold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.cli.embed.SLICE_TOKENS", 10)
    texts = [f"number {i} of many" for i in range(7)]
    code, out, _ = twofold("embed", *texts, *SMALL)
    assert code == 0
    expected = Embedder("fake:", dimensions=8).embed_documents(texts)
    assert np.allclose(np.array(list(rows(out).values())), expected)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["embed", "fine", " ", *SMALL], "text 1 is blank"),
        (["embed", "fine", "word " * 600, *SMALL], "document '1' has 600 tokens"),
        (["embed", "x", *SMALL, "--task", "poetry"], "no task 'poetry'"),
        (["embed", "x", "--model", "fake:", "--dimensions", "65"], "dimensions=65"),
        (["embed", "x", "--model", "nobody:model"], "unknown provider 'nobody'"),
        (["embed", "x", "--model", "fake:", "--timeout", "0"], "timeout=0.0"),
        (["embed", "x", *SMALL, "--output", "/nowhere/at/all.jsonl"], "/nowhere/at/all.jsonl"),
        (["index", "/nowhere", "--store", "chroma:/tmp/x", "--collection", "notes", *SMALL], "/nowhere"),
        (
            ["index", __file__, "--store", "chroma:/tmp/x", "--collection", "c", *SMALL],
            "collection 'c' can not be made",
        ),
        (["search", "x", "--store", "sieve:x", "--collection", "c", *SMALL], "sieve"),
    ],
)
def test_what_fails_is_one_message_and_exit_code_1(
    twofold: Run, tmp_path: Path, arguments: list[str], said: str
) -> None:
    code, out, err = twofold(*(argument.replace("/tmp/x", str(tmp_path)) for argument in arguments))
    assert code == 1
    assert out == ""
    assert said in err
    assert err.startswith("twofold: ")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "x"],
        ["embed", *SMALL],
        ["embed", "x", *SMALL, "--query", "--task", "topic"],
        ["embed", "x", *SMALL, "--truncate", "sometimes"],
        ["search", "x", *SMALL],
        ["demo", "--through", "the-wall"],
        ["nonsense"],
    ],
)
def test_wrong_use_is_exit_code_2(twofold: Run, arguments: list[str]) -> None:
    assert twofold(*arguments)[0] == 2


def test_the_model_can_come_from_the_environment(twofold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOFOLD_MODEL", "fake:")
    assert twofold("embed", "x")[0] == 0


def test_index_then_search_then_index_again(twofold: Run, tmp_path: Path) -> None:
    corpus, store = tmp_path / "corpus", f"chroma:{tmp_path / 'store'}"
    corpus.mkdir()
    (corpus / "ships.md").write_text("nine ships left the harbour")
    (corpus / "bread.md").write_text("flour, water, salt and time make bread")
    where = ("--store", store, "--collection", "notes", "--model", "fake:")

    code, out, err = twofold("index", str(corpus), *where)
    assert (code, out) == (0, "2 added, 0 updated, 0 unchanged\n")
    assert "2 of 2" in err

    code, out, _ = twofold("search", "ships in the harbour", *where, "--json", "--limit", "1")
    assert code == 0
    (hit,) = json.loads(out)
    assert (hit["id"], hit["text"]) == ("corpus/ships.md", "nine ships left the harbour")
    assert 0 < hit["score"] <= 1

    code, out, _ = twofold("search", "how is bread made", *where)
    assert code == 0
    assert out.index("corpus/bread.md") < out.index("corpus/ships.md")

    (corpus / "ships.md").write_text("ten ships left the harbour")
    code, out, _ = twofold("index", str(corpus), *where, "--json")
    assert code == 0
    assert json.loads(out).items() >= {"added": 0, "updated": 1, "skipped": 1, "left": 0}.items()

    code, out, err = twofold("search", "ships", *where, "--dimensions", "32")
    assert code == 1
    assert "dimensions: 64 and 32" in err


def test_models_as_a_table_and_as_json(twofold: Run) -> None:
    code, out, _ = twofold("models")
    assert code == 0
    (line,) = [line for line in out.splitlines() if "jinaai/jina-embeddings-v3" in line]
    assert "retrieval.query" in line
    assert "CC-BY-NC-4.0" in line
    cards = json.loads(twofold("models", "--json")[1])
    assert {"BAAI/bge-m3", "jinaai/jina-embeddings-v3"} <= {card["name"] for card in cards}


@pytest.mark.filterwarnings("always::twofold.errors.DimensionsWarning")
def test_warnings_are_said_without_their_line_of_code(twofold: Run) -> None:
    _, _, err = twofold("embed", "x", "--model", "jinaai/jina-embeddings-v3", "--dimensions", "77", "--device", "none")
    assert "twofold: dimensions=77: jinaai/jina-embeddings-v3 was trained" in err
    assert ".py" not in err


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    script = f"{sys.executable} -c 'from twofold.cli import main; main()' models | head -1"
    ran = subprocess.run(script, shell=True, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in ran.stderr


def test_without_the_extra_there_is_one_line_that_says_how_to_install_it() -> None:
    script = "import sys; sys.modules['typer'] = None; from twofold.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "twofold: typer is not installed: pip install 'twofold[cli]'\n"
