"""How the contracts use a host: `Door` for one that embeds, `StoreDoor` for one that stores."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

    from twofold.settings import Settings
    from twofold.stores.store import Store


@dataclass(frozen=True, kw_only=True)
class Door:
    """How the contract uses an embedding host.

    Attributes:
        name: for messages and test ids.
        make: options of an `Embedder`, including `model` and `api_key` -> the host's object.
        query: the object and a text -> the vector of that query.
        documents: the object and a list of texts -> their vectors.
        aquery, adocuments: the async twins, if the host has them.
        vector, number: the Python types that the host wants for a vector and for a number in it.
        settings: the object -> the `Settings` behind it.
        round_trips: the host's own ways to save and load the object, by name.
        kept_back: settings that these leave out on purpose, for example a URL that others could change.
        pickles: whether the object can be pickled.
        surfaces: the object -> the strings that the host shows or stores. repr, str and pickle are checked anyway.
        package, requires: the adapter's package, and a module of its host.
        installs: what `pip install` needs for the host: "'twofold[chroma]'", or another distribution.
        use: a line of Python that needs the host, if importing the package does not.
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
        """The host's own ways, and pickling in this process and through a fresh one."""
        return {**self.round_trips, **({"pickle": pickled, "spawn": spawned} if self.pickles else {})}

    def all_surfaces(self, thing: Any) -> list[str]:
        """All strings in which a secret could show."""
        own = [repr(thing), str(thing), *self.surfaces(thing)]
        return [*own, pickle.dumps(thing, protocol=0).decode("latin-1")] if self.pickles else own


@dataclass(frozen=True, kw_only=True)
class StoreDoor:
    """How the contract reaches a store.

    Attributes:
        name: for messages and test ids.
        store: a collection's name -> its store, not opened yet; each call gives a new client or handle of one place.
        forget: a collection's name -> nothing; removes the collection's record, as a user could.
        astore: like `store`, over the host's asynchronous client, if it has one.
        tolerance: how far the direction of a stored vector may be off, as 1 - cosine, if the store rounds.
        unit: whether the store keeps directions only, and returns vectors of unit length.
    """

    name: str
    store: Callable[[str], Store]
    forget: Callable[[str], None]
    astore: Callable[[str], AbstractAsyncContextManager[Store]] | None = None
    tolerance: float = 1e-6
    unit: bool = False


def pickled(thing: Any) -> Any:
    """Pickle `thing` and load it again."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own bytes


def spawned(thing: Any) -> Any:
    """Pickle `thing` through a fresh process, as a spawned worker receives it."""
    code = "import pickle, sys; pickle.dump(pickle.load(sys.stdin.buffer), sys.stdout.buffer)"
    return pickle.loads(run_python(code, pickle.dumps(thing)))  # noqa: S301 - our own bytes


def run_python(code: str, given: bytes = b"") -> bytes:
    """Run `code` in a fresh Python that finds the same modules, with `given` as its input; return its output."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, input=given, capture_output=True, env=environment, check=False)  # noqa: S603 - our own code
    assert not done.returncode, f"a fresh process failed:\n{done.stderr.decode()}"
    return done.stdout
