"""The commands, as a user runs them: in this process where nothing but output matters."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from support.faultserver import FaultServer
from twofold import Embedder

if TYPE_CHECKING:
    from cli.conftest import Run

SMALL = ("--model", "fake:", "--dimensions", "8")
STORE = ("--store", "chroma:made", "--collection", "ccc")


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


def test_lines_of_standard_input_by_their_numbers(twofold: Run) -> None:
    code, out, _ = twofold("embed", *SMALL, stdin="\ufefffirst line\n\nthird line\r\n\u200b\nfifth")
    assert code == 0
    assert list(rows(out)) == ["0", "2", "4"]
    expected = Embedder("fake:", dimensions=8).embed_documents(["first line", "third line", "fifth"])
    assert np.array_equal(np.array(list(rows(out).values()), np.float32), expected)


def test_a_line_ends_at_a_line_feed_and_nowhere_else(twofold: Run) -> None:
    code, out, _ = twofold("embed", *SMALL, stdin="one\u2028two\x0cthree\x85four\rfive\n")
    assert code == 0
    assert list(rows(out)) == ["0"]


def test_standard_input_in_another_encoding(twofold: Run) -> None:
    raw = "né\n".encode("latin-1")
    code, _, err = twofold("embed", *SMALL, stdin=raw)
    assert code == 2
    assert "line 1 of standard input is not UTF-8: byte 0xe9 at offset 1" in err
    assert twofold("embed", *SMALL, "--text-encoding", "latin-1", stdin=raw)[0] == 0


def test_files_and_folders_by_their_ids(twofold: Run, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "note.md").write_text("a note")
    (tmp_path / "more.jsonl").write_text('{"id": "x", "text": "an x"}\n')
    (tmp_path / "corpus" / "blank.md").write_text(" ")
    (tmp_path / "corpus" / "x.png").write_bytes(b"x")
    files = ("--file", str(tmp_path / "corpus"), "--file", str(tmp_path / "more.jsonl"))
    code, out, err = twofold("embed", *SMALL, *files, "--id-root", str(tmp_path))
    assert code == 0
    assert list(rows(out)) == ["corpus/note.md", "x"]
    assert "skipped: 1 blank documents, 1 .png files" in err or "skipped: 1 .png files, 1 blank documents" in err


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
        (["embed", "x", "--model", "nobody:model"], "'nobody'"),
        (["embed", "x", "--model", "fake:", "--timeout", "0"], "timeout=0.0"),
        (["embed", "x", *SMALL, "--output", "/nowhere/at/all.jsonl"], "/nowhere/at/all.jsonl cannot be written"),
        (["embed", "--file", "nowhere", *SMALL], "nowhere does not exist"),
        (["embed", "--file", "x", "--text-encoding", "utf-9", *SMALL], "unknown encoding 'utf-9'"),
        (["index", "nowhere", *STORE, *SMALL], "nowhere does not exist"),
        (["index", __file__, *STORE, *SMALL, "--late-chunking"], "late_chunking needs chunk_tokens"),
        (["index", __file__, *STORE, *SMALL, "--chunk-tokens", "0"], "chunk_tokens=0"),
        (["index", __file__, *STORE, *SMALL, "--chunk-tokens", "9999"], "chunk_tokens=9999"),
        (["search", "x", "--store", "sieve:x", "--collection", "ccc"], "sieve"),
        (["search", "x", *STORE, "--limit", "0"], "limit"),
        (["search", "x", *STORE, "--filter", "topic"], "--filter 'topic': expected field=value"),
        (
            ["plot", "ccc", "--store", "chroma:x", "--output", "map.docx"],
            "unknown picture format; use a file name ending in .png",
        ),
        (["import", "nowhere.parquet", "ccc", "--store", "chroma:x"], "nowhere.parquet does not exist"),
        (["export", "ccc", "x.doc", "--store", "chroma:x"], "choose one with --format jsonl or parquet"),
        (["--config", "nowhere.toml", "models"], "nowhere.toml cannot be read"),
    ],
)
def test_a_bad_value_or_path_is_one_message_exit_code_2_and_nothing_is_made(
    twofold: Run, arguments: list[str], said: str
) -> None:
    code, out, err = twofold(*arguments)
    assert code == 2
    assert out == ""
    assert said in err
    assert err.startswith(("twofold: ", "Usage: "))
    assert "Traceback" not in err
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["index", __file__, "--store", "chroma:x", "--collection", "c", *SMALL],
            "collection 'c' cannot be made",
        ),
        (["search", "x", *STORE], "there is no collection 'ccc'"),
        (["info", "ccc", "--store", "chroma:x"], "there is no collection 'ccc'"),
        (["drop", "ccc", "--store", "chroma:x", "--yes"], "there is no collection 'ccc'"),
        (["embed", "x", "--model", "./nowhere/at/all"], "there is no folder ./nowhere/at/all"),
    ],
)
def test_what_fails_is_one_message_and_exit_code_1(twofold: Run, arguments: list[str], said: str) -> None:
    code, out, err = twofold(*arguments)
    assert (code, out) == (1, "")
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
        ["search", "x"],
        ["demo", "--through", "the-wall"],
        ["nonsense"],
    ],
)
def test_wrong_use_is_exit_code_2(twofold: Run, arguments: list[str]) -> None:
    assert twofold(*arguments)[0] == 2


def test_the_model_can_come_from_the_environment(twofold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOFOLD_MODEL", "fake:")
    monkeypatch.setenv("TWOFOLD_DIMENSIONS", "16")
    code, out, _ = twofold("embed", "x")
    assert (code, len(rows(out)["0"])) == (0, 16)
    assert len(rows(twofold("embed", "x", "--dimensions", "8")[1])["0"]) == 8  # a flag comes first


def test_a_dry_run_says_what_would_be_done_and_does_nothing(twofold: Run, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.md").write_text("four words are here")
    (corpus / "b.md").write_text("word " * 600)
    (corpus / "blank.md").write_text("\n")
    (corpus / "latin.md").write_bytes("né".encode("latin-1"))
    (corpus / "x.png").write_bytes(b"x")
    where = ("--store", "chroma:made", "--collection", "ccc", "--model", "fake:", "--dry-run")
    code, out, _ = twofold("index", str(corpus), *where, "--json")
    said = json.loads(out)
    assert code == 0
    assert (said["embedded"], said["chunks"], said["tokens"], said["blank"], said["set_aside"]) == (1, 1, 4, 1, 2)
    assert said["left_out"] == {".png files": 1}
    assert said["seconds"] > 0
    assert not Path("made").exists()
    code, out, _ = twofold("index", str(corpus), *where, "--chunk-tokens", "100")
    assert code == 0
    assert "2 documents to embed, as 7 rows of 604 tokens" in out
    assert "1 cannot be indexed; the first: " in out
    assert "latin.md: not UTF-8" in out
    hosted = ("--store", "chroma:made", "--collection", "ccc", "--model", "openai:text-embedding-3-small", "--dry-run")
    code, out, _ = twofold("index", str(corpus / "a.md"), *hosted)
    assert code == 0
    assert "about $0.00, at $0.02 a million tokens (2026-11)" in out


def test_what_cannot_be_embedded_is_set_aside_and_what_is_gone_removed(twofold: Run, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name in ("a.md", "b.md", "c.md"):
        (corpus / name).write_text(f"the text of {name}")
    where = ("--store", "chroma:made", "--collection", "ccc", "--model", "fake:", "--id-root", str(tmp_path))
    assert twofold("index", str(corpus), *where)[:2] == (0, "3 added, 0 updated, 0 unchanged\n")
    (corpus / "b.md").write_bytes("né".encode("latin-1"))
    code, out, err = twofold("index", str(corpus), *where)
    assert (code, out) == (2, "")
    assert "b.md: not UTF-8" in err
    flags = ("--on-error", "skip", "--dead-letters", "dead.jsonl")
    code, out, _ = twofold("index", str(corpus), *where, *flags)
    assert (code, "1 set aside" in out) == (3, True)
    (letter,) = map(json.loads, Path("dead.jsonl").read_text().splitlines())
    assert letter["id"] == "corpus/b.md"
    (corpus / "b.md").unlink()
    code, out, _ = twofold("index", str(corpus), *where)
    assert (code, "1 in the collection but no longer in the files (--prune removes them)" in out) == (0, True)
    code, out, _ = twofold("index", str(corpus), *where, "--prune", "--verify")
    assert (code, "1 removed" in out, "2 documents, 2 rows" in out) == (0, True, True)
    code, out, _ = twofold("index", str(corpus), *where, "--force", "--json")
    assert (code, json.loads(out)["updated"]) == (0, 2)


def test_what_came_from_elsewhere_is_not_written_over(twofold: Run, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.md").write_text(f"the text of {folder}")
    where = ("--store", "chroma:made", "--collection", "ccc", "--model", "fake:")
    one, two = tmp_path / "one", tmp_path / "two"
    assert twofold("index", str(one), *where, "--id-root", str(one))[0] == 0
    code, _, err = twofold("index", str(two), *where, "--id-root", str(two))
    assert code == 2
    assert str(one / "a.md") in err
    assert str(two / "a.md") in err
    assert twofold("index", str(two), *where, "--id-root", str(two), "--take-over")[0] == 0


def test_index_then_search_then_index_again(twofold: Run, tmp_path: Path) -> None:
    corpus, store = tmp_path / "corpus", f"chroma:{tmp_path / 'store'}"
    corpus.mkdir()
    (corpus / "ships.md").write_text("nine ships left the harbour")
    (corpus / "bread.md").write_text("flour, water, salt and time make bread")
    where = ("--store", store, "--collection", "notes", "--model", "fake:", "--id-root", str(tmp_path))
    asked = where[:4]

    code, out, _ = twofold("index", str(corpus), *where)
    assert (code, out) == (0, "2 added, 0 updated, 0 unchanged\n")

    code, out, _ = twofold("search", "ships in the harbour", *asked, "--json", "--limit", "1")
    assert code == 0
    (hit,) = json.loads(out)
    assert (hit["id"], hit["text"]) == ("corpus/ships.md", "nine ships left the harbour")
    assert 0 < hit["score"] <= 1

    code, out, _ = twofold("search", "how is bread made", *asked)
    assert code == 0
    assert out.index("corpus/bread.md") < out.index("corpus/ships.md")

    (corpus / "ships.md").write_text("ten ships left the harbour")
    code, out, _ = twofold("index", str(corpus), *where, "--json")
    assert code == 0
    assert json.loads(out).items() >= {"added": 0, "updated": 1, "skipped": 1, "stopped": False}.items()

    code, out, err = twofold("search", "ships", *asked, "--dimensions", "32")
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


def test_without_the_extra_there_is_one_line_that_says_how_to_install_it(
    twofold: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "twofold.cli.app", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    assert twofold("models") == (1, "", "twofold: typer is not installed: pip install 'twofold[cli]'\n")


def test_a_budget_is_held_before_anything_is_made(twofold: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("docs.jsonl").write_text("".join(f'{{"id": "d{n}", "text": "ships in the fog {n}"}}\n' for n in range(40)))
    monkeypatch.setenv("KEY", "k")
    with FaultServer() as server:
        model = ("--model", "jina:jina-embeddings-v3", "--base-url", server.url, "--api-key-env", "KEY")
        where = ("index", "docs.jsonl", "--store", "chroma:made", "--collection", "ccc", *model)
        for refused in (("--budget-tokens", "50"), ("--budget-tokens", "50", "--dry-run")):
            code, _, err = twofold(*where, *refused)
            assert (code, server.count, Path("made").exists()) == (1, 0, False)
            assert "the budget is 50 tokens, but this run needs about" in err
        code, _, err = twofold(*where, "--budget", "5")
        assert (code, server.count) == (2, 0)
        assert "--budget-tokens" in err
        code, out, err = twofold(*where, "--budget-tokens", "100000")
        assert (code, out.split(",")[0]) == (0, "40 added"), err
