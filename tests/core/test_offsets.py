"""Chunks are found where they stand, also where a text repeats itself and where a splitter changed white space."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.errors import InputError
from twofold.offsets import locate

if TYPE_CHECKING:
    from random import Random

REPEATED = "The cat sat on the mat. " * 40
PERIOD = len("The cat sat on the mat. ")


def pieces_of(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


@st.composite
def tiled(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    """A text that repeats itself a lot, and spans that tile it; none of them blank."""
    chunks = draw(
        st.lists(st.text("ab é\n漢\u0301", min_size=1, max_size=8).filter(lambda chunk: chunk.strip()), min_size=1)
    )
    text = "".join(chunks)
    spans, start = [], 0
    for chunk in chunks:
        spans.append((start, start + len(chunk)))
        start += len(chunk)
    return text, spans


@given(tiled())
def test_tiles_are_found_to_the_character_in_repetitive_text(
    case: tuple[str, list[tuple[int, int]]],
) -> None:
    text, spans = case
    assert locate(text, pieces_of(text, spans)) == tuple(spans)


@given(tiled(), st.randoms(use_true_random=False))
def test_overlapping_chunks_are_exact_in_order_and_leave_nothing_out(
    case: tuple[str, list[tuple[int, int]]], random: Random
) -> None:
    text, spans = case
    wide = [(before[0], after[1]) for before, after in pairwise([*spans, spans[-1]])]
    wide = wide[:-1] or wide
    wrong = [random.choice([None, 0, start, start + 1, len(text)]) for start, _ in wide]
    found = locate(text, pieces_of(text, wide), wrong)
    assert pieces_of(text, list(found)) == pieces_of(text, wide)
    assert all(before[0] < after[0] for before, after in pairwise(found))
    assert not any(text[before[1] : after[0]].strip() for before, after in pairwise(found))
    assert not text[found[-1][1] :].strip()


@pytest.mark.parametrize("overlap", [0, 1, 3])
def test_even_overlap_in_repetitive_text(overlap: int) -> None:
    spans = [
        (first * PERIOD, min(first + 8, 40) * PERIOD)
        for first in range(0, 40, 8 - overlap)
        if first == 0 or first + overlap < 40
    ]
    assert locate(REPEATED, pieces_of(REPEATED, spans)) == tuple(spans)


def test_hints_that_are_exact_but_too_early_are_not_believed() -> None:
    spans = [(start, start + 8 * PERIOD) for start in range(0, 40 * PERIOD, 8 * PERIOD)]
    early = [0, PERIOD, 2 * PERIOD, 3 * PERIOD, 32 * PERIOD]
    assert locate(REPEATED, pieces_of(REPEATED, spans), early) == tuple(spans)


def test_hints_that_prove_right_are_believed_where_the_text_alone_can_not_tell() -> None:
    text = "ha " * 12
    uneven = [(0, 15), (3, 18), (15, 30), (24, 36)]
    assert locate(text, pieces_of(text, uneven), [start for start, _ in uneven]) == tuple(uneven)
    assert locate(text, pieces_of(text, uneven)) != tuple(uneven)


def test_white_space_that_the_splitter_changed_is_found_again() -> None:
    text = "  One  two\n\nthree.\tFour five   six. "
    found = locate(text, ["One two three.", "Four\nfivesix."])
    assert pieces_of(text, list(found)) == ["One  two\n\nthree.", "Four five   six."]


def test_text_left_out_between_chunks() -> None:
    text = "# One\nbody of it\n# Two\nbody of it\n# Three\nbody of it"
    places = [6, 23, 42]
    assert locate(text, ["body of it"] * 3) == tuple((place, place + 10) for place in places)
    assert locate(text, ["body of it"] * 2, [6, 42]) == ((6, 16), (42, 52))


def test_a_chunk_inside_of_the_one_before() -> None:
    assert locate("one two three", ["one two three", "two"]) == ((0, 13), (4, 7))


def test_a_chunk_that_is_not_in_the_text_is_named() -> None:
    with pytest.raises(InputError, match=r"chunk 1, 'blue', is not in its document after the start") as caught:
        locate("red green", ["red", "blue"])
    assert caught.value.index == 1


def test_chunks_out_of_order_are_refused() -> None:
    with pytest.raises(InputError, match="chunk 1, 'red'"):
        locate("red green", ["green", "red"])


@pytest.mark.parametrize(
    ("text", "pieces", "hints", "message"),
    [
        ("text", ["text", " "], None, "chunk 1 is blank"),
        (" ", ["a"], None, "text is blank"),
        ("text", ["te", "xt"], [0], "1 hints for 2 chunks"),
        ("text", "text", None, "expected a list of chunks"),
    ],
)
def test_pieces_that_are_not_in_the_text_are_refused(
    text: str, pieces: list[str], hints: list[int | None] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        locate(text, pieces, hints)


def test_no_chunks_have_no_spans() -> None:
    assert locate("text", []) == ()


def test_a_long_text_takes_little_time() -> None:
    text = "word " * 200_000
    spans = [(start, start + 2_500) for start in range(0, len(text) - 2_000, 2_000)]
    spans[-1] = (spans[-1][0], len(text))
    began = time.process_time()  # of this process alone: whatever else runs here
    assert locate(text, pieces_of(text, spans)) == tuple(spans)
    assert time.process_time() - began < 5
