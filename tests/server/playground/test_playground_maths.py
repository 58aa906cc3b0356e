"""What the page computes by itself, against numpy and against Twofold's own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from twofold.vectors import finish

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.browser import Watched

    Js = Callable[..., Any]

pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(7)


@pytest.fixture(scope="module")
def js(window: Watched, address: str) -> Js:
    """`js("maths.cosine", a, b)`: a function of one of the page's modules, all of which are pure."""
    page = window.page
    page.goto(address)

    def call(name: str, *arguments: Any) -> Any:
        module, function = name.split(".")
        script = "async ([module, name, values]) => (await import(`./js/${module}.js`))[name](...values)"
        return page.evaluate(script, [module, function, arguments])

    return call


def test_cosine_and_similarities(js: Js) -> None:
    a, b = RANDOM.standard_normal((3, 20)), RANDOM.standard_normal((4, 20))
    expected = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
    assert np.allclose(js("maths.similarities", a.tolist(), b.tolist()), expected, atol=1e-12)
    assert js("maths.cosine", [3, 4], [6, 8]) == pytest.approx(1)
    assert js("maths.cosine", [0, 0], [1, 2]) == 0


@pytest.mark.parametrize("size", [1, 5, 8])
def test_the_cut_is_that_of_an_embedder(js: Js, size: int) -> None:
    vectors = RANDOM.standard_normal((5, 8)).astype(np.float32)
    expected = finish(vectors, 5, size, unit=True)
    assert np.allclose([js("maths.cut", vector, size) for vector in vectors.tolist()], expected, atol=1e-6)


def test_the_ranking_is_stable(js: Js) -> None:
    scores = [0.1, 0.5, 0.5, -0.2, 0.5, 0.9]
    assert js("maths.ranking", scores) == (-np.array(scores)).argsort(kind="stable").tolist() == [5, 1, 2, 4, 0, 3]
    assert js("maths.ranks", scores) == [5, 2, 3, 6, 4, 1]


def test_measures_of_two_rankings(js: Js) -> None:
    falling = [4, 3, 2, 1]
    assert js("maths.kendall", falling, falling) == 1
    assert js("maths.kendall", falling, falling[::-1]) == -1
    assert js("maths.kendall", falling, [3, 4, 2, 1]) == pytest.approx(1 - 2 / 6)  # one of six pairs has turned
    assert js("maths.kendall", [1], [1]) == 1
    assert js("maths.overlap", falling, [4, 1, 3, 2], 2) == 0.5
    assert js("maths.overlap", falling, [3, 4, 1, 2], 10) == 1


@pytest.mark.parametrize(("count", "width"), [(12, 40), (3, 200), (30, 5), (2, 4)])
def test_principal_components(js: Js, count: int, width: int) -> None:
    vectors = RANDOM.standard_normal((count, width)) * np.linspace(3, 0.5, width)
    centred = vectors - vectors.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    points = centred @ axes[:2].T
    points *= np.sign(points[np.abs(points).argmax(axis=0), range(2)])
    found = js("pca.pca", vectors.tolist())
    shown = 1 if count == 2 else 2  # two points lie on one line: the second component is nothing, of any sign
    assert np.allclose(np.array(found["points"])[:, :shown], points[:, :shown], atol=1e-8)
    assert np.allclose(found["shares"], (sizes**2 / (sizes**2).sum())[:2], atol=1e-9)


def test_principal_components_of_equal_texts_are_one_point(js: Js) -> None:
    found = js("pca.pca", [[1, 2, 3]] * 4)
    assert found == {"points": [[0, 0]] * 4, "shares": [0, 0]}


DOCUMENTS = {
    "prose": "One came. Two went!  Why?\n\nNobody knows. 3.5 is a number.",
    "blank": "  \n\nfirst\n \nsecond\n\n\n",
    "japanese": "これは文です。これも文です。\n最後の文。",
    "long": " ".join(f"word{number}" for number in range(95)),
}


@pytest.mark.parametrize("way", ["sentences", "lines", "paragraphs", "words"])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_chunks_are_the_document_again_and_none_is_blank(js: Js, document: str, way: str) -> None:
    chunks = js("chunks.chunksOf", DOCUMENTS[document], way)
    assert "".join(chunks) == DOCUMENTS[document]
    assert all(chunk.strip() for chunk in chunks)


def test_chunks_have_the_size_that_is_asked_for(js: Js) -> None:
    assert len(js("chunks.chunksOf", DOCUMENTS["prose"], "sentences")) == 5
    assert len(js("chunks.chunksOf", DOCUMENTS["japanese"], "sentences")) == 3
    assert js("chunks.chunksOf", DOCUMENTS["blank"], "paragraphs") == ["  \n\nfirst\n \n", "second\n\n\n"]
    assert len(js("chunks.chunksOf", DOCUMENTS["long"], "words")) == math.ceil(95 / 40)
    assert js("chunks.chunksOf", " \n ", "lines") == []
