"""Environments of the peers: one each, made by uv in the clone and never installed beside Twofold.

`<peer>.in` lists what a peer needs and `<peer>.txt` pins it (`make constraints` refreshes the pins). An environment is
made again when either changes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLACE = ROOT / ".venv-bench"
"""Where the environments lie, and in them what a peer has made of a checkpoint. Git ignores it."""
SOON = {"UV_HTTP_TIMEOUT": "5", "UV_HTTP_CONNECT_TIMEOUT": "5", "UV_HTTP_RETRIES": "0"}


class PeerError(Exception):
    """A peer that cannot be installed, or that fails; the message is the reason, in one line."""


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made where it is missing or old.

    Raises:
        PeerError: it cannot be made.
    """
    folder = PLACE / peer
    wanted, pins = HERE / f"{peer}.in", HERE / f"{peer}.txt"
    contents = "\n".join([sys.version, wanted.read_text("utf-8"), pins.read_text("utf-8")])
    stamp = folder / ".ready"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if stamp.exists() and stamp.read_text("utf-8") == contents:
        return python
    print(f"installing {peer} into {folder.relative_to(ROOT)}", flush=True)
    uv = find_uv()
    run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    install = [uv, "pip", "install", "--python", str(python), "--constraint", str(pins), "--requirement", str(wanted)]
    run([*install, "--quiet", *torch_build(install)])
    stamp.write_text(contents, "utf-8")
    return python


def find_uv() -> str:
    """The uv that is installed, or that the Makefile has fetched.

    Raises:
        PeerError: there is none.
    """
    found = shutil.which("uv", path=os.pathsep.join([os.environ.get("PATH", ""), str(ROOT / ".uv" / "bin")]))
    if found is None:
        raise PeerError("uv is missing: `make bench` fetches it")
    return found


def torch_build(install: list[str]) -> list[str]:
    """The option for torch's far smaller CPU build, where there is no GPU and the index that has it answers soon."""
    if shutil.which("nvidia-smi") is not None:
        return []
    option = ["--torch-backend=cpu"]
    tried = subprocess.run(
        [*install, "--dry-run", *option], capture_output=True, check=False, env={**os.environ, **SOON}
    )
    return [] if tried.returncode else option


def run(command: list[str]) -> None:
    """Run a command to its end.

    Raises:
        PeerError: it fails; the message ends with the last thing that it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise PeerError(f"`{Path(command[0]).name} {command[1]}` failed: {' '.join(lines[-3:]) or 'it said nothing'}")
