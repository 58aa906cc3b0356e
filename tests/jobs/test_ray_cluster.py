"""A Ray cluster of two nodes on this machine; the second is killed in the middle of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
SECONDS = 400


@pytest.fixture(scope="module")
def found() -> Any:
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}  # what the nodes inherit
    command = [sys.executable, "-m", "support.ray_cluster"]
    run = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=SECONDS)
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_the_store_holds_what_a_local_run_would_have_written(found: Any) -> None:
    assert found["indexed"] == {"added": 600, "same": True, "again": 600}


def test_a_node_that_is_killed_in_the_middle_costs_nothing(found: Any) -> None:
    assert found["killed"] == {"nodes": [2, 1], "added": 600, "same": True}


def test_a_poison_document_costs_itself_and_the_key_is_the_nodes_own(found: Any) -> None:
    assert found["poisoned"] == {"added": 50, "set_aside": 1, "keyed": True}
    assert found["logged"] == []


def test_ray_data_maps_batches_and_a_bad_row_says_why(found: Any) -> None:
    (bad,) = found["ray_data"].pop("bad")
    assert found["ray_data"] == {"rows": 41, "same": True}
    assert "600 tokens" in bad
