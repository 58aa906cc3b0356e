"""Awaiting what may be awaitable."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any


async def settled(value: Any) -> Any:
    """Return `value`, or what it resolves to."""
    return await value if isawaitable(value) else value
