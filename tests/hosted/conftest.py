"""What every test of the hosted backend needs: short waits, and accounts of its own."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from twofold.hosted import flow

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Back off for hundredths of a second, and share quota accounts with no other test."""
    monkeypatch.setattr(flow, "FIRST_BACKOFF", 0.02)
    monkeypatch.setattr(flow, "GRACE", 0.5)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("JINA_API_KEY", raising=False)
