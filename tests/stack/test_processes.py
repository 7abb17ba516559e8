"""The supervisor: what dies is noticed, said and started again; what is stopped leaves nobody
behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest

from stack.processes import (
    QUICK_DEATHS_ALLOWED,
    Child,
    ProcessError,
    Supervisor,
    accepts,
    end_process,
    started_at,
)

PATIENCE_SECONDS = 60.0

SLEEPER = "import time; time.sleep(300)"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(300)
"""
PARENT_OF_ONE = """
import subprocess, sys
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print(grandchild.pid, flush=True)
grandchild.wait()
"""


class Story:
    """A supervisor, what it said, and children to give it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.said: list[str] = []
        self.gave_up = threading.Event()
        self.supervisor = Supervisor(
            directory / "run", directory / "logs", self.said.append, self.gave_up.set
        )

    def child(self, name: str, script: str = SLEEPER, *, grace_seconds: float = 5.0) -> Child:
        """A Python process that runs the script."""
        command = [sys.executable, "-c", script]
        return Child(name, command, dict(os.environ), self.directory, grace_seconds=grace_seconds)

    def start(self, name: str, script: str = SLEEPER, *, grace_seconds: float = 5.0) -> int:
        """Start it and return its pid."""
        self.supervisor.start(self.child(name, script, grace_seconds=grace_seconds))
        pid = self.supervisor.pid(name)
        assert pid is not None
        return pid

    def log(self, name: str) -> str:
        path = self.supervisor.log_path(name)
        return path.read_text() if path.exists() else ""


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    story = Story(tmp_path)
    yield story
    story.supervisor.stop()


def eventually(true: Callable[[], object]) -> None:
    """Wait for another process to get there; the time is a bound, not a pause."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_a_killed_child_is_noticed_said_and_started_again(story: Story) -> None:
    first = story.start("worker")
    assert story.supervisor.kill("worker") == first
    eventually(lambda: story.supervisor.pid("worker") not in (None, first))
    assert story.said == ["worker ended by signal 9; starting it again"]


def test_a_child_that_ends_by_itself_is_started_again_and_its_words_are_kept(story: Story) -> None:
    story.start("worker", "print('no database', flush=True); raise SystemExit(3)")
    eventually(lambda: story.said)
    assert story.said[0] == "worker ended with exit code 3; starting it again"
    assert "no database" in story.log("worker")


