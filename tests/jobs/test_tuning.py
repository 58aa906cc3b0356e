"""Choosing: questions that are given or made, sizes, forms and ways, and the smallest choice within a loss."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from support.migrating import text
from twofold import InputError
from twofold.jobs import Item, Question, read_questions
from twofold.jobs.metrics import measure
from twofold.jobs.questions import derive_question, derive_questions
from twofold.jobs.tuning import Way, sizes_of, tune
from twofold.jobs.tuning.forms import find
from twofold.testing import FakeEmbedder
from twofold.vectors import normalize

if TYPE_CHECKING:
    from pathlib import Path

    from twofold.vectors import FloatArray

pytest.importorskip("ir_measures")

ITEMS = [Item(f"d{n}", f"{text(n)}\n\n{text(n, 1)} {text(n)}. {text(n, 2)}.") for n in range(60)]


def vectors(count: int, size: int = 64) -> FloatArray:
    return normalize(np.random.default_rng(0).standard_normal((count, size), np.float32))


@pytest.mark.parametrize(
    ("item", "question", "rest"),
    [
        (Item("a", "# A heading of it\n\nThe body."), "A heading of it", "The body."),
        (Item("a", "A first line of it\n\nThe body."), "A first line of it", "The body."),
        (Item("a", "One sentence is here. Another is there."), "One sentence is here.", "Another is there."),
        (Item("a", "Some body.", {"title": "A title of it"}), "A title of it", "Some body."),
        (Item("a", "A title of it: a body.", {"title": "A title of it"}), "A title of it", ": a body."),
    ],
)
def test_a_question_is_taken_out_of_its_document(item: Item, question: str, rest: str) -> None:
    made = derive_question(item)
    assert made is not None
    assert (made[0].text, made[0].answers, made[1].text) == (question, {"a": 1}, rest)


def test_documents_that_give_no_question_stay_whole() -> None:
    items = [Item("short", "Hm. Ja."), Item("one", "One sentence that is all of it."), ITEMS[0]]
    questions, kept = derive_questions(items)
    assert [next(iter(one.answers or ())) for one in questions] == ["d0"]
    assert kept[:2] == items[:2]


def test_questions_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    lines = [{"text": "one", "answers": ["a", "b"]}, {"text": "two", "answers": {"a": 2}}, {"text": "three"}]
    file.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert read_questions(file) == [Question("one", {"a": 1, "b": 1}), Question("two", {"a": 2}), Question("three")]
    for bad in ("{", '{"answers": []}', '["text"]', '{"text": "x", "answers": 3}'):
        file.write_text(bad)
        with pytest.raises(InputError, match=r"questions.jsonl, line 1: expected"):
            read_questions(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_questions(tmp_path / "nowhere")


def test_metrics_are_the_field_s_own() -> None:
    ndcg, recall = measure([{"a": 1}, {"a": 1, "b": 1}, {"z": 1}], [["b", "a"], ["a", "x"], ["x"]])
    assert ndcg.tolist() == pytest.approx([1 / np.log2(3), 1 / (1 + 1 / np.log2(3)), 0])
    assert recall.tolist() == [1, 0.5, 0]


def test_each_form_finds_what_is_near() -> None:
    rows, queries = vectors(500), vectors(500)[:20] + np.float32(0.01)
    exact = find("float", rows, queries, 10)
    assert exact.bytes == 256
    assert (exact.places[:, 0] == np.arange(20)).all()
    small = find("int8", rows, queries, 10)
    assert small.bytes == 64
    assert np.mean([len({*one} & {*other}) for one, other in zip(exact.places, small.places, strict=True)]) > 9
    bits = find("binary", rows, queries, 10)
    assert bits.bytes == 8
    assert (bits.places[:, 0] == np.arange(20)).all()
    assert find("float", rows[:3], queries, 10).places.shape == (20, 3)


def test_smaller_vectors_lose_and_the_smallest_within_a_loss_is_chosen() -> None:
    tuned = tune([Way("fake", FakeEmbedder())], ITEMS, sizes=[64, 16], seed=3)
    assert (tuned.documents, tuned.questions, tuned.derived) == (60, 60, True)
    by = {(one.dimensions, one.form): one for one in tuned.results}
    assert len(by) == 6
    assert by[64, "float"].ndcg > by[16, "float"].ndcg > by[16, "binary"].ndcg
    assert by[16, "binary"].high < 0
    assert tuned.chosen == by[64, "int8"]
    every = tune([Way("fake", FakeEmbedder())], ITEMS, sizes=[64, 16], seed=3, loss=0.99)
    assert every.chosen == next(one for one in every.results if (one.dimensions, one.form) == (16, "binary"))


def test_cut_vectors_are_those_of_an_embedder_of_that_size() -> None:
    whole = tune([Way("fake", FakeEmbedder())], ITEMS, sizes=[16], forms=["float"])
    small = tune([Way("fake", FakeEmbedder(dimensions=16))], ITEMS, sizes=[16], forms=["float"])
    assert whole.results[0].ndcg == small.results[0].ndcg


def test_tasks_models_and_chunks_are_compared() -> None:
    ways = [
        Way("usual", FakeEmbedder()),
        Way("topic", FakeEmbedder(query_task="topic", document_task="topic")),
        Way("alone", FakeEmbedder(), 12),
        Way("late", FakeEmbedder(), 12, late=True),
    ]
    tuned = tune(ways, ITEMS, sizes=[64], forms=["float"])
    found = {one.way: one for one in tuned.results}
    assert list(found) == ["usual", "topic", "alone", "late"]
    assert found["late"].rows == found["alone"].rows > found["usual"].rows == 60
    assert found["late"].ndcg != found["alone"].ndcg


def test_documents_that_answer_are_in_the_sample() -> None:
    questions = [Question(text(50), {"d50": 1}), Question(text(51), {"d51": 1})]
    tuned = tune([Way("fake", FakeEmbedder())], ITEMS, questions, sample=5, sizes=[64], forms=["float"])
    assert (tuned.documents, tuned.questions, tuned.derived) == (5, 2, False)
    assert tuned.results[0].recall == 1
    with pytest.raises(InputError, match="'nobody' should answer a question but is not in the corpus"):
        tune([Way("fake", FakeEmbedder())], ITEMS, [Question("x", {"nobody": 1})])


def test_sizes_are_those_that_the_model_was_trained_for() -> None:
    assert sizes_of(FakeEmbedder()) == [64, 32, 16, 8]
    assert sizes_of(FakeEmbedder(dimensions=16)) == [16, 8]


def test_what_makes_no_sense_is_refused() -> None:
    way = Way("fake", FakeEmbedder())
    for ways, options, said in (
        ([], {}, "nothing to compare"),
        ([way], {"forms": ["int4"]}, "unknown form 'int4'"),
        ([way], {"sizes": [12]}, "multiple of 8"),
        ([way], {"sizes": [65]}, "has 1 to 64"),
        ([way], {"sample": 0}, "sample=0"),
        ([way], {"loss": 1.0}, "and loss at least 0 and below 1"),
        ([way, way], {}, "the same name"),
        ([Way("fake", FakeEmbedder(), late=True)], {}, "chunk_tokens"),
    ):
        with pytest.raises(InputError, match=said):
            tune(ways, ITEMS, **options)
    with pytest.raises(InputError, match="no questions: none was given"):
        tune([way], [Item("a", "one word")])
    with pytest.raises(InputError, match="'long' has 603 tokens"):
        tune([way], [Item("long", "A heading\n\n" + "word " * 601), *ITEMS])
