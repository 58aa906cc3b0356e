"""Runs the README as a new user would: from the built wheel, in a new environment.

Its model names refer to checkpoints on this machine (`support/hub.py`). Its numbers come from E5's real weights. They
are compared only if TWOFOLD_TEST_E5 names a folder with these weights.
"""

from __future__ import annotations

import os
import re
import runpy
from typing import TYPE_CHECKING, Any

import pytest

from support.bare import ROOT, environment, succeed
from support.hub import make_hub, use_hub
from support.pages import Page, steps

if TYPE_CHECKING:
    from pathlib import Path

    from support.bare import NewEnvironment

pytestmark = pytest.mark.slow

README = ROOT / "README.md"
PYTHON = [step.block.text for step in steps(README) if step.block.language == "python"]
CONSOLES = [step for step in steps(README) if step.block.language == "console"]


@pytest.fixture(scope="module")
def programs(new_environment: NewEnvironment) -> Path:
    (extras,) = re.findall(r"^    pip install 'twofold(\[.+\])'$", README.read_text("utf-8"), re.MULTILINE)
    return new_environment(extras)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hub(tmp_path_factory.mktemp("hub"))


def test_it_has_at_most_150_lines() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 150


def test_its_python_runs_from_the_wheel(programs: Path, hub: Path, tmp_path: Path) -> None:
    code = "\n".join([*PYTHON, "print(right.shape, collection.count())"])
    printed = succeed(programs / "python", "-I", "-c", code, cwd=tmp_path, HF_HUB_CACHE=str(hub), HF_HUB_OFFLINE="1")
    assert printed == "(3,) 3\n"


def test_its_commands_run_from_the_wheel(
    programs: Path, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_hub(hub, monkeypatch)
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", os.pathsep.join([str(programs), os.environ["PATH"]]))
    monkeypatch.chdir(tmp_path)
    page = Page("README.md")
    try:
        for step in CONSOLES:
            page.run(step)
    finally:
        page.close()
    assert CONSOLES


def test_its_numbers_are_those_of_the_real_weights(tmp_path: Path) -> None:
    weights = os.environ.get("TWOFOLD_TEST_E5")
    if weights is None:
        pytest.skip("TWOFOLD_TEST_E5 does not name a folder with the weights of intfloat/e5-small-v2")
    script = tmp_path / "readme.py"
    script.write_text(PYTHON[0].replace("intfloat/e5-small-v2", weights), "utf-8")
    found: dict[str, Any] = runpy.run_path(str(script))
    for name in ("right", "wrong"):
        (shown,) = re.findall(rf"^{name} = .*?((?:\s+0\.\d\d){{3}})$", PYTHON[0], re.MULTILINE)
        assert found[name] == pytest.approx([float(each) for each in shown.split()], abs=0.006), name
