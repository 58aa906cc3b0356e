"""The third type checker on a user's program: it reports the lines that mypy and basedpyright report, and no others."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("options.py")
IGNORE = re.compile(r"  # type: ignore\[.*")


@pytest.mark.slow
def test_pyrefly_reports_every_wrong_option(tmp_path: Path) -> None:
    lines = PROGRAM.read_text("utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if IGNORE.search(line)}
    program = tmp_path / "program.py"
    program.write_text("\n".join(IGNORE.sub("", line) for line in lines), "utf-8")
    paths = [f"--search-path={ROOT / folder}" for folder in ("core", "integrations")]
    command = [sys.executable, "-m", "pyrefly", "check", str(program), *paths, "--preset=default"]
    command += [f"--python-interpreter-path={sys.executable}", "--output-format=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout, done.stderr
    found = {error["line"] for error in json.loads(done.stdout)["errors"] if error["path"].endswith(program.name)}
    assert found == wrong
