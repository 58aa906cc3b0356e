"""A corpus for late chunking: Python's modules as documents, with questions that need the document as context.

A document is a module: its docstring, then the docstrings of its classes, methods and functions, without their
qualified names. A question is a module's name and the first sentence of a piece that does not contain that name. Many
modules have functions to close, read or flush; only the document tells to which module a piece belongs.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from twofold.demo.corpus import standard_library

if TYPE_CHECKING:
    from collections.abc import Sequence

PIECES_AT_LEAST = 4
LONGEST = 400
"""The allowed length of a piece, in characters."""
QUESTIONS_OF_A_MODULE = 5
BETWEEN = "\n\n"


@dataclass(frozen=True)
class Module:
    """A document: a module's name and its pieces of text, the module's docstring first."""

    name: str
    pieces: list[str]

    @property
    def text(self) -> str:
        return BETWEEN.join(self.pieces)

    @property
    def starts(self) -> list[int]:
        """Where each piece begins in the text."""
        return list(accumulate((len(piece) + len(BETWEEN) for piece in self.pieces[:-1]), initial=0))


@dataclass(frozen=True)
class Question:
    """A question, and the position of its answer in a document, in characters."""

    text: str
    module: int
    place: int


def modules() -> list[Module]:
    """All modules with enough text."""
    texts: dict[str, list[str]] = {}
    for name in sorted(entry.name for entry in standard_library() if _is_module(entry.name)):
        module = importlib.import_module(name)
        own = [inspect.cleandoc(module.__doc__ or name)[:LONGEST]]
        for _, thing in inspect.getmembers(module, lambda t: inspect.isclass(t) or inspect.isroutine(t)):
            if (getattr(thing, "__module__", None) or "").split(".")[0].strip("_") != name.split(".")[0]:
                continue
            own += [_doc(thing)]
            if inspect.isclass(thing):
                own += [_doc(member) for key, member in sorted(vars(thing).items()) if not key.startswith("_")]
        texts[name] = list(dict.fromkeys(text for text in own if len(text) > 40))
    return [Module(name, [f"{name}. {own[0]}", *own[1:]]) for name, own in texts.items() if len(own) >= PIECES_AT_LEAST]


def questions(found: Sequence[Module]) -> list[Question]:
    """Up to five questions per module, spread over its text."""
    asked = []
    for number, module in enumerate(found):
        lacking = [
            place
            for place, text in enumerate(module.pieces)
            if place and module.name.split(".")[-1].lower() not in text.lower()
        ]
        for place in lacking[:: max(1, len(lacking) // QUESTIONS_OF_A_MODULE)][:QUESTIONS_OF_A_MODULE]:
            sentence = re.split(r"(?<=[.!?])\s|\n\n", module.pieces[place])[0].rstrip(".").replace("\n", " ")
            asked.append(Question(f"{module.name}: {sentence[:120]}", number, module.starts[place]))
    return asked


def _is_module(name: str) -> bool:
    return name in sys.modules and not isinstance(sys.modules[name], type)


def _doc(thing: object) -> str:
    raw = getattr(thing, "__doc__", None) if callable(thing) else None
    return inspect.cleandoc(raw)[:LONGEST] if isinstance(raw, str) else ""
