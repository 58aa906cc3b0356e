"""Pictures: what is drawn, in each format, and that the map is that of the principal components."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from twofold import Embedder
from twofold.cli.pictures import Points, draw_map, draw_similarities, flat

if TYPE_CHECKING:
    from cli.conftest import Run

pytest.importorskip("matplotlib")


def texts_of(svg: str) -> str:
    return "\n".join(ET.fromstring(svg).itertext())


def test_a_map_in_each_format(twofold: Run, notes: tuple[str, ...]) -> None:
    for name, start in (("map.png", b"\x89PNG"), ("map.svg", b"<?xml"), ("map.html", b"<!DOCTYPE html>")):
        code, out, err = twofold("plot", "notes", *notes, "--output", name, "--color", "topic")
        assert (code, out) == (0, f"{name}\n"), err
        assert Path(name).read_bytes().startswith(start)
    said = texts_of(Path("map.svg").read_text("utf-8"))
    assert all(word in said for word in ("notes: 4 of 4 rows", "topic", "sea", "food", "first component"))
    assert "notes: 4 of 4 rows</title>" in Path("map.html").read_text("utf-8")


def test_the_same_collection_gives_the_same_picture(twofold: Run, notes: tuple[str, ...]) -> None:
    for name in ("one.svg", "two.svg"):
        twofold("plot", "notes", *notes, "--output", name, "--color", "n")
    assert Path("one.svg").read_bytes() == Path("two.svg").read_bytes()


def test_a_field_that_no_row_has_is_named(twofold: Run, notes: tuple[str, ...]) -> None:
    code, _, err = twofold("plot", "notes", *notes, "--color", "colour")
    assert code == 2
    assert "no row has a field 'colour'; the fields are 'hot', 'n', 'topic'" in err
    assert not Path("plot.png").exists()


def test_similarities_of_texts(twofold: Run, notes: tuple[str, ...]) -> None:
    texts = ("nine ships", "nine boats", "bread costs $5 and $6")
    flags = [flag for text in texts for flag in ("--text", text)]
    code, _, err = twofold("plot", "notes", *notes, *flags, "--output", "of_collection.svg")
    assert code == 0, err
    vectors = Embedder("fake:", dimensions=32).embed_documents(texts)
    said = texts_of(Path("of_collection.svg").read_text("utf-8"))
    assert f"{float(vectors[0] @ vectors[1]):.2f}" in said
    assert twofold("plot", *flags, "--model", "fake:", "--dimensions", "32", "--output", "of_model.svg")[0] == 0
    assert Path("of_model.svg").read_bytes() == Path("of_collection.svg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--text", "alone", "--model", "fake:"], "give at least two texts"),
        ([], "nothing to draw"),
        (["--text", "a", "--text", "b"], "no model: give --model"),
    ],
)
def test_what_cannot_be_drawn_is_said(twofold: Run, arguments: list[str], said: str) -> None:
    code, _, err = twofold("plot", *arguments)
    assert code == 2
    assert said in err


def test_the_map_keeps_what_differs_most() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(200, 16)) * np.array([9.0, 4.0, *[0.1] * 14])
    places, shares = flat(vectors.astype(np.float32))
    assert places.shape == (200, 2)
    assert np.allclose(np.abs(np.corrcoef(places.T, vectors[:, :2].T)[:2, 2:]), np.eye(2), atol=0.1)
    assert shares[0] > shares[1] > 0
    assert sum(shares) > 0.99
    assert np.allclose(flat(vectors[::-1])[0][::-1], places, atol=1e-3)  # whatever their order


@pytest.mark.parametrize("count", [2, 3])
def test_a_map_of_equal_or_few_vectors(count: int) -> None:
    points = Points("same", [np.ones(4, np.float32)] * count, ["x"] * count, "f", [None] * count)
    assert draw_map(points, "svg").startswith(b"<?xml")


def test_what_documents_hold_is_text_in_a_picture() -> None:
    names = ["<script>$\\frac{1}{0}$", "\x1b[31m & \u202e"]
    svg = draw_similarities(np.eye(2, dtype=np.float32), names, "html").decode()
    assert "<script>" not in svg
    assert "\x1b" not in svg
