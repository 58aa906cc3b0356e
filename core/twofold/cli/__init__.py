"""The command `twofold`. Needs the extra `cli`; each command says itself which others it needs.

Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 used wrongly,
130 interrupted.
"""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress

from twofold.errors import TwofoldError
from twofold.extras import extra

FAILED, INTERRUPTED = 1, 130


def main() -> None:
    """Run the command line and exit; an error of Twofold's is one message, without a traceback."""
    with warnings.catch_warnings():
        warnings.showwarning = _say_warning
        try:
            with extra("cli"):
                from twofold.cli.app import app  # noqa: PLC0415 - without the extra, only this line is missed

            app(prog_name="twofold")
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except BrokenPipeError:  # whoever read our output has gone: `twofold models | head -3`
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILED)
        except (TwofoldError, OSError) as error:
            sys.stderr.write(f"twofold: {error}\n")
            sys.exit(FAILED)


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Show what was warned of, not the line of code that did."""
    sys.stderr.write(f"twofold: {message}\n")
