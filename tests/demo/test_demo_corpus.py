"""The corpus and the questions: stable, fair, and with answers in every version of Python."""

from __future__ import annotations

import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

import pytest

import twofold.demo.corpus
from twofold.demo.corpus import Topic, standard_library
from twofold.demo.metrics import first_rank, mean_reciprocal_rank, recall
from twofold.demo.questions import SHOWN, load_questions


@cache
def corpus() -> dict[str, str]:
    return dict(standard_library())


def test_some_thousands_of_documents_each_once() -> None:
    entries = standard_library()
    assert 2000 < len(entries) < 5000
    assert len({entry.name for entry in entries}) == len(entries)


@pytest.mark.parametrize("name", ["shutil", "shutil.rmtree", "collections.Counter", "enumerate", "os.path.exists"])
def test_modules_classes_functions_and_built_ins_are_there(name: str) -> None:
    assert corpus()[name].startswith(f"{name}\n")
    assert len(corpus()[name]) > len(name) + 20


@pytest.mark.parametrize(
    "name", ["antigravity", "this", "os._exit", "posixpath.exists", "test", "idlelib", "asyncio.runners.run"]
)
def test_what_is_private_or_has_effects_is_not(name: str) -> None:
    assert name not in corpus()
    if "." not in name:
        assert not any(other.startswith(f"{name}.") for other in corpus())


def test_documents_say_something_of_their_own() -> None:
    bodies = [text.partition("\n")[2] for text in corpus().values()]
    assert min(map(len, bodies)) >= 12
    assert "collections.abc.Sized" not in corpus()  # its docstring is inherited


def test_it_is_quiet_and_the_same_in_every_process() -> None:
    file = Path(twofold.demo.corpus.__file__)
    script = (
        f"import importlib.util as u, hashlib; s = u.spec_from_file_location('corpus', {str(file)!r});"
        "m = u.module_from_spec(s); s.loader.exec_module(m);"
        "print(hashlib.sha256(repr(list(map(tuple, m.standard_library()))).encode()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-I", "-W", "error", "-c", script],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        for _ in range(2)
    ]
    assert runs[0].stderr == ""
    assert runs[0].stdout == runs[1].stdout


def test_reading_it_leaves_warnings_as_they_are() -> None:
    before = list(warnings.filters)
    standard_library()
    assert warnings.filters == before


def test_every_question_has_an_answer_in_this_python() -> None:
    questions = load_questions()
    assert len(questions) >= 60
    assert SHOWN == 12
    assert len({question.text for question in questions}) == len(questions)
    for question in questions:
        assert question.answers & corpus().keys(), question.text


def test_no_question_is_its_answers_docstring() -> None:
    for question in load_questions():
        for name in question.answers & corpus().keys():
            named = len(question.text.split()) < 3  # "square root" has no other wording
            assert named or question.text.lower() not in corpus()[name].lower(), (question.text, name)
            assert "." not in name or name not in question.text


def test_the_first_rank_of_an_answer_is_found() -> None:
    assert first_rank(["a", "b", "c"], {"c", "b"}) == 2
    assert first_rank(["a"], {"z"}) is None
    assert first_rank([], {"z"}) is None


def test_metrics_by_hand() -> None:
    ranks = [1, 3, None, 10]
    assert recall(ranks, 1) == 0.25
    assert recall(ranks, 3) == 0.5
    assert recall(ranks, 10) == 0.75
    assert mean_reciprocal_rank(ranks) == pytest.approx((1 + 1 / 3 + 0 + 0.1) / 4)


def test_an_entry_is_its_name_and_text() -> None:
    assert Topic("os", "os\ndoc") == ("os", "os\ndoc")
