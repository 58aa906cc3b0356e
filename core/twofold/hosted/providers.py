"""The table of providers."""

from __future__ import annotations

PROVIDERS: dict[str, object] = {"jina": None}
