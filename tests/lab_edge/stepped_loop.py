"""An event loop whose clock moves only when a test steps it, so that no timer races the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class SteppedLoop(asyncio.SelectorEventLoop):
    """Sockets work as usual; `time()` stands still between steps."""

    _now = 0.0

    def time(self) -> float:
        return self._now

    def step(self, seconds: float) -> None:
        self._now += seconds


def run_stepped(coroutine: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, with a stepped clock."""
    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        return runner.run(coroutine)


async def step(seconds: float) -> None:
    """Step the running loop's clock, and let everything run that is due then."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    loop.step(seconds)
    await settle()


async def settle() -> None:
    """Let callbacks run that need no I/O."""
    for _ in range(20):
        await asyncio.sleep(0)