def test_one_that_keeps_dying_is_given_up_with_the_end_of_its_log(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.processes.BACKOFF_SECONDS", (0.01,))
    story.start("web", "print('cannot import portal', flush=True); raise SystemExit(1)")
    assert story.gave_up.wait(PATIENCE_SECONDS)
    assert len(story.said) == QUICK_DEATHS_ALLOWED
    assert (
        story.said[-1]
        == f"web ended with exit code 1; {QUICK_DEATHS_ALLOWED} times in a row, giving up"
    )
    assert "cannot import portal" in str(story.supervisor.failure)


def test_one_that_is_killed_again_and_again_is_not_given_up(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.processes.BACKOFF_SECONDS", (0.01,))
    pid: int | None = story.start("worker")
    # Nor when it then ends by itself, as PostgreSQL does until the last process of the one before
    # has gone.
    for number in [signal.SIGKILL] * QUICK_DEATHS_ALLOWED + [signal.SIGTERM]:
        assert story.supervisor.kill("worker", number) == pid
        eventually(
            partial(lambda before: story.supervisor.pid("worker") not in (None, before), pid)
        )
        pid = story.supervisor.pid("worker")
    assert story.supervisor.failure is None


def test_one_for_which_there_is_no_room_is_said(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "stack.processes.Supervisor._write_pid_file", Mock(side_effect=OSError(28, "No space left"))
    )
    child = story.child("worker")
    story.supervisor.start(child)
    with pytest.raises(ProcessError, match=r"cannot be started: .*No space left"):
        story.supervisor.wait_ready(replace(child, ready=lambda: False))


def test_waiting_for_one_that_is_given_up_ends_with_its_reason(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.processes.BACKOFF_SECONDS", (0.01,))
    child = Child(
        "web",
        [sys.executable, "-c", "raise SystemExit(1)"],
        {},
        story.directory,
        ready=lambda: False,
    )
    story.supervisor.start(child)
    with pytest.raises(ProcessError, match="giving up"):
        story.supervisor.wait_ready(child, PATIENCE_SECONDS)


def test_waiting_for_one_that_never_answers_ends_with_its_log(story: Story) -> None:
    child = Child("web", [sys.executable, "-c", SLEEPER], {}, story.directory, ready=lambda: False)
    story.supervisor.start(child)
    with pytest.raises(ProcessError, match=r"web: did not answer within 0 s"):
        story.supervisor.wait_ready(child, 0.1)


def test_a_listener_is_ready_when_its_port_accepts(story: Story, free_port: int) -> None:
    script = (
        f"import socket, time; s = socket.create_server(('127.0.0.1', {free_port})); "
        "time.sleep(300)"
    )
    child = Child("web", [sys.executable, "-c", script], {}, story.directory, listens=free_port)
    story.supervisor.start(child)
    story.supervisor.wait_ready(child, PATIENCE_SECONDS)
    assert accepts("127.0.0.1", free_port)


def test_a_command_that_does_not_exist_says_so(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.processes.BACKOFF_SECONDS", (0.01,))
    story.supervisor.start(Child("redis", ["/no/such/redis-server"], {}, story.directory))
    assert story.gave_up.wait(PATIENCE_SECONDS)
    assert "cannot start /no/such/redis-server" in story.log("redis")


def test_stop_ends_all_and_says_nothing_of_deaths_it_caused(story: Story) -> None:
    pids = [story.start(name) for name in ("postgres", "redis", "web")]
    story.supervisor.stop()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert story.said == []


def test_stop_ends_the_last_started_first(story: Story) -> None:
    farewell = """
import signal, sys, time
def leave(*_):
    print(time.monotonic_ns(), flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, leave)
print("up", flush=True)
time.sleep(300)
"""
    for name in ("database", "web"):
        story.start(name, farewell)
        eventually(partial(_is_up, story, name))
    story.supervisor.stop()
    ended = {name: int(story.log(name).split()[-1]) for name in ("database", "web")}
    assert ended["web"] < ended["database"]


def _is_up(story: Story, name: str) -> bool:
    return "up" in story.log(name)


def test_one_that_ignores_term_is_killed_after_its_grace(story: Story) -> None:
    pid = story.start("deaf", STUBBORN, grace_seconds=0.2)
    eventually(lambda: "deaf" in story.log("deaf"))
    story.supervisor.stop()
    assert not psutil.pid_exists(pid)
    assert story.said == ["deaf did not end within 0 s; killed"]


def test_a_grandchild_does_not_outlive_a_killed_child(story: Story) -> None:
    story.start("worker", PARENT_OF_ONE)
    eventually(lambda: story.log("worker").strip())
    grandchild = psutil.Process(int(story.log("worker").split()[0]))
    story.supervisor.kill("worker")
    eventually(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE)


SUPERVISOR = """
import sys
from pathlib import Path
from stack.processes import Child, Supervisor
directory = Path(sys.argv[1])
supervisor = Supervisor(directory / "run", directory / "logs", print)
command = [sys.executable, "-c", "import time; time.sleep(300)"]
supervisor.start(Child("worker", command, {}, directory))
print(supervisor.pid("worker"), flush=True)
import time; time.sleep(300)
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child of its parent's death"
)
def test_kill_9_of_the_supervisor_leaves_no_child(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervising:
        assert supervising.stdout is not None
        child = psutil.Process(int(supervising.stdout.readline()))
        supervising.kill()
    gone, alive = psutil.wait_procs([child], timeout=PATIENCE_SECONDS)
    assert gone
    assert not alive


def test_what_a_killed_supervisor_left_is_ended_by_the_next(story: Story) -> None:
    """As on a system without death signals: the record and the process are there, the supervisor is
    not.
    """
    with subprocess.Popen([sys.executable, "-c", SLEEPER]) as left_over:
        record(story, left_over.pid, started_at(left_over.pid))
        assert story.supervisor.end_left_overs() == ["worker"]
        assert left_over.poll() is not None
    assert not (story.supervisor.run_dir / "children.json").exists()


def test_a_process_that_merely_has_a_recorded_pid_is_left_alone(story: Story) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPER]) as stranger:
        record(story, stranger.pid, started_at(stranger.pid) - 3600)
        assert story.supervisor.end_left_overs() == []
        assert stranger.poll() is None
        stranger.kill()


def test_what_is_recorded_is_what_runs(story: Story) -> None:
    pid = story.start("worker")
    recorded = json.loads((story.supervisor.run_dir / "children.json").read_text())
    assert recorded == {"worker": [pid, started_at(pid)]}


def record(story: Story, pid: int, started: float) -> None:
    (story.supervisor.run_dir / "children.json").write_text(json.dumps({"worker": [pid, started]}))


def test_ending_a_process_that_is_gone_is_no_error() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as short:
        short.wait()
    end_process(short.pid)


def test_a_long_log_is_put_aside_at_the_next_start(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.processes.LOG_BYTES_KEPT", 10)
    story.supervisor.log_path("worker").write_text("what was said yesterday\n")
    story.start("worker", "print('today', flush=True); " + SLEEPER)
    eventually(lambda: "today" in story.log("worker"))
    assert "yesterday" not in story.log("worker")
    assert "yesterday" in story.supervisor.log_path("worker").with_suffix(".log.1").read_text()


def test_scripts_of_this_file_are_what_they_claim() -> None:
    """A story about a stubborn child must not pass because the script did not even parse."""
    for script in (SLEEPER, STUBBORN, PARENT_OF_ONE, SUPERVISOR):
        compile(textwrap.dedent(script), "script", "exec")
