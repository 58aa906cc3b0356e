"""The contract that every embedding door keeps, as tests to inherit.

An adapter joins with a `Door`, which says how its host is used:

    class TestMyHost(AdapterContract):
        door = Door(
            name="my host",
            make=lambda **options: MyEmbedder(**options),
            query=lambda mine, text: mine.embed_query(text),
            documents=lambda mine, texts: mine.embed_documents(texts),
        )

The tests are plain methods: any runner that collects `Test…` classes runs them, and none is needed to import this.
"""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.embedder import Embedder, embed_texts
from twofold.errors import BlankWarning, DimensionsWarning
from twofold.testing.checks import check, outcome, refused, same, skip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twofold.testing.door import Door
    from twofold.vectors import FloatArray

TEXTS = (
    "The lighthouse keeper counted nine ships before the fog came in.",
    "A ship counts nine keepers.",
    "Wo steht der Leuchtturm?\nAn der Küste, seit 1811.",
    "灯台は岬に立っている。",
    "fog",
    "def keep(light): return light  # \U0001f5fc",
    "The lighthouse keeper counted nine ships before the fog came in.",
)
"""Several languages, lengths and a line break; the first comes twice."""

BLANK_TEXTS = ("", " \n\t")
BAD_TEXTS = (*BLANK_TEXTS, "half a pair: \ud83d")


