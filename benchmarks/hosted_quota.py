"""What refusals cost: quotas that processes share, refusals that do not depend on our pace, and bursts of them.

All on a virtual clock, with the real limiter, beside clients in which each thread backs off alone. `--real` lets eight
real processes share a loopback server. Run: python benchmarks/hosted_quota.py [seconds] [--real]
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from typing import TYPE_CHECKING

from support.quotas import SPELLINGS, STEPWISE, Moody, Quota, Steps, separate, use
from support.quotaserver import QuotaServer, share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from support.quotas import Outcome

PROCESSES, SEEDS, AT_ONCE, LATENCY = 8, 4, 16, 0.1


def main(seconds: float = 120.0, *, real: bool = False) -> None:
    print(f"One account, {PROCESSES} processes with 2 threads each, {seconds:.0f} s, 50 ms an answer")
    print(f"{'limits stated as':<18}{'a minute':>9}{'used':>8}{'refused':>9}{'second half':>13}{'alone':>8}")
    for name in SPELLINGS:
        for per_minute in (500, 2000):
            burst = per_minute / 60

            def quota(name: str = name, per_minute: float = per_minute, burst: float = burst) -> Quota | Steps:
                says = SPELLINGS[name]
                return Steps(per_minute, says) if name in STEPWISE else Quota(per_minute, burst, says)

            ours = [use(quota(), seconds, processes=PROCESSES, seed=seed) for seed in range(SEEDS)]
            theirs = [separate(quota(), seconds, threads=2 * PROCESSES, seed=seed) for seed in range(SEEDS)]
            used = mean(len(one.granted) / (burst * seconds) for one in ours)
            refused, late = (
                mean(one.part_refused() for one in ours),
                mean(one.part_refused(seconds / 2) for one in ours),
            )
            alone = mean(one.part_refused(seconds / 2) for one in theirs)
            print(f"{name:<18}{per_minute:>9}{used:>8.1%}{refused:>9.1%}{late:>13.1%}{alone:>8.1%}", flush=True)
    print(f"\nRefusals that do not depend on the pace: {AT_ONCE} requests at once, {LATENCY * 1000:.0f} ms an answer")
    print(f"{'refused':<34}{'vectors a minute':>17}{'alone':>9}{'times slower':>14}{'requests each':>15}{'alone':>8}")
    for part in (0.005, 0.01, 0.03, 0.06):
        compare(f"{part:.1%} of all requests", partial(Moody, part), seconds)
    for part, length in ((0.05, 1.0), (0.05, 5.0)):
        name = f"all, in {part:.0%} of the time, {length:.0f} s long"
        compare(name, partial(Moody, part, length=length), seconds)
    name = "a pool: others use 80 % of it"
    compare(name, lambda _: Quota(6000, 100, SPELLINGS["none"], others=80.0), seconds)
    if real:
        print(f"\n{PROCESSES} real processes, {seconds:.0f} s")
        for headers in (True, False):
            with QuotaServer(500, burst=500 / 60, latency=0.05, headers=headers) as server:
                used, refused, late = share(server, PROCESSES, seconds)
            print(f"limits stated: {headers}, used {used:.1%}, refused {refused:.1%}, in the second half {late:.1%}")


def compare(name: str, provider: Callable[[int], object], seconds: float) -> None:
    ours = [use(provider(seed), seconds, threads=AT_ONCE, latency=LATENCY, seed=seed) for seed in range(SEEDS)]
    theirs = [separate(provider(seed), seconds, threads=AT_ONCE, latency=LATENCY, seed=seed) for seed in range(SEEDS)]
    rates = [mean(len(one.granted) for one in each) * 60 / seconds for each in (ours, theirs)]
    needed = [mean(requests_each(one) for one in each) for each in (ours, theirs)]
    print(
        f"{name:<34}{rates[0]:>17,.0f}{rates[1]:>9,.0f}{rates[1] / rates[0]:>14.2f}{needed[0]:>15.3f}{needed[1]:>8.3f}",
        flush=True,
    )


def requests_each(outcome: Outcome) -> float:
    return 1 + len(outcome.refused) / len(outcome.granted)


def mean(numbers: Iterable[float]) -> float:
    found = list(numbers)
    return sum(found) / len(found)


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--real"]
    main(*map(float, given), real="--real" in sys.argv)
