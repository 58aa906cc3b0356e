"""The contracts of hosts that embed, as test classes to inherit.

A `Door` describes the host:

class TestMyHost(AdapterContract):
    door = Door(
        name="my host",
        make=lambda **options: MyEmbedder(**options),
        query=lambda mine, text: mine.embed_query(text),
        documents=lambda mine, texts: mine.embed_documents(texts),
    )
"""

from __future__ import annotations

import asyncio
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import numpy as np
import pytest

from twofold.embedder import Embedder, embed_texts
from twofold.errors import BlankWarning, DimensionsWarning, InputError, TwofoldError
from twofold.settings import options
from twofold.testing import doors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twofold.settings import Option
    from twofold.testing.doors import Door
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
"""Several languages and lengths, and a line break; the first text occurs twice."""

BLANK_TEXTS = ("", " \n\t")
BAD_TEXT = "half a pair: \ud83d"

CANARY = "sk-canary-7f3a9d"
CANARY_VARIABLE = "TWOFOLD_CONTRACT_KEY"

_VALUES: dict[str, Any] = {
    "dimensions": 16,
    "query_task": None,
    "late_window": 256,
    "device": "cpu",
    "api_key_env": CANARY_VARIABLE,
    "cache": str(Path(tempfile.gettempdir()) / "twofold-contract"),
    "base_url": "http://127.0.0.1:9/v1",
}
"""Values of options for which not every word or number is valid."""


