"""Carries out what `flow.py` decides, with a task for each request that is under way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

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
    steps, line, loop = flow.run(), flow.limiter.line, asyncio.get_running_loop()
    room = loop.create_future()  # settled where another call's request makes room
    room.cancel()
    try:
        step = next(steps)
        while True:
            running |= {asyncio.create_task(transport.send(request, seconds, caller)) for request in step.send}
            if not step.others:
                room.cancel()
            elif room.done():
                room = loop.create_future()
                line.append(room)
            awaited: set[asyncio.Future[Any]] = {*running, room} if step.others else {*running}
            wait = min(step.wait, LONGEST_SLEEP)
            if awaited:
                await asyncio.wait(awaited, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(wait)
            done = {task for task in running if task.done()}
            running -= done
            step = steps.send([task.result() for task in done])
    except StopIteration as end:
        vectors: FloatArray = end.value
        return vectors
    finally:
        steps.close()
        room.cancel()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
