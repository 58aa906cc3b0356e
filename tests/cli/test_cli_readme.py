"""The README's table of commands is what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from twofold.cli.app import app
from twofold.cli.options import FLAGS

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined] # it is a group


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_documented(name: str) -> None:
    assert f"| `twofold {name}` | {COMMANDS[name].help} |" in README


@pytest.mark.parametrize("name", FLAGS)
def test_every_option_is_documented(name: str) -> None:
    assert f"`--{name.replace('_', '-')}`" in README
