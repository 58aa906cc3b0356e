"""A process that forks after it has computed, as `gunicorn --preload` does: its children compute too."""

import os
import subprocess
import sys

import pytest

CODE = """
import os, sys, threading
from twofold import Embedder
from twofold.local import backend

embedder = Embedder(sys.argv[1], device="cpu")
wanted = embedder.embed_documents(["a lighthouse " * 100] * 8)
backend.LOADING.acquire()
embedder.backend.loaded.lock.acquire()  # as another thread would hold them
child = os.fork()
if child == 0:
    close = abs(embedder.embed_documents(["a lighthouse " * 100] * 8) - wanted).max() < 1e-5
    os._exit(0 if close else 1)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_computes(minilm: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, minilm], timeout=120, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
