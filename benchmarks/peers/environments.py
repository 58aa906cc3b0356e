"""The environments of the peers, which uv creates in the clone. Peers are never installed together with Twofold.

`<peer>.in` lists the dependencies of a peer and `<peer>.txt` their pins (`make constraints` updates them). When either
changes, the environment is created again.
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
"""The folder of the environments, with the peers' converted checkpoints. Git ignores it."""
SOON = {"UV_HTTP_TIMEOUT": "5", "UV_HTTP_CONNECT_TIMEOUT": "5", "UV_HTTP_RETRIES": "0"}


class PeerError(Exception):
    """A peer cannot be installed, or it fails. The message gives the reason in one line."""


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, which is created if it is missing or outdated.

    Raises:
        PeerError: the environment cannot be created.
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
    """The installed uv, or the one that the Makefile downloaded.

    Raises:
        PeerError: uv is missing.
    """
    found = shutil.which("uv", path=os.pathsep.join([os.environ.get("PATH", ""), str(ROOT / ".uv" / "bin")]))
    if found is None:
        raise PeerError("uv is missing: `make bench` downloads it")
    return found


def torch_build(install: list[str]) -> list[str]:
    """The option for torch's much smaller CPU build, if there is no GPU and its index answers quickly."""
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
        PeerError: it fails. The message ends with its last line of output.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise PeerError(f"`{Path(command[0]).name} {command[1]}` failed: {' '.join(lines[-3:]) or 'it said nothing'}")
