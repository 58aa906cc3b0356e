"""The README's table of commands is what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from twofold.cli.app import COMMANDS, Loaded, flags_of
from twofold.cli.options import READING
from twofold.settings import options

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SHARED = {option.name for option in options()} | set(READING)
"""Flags that are described once, below the table."""


def flag(name: str) -> str:
    return f"`--{name.replace('_', '-')}`"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_documented_with_its_own_flags(name: str) -> None:
    own = ", ".join(flag(word) for word in flags_of(Loaded()[name]) if word not in SHARED)
    assert f"| `twofold {name}` | {COMMANDS[name].help} | {own} |" in README


@pytest.mark.parametrize("name", sorted(SHARED))
def test_every_option_is_documented(name: str) -> None:
    assert flag(name) in README
