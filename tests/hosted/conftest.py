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


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Credentials that boto3 finds, and nobody else's."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "aws-secret-canary",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch
