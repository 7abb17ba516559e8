"""The rehearsal on the whole product: it ends with an echo, also when every process is killed on
the way.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.product import PORTAL, Stack
from stack.rehearse import Rehearsal
from tests.ports import free_port

pytestmark = pytest.mark.stack

TIME_SCALE = 90.0
"""A quarter of an hour in ten seconds: long enough to kill everybody while AWS works."""


@pytest.fixture
def stack() -> Iterator[Stack]:
    with (
        tempfile.TemporaryDirectory(prefix="st") as directory,
        Stack(
            Path(directory) / "state", free_port(), time_scale=TIME_SCALE, durable=False, say=print
        ) as stack,
    ):
        yield stack


# Tests/journeys kills every process at three moments each; this is the rehearsal under the same
@pytest.mark.slow
def test_the_main_job_ends_with_an_echo_though_every_process_is_killed_meanwhile(
    stack: Stack,
) -> None:
    """Kill -9 of web, workers, ticker and Redis while the run waits for AWS; the console misses and
    repeats nothing.
    """
    killed: dict[str, int] = {}
    shown: list[str] = []

    def kill_in_turn(line: str) -> None:
        shown.append(line)
        for name, sign in SIGNS.items():
            if sign in line and name not in killed:
                killed[name] = stack.kill(name)

    edge = Rehearsal(stack, kill_in_turn).play()
    assert edge.url == f"wss://127.0.0.1:{stack.ports.edge_tls}/ws"
    assert edge.host.endswith(".cloudfront.net")
    assert edge.ca_file.exists()
    assert set(killed) == set(SIGNS), "every kill has to have happened, or this story shows nothing"
    assert all(stack.pid(name) not in (None, pid) for name, pid in killed.items())
    numbers = [int(line.split()[0]) for line in shown if line.split()[0].isdecimal()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert not [
        thread for thread in threading.enumerate() if thread.name == "console" and thread.is_alive()
    ]


SIGNS = {
    "provisioning-worker": "Create the VPC origin",
    "checks-worker": "Create the VPC origin",
    "web": "Created VPC origin vo_",
    "redis": ": Deploying",
    "ticker": "Add the origin and behaviors",
}
"""Who is killed when the console shows this."""


def test_the_kills_above_cover_every_process_of_the_portal_and_the_broker() -> None:
    assert set(SIGNS) == {*PORTAL, "redis"}
