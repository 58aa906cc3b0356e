"""New environments with the built wheel, isolated from this repository."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]
BIN = "Scripts" if sys.platform == "win32" else "bin"
HIDDEN = ("PYTHON", "VIRTUAL_ENV", "COVERAGE", "COV_CORE", "TWOFOLD")


class NewEnvironment(Protocol):
    """The fixture that creates them."""

    def __call__(self, extras: str = "", *packages: str) -> Path:
        """The folder of programs of a new environment with the wheel's `extras` and other `packages`."""


def environment(**more: str) -> dict[str, str]:
    """The environment variables, without those that lead to this repository or to the tests' environment."""
    return {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)} | more


def run(*command: str | Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command that cannot see this repository. `more` are additional environment variables."""
    return subprocess.run(command, cwd=cwd, env=environment(**more), capture_output=True, text=True, check=False)


def succeed(*command: str | Path, cwd: Path, **more: str) -> str:
    """Run a command that must succeed, and return its output."""
    done = run(*command, cwd=cwd, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(uv: str, folder: Path) -> Path:
    """Build the wheel from the source distribution, with the pinned hatchling."""
    succeed(uv, "build", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def install(uv: str, wheel: Path, folder: Path, extras: str, *packages: str) -> Path:
    """Create an environment in `folder`. Uses torch's CPU build if the tests do: it is a tenth of the size."""
    succeed(uv, "venv", "--python", sys.executable, folder / "venv", cwd=folder)
    torch = ("--torch-backend", "cpu") if "local" in extras and version("torch").endswith("+cpu") else ()
    options = ("--python", folder / "venv", "-c", ROOT / "constraints.txt", *torch)
    succeed(uv, "pip", "install", *options, f"twofold{extras} @ {wheel.as_uri()}", *packages, cwd=folder)
    return folder / "venv" / BIN
