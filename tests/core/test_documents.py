"""Documents: spans over a text, and everything that can not be one."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold import Document, InputError
from twofold.documents import check_documents, check_text, check_texts, is_blank, span_counts

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: not is_blank(text))


def test_whole_is_one_span_over_everything() -> None:
    assert Document.whole("Grüße").spans == ((0, 5),)


@given(st.lists(texts, min_size=1))
def test_chunks_are_joined_as_they_are(chunks: list[str]) -> None:
    document = Document.from_chunks(chunks)
    assert document.text == "".join(chunks)
    assert [document.text[start:end] for start, end in document.spans] == chunks


def test_chunks_may_come_from_a_generator() -> None:
    assert Document.from_chunks(word for word in ("one ", "two")).spans == ((0, 4), (4, 7))


@given(texts, st.data())
def test_spans_are_kept_in_their_order_and_may_overlap(text: str, data: st.DataObject) -> None:
    place = st.integers(0, len(text))
    spans = data.draw(
        st.lists(
            st.tuples(place, place).filter(lambda span: span[0] < span[1] and not is_blank(text[slice(*span)])),
            min_size=1,
        )
    )
    assert Document.from_spans(text, spans).spans == tuple(spans)


def test_spans_of_numpy_become_plain_numbers() -> None:
    spans = Document.from_spans("one two", np.array([[0, 3], [4, 7]])).spans
    assert spans == ((0, 3), (4, 7))
    assert {type(place) for span in spans for place in span} == {int}


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([], "at least one span"),
        ([(0, 3), (3, 3)], r"span 1, \(3, 3\), is empty or outside the text of 7 characters"),
        ([(0, 3), (4, 8)], r"span 1, \(4, 8\)"),
        ([(-3, 7)], r"span 0, \(-3, 7\)"),
        ([(3, 0)], r"span 0, \(3, 0\)"),
        ([(0, 7), (3, 4)], r"span 1, \(3, 4\), is blank"),
        ([(0, 3), (1,)], r"span 1 is \(1,\), not two whole numbers"),
        ([(0, 1.5)], r"span 0 is \(0, 1.5\), not two whole numbers"),
        ([None], "span 0 is None"),
        ([(0, 1, 2)], r"span 0 is \(0, 1, 2\), not two whole numbers"),
        (None, r"expected a list of spans \(start, end\), got None"),
        (7, r"expected a list of spans \(start, end\), got an int"),
    ],
)
def test_a_bad_span_is_named(spans: list[tuple[int, int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Document.from_spans("one two", spans)
    with pytest.raises(InputError, match=message):
        Document("one two", spans)  # type: ignore[arg-type] # what a caller without types may give


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("", "text 2 is empty: leave it out"),
        (" \n\t\u3000", "text 2 is blank: leave it out"),
        ("\x00\x1b", "text 2 is blank: leave it out"),
        ("\u200b\u200b \ufeff", "text 2 is blank: leave it out"),
        ("half a \ud83d pair", r"text 2 has a lone surrogate, '\\ud83d', at character 7"),
        (None, "text 2 is of type NoneType, not a string"),
        (b"bytes", "text 2 is of type bytes, not a string"),
        (["a", "list"], "text 2 is of type list, not a string"),
        (float("nan"), "text 2 is of type float, not a string"),
    ],
)
def test_a_bad_text_is_named_by_its_index(bad: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_texts(["one", "two", bad, ""])
    assert caught.value.index == 2


def test_a_bad_chunk_is_called_a_chunk() -> None:
    with pytest.raises(InputError, match="chunk 1 is blank") as caught:
        Document.from_chunks(["one", "\n"])
    assert caught.value.index == 1


@pytest.mark.parametrize("text", ["NUL \x00 inside", "\x1b[31mred", "\u200bx", "👩‍👩‍👧", "\ufeffmark", "a"])
def test_control_characters_and_emoji_are_texts(text: str) -> None:
    assert check_text(text) is text


@pytest.mark.parametrize("texts", ["one text", b"bytes"])
def test_one_text_is_not_a_list(texts: str) -> None:
    with pytest.raises(InputError, match=r"expected a list of texts, got one: pass \[text\]"):
        check_texts(texts)


def test_what_can_not_be_listed_is_refused() -> None:
    with pytest.raises(InputError, match="expected a list of texts, got an int"):
        check_texts(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected a list of documents, got an int"):
        check_documents(3)  # type: ignore[arg-type]


def test_a_document_is_not_a_list_of_documents() -> None:
    with pytest.raises(InputError, match=r"pass \[document\]"):
        check_documents(Document.whole("one"))  # type: ignore[arg-type]


def test_a_string_among_documents_is_named() -> None:
    with pytest.raises(InputError, match="document 1 is of type str, not a Document") as caught:
        check_documents([Document.whole("one"), "two"])  # type: ignore[list-item]
    assert caught.value.index == 1


def test_spans_are_counted_by_document() -> None:
    assert span_counts([Document.whole("one"), Document.from_chunks(["a", "b", "c"])]) == [1, 3]


def test_private_and_new_characters_are_seen() -> None:
    assert not is_blank("\ue000")  # icon fonts
    assert not is_blank("\U0010ffff")  # what this Python's tables do not have yet
    assert is_blank("\u2028\u00ad\u3000")


@pytest.mark.parametrize("make", ["pd.Series", "pd.Index", "np.array", "pa.array", "pa.chunked", "tuple", "iter"])
def test_arrays_of_strings_are_taken_as_their_values(make: str) -> None:
    makers: dict[str, Any] = {
        "pd.Series": lambda texts: pd.Series(texts, index=range(5, 5 + len(texts))),
        "pd.Index": pd.Index,
        "np.array": np.array,
        "pa.array": pa.array,
        "pa.chunked": lambda texts: pa.chunked_array([texts[:1], texts[1:]]),
        "tuple": tuple,
        "iter": iter,
    }
    found = check_texts(makers[make](["one", "two", "three"]))
    assert found == ["one", "two", "three"]
    assert {type(text) for text in found} == {str}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (pd.DataFrame({"text": ["a"], "n": [1]}), "got a DataFrame: pass one of its columns"),
        (pa.table({"text": ["a"]}), "got a Table: pass one of its columns"),
        ({"a": "one"}, r"got a dict: pass list\(texts.values\(\)\)"),
        (np.array([["a", "b"]]), r"got an array of shape \(1, 2\)"),
        (np.array("a"), r"got an array of shape \(\)"),
        (pd.Series(["a", None]), "text 1 is of type"),
        (None, "expected a list of texts, got None"),
    ],
)
def test_tables_and_mappings_are_refused_by_name(texts: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_texts(texts)
