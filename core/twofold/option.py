"""`Option`: one option of an embedder, with its type, its default, its help, and the check of its values."""

from __future__ import annotations

from operator import index
from typing import Any, Literal, NamedTuple, SupportsIndex, get_args, get_origin

from twofold.errors import InputError


class Option(NamedTuple):
    """One option, as those read it who make fields and flags of it.

    Attributes:
        name: the same word everywhere.
        hint: its type.
        default: its default; `dataclasses.MISSING` for the model.
        help: what it does, in a sentence.
        least: the least value of a whole number.
        identity: whether vectors of another value are of another space.
    """

    name: str
    hint: Any
    default: Any
    help: str
    least: int | None
    identity: bool

    def check(self, value: Any) -> Any:
        """The value as a plain one of this option's type.

        Raises:
            InputError: a value that no model could take.
        """
        kinds = get_args(self.hint) or (self.hint,)
        if value is None and type(None) in kinds:
            return None
        if (choices := _choices(self.hint)) and value not in choices:
            raise InputError(f"{self.name}={value!r}: it must be one of {', '.join(map(repr, choices))}")
        if self.least is not None:
            return _whole_number(self.name, value, self.least)
        if self.hint is bool and not isinstance(value, bool):
            raise InputError(f"{self.name}={value!r}: it must be True or False")
        if float in kinds and not (isinstance(value, int | float) and not isinstance(value, bool) and value > 0):
            raise InputError(f"{self.name}={value!r}: it must be a number of seconds above 0")
        if str in kinds and not isinstance(value, str):
            raise InputError(f"{self.name} is of type {type(value).__name__}, not a string")
        return value


def _choices(hint: Any) -> tuple[Any, ...]:
    """The values of a `Literal`, None too where it is optional."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    literals = [kind for kind in get_args(hint) if get_origin(kind) is Literal]
    return (None, *get_args(literals[0])) if literals else ()


def _whole_number(name: str, value: object, least: int) -> int:
    """The value as an `int`, whatever type of whole number it is (numpy's too)."""
    wrong = InputError(f"{name}={value!r}: it must be a whole number of at least {least}")
    if not isinstance(value, SupportsIndex) or isinstance(value, bool):
        raise wrong
    try:
        number = index(value)
    except TypeError:  # an array of one number has the method, and refuses
        raise wrong from None
    if number < least:
        raise wrong
    return number
