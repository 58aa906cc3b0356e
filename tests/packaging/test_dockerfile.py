"""Checks of the Dockerfile that need no docker: what it copies, installs, sets and starts."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from twofold.cli.app import COMMANDS, LazyCommands, flags_of

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()


def of(instruction: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in LINES if line.startswith(f"{instruction} ")]


def test_what_it_copies_is_there_and_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    copied = [name for line in of("COPY") if not line.startswith("--from") for name in line.split()[:-1]]
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert name in kept, name


def test_it_copies_all_that_a_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {Path(package).parts[0] for package in packages} | {
        project["project"]["readme"],
        "LICENSE",
        "pyproject.toml",
    }
    copied = {name for line in of("COPY") for name in line.split()[:-1]}
    assert needed <= copied


def test_the_extras_that_it_installs_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (names,) = [found for line in of("RUN") for found in re.findall(r"\.whl\)\[([\w,-]+)\]", line)]
    assert set(names.split(",")) <= set(project["project"]["optional-dependencies"])
    assert {"server", "local", "cli"} <= set(names.split(","))


def test_what_it_sets_are_options_of_the_command_that_it_starts() -> None:
    assert of("ENTRYPOINT") == ['["twofold"]']
    (command,) = re.findall(r'"(\w+)"', of("CMD")[-1])
    assert command in COMMANDS
    set_there = dict(pair.split("=", 1) for line in of("ENV") for pair in line.split())
    flags = flags_of(LazyCommands()[command])
    assert {name.removeprefix("TWOFOLD_").lower() for name in set_there} <= set(flags)
    assert of("EXPOSE") == [set_there["TWOFOLD_PORT"]]


def test_it_runs_as_somebody_without_rights_and_ends_in_order() -> None:
    assert of("USER") == ["twofold"]
    assert of("STOPSIGNAL") == ["SIGTERM"]
