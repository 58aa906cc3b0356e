"""How much of a provider's quota eight processes with two threads each use, and how often they are refused.

A loopback server grants requests from a bucket that refills continuously, with 50 ms of latency. One run has headers
that state the limits, one does not. Run: python benchmarks/hosted_quota.py [seconds]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.quotaserver import QuotaServer, share

PROCESSES = 8


def main(seconds: float = 30.0) -> None:
    print(f"{PROCESSES} processes with 2 threads each, {seconds:.0f} s")
    print(f"{'limits in headers':<20}{'requests a minute':>18}{'used':>9}{'refused':>9}{'in the last half':>18}")
    for headers in (True, False):
        for per_minute in (500, 2000):
            with QuotaServer(per_minute, burst=per_minute / 60, latency=0.05, headers=headers) as server:
                used, refused, late = share(server, PROCESSES, seconds)
            print(
                f"{'yes' if headers else 'no':<20}{per_minute:>18}{used:>9.1%}{refused:>9.1%}{late:>18.1%}", flush=True
            )


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
