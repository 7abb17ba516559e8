"""A shutdown interrupts what waits on sockets, and lets nothing new begin."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from checks.probe.interruptible import Interrupted, Interruptible

MANY = 24
SECONDS = 60.0
"""How long a busy machine may take for what it does in a moment."""


def test_every_coroutine_ends_in_its_own_thread_with_its_own_result() -> None:
    probes = Interruptible()
    all_begun = threading.Barrier(MANY, timeout=SECONDS)

    async def hold(number: int) -> int:
        all_begun.wait()  # blocks this loop only: each coroutine has one
        await asyncio.sleep(0)
        return number

    async def fail() -> int:
        raise ValueError("the transcript is odd")

    with ThreadPoolExecutor(MANY) as pool:
        assert list(pool.map(lambda number: probes.run(hold(number)), range(MANY))) == list(
            range(MANY)
        )
    with pytest.raises(ValueError, match="odd"):
        probes.run(fail())


def test_a_shutdown_interrupts_what_is_silent_and_lets_nothing_begin() -> None:
    probes = Interruptible()
    begun, closed = threading.Barrier(MANY + 1, timeout=SECONDS), threading.Semaphore(0)

    async def silence() -> None:
        begun.wait()
        try:
            await asyncio.Event().wait()
        finally:
            closed.release()

    with ThreadPoolExecutor(MANY) as pool:
        waiting = [pool.submit(lambda: probes.run(silence())) for _ in range(MANY)]
        begun.wait()
        probes.interrupt()
        probes.interrupt()
        for one in waiting:
            with pytest.raises(Interrupted):
                one.result(SECONDS)
    assert all(closed.acquire(blocking=False) for _ in range(MANY)), "each closed its sockets"
    with pytest.raises(Interrupted):
        probes.run(silence())
