"""The command `twofold`. Needs the extra `cli`; the help of a command names the other extras it needs.

Data goes to standard output, everything else to standard error. Exit codes: 0 success, 1 failure, 2 wrong usage,
3 success except for documents that were set aside, 4 `migrate verify` found NO-GO, 130 interrupted.
"""

from __future__ import annotations

import os
import sys

FAILED, MISUSED, SET_ASIDE, NO_GO, INTERRUPTED = 1, 2, 3, 4, 130


def main() -> None:
    """Run the command line and exit. Twofold's errors are shown as one message, without a traceback."""
    import signal  # noqa: PLC0415 - Ctrl-C is handled before anything else is imported

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from twofold.cli.interrupts import exit_on_interrupt, leave_soon  # noqa: PLC0415

    with exit_on_interrupt():
        code = _run()
        if code == INTERRUPTED:
            leave_soon()
        sys.exit(code)


def _run() -> int:
    """Run the command that the arguments name and return its exit code."""
    import warnings  # noqa: PLC0415

    from twofold.cli.say import say  # noqa: PLC0415
    from twofold.errors import TwofoldError  # noqa: PLC0415
    from twofold.extras import extra  # noqa: PLC0415

    if sys.stdout is None:
        say("twofold: standard output is closed")
        return FAILED
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # escape characters that the terminal's encoding does not have
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"twofold: {message}")
        try:
            with extra("cli"):
                from twofold.cli.app import command_line  # noqa: PLC0415 - fails without the extra
            command_line()(prog_name="twofold")
            sys.stdout.flush()
        except SystemExit as stop:
            return _ended(stop.code)
        except KeyboardInterrupt:
            return INTERRUPTED
        except (TwofoldError, OSError) as error:
            return _failed(error)
    return 0


def _ended(code: object) -> int:
    """Flush standard output and return the exit code. A full disk is reported here, not when Python exits."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return _failed(error)
    return code if isinstance(code, int) else FAILED if code else 0


def _failed(error: Exception) -> int:
    """Print an error and return its exit code."""
    from twofold.cli.say import discard_output, say  # noqa: PLC0415
    from twofold.errors import InputError  # noqa: PLC0415

    if isinstance(error, OSError):
        discard_output()  # otherwise the rest of the output would fail again
        if isinstance(error, BrokenPipeError):  # the reader of our output has closed it: `twofold models | head -3`
            return FAILED
        name = f"{error.filename}: " if error.filename else ""
        say(f"twofold: {name}{error.strerror or error}")
    else:
        say(f"twofold: {error}")
    return MISUSED if isinstance(error, InputError) else FAILED