class VectorContract:
    """The same texts give the same vectors through this door as from the core, to the bit, and the same errors.

    `options` name the model that both use: `fake:`, unless a subclass names another.
    """

    door: Door
    options: Mapping[str, Any] = {"model": "fake:"}

    # -- vectors ------------------------------------------------------------------------------------------------------

    def test_a_query_goes_in_otherwise_than_a_document(self) -> None:
        """The two vectors of one text differ where, and only where, the model's two sides do."""
        thing, core = self._make(), self._core()
        query, (document,) = self._query(thing, TEXTS[0]), self._documents(thing, TEXTS[:1])
        check(
            np.array_equal(query, document) == (core.query_task == core.document_task),
            "the sides of the model were not kept apart",
        )

    def test_queries_are_the_cores(self) -> None:
        """Each query's vector is the core's."""
        thing, core = self._make(), self._core()
        for text in TEXTS:
            same(self._query(thing, text), core.embed_query(text), f"the query {text!r}")

    def test_documents_are_the_cores(self) -> None:
        """Lists of every length, as many vectors as texts."""
        thing, core = self._make(), self._core()
        for count in range(1, len(TEXTS) + 1):
            texts = TEXTS[:count]
            same(self._documents(thing, texts), core.embed_documents(texts), f"{count} documents")

    def test_order_is_kept(self) -> None:
        """Each text's vector stands in its place, whatever comes with it."""
        thing = self._make()
        alone = {text: self._documents(thing, [text])[0] for text in TEXTS}
        for texts in (TEXTS, TEXTS[::-1]):
            for text, vector in zip(texts, self._documents(thing, texts), strict=True):
                apart = {other: float(np.abs(vector - own).max()) for other, own in alone.items()}
                check(min(apart, key=lambda other: apart[other]) == text, f"the vector of {text!r} is another text's")

    def test_types_are_the_hosts(self) -> None:
        """A vector, and a number in it, are what the host takes."""
        thing, door = self._make(), self.door
        for vector in (door.query(thing, TEXTS[0]), *door.documents(thing, list(TEXTS[:2]))):
            check(isinstance(vector, door.vector), f"a vector is of {type(vector)}, not {door.vector}")
            check(type(vector[0]) is door.number, f"a number is of {type(vector[0])}, not {door.number}")

    # -- options ------------------------------------------------------------------------------------------------------

    def test_dimensions_reach_the_model(self) -> None:
        """Shorter vectors, on both sides, and the core's."""
        card = self._core().card
        dimensions = next((size for size in card.matryoshka if size < card.width), card.width // 2)
        self._agree(dimensions=dimensions)
        check(len(self._query(self._make(dimensions=dimensions), TEXTS[0])) == dimensions, "dimensions were dropped")

    def test_tasks_reach_the_model(self) -> None:
        """Each side's task is its own option."""
        card = self._core().card
        sides = (card.query_task, card.document_task)
        for task in (None, next((task.name for task in card.tasks if task.name not in sides), None)):
            self._agree(query_task=task)
            self._agree(document_task=task)

    def test_normalize_reaches_the_model(self) -> None:
        """Vectors as the model gives them."""
        self._agree(normalize=False)

    def test_truncate_reaches_the_model(self) -> None:
        """A text over the model's length is refused, or cut, as for the core."""
        text = " ".join(["lighthouse"] * (self._core().card.max_tokens + 1))
        for truncate in ("error", "end"):
            thing, core = self._make(truncate=truncate), self._core(truncate=truncate)
            got, wanted = outcome(self._documents, thing, [text]), outcome(core.embed_documents, [text])
            if isinstance(wanted, type) or isinstance(got, type):
                check(got is wanted, f"truncate={truncate!r} gave {got}, not {wanted}")
            else:
                same(got, wanted, f"truncate={truncate!r}")

    # -- errors -------------------------------------------------------------------------------------------------------

    def test_bad_texts_are_refused(self) -> None:
        """An `InputError` that names the text by its index, as the core raises it."""
        thing = self._make()
        for bad in BAD_TEXTS[len(BLANK_TEXTS) :] if self.door.takes_blank else BAD_TEXTS:
            with refused(f"the query {bad!r}"):
                self.door.query(thing, bad)
            with refused(f"the document {bad!r}") as error:
                self.door.documents(thing, [TEXTS[0], bad, TEXTS[1]])
            check(error[0].index == 1, f"the error names text {error[0].index}, not 1")

    def test_blank_texts_do_not_stop_a_door_that_takes_them(self) -> None:
        """They get the vector of the empty text on their side, and a warning."""
        if not self.door.takes_blank:
            skip(f"{self.door.name} rejects blank texts")
        thing, core = self._make(), self._core()
        for blank in BLANK_TEXTS:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                query = self.door.query(thing, blank)
                documents = self.door.documents(thing, [TEXTS[0], blank, TEXTS[1]])
            check([one.category for one in said] == [BlankWarning] * 2, f"of {blank!r} was said: {said}")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                same(query, embed_texts(core, "query", [""])[0], f"the query {blank!r}")
                wanted = embed_texts(core, "document", [TEXTS[0], "", TEXTS[1]])
            same(documents, wanted, f"documents with {blank!r}")

    def test_wrong_options_are_refused(self) -> None:
        """An `InputError`, when the object is made or at its first use."""
        for name, value in (
            ("query_task", "no such task"),
            ("document_task", "no such task"),
            ("dimensions", 0),
            ("dimensions", self._core().card.width + 1),
            ("truncate", "sometimes"),
            ("timeout", 0),
        ):
            with refused(f"{name}={value!r}"):
                thing = self.door.make(**{**self.options, name: value})
                self.door.query(thing, TEXTS[0])
                self.door.documents(thing, list(TEXTS[:1]))

    # -- async --------------------------------------------------------------------------------------------------------

    def test_async_twins_are_the_cores(self) -> None:
        """The same vectors and errors, one call at a time and several at once."""
        door = self.door
        aquery, adocuments = door.aquery, door.adocuments
        if aquery is None or adocuments is None:
            skip(f"{door.name} has no async face")
        thing, core, texts = self._make(), self._core(), list(TEXTS)

        async def ask() -> tuple[Any, list[Any], Any]:
            documents = await adocuments(thing, texts)
            queries = await asyncio.gather(*(aquery(thing, text) for text in texts))
            with refused("a bad document"):
                await adocuments(thing, [BAD_TEXTS[-1]])
            return documents, queries, await aquery(thing, texts[0])

        documents, queries, last = asyncio.run(ask())
        same(documents, core.embed_documents(texts), "documents")
        for text, vector in zip(texts, queries, strict=True):
            same(vector, core.embed_query(text), f"the query {text!r}")
        check(type(last) is type(door.query(thing, texts[0])), f"a vector is of {type(last)} here")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _make(self, **options: Any) -> Any:
        return self.door.make(**{**self.options, **options})

    def _core(self, **options: Any) -> Embedder:
        return Embedder(**{**self.options, **options})

    def _query(self, thing: Any, text: str) -> FloatArray:
        return np.asarray(self.door.query(thing, text), np.float64)

    def _documents(self, thing: Any, texts: Sequence[str]) -> FloatArray:
        return np.asarray([np.asarray(row, np.float64) for row in self.door.documents(thing, list(texts))])

    def _agree(self, **options: Any) -> None:
        """Both sides of the two agree under `options`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DimensionsWarning)
            thing, core = self._make(**options), self._core(**options)
            same(self._query(thing, TEXTS[0]), core.embed_query(TEXTS[0]), f"a query with {options}")
            same(self._documents(thing, TEXTS), core.embed_documents(TEXTS), f"documents with {options}")
