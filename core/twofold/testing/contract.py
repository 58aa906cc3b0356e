"""The contract that every adapter keeps, as tests to inherit.

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
import os
import pickle
import subprocess
import sys
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from twofold.embedder import Embedder
from twofold.errors import DimensionsWarning, InputError, TwofoldError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from twofold.settings import Settings
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

BAD_TEXTS = ("", " \n\t", "half a pair: \ud83d")
CANARY = "sk-canary-7f3a9d"
CANARY_VARIABLE = "TWOFOLD_CONTRACT_KEY"


def pickled(thing: Any) -> Any:
    """`thing`, pickled and loaded again."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own bytes


def spawned(thing: Any) -> Any:
    """`thing`, pickled through a fresh process, as a worker that was spawned receives it."""
    code = "import pickle, sys; pickle.dump(pickle.load(sys.stdin.buffer), sys.stdout.buffer)"
    return pickle.loads(_child(code, pickle.dumps(thing)))  # noqa: S301 - our own bytes


@dataclass(frozen=True, kw_only=True)
class Door:
    """How one host is used: what makes its object, and how that object is asked.

    Attributes:
        name: for messages and test ids.
        make: options of an `Embedder`, `model` and `api_key` among them -> the host's object.
        query: the object and a text -> the vector of that query.
        documents: the object and a list of texts -> their vectors.
        aquery, adocuments: the async twins, where the host has them.
        vector, number: the python type of a vector, and of one number in it, that the host wants.
        settings: the object -> the `Settings` behind it.
        round_trips: the host's own ways of saving and loading again, by name.
        kept_back: settings that these leave out on purpose, as a URL out of what others can write to.
        pickles: whether pickling, here and in a fresh process, belongs to them.
        surfaces: the object -> what the host shows or stores of it; repr, str and pickle are looked at anyway.
        package, requires, extra: the adapter's package, a module of its host, and the extra that installs that.
        use: a line of Python that needs the extra, where to import the package is not enough.
    """

    name: str
    make: Callable[..., Any]
    query: Callable[[Any, str], Any]
    documents: Callable[[Any, list[str]], Any]
    aquery: Callable[[Any, str], Awaitable[Any]] | None = None
    adocuments: Callable[[Any, list[str]], Awaitable[Any]] | None = None
    vector: type = np.ndarray
    number: type = np.float32
    settings: Callable[[Any], Settings] = lambda thing: thing.embedder.settings
    round_trips: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    kept_back: frozenset[str] = frozenset()
    pickles: bool = True
    surfaces: Callable[[Any], Iterable[str]] = lambda _: ()
    package: str | None = None
    requires: str = ""
    extra: str = ""
    use: str = ""

    def all_round_trips(self) -> dict[str, Callable[[Any], Any]]:
        """The host's own ways, and pickling."""
        return {**self.round_trips, **({"pickle": pickled, "spawn": spawned} if self.pickles else {})}

    def all_surfaces(self, thing: Any) -> list[str]:
        """Every string in which a secret could show."""
        own = [repr(thing), str(thing), *self.surfaces(thing)]
        return [*own, pickle.dumps(thing, protocol=0).decode("latin-1")] if self.pickles else own


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
        _check(
            np.array_equal(query, document) == (core.query_task == core.document_task),
            "the sides of the model were not kept apart",
        )

    def test_queries_are_the_cores(self) -> None:
        """Each query's vector is the core's."""
        thing, core = self._make(), self._core()
        for text in TEXTS:
            _same(self._query(thing, text), core.embed_query(text), f"the query {text!r}")

    def test_documents_are_the_cores(self) -> None:
        """Lists of every length, as many vectors as texts."""
        thing, core = self._make(), self._core()
        for count in range(1, len(TEXTS) + 1):
            texts = TEXTS[:count]
            _same(self._documents(thing, texts), core.embed_documents(texts), f"{count} documents")

    def test_order_is_kept(self) -> None:
        """Each text's vector stands in its place, whatever comes with it."""
        thing = self._make()
        alone = {text: self._documents(thing, [text])[0] for text in TEXTS}
        for texts in (TEXTS, TEXTS[::-1]):
            for text, vector in zip(texts, self._documents(thing, texts), strict=True):
                _check(bool(np.allclose(vector, alone[text], atol=1e-4)), f"the vector of {text!r} is another text's")

    def test_types_are_the_hosts(self) -> None:
        """A vector, and a number in it, are what the host takes."""
        thing, door = self._make(), self.door
        for vector in (door.query(thing, TEXTS[0]), *door.documents(thing, list(TEXTS[:2]))):
            _check(isinstance(vector, door.vector), f"a vector is of {type(vector)}, not {door.vector}")
            _check(type(vector[0]) is door.number, f"a number is of {type(vector[0])}, not {door.number}")

    # -- options ------------------------------------------------------------------------------------------------------

    def test_dimensions_reach_the_model(self) -> None:
        """Shorter vectors, on both sides, and the core's."""
        card = self._core().card
        dimensions = next((size for size in card.matryoshka if size < card.width), card.width // 2)
        self._agree(dimensions=dimensions)
        _check(len(self._query(self._make(dimensions=dimensions), TEXTS[0])) == dimensions, "dimensions were dropped")

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
            got, wanted = _outcome(self._documents, thing, [text]), _outcome(core.embed_documents, [text])
            if isinstance(wanted, type) or isinstance(got, type):
                _check(got is wanted, f"truncate={truncate!r} gave {got}, not {wanted}")
            else:
                _same(got, wanted, f"truncate={truncate!r}")

    # -- errors -------------------------------------------------------------------------------------------------------

    def test_bad_texts_are_refused(self) -> None:
        """An `InputError` that names the text by its index, as the core raises it."""
        thing = self._make()
        for bad in BAD_TEXTS:
            with _refused(f"the query {bad!r}"):
                self.door.query(thing, bad)
            with _refused(f"the document {bad!r}") as error:
                self.door.documents(thing, [TEXTS[0], bad, TEXTS[1]])
            _check(error[0].index == 1, f"the error names text {error[0].index}, not 1")

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
            with _refused(f"{name}={value!r}"):
                thing = self.door.make(**{**self.options, name: value})
                self.door.query(thing, TEXTS[0])
                self.door.documents(thing, list(TEXTS[:1]))

    # -- async --------------------------------------------------------------------------------------------------------

    def test_async_twins_are_the_cores(self) -> None:
        """The same vectors and errors, one call at a time and several at once."""
        door = self.door
        aquery, adocuments = door.aquery, door.adocuments
        if aquery is None or adocuments is None:
            _skip(f"{door.name} has no async face")
        thing, core, texts = self._make(), self._core(), list(TEXTS)

        async def ask() -> tuple[Any, list[Any], Any]:
            documents = await adocuments(thing, texts)
            queries = await asyncio.gather(*(aquery(thing, text) for text in texts))
            with _refused("an empty document"):
                await adocuments(thing, [""])
            return documents, queries, await aquery(thing, texts[0])

        documents, queries, last = asyncio.run(ask())
        _same(documents, core.embed_documents(texts), "documents")
        for text, vector in zip(texts, queries, strict=True):
            _same(vector, core.embed_query(text), f"the query {text!r}")
        _check(type(last) is type(door.query(thing, texts[0])), f"a vector is of {type(last)} here")

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
            _same(self._query(thing, TEXTS[0]), core.embed_query(TEXTS[0]), f"a query with {options}")
            _same(self._documents(thing, TEXTS), core.embed_documents(TEXTS), f"documents with {options}")


class AdapterContract(VectorContract):
    """`VectorContract`, and what is kept when the object is saved, shown, or used without its host."""

    changed: ClassVar[Mapping[str, Any]] = {
        "dimensions": 16,
        "query_task": None,
        "normalize": False,
        "truncate": "end",
        "query_truncate": "end",
        "batch_tokens": 4096,
        "late_window": 256,
        "late_overlap": 16,
        "device": "cpu",
        "dtype": "float32",
        "revision": "main",
        "api_key_env": CANARY_VARIABLE,
        "base_url": "http://127.0.0.1:9/v1",
        "timeout": 7.5,
        "concurrency": 2,
        "encoding": "base64",
    }
    """Every setting but the model and one task, away from its default; a model that lacks one of them changes this."""

    def test_settings_survive_every_round_trip(self) -> None:
        """All of them, and the loaded object gives the same vectors."""
        changed = {name: value for name, value in self.changed.items() if name not in self.door.kept_back}
        for options in ({}, changed if self.options["model"] == "fake:" else {"normalize": False}):
            thing = self._make(**options)
            wanted = self._core(**options).settings
            _check(self.door.settings(thing) == wanted, f"{self.door.name} changed the settings {wanted}")
            vectors = self._documents(thing, TEXTS[:2])
            for name, trip in self.door.all_round_trips().items():
                if name == "spawn" and not options:
                    continue  # a fresh process takes seconds: once is enough
                again = trip(thing)
                _check(self.door.settings(again) == wanted, f"{name} lost settings: {self.door.settings(again)}")
                _same(self._documents(again, TEXTS[:2]), vectors, f"documents after {name}")

    def test_no_secret_is_shown_or_stored(self) -> None:
        """A key is in no repr, pickle, saved form, copy or traceback, whether it was given or is in the environment."""
        before = os.environ.get(CANARY_VARIABLE)
        os.environ[CANARY_VARIABLE] = CANARY
        try:
            for options in ({"api_key": CANARY}, {"api_key": lambda: CANARY}, {"api_key_env": CANARY_VARIABLE}):
                self._shows_no_secret({**self.options, **options})
        finally:
            os.environ.pop(CANARY_VARIABLE)
            if before is not None:
                os.environ[CANARY_VARIABLE] = before

    def test_a_missing_extra_is_named(self) -> None:
        """Without its host the package says, as `MissingExtra`, what to install."""
        door = self.door
        if door.package is None:
            _skip(f"{door.name} needs no extra")
        code = (
            f"import sys\nsys.modules[{door.requires!r}] = None\ntry:\n    import {door.package}\n    {door.use}\n"
            "except ImportError as error:\n    print(type(error).__module__, type(error).__name__, error)\n"
        )
        said = _child(code).decode()
        _check(said.startswith("twofold.errors MissingExtra"), f"without {door.requires}: {said or 'nothing is said'}")
        _check(f"pip install 'twofold[{door.extra}]'" in said, f"the message names no extra {door.extra}: {said}")

    def _shows_no_secret(self, options: Mapping[str, Any]) -> None:
        thing = self.door.make(**options)
        saved = {name: trip(thing) for name, trip in self.door.all_round_trips().items() if name != "spawn"}
        for name, shown in {"made": thing, **saved}.items():
            for surface in self.door.all_surfaces(shown):
                _check(CANARY not in surface, f"the key shows in {self.door.name} ({name}): {surface[:300]}")
        said = _traceback(self.door.documents, thing)
        _check(CANARY not in said, f"the key shows in a traceback:\n{said}")


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def _same(got: Any, wanted: Any, what: str) -> None:
    """Equal to the bit: a float64 holds every float32 exactly."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    _check(got.shape == wanted.shape, f"{what}: the shape is {got.shape}, not {wanted.shape}")
    apart = np.abs(got - wanted).max(initial=0)
    _check(bool(apart == 0), f"{what}: not the core's vectors; they differ by up to {apart:.3g}")


def _outcome(act: Callable[..., Any], *arguments: Any) -> Any:
    """What `act` gives, or the class of Twofold's error that it raises."""
    try:
        return act(*arguments)
    except TwofoldError as error:
        return type(error)


@contextmanager
def _refused(what: str) -> Iterator[list[InputError]]:
    """The block must raise an `InputError`, which is put into the list."""
    caught: list[InputError] = []
    try:
        yield caught
    except InputError as error:
        caught.append(error)
    if not caught:
        raise AssertionError(f"{what} was not refused")


def _traceback(documents: Callable[[Any, list[str]], Any], thing: Any) -> str:
    """What a crash report that shows local variables would say."""
    try:
        documents(thing, [""])
    except TwofoldError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    raise AssertionError("an empty text was not refused")


def _child(code: str, given: bytes = b"") -> bytes:
    """What a fresh Python that runs `code` writes; it finds the modules that this one finds."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, input=given, capture_output=True, env=environment, check=False)  # noqa: S603 - our own code
    if done.returncode:
        raise AssertionError(f"a fresh process failed:\n{done.stderr.decode()}")
    return done.stdout


def _skip(reason: str) -> NoReturn:
    import pytest  # noqa: PLC0415 - needed only by those who run these tests with it

    pytest.skip(reason)