class VectorContract:
    """The host gives exactly the same vectors and errors as the core.

    `options` name the model that both use: `fake:`, unless a subclass names another.
    """

    door: Door
    options: Mapping[str, Any] = {"model": "fake:"}

    # -- vectors ------------------------------------------------------------------------------------------------------

    def test_queries_and_documents_have_different_vectors(self) -> None:
        thing, core = self._make(), self._core()
        query, (document,) = self._query(thing, TEXTS[0]), self._documents(thing, TEXTS[:1])
        assert np.array_equal(query, document) == (core.query_task == core.document_task)

    def test_query_vectors_equal_the_cores(self) -> None:
        thing, core = self._make(), self._core()
        for text in TEXTS:
            assert_same(self._query(thing, text), core.embed_query(text), f"the query {text!r}")

    def test_document_vectors_equal_the_cores(self) -> None:
        thing, core = self._make(), self._core()
        for count in range(1, len(TEXTS) + 1):
            texts = TEXTS[:count]
            assert_same(self._documents(thing, texts), core.embed_documents(texts), f"{count} documents")

    def test_order_is_kept(self) -> None:
        thing = self._make()
        alone = {text: self._documents(thing, [text])[0] for text in TEXTS}
        for texts in (TEXTS, TEXTS[::-1]):
            for text, vector in zip(texts, self._documents(thing, texts), strict=True):
                apart = {other: float(np.abs(vector - own).max()) for other, own in alone.items()}
                assert min(apart, key=lambda other: apart[other]) == text

    def test_vectors_have_the_hosts_types(self) -> None:
        thing, door = self._make(), self.door
        for vector in (door.query(thing, TEXTS[0]), *door.documents(thing, list(TEXTS[:2]))):
            assert type(vector[0]) is door.number
            assert isinstance(vector, door.vector)

    # -- options ------------------------------------------------------------------------------------------------------

    def test_dimensions_reach_the_model(self) -> None:
        card = self._core().card
        dimensions = next((size for size in card.matryoshka if size < card.width), card.width // 2)
        self._assert_agrees(dimensions=dimensions)
        assert len(self._query(self._make(dimensions=dimensions), TEXTS[0])) == dimensions

    def test_tasks_reach_the_model(self) -> None:
        card = self._core().card
        sides = (card.query_task, card.document_task)
        for task in (None, next((task.name for task in card.tasks if task.name not in sides), None)):
            self._assert_agrees(query_task=task)
            self._assert_agrees(document_task=task)

    def test_normalize_reaches_the_model(self) -> None:
        self._assert_agrees(normalize=False)

    def test_truncate_reaches_the_model(self) -> None:
        text = " ".join(["lighthouse"] * (self._core().card.max_tokens + 1))
        for truncate in ("error", "end"):
            thing, core = self._make(truncate=truncate), self._core(truncate=truncate)
            got, wanted = _outcome(self._documents, thing, [text]), _outcome(core.embed_documents, [text])
            if isinstance(wanted, type) or isinstance(got, type):
                assert got is wanted, f"truncate={truncate!r}"
            else:
                assert_same(got, wanted, f"truncate={truncate!r}")

    # -- errors -------------------------------------------------------------------------------------------------------

    def test_bad_texts_are_refused(self) -> None:
        thing = self._make()
        for bad in (BAD_TEXT, *(() if self.door.takes_blank else BLANK_TEXTS)):
            with pytest.raises(InputError):
                self.door.query(thing, bad)
            with pytest.raises(InputError) as error:
                self.door.documents(thing, [TEXTS[0], bad, TEXTS[1]])
            assert error.value.index == 1

    def test_blank_texts_do_not_stop_a_host_that_accepts_them(self) -> None:
        """They get the vector of the empty text on their side, and a warning."""
        if not self.door.takes_blank:
            pytest.skip(f"{self.door.name} rejects blank texts")
        thing, core = self._make(), self._core()
        for blank in BLANK_TEXTS:
            with pytest.warns(BlankWarning) as said:
                query = self.door.query(thing, blank)
            with pytest.warns(BlankWarning) as also:
                documents = self.door.documents(thing, [TEXTS[0], blank, TEXTS[1]])
            assert len(said) == len(also) == 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BlankWarning)
                assert_same(query, embed_texts(core, "query", [""])[0], f"the query {blank!r}")
                wanted = embed_texts(core, "document", [TEXTS[0], "", TEXTS[1]])
            assert_same(documents, wanted, f"documents with {blank!r}")

    def test_wrong_options_are_refused(self) -> None:
        """When the object is created, or on first use."""
        for name, value in (
            ("query_task", "no such task"),
            ("document_task", "no such task"),
            ("dimensions", 0),
            ("dimensions", self._core().card.width + 1),
            ("truncate", "sometimes"),
            ("timeout", 0),
        ):
            with pytest.raises(InputError):
                self._use_once(**{**self.options, name: value})

    # -- async --------------------------------------------------------------------------------------------------------

    def test_async_vectors_equal_the_cores(self) -> None:
        door = self.door
        aquery, adocuments = door.aquery, door.adocuments
        if aquery is None or adocuments is None:
            pytest.skip(f"{door.name} has no async methods")
        thing, core, texts = self._make(), self._core(), list(TEXTS)

        async def ask() -> tuple[Any, list[Any], Any]:
            documents = await adocuments(thing, texts)
            queries = await asyncio.gather(*(aquery(thing, text) for text in texts))
            with pytest.raises(InputError):
                await adocuments(thing, [BAD_TEXT])
            return documents, queries, await aquery(thing, texts[0])

        documents, queries, last = asyncio.run(ask())
        assert_same(documents, core.embed_documents(texts), "documents")
        for text, vector in zip(texts, queries, strict=True):
            assert_same(vector, core.embed_query(text), f"the query {text!r}")
        assert type(last) is type(door.query(thing, texts[0]))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _make(self, **options: Any) -> Any:
        return self.door.make(**{**self.options, **options})

    def _core(self, **options: Any) -> Embedder:
        return Embedder(**{**self.options, **options})

    def _use_once(self, **options: Any) -> None:
        thing = self.door.make(**options)
        self.door.query(thing, TEXTS[0])
        self.door.documents(thing, list(TEXTS[:1]))

    def _query(self, thing: Any, text: str) -> FloatArray:
        return np.asarray(self.door.query(thing, text), np.float64)

    def _documents(self, thing: Any, texts: Sequence[str]) -> FloatArray:
        return np.asarray([np.asarray(row, np.float64) for row in self.door.documents(thing, list(texts))])

    def _assert_agrees(self, **options: Any) -> None:
        """Both sides give the core's vectors under `options`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DimensionsWarning)
            thing, core = self._make(**options), self._core(**options)
            assert_same(self._query(thing, TEXTS[0]), core.embed_query(TEXTS[0]), f"a query with {options}")
            assert_same(self._documents(thing, TEXTS), core.embed_documents(TEXTS), f"documents with {options}")


class AdapterContract(VectorContract):
    """`VectorContract`, and more: the object can be saved and shown, and a missing host gives a clear error."""

    def test_settings_survive_every_round_trip(self) -> None:
        """All settings; the loaded object gives the same vectors."""
        changed = {name: value for name, value in changed_options().items() if name not in self.door.kept_back}
        for given in ({}, changed if self.options["model"] == "fake:" else {"normalize": False}):
            thing = self._make(**given)
            wanted = self._core(**given).settings
            assert self.door.settings(thing) == wanted
            vectors = self._documents(thing, TEXTS[:2])
            for name, trip in self.door.all_round_trips().items():
                if name == "spawn" and not given:
                    continue  # a fresh process takes seconds: once is enough
                again = trip(thing)
                assert self.door.settings(again) == wanted, f"{name} lost settings"
                assert_same(self._documents(again, TEXTS[:2]), vectors, f"documents after {name}")

    def test_no_secret_is_shown_or_stored(self) -> None:
        """A key is in no repr, pickle, saved form, copy or traceback, wherever it was given."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(CANARY_VARIABLE, CANARY)
            for given in ({"api_key": CANARY}, {"api_key": lambda: CANARY}, {"api_key_env": CANARY_VARIABLE}):
                self._assert_shows_no_secret({**self.options, **given})

    def test_a_missing_extra_is_named(self) -> None:
        """Without its host the package raises `MissingExtra`, which says what to install."""
        door = self.door
        if door.package is None:
            pytest.skip(f"{door.name} needs no extra")
        code = (
            f"import sys\nsys.modules[{door.requires!r}] = None\ntry:\n    import {door.package}\n    {door.use}\n"
            "except ImportError as error:\n    print(type(error).__module__, type(error).__name__, error)\n"
        )
        said = doors.run_python(code).decode()
        assert said.startswith("twofold.errors MissingExtra")
        assert f"pip install {door.installs}" in said

    def _assert_shows_no_secret(self, options: Mapping[str, Any]) -> None:
        thing = self.door.make(**options)
        saved = {name: trip(thing) for name, trip in self.door.all_round_trips().items() if name != "spawn"}
        for name, shown in {"made": thing, **saved}.items():
            for surface in self.door.all_surfaces(shown):
                assert CANARY not in surface, f"the key shows in {self.door.name} ({name})"
        assert CANARY not in _crash_report(self.door.documents, thing)


