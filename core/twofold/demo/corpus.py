"""The corpus: every public module, class and function of the standard library that has its own docstring.

It comes from the running interpreter, so it differs slightly between versions and platforms. On one interpreter it is
always the same, in the same order.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
import sys
import warnings
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

SKIPPED = frozenset(
    {
        *("antigravity", "this"),  # importing them opens a browser or prints a poem
        *("test", "idlelib", "lib2to3", "turtledemo", "ensurepip", "pydoc_data", "distutils"),  # not for programs
        *("xxlimited", "xxlimited_35", "xxsubtype"),
        *("tkinter", "turtle", "msilib"),  # only on some machines
        *("posixpath", "ntpath", "genericpath", "nturl2path"),  # implementations behind os.path and urllib
        *("encodings", "rlcompleter"),
    }
)
SHORTEST = 12
"""The minimum length of a docstring, in characters. Shorter ones carry no information."""

_CACHED = type(functools.lru_cache(len))
_SIGNATURE_ALONE = re.compile(r"\w+\([^)]*\)( -> \S+)?$")


class Topic(NamedTuple):
    """A document: the qualified name of what it documents, and its text."""

    name: str
    text: str


def standard_library() -> list[Topic]:
    """The documents, ordered by module. An object with several names occurs once, under the first one."""
    with _quietly():
        texts: dict[str, str] = {}
        seen: dict[int, object] = {}  # keeps the objects alive, so that ids stay unique
        for module_name, module in sorted(_modules().items(), key=lambda item: (item[0].count("."), item[0])):
            prefix = "" if module_name == "builtins" else f"{module_name}."
            for name, thing in [(module_name, module), *((prefix + name, thing) for name, thing in _public(module))]:
                doc = _own_doc(thing)
                if doc and id(thing) not in seen:
                    seen[id(thing)] = thing
                    texts.setdefault(name, f"{name}\n{doc}")
    return [Topic(name, text) for name, text in texts.items()]


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress warnings and output that some modules produce when they or their deprecated names are accessed."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        stack.enter_context(redirect_stdout(StringIO()))
        stack.enter_context(redirect_stderr(StringIO()))
        yield


def _modules() -> dict[str, ModuleType]:
    """Every public module that this interpreter can import."""
    found = {"os.path": importlib.import_module("os.path")}
    waiting = [name for name in sys.stdlib_module_names - SKIPPED if not name.startswith("_")]
    while waiting:
        name = waiting.pop()
        try:
            module = importlib.import_module(name)
        except ImportError:  # for another platform, or not part of this build
            continue
        found[name] = module
        children = pkgutil.iter_modules(getattr(module, "__path__", ()))
        waiting += [f"{name}.{child}" for _, child, _ in children if not child.startswith(("_", "test"))]
    return found


def _public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The public classes and functions of a module: those in its `__all__`, or else those that it defines."""
    listed = getattr(module, "__all__", None)
    for name in sorted(set(vars(module) if listed is None else listed)):
        thing = getattr(module, name, None)
        if name.startswith("_") or not (inspect.isclass(thing) or inspect.isroutine(thing) or type(thing) is _CACHED):
            continue
        home = getattr(thing, "__module__", None) or ""
        if listed is not None or home in {"", "builtins", module.__name__} or home.startswith("_"):
            yield name, thing


def _own_doc(thing: object) -> str | None:
    """The object's docstring, unless it is inherited, very short, or only a generated signature."""
    raw = vars(thing).get("__doc__") if inspect.isclass(thing) else getattr(thing, "__doc__", None)
    doc = inspect.cleandoc(raw) if isinstance(raw, str) else ""
    return None if len(doc) < SHORTEST or _SIGNATURE_ALONE.match(doc) else doc
