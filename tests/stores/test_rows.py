"""Rows, and how stores are found."""

from __future__ import annotations

import pytest

from twofold.errors import InputError
from twofold.stores import Held, Row, Store, find_store, open_store
from twofold.testing import FakeEmbedder, MemoryStore


def test_a_row_survives_its_fields() -> None:
    row = Row(id="a#1", document="a", text="xyz", span=(2, 5), metadata={"n": 1}, digest="d", rows=3)
    assert Row.from_fields("a#1", "xyz", row.fields()) == row
    assert Held.from_fields("a#1", row.fields()) == Held("a#1", "a", "d", 3)


def test_a_row_of_something_else_is_a_document_of_its_own() -> None:
    assert Row.from_fields("a", "xyz", {"n": 1}) == Row(
        id="a", document="a", text="xyz", span=(0, 3), metadata={"n": 1}
    )
    assert Held.from_fields("a", {}) == Held("a", "a", "", 1)


def test_a_store_is_found_by_its_scheme() -> None:
    from chroma_twofold import ChromaStore

    assert find_store("chroma:./x") == (ChromaStore, "./x")
    assert isinstance(MemoryStore("", "docs"), Store)
    assert isinstance(ChromaStore(None, "docs"), Store)


@pytest.mark.parametrize("address", ["qdrant:./x", "./folder", ""])
def test_an_unknown_scheme_lists_those_that_are_installed(address: str) -> None:
    with (
        pytest.raises(InputError, match=r"starts with one of those installed, chroma:…") as error,
        open_store(address, "docs", FakeEmbedder()),
    ):
        pass
    assert f"unknown store {address.partition(':')[0]!r}" in str(error.value)
