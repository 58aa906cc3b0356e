"""What every test of the hosted backend needs: short waits."""

from __future__ import annotations

import pytest

from twofold.hosted import flow, limiter


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pause for hundredths of a second."""
    monkeypatch.setattr(limiter, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(limiter, "LONGEST_PAUSE", 0.3)
    monkeypatch.setattr(flow, "GRACE", 0.5)
    monkeypatch.delenv("JINA_API_KEY", raising=False)
