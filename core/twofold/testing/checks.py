"""What the contracts check with: plain assertions, so that any runner will do."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from twofold.errors import InputError, TwofoldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def check(holds: bool, otherwise: str) -> None:
    """Raise an `AssertionError` that says `otherwise`, unless it holds."""
    if not holds:
        raise AssertionError(otherwise)


def same(got: Any, wanted: Any, what: str) -> None:
    """Equal to the bit: a float64 holds every float32 exactly."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    check(got.shape == wanted.shape, f"{what}: the shape is {got.shape}, not {wanted.shape}")
    apart = np.abs(got - wanted).max(initial=0)
    check(bool(apart == 0), f"{what}: not the core's vectors; they differ by up to {apart:.3g}")


def outcome(act: Callable[..., Any], *arguments: Any) -> Any:
    """What `act` gives, or the class of Twofold's error that it raises."""
    try:
        return act(*arguments)
    except TwofoldError as error:
        return type(error)


@contextmanager
def refused(what: str) -> Iterator[list[InputError]]:
    """The block must raise an `InputError`, which is put into the list."""
    caught: list[InputError] = []
    try:
        yield caught
    except InputError as error:
        caught.append(error)
    if not caught:
        raise AssertionError(f"{what} was not refused")


def traceback_of(documents: Callable[[Any, list[str]], Any], thing: Any) -> str:
    """What a crash report that shows local variables would say."""
    try:
        documents(thing, ["half a pair: \ud83d"])
    except TwofoldError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    raise AssertionError("a lone surrogate was not refused")


def child(code: str, given: bytes = b"") -> bytes:
    """What a fresh Python that runs `code` writes; it finds the modules that this one finds."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, input=given, capture_output=True, env=environment, check=False)  # noqa: S603 - our own code
    if done.returncode:
        raise AssertionError(f"a fresh process failed:\n{done.stderr.decode()}")
    return done.stdout


def skip(reason: str) -> NoReturn:
    """Skip the test, where pytest runs it."""
    import pytest  # noqa: PLC0415 - needed only by those who run these tests with it

    pytest.skip(reason)


def refuses(error: type[Exception], act: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Fail where `act` does not raise `error`."""
    try:
        act(*arguments, **options)
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")
