"""New environments that hold the built wheel and nothing of this repository."""

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
    """The fixture that makes them."""

    def __call__(self, extras: str = "", *packages: str) -> Path:
        """The folder of programs of a new environment with the wheel's `extras`, and packages of others."""


def environment(**more: str) -> dict[str, str]:
    """Variables without those by which this repository, or the environment of these tests, can be reached."""
    return {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)} | more


def run(*command: str | Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command that sees nothing of this repository; `more` are variables."""
    return subprocess.run(command, cwd=cwd, env=environment(**more), capture_output=True, text=True, check=False)


def succeed(*command: str | Path, cwd: Path, **more: str) -> str:
    """What a command prints."""
    done = run(*command, cwd=cwd, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(uv: str, folder: Path) -> Path:
    """The wheel, built from the source distribution, with the hatchling that the constraints pin."""
    succeed(uv, "build", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def install(uv: str, wheel: Path, folder: Path, extras: str, *packages: str) -> Path:
    """A new environment in `folder`, with the torch that these tests have: its build for CPUs is a tenth in size."""
    succeed(uv, "venv", "--python", sys.executable, folder / "venv", cwd=folder)
    torch = ("--torch-backend", "cpu") if "local" in extras and version("torch").endswith("+cpu") else ()
    options = ("--python", folder / "venv", "-c", ROOT / "constraints.txt", *torch)
    succeed(uv, "pip", "install", *options, f"twofold{extras} @ {wheel.as_uri()}", *packages, cwd=folder)
    return folder / "venv" / BIN
