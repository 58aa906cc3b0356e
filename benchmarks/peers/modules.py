"""A corpus for late chunking: Python's own modules as documents, and questions that only the document can answer.

A document is a module: its docstring, then what its classes, methods and functions say of themselves, without their
qualified names. A question is a module's name and the first sentence of a piece that lacks that name: many modules have
a way to close, read or flush, and only the document says whose.
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
"""Characters of a piece."""
QUESTIONS_OF_A_MODULE = 5
BETWEEN = "\n\n"


@dataclass(frozen=True)
class Module:
    """A document: a module's name, and what is said of it, the module's own docstring first."""

    name: str
    pieces: list[str]

    @property
    def text(self) -> str:
        """The whole document."""
        return BETWEEN.join(self.pieces)

    @property
    def starts(self) -> list[int]:
        """Where each piece begins in the text."""
        return list(accumulate((len(piece) + len(BETWEEN) for piece in self.pieces[:-1]), initial=0))


@dataclass(frozen=True)
class Question:
    """What is asked, and where its answer begins: a character of a document."""

    text: str
    module: int
    place: int


def modules() -> list[Module]:
    """Every module with enough to say."""
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
    """Up to five of each module, spread over it."""
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
