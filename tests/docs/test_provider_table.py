"""The table of providers is the one that the code has."""

from __future__ import annotations

import runpy
from pathlib import Path

TABLE = Path(__file__).parents[2] / "docs" / "provider_table.py"


def test_the_table_of_providers_is_up_to_date() -> None:
    written = runpy.run_path(str(TABLE))
    assert written["PAGE"].read_text("utf-8") == written["page"](), "write it anew: make docs"
