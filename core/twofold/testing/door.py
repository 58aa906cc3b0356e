"""`Door`: how a host that embeds is used, as the contract asks it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.testing.checks import child

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from twofold.settings import Settings


def pickled(thing: Any) -> Any:
    """`thing`, pickled and loaded again."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own bytes


def spawned(thing: Any) -> Any:
    """`thing`, pickled through a fresh process, as a worker that was spawned receives it."""
    code = "import pickle, sys; pickle.dump(pickle.load(sys.stdin.buffer), sys.stdout.buffer)"
    return pickle.loads(child(code, pickle.dumps(thing)))  # noqa: S301 - our own bytes


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
        package, requires: the adapter's package, and a module of its host.
        installs: what `pip install` takes for the host: "'twofold[chroma]'", or a distribution of your own.
        use: a line of Python that needs the host, where to import the package is not enough.
        takes_blank: whether a blank text gets the vector of the empty text and a warning, instead of an `InputError`.
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
    installs: str = ""
    use: str = ""
    takes_blank: bool = False

    def all_round_trips(self) -> dict[str, Callable[[Any], Any]]:
        """The host's own ways, and pickling."""
        return {**self.round_trips, **({"pickle": pickled, "spawn": spawned} if self.pickles else {})}

    def all_surfaces(self, thing: Any) -> list[str]:
        """Every string in which a secret could show."""
        own = [repr(thing), str(thing), *self.surfaces(thing)]
        return [*own, pickle.dumps(thing, protocol=0).decode("latin-1")] if self.pickles else own
