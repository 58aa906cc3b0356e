"""What the contract of a store says of searches among rows with given fields."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from twofold.stores.opening import open_collection
from twofold.stores.writing import add_documents
from twofold.testing.checks import check
from twofold.testing.embedder import FakeEmbedder

if TYPE_CHECKING:
    from twofold.testing.store_door import StoreDoor

TEXTS = {"a": "Nine ships came in.", "b": "Ten ships came in.", "c": "Ships went out.", "d": "Tea and bread."}
FIELDS: dict[str, Any] = {
    "a": {"n": 9, "topic": "the sea", "ok": True},
    "b": {"n": 10.0, "topic": "sea"},
    "c": {"topic": "Sea", "said": "9"},
    "d": {"n": 1, "topic": "food", "said": 'it\'s "9", or 10%'},
}
CASES: list[tuple[dict[str, Any], str]] = [
    ({"topic": ["sea"]}, "b"),
    ({"topic": ["sea", "food"]}, "bd"),
    ({"n": [9, "9"]}, "a"),
    ({"n": [9.0, 10]}, "ab"),
    ({"said": ["9", 9]}, "c"),
    ({"said": ['it\'s "9", or 10%']}, "d"),
    ({"ok": [True]}, "a"),
    ({"ok": [1]}, ""),
    ({"n": [True]}, ""),
    ({"n": [1, 9], "topic": ["food"]}, "d"),
    ({"nothing": ["here"]}, ""),
    ({}, "abcd"),
]


class FilterContract:
    """A part of `StoreContract`."""

    door: StoreDoor

    def test_search_keeps_to_the_fields_that_are_asked_for(self) -> None:
        """Exactly and by type, among all rows, however near the others are; of a list, by one of its values."""
        name, embedder = f"Contract{uuid.uuid4().hex}", FakeEmbedder()
        store = self.door.store(name)
        open_collection(store, embedder)
        fields, cases = dict(FIELDS), list(CASES)
        if store.keeps_lists:
            fields["c"] = {**fields["c"], "tags": ["x", "y"], "years": [1999, 2026]}
            cases += [({"tags": ["y"]}, "c"), ({"years": [2026.0]}, "c"), ({"tags": ["z"]}, "")]
        add_documents(
            store, embedder, ids=list(TEXTS), documents=list(TEXTS.values()), metadatas=[fields[key] for key in TEXTS]
        )
        query = embedder.embed_query("ships")
        for where, expected in cases:
            hits = store.search(query, len(expected) or 3, where)
            found = "".join(sorted(hit.row.id for hit in hits))
            check(found == expected, f"{where} finds {found!r}, not {expected!r}")
            scores = [hit.score for hit in hits]
            check(scores == sorted(scores, reverse=True), f"{where} finds rows out of order")
