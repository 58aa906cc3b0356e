"""Carries out what `flow.py` decides, with a task for each request that is under way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.hosted.exchange import Answer, Transport
    from twofold.hosted.flow import Flow
    from twofold.vectors import FloatArray

LONGEST_SLEEP = 3600.0


async def carry_out(
    flow: Flow, transport: Transport, seconds: float, caller: asyncio.AbstractEventLoop | None
) -> FloatArray:
    """Run a flow on the loop of `loop.py`; no task is left when this returns or raises."""
    running: set[asyncio.Task[Answer]] = set()
    steps = flow.run()
    try:
        step = next(steps)
        while True:
            running |= {asyncio.create_task(transport.send(request, seconds, caller)) for request in step.send}
            wait = min(step.wait, LONGEST_SLEEP)
            if running:
                done, running = await asyncio.wait(running, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            else:
                done = set()
                await asyncio.sleep(wait)
            step = steps.send([task.result() for task in done])
    except StopIteration as end:
        vectors: FloatArray = end.value
        return vectors
    finally:
        steps.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
