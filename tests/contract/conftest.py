"""One process for all that needs a fresh one: it has loaded twofold, and forks for each request."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from twofold.testing import doors

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = """
import os, pickle, sys
import numpy, twofold.adapters
read, write = sys.stdin.buffer, sys.stdout.buffer
while True:
    try:
        code, given = pickle.load(read)
    except EOFError:
        break
    inside, outside = os.pipe()
    to, back = os.pipe()
    child = os.fork()
    if not child:
        os.close(outside), os.close(to)
        os.dup2(inside, 0), os.dup2(back, 1)
        sys.stdin, sys.stdout = open(0), open(1, "w")
        try:
            exec(code, {})
            sys.stdout.flush()
        except BaseException:
            import traceback
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
            os._exit(1)
        os._exit(0)
    os.close(inside), os.close(back)
    with open(outside, "wb") as stream:
        stream.write(given)
    with open(to, "rb") as stream:
        said = stream.read()
    _, status = os.waitpid(child, 0)
    pickle.dump((status, said), write)
    write.flush()
"""


@pytest.fixture(scope="session", autouse=True)
def fresh_processes() -> Iterator[None]:
    """Serve `run_python` by forks of one process; a host is imported anew in each."""
    if not hasattr(os, "fork"):
        yield
        return
    import pickle

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "ignore", "-c", SERVER]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as server,
        pytest.MonkeyPatch.context() as patch,
    ):

        def run(code: str, given: bytes = b"") -> bytes:
            assert server.stdin is not None
            assert server.stdout is not None
            pickle.dump((code, given), server.stdin)
            server.stdin.flush()
            status, said = pickle.load(server.stdout)
            assert not status, f"a fresh process failed:\n{said.decode()}"
            return said  # type: ignore[no-any-return]

        patch.setattr(doors, "run_python", run)
        yield
        assert server.stdin is not None
        server.stdin.close()
