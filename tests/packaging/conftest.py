"""The built wheel, and environments that contain only the wheel and its dependencies."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from support.bare import ROOT, build, install

if TYPE_CHECKING:
    from pathlib import Path

    from support.bare import NewEnvironment


@pytest.fixture(scope="session")
def uv() -> str:
    """The uv that `make test` puts on the path."""
    found = shutil.which("uv", path=os.pathsep.join([os.environ["PATH"], str(ROOT / ".uv" / "bin")]))
    assert found, "uv is not on the path: run `make test`, which fetches it"
    return found


@pytest.fixture(scope="session")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(uv, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def new_environment(uv: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> NewEnvironment:
    return lambda extras="", *packages: install(uv, wheel, tmp_path_factory.mktemp("bare"), extras, *packages)
