"""The two runners of a flow: one with threads, one in an event loop. They carry out; `flow.py` decides."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from twofold.hosted.exchange import Answer, Line, Request, Transport
    from twofold.hosted.flow import Step
    from twofold.vectors import FloatArray

LEAVE_SECONDS = 0.5
"""How long a thread whose connection was cut is waited for."""


def run(flow: Generator[Step, list[Answer], FloatArray], transport: Transport, seconds: float) -> FloatArray:
    """Carry out a flow, with a thread for each request that is under way; none is left when this returns or raises."""
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    running: dict[int, tuple[threading.Thread, Line]] = {}

    def work(request: Request, line: Line) -> None:
        answers.put(line.send(request, seconds))

    try:
        step = next(flow)
        while True:
            for request in step.send:
                line = transport.line()
                context = contextvars.copy_context()
                thread = threading.Thread(target=context.run, args=(work, request, line), daemon=True)
                running[request.number] = thread, line
                thread.start()
            came = _wait(answers, step.wait)
            for answer in came:
                running.pop(answer.number)[1].free()
            step = flow.send(came)
    except StopIteration as end:
        vectors: FloatArray = end.value
        return vectors
    finally:
        flow.close()
        for _, line in running.values():
            line.cut()
        for thread, line in running.values():
            if thread.ident is not None:
                thread.join(LEAVE_SECONDS)
            line.close()


def _wait(answers: queue.SimpleQueue[Answer], seconds: float) -> list[Answer]:
    try:
        return [answers.get(timeout=seconds)]
    except queue.Empty:
        return []


async def arun(flow: Generator[Step, list[Answer], FloatArray], transport: Transport, seconds: float) -> FloatArray:
    """Carry out a flow, with a task for each request that is under way; none is left when this returns or raises."""
    running: set[asyncio.Task[Answer]] = set()
    try:
        step = next(flow)
        while True:
            running |= {asyncio.create_task(transport.asend(request, seconds)) for request in step.send}
            if running:
                done, running = await asyncio.wait(running, timeout=step.wait, return_when=asyncio.FIRST_COMPLETED)
            else:
                done = set()
                await asyncio.sleep(step.wait)
            step = flow.send([task.result() for task in done])
    except StopIteration as end:
        vectors: FloatArray = end.value
        return vectors
    finally:
        flow.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
