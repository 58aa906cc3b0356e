"""The client of a worker. It starts the process, sends requests, and reports why an answer is missing."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from peers.environments import PeerError, python_of

if TYPE_CHECKING:
    from types import TracebackType

BENCHMARKS = Path(__file__).parents[1]
LONGEST = 900.0
"""The time limit for an answer, in seconds."""


class Client:
    """One worker process.

    Raises:
        PeerError: its environment cannot be made.
    """

    def __init__(self, family: str, longest: float = LONGEST) -> None:
        python = Path(sys.executable) if family == "twofold" else python_of(family)
        self.family = family
        self.longest = longest
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed in `close`
        paths = {"PYTHONPATH": str(BENCHMARKS), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        self._process = subprocess.Popen(
            [str(python), "-m", "peers.worker", family],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            encoding="utf-8",
            env={**os.environ, **paths},
        )
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, do: str, **request: Any) -> Any:
        """Send a request and return the worker's answer.

        Raises:
            PeerError: the worker reports an error, ends, or takes too long.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=self.longest)
        except queue.Empty:
            self._process.kill()
            raise PeerError(f"no answer to {do!r} within {self.longest:,.0f} s") from None
        except OSError:  # the worker has ended and closed the pipe
            line = ""
        if not line:
            raise PeerError(f"its process ended ({self._process.wait(10)}): {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer["ok"]

    def close(self) -> None:
        """End the process and close its pipes."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            with suppress(OSError):  # unsent data is lost
                assert pipe is not None
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = [line.strip() for line in self._said if line.strip()]
        return lines[-1] if lines else "it said nothing"
