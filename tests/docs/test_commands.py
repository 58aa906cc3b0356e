"""The page of commands is what the commands say of themselves."""

from __future__ import annotations

import runpy
from pathlib import Path

COMMANDS = Path(__file__).parents[2] / "docs" / "commands.py"


def test_the_page_of_commands_is_up_to_date() -> None:
    written = runpy.run_path(str(COMMANDS))
    assert written["PAGE"].read_text("utf-8") == written["page"](), "write it anew: make docs"
