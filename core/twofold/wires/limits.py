"""What providers say about their limits: in headers of five spellings, and in the body of a refusal.

    OpenAI      x-ratelimit-limit-requests, -remaining-requests, -reset-requests; the same for tokens
    Mistral     x-ratelimit-limit-req-minute, -remaining-req-minute; x-ratelimit-limit-tokens-minute
    IETF        RateLimit-Policy: "burst";q=100;w=60    RateLimit: "burst";r=50;t=30    and the older drafts
    plain       x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset; also without "x-"
    a wait      retry-after (seconds or a date), retry-after-ms; Google's RetryInfo in the body

Gateways mix these, so every dialect reads them all.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
"""The periods in Mistral's header names that say something about the pace."""
UNITS = {"requests": ("requests", "req"), "tokens": ("tokens", "tokens")}
"""Our units, as OpenAI and as Mistral name them."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit of requests or of tokens, as an answer states it. What it does not state is None.

    Attributes:
        limit, remaining: what a period allows, and what is left of it.
        reset: seconds until the whole limit is available again.
        period: its length in seconds.
        stepwise: whether nothing is available again before `reset`.
    """

    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None
    period: float | None = None
    stepwise: bool = False


def stated_quotas(headers: Mapping[str, str]) -> dict[str, Quota]:
    """The limits of "requests" and "tokens" that an answer states, if any. Header names are lower case."""
    if not any("ratelimit" in name for name in headers):
        return {}
    found = dict(_structured(headers))
    for unit, (openai, mistral) in UNITS.items():
        for suffix, period in ((openai, None), *((f"{mistral}-{name}", length) for name, length in SECONDS.items())):
            limit, remaining = (
                parse_number(headers.get(f"x-ratelimit-{word}-{suffix}")) for word in ("limit", "remaining")
            )
            if limit is not None or remaining is not None:
                reset = parse_duration(headers.get(f"x-ratelimit-reset-{suffix}"))
                found[unit] = Quota(limit, remaining, reset, period)
    if "requests" not in found:
        for prefix in ("x-ratelimit", "ratelimit"):
            limit, remaining = (
                parse_number(_first(headers.get(f"{prefix}-{word}"))) for word in ("limit", "remaining")
            )
            if limit is not None or remaining is not None:
                reset = parse_duration(_first(headers.get(f"{prefix}-reset")))
                found["requests"] = Quota(limit, remaining, reset, _window(headers), stepwise=True)
    return found


def retry_after(headers: Mapping[str, str], body: bytes = b"", wall: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait, from Retry-After, retry-after-ms or Google's RetryInfo; None if the time is missing or past.

    A date is compared with the answer's own Date header, so a wrong clock on this machine does no harm.
    """
    for name, scale in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = parse_number(headers.get(name))
        if seconds is not None:
            return seconds * scale or None
    until, sent = (_date(headers.get(name)) for name in ("retry-after", "date"))
    if until is not None:
        ahead = until - (wall() if sent is None else sent)
        return ahead if ahead > 0 else None
    return _retry_info(body) if b"RetryInfo" in body else None


def parse_number(value: Any) -> float | None:
    """A finite number that is not negative; None for anything else."""
    try:
        parsed = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return parsed if 0 <= parsed < float("inf") else None


_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def parse_duration(value: str | None) -> float | None:
    """Seconds from "6m0s", "1.5s", "20ms" or "30", or until a Unix time; None for anything else."""
    number = parse_number(value)
    if number is not None:
        return max(0.0, number - time.time()) if number > 1e9 else number
    match = _DURATION.fullmatch(value or "")
    if not value or match is None:
        return None
    return sum(float(part) * unit for part, unit in zip(match.groups("0"), (3600, 60, 1, 0.001), strict=True))


def _structured(headers: Mapping[str, str]) -> Iterator[tuple[str, Quota]]:
    """The IETF's `RateLimit` with its `RateLimit-Policy`. The last policy that is nearly used up counts for a unit."""
    policies = dict(_items(headers.get("ratelimit-policy", "")))
    left = dict(_items(headers.get("ratelimit", "")))
    tightest: dict[str, tuple[float, Quota]] = {}
    for name in policies | left:
        policy, state = policies.get(name, {}), left.get(name, {})
        limit, period = parse_number(policy.get("q")), parse_number(policy.get("w"))
        remaining, reset = parse_number(state.get("r")), parse_duration(state.get("t"))
        unit = policy.get("qu", "requests")
        if unit not in UNITS or (limit is None and remaining is None) or (period or 0) > SECONDS["hour"]:
            continue
        share = 1.0 if not limit or remaining is None else remaining / limit
        if unit not in tightest or share < tightest[unit][0]:
            tightest[unit] = share, Quota(limit, remaining, reset, period, stepwise=True)
    older = dict(part.strip().partition("=")[::2] for part in headers.get("ratelimit", "").split(","))
    if not tightest and "remaining" in older:  # the drafts up to 07
        known = parse_number(older.get("limit")), parse_number(older["remaining"]), parse_duration(older.get("reset"))
        tightest["requests"] = 0.0, Quota(*known, _window(headers), stepwise=True)
    for unit, (_, quota) in tightest.items():
        yield unit, quota


def _items(value: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The items of a structured field, `"name";key=value;key=value, …`."""
    for item in value.split(","):
        name, *parameters = (part.strip().strip('"') for part in item.split(";"))
        yield name, {key: said.strip('"') for key, _, said in (part.partition("=") for part in parameters)}


def _window(headers: Mapping[str, str]) -> float | None:
    """The period `w` of the older drafts: `ratelimit-policy: 100;w=60`, or `ratelimit-limit: 100, 100;w=60`."""
    for name in ("ratelimit-policy", "ratelimit-limit"):
        for _, parameters in _items(headers.get(name, "")):
            if (seconds := parse_number(parameters.get("w"))) is not None:
                return seconds
    return None


def _first(value: str | None) -> str | None:
    return None if value is None else value.partition(",")[0].strip()


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def _retry_info(body: bytes) -> float | None:
    """The `retryDelay` of a google.rpc.RetryInfo, which Google's APIs send instead of Retry-After."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = said[0] if isinstance(said, list) and said else said
    error = error.get("error") if isinstance(error, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            return parse_duration(str(detail.get("retryDelay"))) or None
    return None