def changed_options() -> dict[str, Any]:
    """Return every option except the model and the document task, with a value that is not its default."""
    kept = ("model", "document_task")
    return {option.name: _changed(option) for option in options() if option.name not in kept}


def _changed(option: Option) -> Any:
    if option.name in _VALUES:
        return _VALUES[option.name]
    if isinstance(option.default, bool):
        return not option.default
    if float in (option.hint, *get_args(option.hint)):
        return (option.default or 400.0) / 80
    if option.least is not None:
        return option.least + 1
    kinds = [option.hint, *get_args(option.hint)]
    choices = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), (f"a {option.name}",))
    return next(choice for choice in reversed(choices) if choice != option.default)


def assert_same(got: Any, wanted: Any, what: str) -> None:
    """Check that all values are equal. A float64 represents every float32 exactly."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    assert got.shape == wanted.shape, what
    assert np.abs(got - wanted).max(initial=0) == 0, f"{what}: the vectors differ from the core's"


def _crash_report(documents: Callable[[Any, list[str]], Any], thing: Any) -> str:
    """The traceback of a refused text, with local variables, as crash reports show it."""
    with pytest.raises(TwofoldError) as error:
        documents(thing, [BAD_TEXT])
    return "".join(traceback.TracebackException.from_exception(error.value, capture_locals=True).format())


def _outcome(act: Callable[..., Any], *arguments: Any) -> Any:
    """What `act` returns, or the class of the error that it raises."""
    try:
        return act(*arguments)
    except TwofoldError as error:
        return type(error)
