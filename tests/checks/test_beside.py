"""What waits on sockets waits beside a worker's threads: bounded, never lost, and nobody stands
still for it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable

import pytest

from checks.executors import Held, Loop, Threads

MANY = 50
SECONDS = 5.0


class Silence:
    """Sockets that say nothing until `over` is set; the results are kept in `kept`."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.kept: queue.Queue[str] = queue.Queue()

    def begin(self, name: str = "silence") -> Held[str]:
        async def wait() -> str:
            while not self.over.is_set():
                await asyncio.sleep(0.005)
            return name

        return Held(wait, self.kept.put, lambda: self.kept.put(f"{name} given back"))


def test_fifty_silent_probes_cost_two_threads_and_the_next_finds_no_room() -> None:
    silence, loop = Silence(), Loop(MANY, "test-probes")
    before = threading.active_count()
    assert all(loop.take(silence.begin) for _ in range(MANY)), (
        "each is taken, and its caller goes on"
    )
    assert not loop.take(silence.begin)
    assert threading.active_count() - before <= 1
    assert silence.kept.empty()
    silence.over.set()
    assert [silence.kept.get(timeout=SECONDS) for _ in range(MANY)] == ["silence"] * MANY
    assert threading.active_count() - before <= 2, "the loop, and whoever keeps results"
    assert _soon_taken(loop, silence), "what has ended makes room"


def test_what_was_not_to_be_waited_for_or_failed_makes_room_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    silence, loop = Silence(), Loop(1, "test-probes")
    silence.over.set()

    def broken() -> Held[str]:
        raise ValueError("the row is odd")

    async def fail() -> str:
        raise ValueError("the loop is odd")

    assert loop.take(lambda: None)
    with pytest.raises(ValueError, match="row"):
        loop.take(broken)
    assert loop.take(lambda: Held(fail, silence.kept.put, lambda: None))
    assert _soon_taken(loop, silence)
    assert silence.kept.get(timeout=SECONDS) == "silence"
    assert _soon(lambda: "the loop is odd" in caplog.text)


def _soon_taken(loop: Loop, silence: Silence) -> bool:
    """Room is free a moment after a result was kept."""
    return _soon(lambda: loop.take(silence.begin))


def _soon(seen: Callable[[], bool]) -> bool:
    """Within five seconds: what another thread does is seen a moment after it says so."""
    return any(seen() or threading.Event().wait(0.01) for _ in range(500))


def test_checks_of_dead_origins_fill_their_own_threads_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    threads, over = Threads(2, "test-checks"), threading.Event()
    begun: queue.Queue[str] = queue.Queue()

    def dead(key: str) -> None:
        begun.put(key)
        over.wait(SECONDS)
        if key == "a":
            raise ValueError("no answer at all")

    for key in ("a", "b", "c", "a", "c"):
        threads.take(key, dead)  # returns at once: this thread is a worker's
    assert {begun.get(timeout=SECONDS), begun.get(timeout=SECONDS)} == {"a", "b"}
    assert begun.empty(), "two at once, the third waits in line"
    over.set()
    assert begun.get(timeout=SECONDS) == "c"
    threads.take("last", dead)
    assert begun.get(timeout=SECONDS) == "last"
    assert begun.empty(), "each key once"
    assert _soon(lambda: "no answer at all" in caplog.text)


def test_a_worker_that_ends_gives_back_what_it_holds() -> None:
    silence, loop = Silence(), Loop(3, "test-probes")
    for name in ("a", "b"):
        assert loop.take(lambda name=name: silence.begin(name))  # type: ignore[misc]
    loop.stop()
    assert {silence.kept.get(timeout=SECONDS) for _ in "ab"} == {"a given back", "b given back"}

    def stopped_meanwhile() -> Held[str]:
        other.stop()
        return silence.begin("late")

    other = Loop(1, "test-probes")
    other.take(stopped_meanwhile)
    assert silence.kept.get(timeout=SECONDS) == "late given back"
    assert not loop.take(silence.begin), "nothing more is begun"
    silence.over.set()


def test_a_worker_that_ends_leaves_the_line_to_others() -> None:
    threads, over = Threads(1, "test-checks"), threading.Event()
    begun: queue.Queue[str] = queue.Queue()

    def dead(key: str) -> None:
        begun.put(key)
        over.wait(SECONDS)

    for key in ("a", "b"):
        threads.take(key, dead)
    assert begun.get(timeout=SECONDS) == "a"
    threads.stop()
    over.set()
    with pytest.raises(queue.Empty):
        begun.get(timeout=0.1)
