"""Asking a collection: what it says of itself is enough, and questions may come one after another."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from twofold import Embedder

if TYPE_CHECKING:
    from cli.conftest import Run

COLLECTION = ("--collection", "notes")


def ids(line: str) -> list[str]:
    return [hit["id"] for hit in json.loads(line)]


def test_no_model_and_no_size_are_needed(twofold: Run, notes: tuple[str, ...]) -> None:
    code, out, _ = twofold("search", "ships in the harbour", *notes, *COLLECTION, "--json")
    assert code == 0
    found = json.loads(out)
    assert found[0]["id"] == "ships"
    embedder = Embedder("fake:", dimensions=32)
    expected = embedder.embed_query("ships in the harbour") @ embedder.embed_documents([found[0]["text"]])[0]
    assert found[0]["score"] == pytest.approx(float(expected), abs=1e-4)


def test_options_that_make_another_space_are_refused(twofold: Run, notes: tuple[str, ...]) -> None:
    code, _, err = twofold("search", "ships", *notes, *COLLECTION, "--query-task", "topic")
    assert code == 1
    assert "query task: 'query' and 'topic'" in err


def test_several_questions_are_answered_in_order(twofold: Run, notes: tuple[str, ...]) -> None:
    code, out, _ = twofold("search", "ships in the harbour", "flour for bread", *notes, *COLLECTION, "--json")
    first, second = out.splitlines()
    assert code == 0
    assert (ids(first)[0], ids(second)[0]) == ("ships", "bread")
    out = twofold("search", "ships in the harbour", "flour for bread", *notes, *COLLECTION, "--limit", "1")[1]
    assert (
        out.index("ships in the harbour") < out.index("nine ships") < out.index("flour for bread") < out.index("time")
    )


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["topic=food"], {"bread", "soup"}),
        (["topic=food", "n=4"], {"bread"}),
        (["n=9"], {"ships"}),
        (["n=9.0"], {"ships"}),
        (["hot=true"], {"soup"}),
        (["hot=1"], set()),
        (["n=9", "n=4"], {"ships", "bread"}),
        (["n=9", "n=NaN"], {"ships"}),
        (["nothing=here"], set()),
        (["topic="], set()),
    ],
)
def test_filters_choose_among_all_rows_however_near(
    twofold: Run, notes: tuple[str, ...], filters: list[str], expected: set[str]
) -> None:
    flags = [flag for one in filters for flag in ("--filter", one)]
    code, out, _ = twofold("search", "ships in the harbour", *notes, *COLLECTION, "--json", "--limit", "2", *flags)
    assert code == 0
    assert set(ids(out)) == expected


def test_without_a_question_they_are_read_from_standard_input(twofold: Run, notes: tuple[str, ...]) -> None:
    asked = "ships in the harbour\n\n" + "word " * 600 + "\nflour for bread\n"
    code, out, err = twofold("search", *notes, *COLLECTION, "--json", stdin=asked)
    first, second = out.splitlines()
    assert code == 0
    assert (ids(first)[0], ids(second)[0]) == ("ships", "bread")
    assert "601 tokens" in err  # one that cannot be asked does not end the others


def test_at_a_terminal_there_is_a_prompt_until_its_end(
    twofold: Run, notes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.cli.search.is_terminal", lambda: True)
    questions = iter(["ships in the harbour", " ", "flour for bread"])

    def typed(prompt: str) -> str:
        assert prompt == "question> "
        try:
            return next(questions)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", typed)
    code, out, _ = twofold("search", *notes, *COLLECTION, "--limit", "1")
    assert code == 0
    assert out.index("nine ships") < out.index("flour, water")


def test_rows_of_other_programs_are_found_too(twofold: Run, notes: tuple[str, ...]) -> None:
    import chromadb

    client: Any = chromadb.PersistentClient(notes[1].removeprefix("chroma:"))
    vector = Embedder("fake:", dimensions=32).embed_documents(["a lighthouse"])[0]
    fields: Any = {"twofold_document": "tower", "twofold_start": 4, "twofold_end": 16}
    client.get_collection("notes", embedding_function=None).add(
        ids=["uuid"], embeddings=[vector.tolist()], documents=["a lighthouse"], metadatas=[fields]
    )
    client.close()
    (first, *_) = json.loads(twofold("search", "a lighthouse", *notes, *COLLECTION, "--json")[1])
    assert (first["id"], first["document"], first["span"]) == ("uuid", "tower", [4, 16])


def test_a_closed_standard_input_is_said(twofold: Run, notes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    del twofold
    from twofold.cli import main

    monkeypatch.setattr(sys, "argv", ["twofold", "search", *notes, *COLLECTION])
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "stderr", said := io.StringIO())
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "standard input is closed" in said.getvalue()
