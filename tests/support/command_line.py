"""The command line in this process."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

from twofold.cli import main

if TYPE_CHECKING:
    from collections.abc import Sequence


def exit_code(arguments: Sequence[str]) -> int:
    """Run `twofold` on some arguments. `main` takes over Ctrl-C; its handler is put back."""
    handler = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["twofold", *arguments])
        try:
            with pytest.raises(SystemExit) as stop:
                main()
        finally:
            signal.signal(signal.SIGINT, handler)
    assert isinstance(stop.value.code, int)
    return stop.value.code
