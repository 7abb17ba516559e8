"""Real workers that die: a forked process takes a worker's turns with a PostgreSQL connection of
its own, and SIGKILL ends it at a chosen boundary.

A boundary lies before and after each *act* of a worker: each call to AWS, each commit, each
publish. An act's label says where the worker was (at the run, in a step, in a sweep), what it did,
and which time it was that this process did that there.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from unittest import mock

from botocore.client import BaseClient
from celery import current_app
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from provisioning import runner, tasks
from provisioning.aws import session
from provisioning.engine.decide import Direction
from provisioning.engine.turn import StepTurn
from provisioning.models import AwsAccount, Run
from provisioning.pokes import poke
from tests.provisioning.machine import LEASE_SECONDS, WRITES, Machine

SIGN_IN = "AssumeRole"
"""No boundary: once for each process and not for each run, it changes nothing."""

IDLE_SECONDS = 400.0
MOST_TURNS = 300
DISCONNECT_SECONDS = 60.0
WRITE = re.compile(r'^\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+"?(?:\w+?_)?(\w+)"?', re.IGNORECASE)


Choice = Callable[[str], bool]
"""Whether to kill at a boundary, given its label."""


class Failed(AssertionError):
    """The worker did not live or die as it was to."""


def name_of(label: str) -> str:
    """An act's label or a boundary's, without the time that it was."""
    return label.partition(" #")[0]


def changes_something(label: str) -> bool:
    """Whether the act leaves AWS or PostgreSQL another than before. A worker that dies elsewhere
    leaves what it would have left before the next such act.
    """
    return label.partition(": ")[2].startswith((*WRITES, "commit "))


@dataclass
class Recorder:
    """Labels every act of this process, and tells `at` before and after each. `fail` may refuse a
    call to AWS before it is sent, or lose its reply.
    """

    at: Callable[[str], None]
    fail: Callable[[str], Exception | None] = lambda label: None
    place: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    written: list[str] = field(default_factory=list)
    meaning: str = ""
    event: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, what: str) -> str:
        """The label of an act that begins here and now."""
        with self.lock:
            name = f"{self.place}: {what}"
            self.seen[name] += 1
            times = self.seen[name]
        label = name if times == 1 else f"{name} #{times}"
        self.at(f"before {label}")
        return label

    @contextmanager
    def act(self, what: str) -> Iterator[None]:
        """One act."""
        label = self.begin(what)
        yield
        self.at(f"after {label}")

    @contextmanager
    def placed(self, place: str) -> Iterator[None]:
        """Everything inside happens there."""
        before, self.place = self.place, place
        try:
            yield
        finally:
            self.place = before


@contextmanager
def recorded(recorder: Recorder) -> Iterator[None]:
    """Watch what this process does to AWS, PostgreSQL and the consoles."""
    call: Any = BaseClient._make_api_call  # type: ignore[attr-defined]
    commit, write = BaseDatabaseWrapper.commit, runner.Lease._write
    turns = {name: getattr(StepTurn, name) for name in ("observe_and_act", "poll")}

    def watched_call(self: Any, operation: str, parameters: Any) -> Any:
        if operation == SIGN_IN:
            return call(self, operation, parameters)
        label = recorder.begin(operation)
        if error := recorder.fail(f"before {label}"):
            raise error
        try:
            return call(self, operation, parameters)
        finally:
            recorder.at(f"after {label}")
            if error := recorder.fail(f"after {label}"):
                raise error

    def watched_write(self: Any, changes: Any, now: Any, entry: Any, event: Any) -> None:
        recorder.event = event["kind"] if event else ""
        recorder.meaning = entry.kind.value if entry else recorder.event
        write(self, changes, now, entry, event)

    def watched_commit(self: BaseDatabaseWrapper) -> None:
        tables = "+".join(dict.fromkeys(recorder.written))
        what, recorder.written, recorder.meaning = recorder.meaning or tables, [], ""
        if not tables:
            commit(self)
            return
        with recorder.act(f"commit {what}"):
            commit(self)

    def watched_statement(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        found = WRITE.match(str(sql))
        if found is None:
            return execute(sql, params, many, context)
        if context["connection"].in_atomic_block:
            recorder.written.append(found[1])
            return execute(sql, params, many, context)
        with recorder.act(f"commit {found[1]}"):
            return execute(sql, params, many, context)

    def watched_poke(stream: str, seq: int) -> None:
        with recorder.act(f"publish {recorder.event}"):
            poke(stream, seq)

    def watched_turn(name: str) -> Any:
        def turn(self: Any, *args: Any, **kwargs: Any) -> Any:
            undo = "" if self.direction is Direction.FORWARD else "undo "
            with recorder.placed(f"{undo}{self.step.name}"):
                return turns[name](self, *args, **kwargs)

        return turn

    patch = mock.patch.object
    with ExitStack() as stack:
        stack.enter_context(patch(BaseClient, "_make_api_call", watched_call))
        stack.enter_context(patch(BaseDatabaseWrapper, "commit", watched_commit))
        stack.enter_context(mock.patch("provisioning.events.poke", watched_poke))
        stack.enter_context(patch(runner.Lease, "_write", watched_write))
        for name in turns:
            stack.enter_context(patch(StepTurn, name, watched_turn(name)))
        stack.enter_context(connection.execute_wrapper(watched_statement))
        yield


def turn(machine: Machine, recorder: Recorder) -> bool:
    """The worker's tasks for all that is due, each message delivered twice. False when no run
    was.
    """
    due = list(Run.objects.due(machine.now).order_by("due_at").values_list("pk", "fence"))
    with mock.patch.object(timezone, "now", machine.clock):
        for run_id, fence in due:
            with recorder.placed("run"):
                tasks.advance_run(run_id, fence)
                tasks.advance_run(run_id, fence)
        for account_id in AwsAccount.objects.due_for_sweep(machine.now).values_list(
            "pk", flat=True
        ):
            with recorder.placed("sweep"):
                tasks.sweep_account(account_id)
    return bool(due)


def work(machine: Machine, run: Run, recorder: Recorder) -> None:
    """Turn after turn, until the run is over. Time passes when nothing is due."""
    with recorded(recorder):
        for _ in range(MOST_TURNS):
            busy = turn(machine, recorder)
            run.refresh_from_db()
            if run.over:
                return
            if not busy:
                asleep = (run.due_at - machine.now).total_seconds()
                machine.step(max(asleep, IDLE_SECONDS))
    raise Failed(f"never over: {run.state}, {run.journal()[-1:]}")


@dataclass(frozen=True)
class Life:
    """The boundaries that a worker's process passed, and whether SIGKILL ended it."""

    passed: tuple[str, ...]
    killed: bool


def live(machine: Machine, run: Run, kill_at: Choice = lambda label: False) -> Life:
    """A worker in a process of its own works until the run is over, or until SIGKILL at the first
    boundary that `kill_at` chooses. Returns when PostgreSQL knows that it is gone, and its leases
    have ended.
    """
    clients = _prepared()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        session._accounts.update(clients)
        _be_a_worker(machine, run, kill_at, writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as told:
        backend, *lines = told.read().splitlines() or [""]
    _, status = os.waitpid(child, 0)
    passed = [line.split("\t") for line in lines if line.startswith("at\t")]
    labels = tuple(label for _, _, label in passed)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    chosen = [label for label in labels if kill_at(label)]
    if killed and chosen != [*labels[-1:]]:
        raise Failed(f"killed at {labels[-1:]} and not at {chosen}")
    if not killed and (chosen or os.waitstatus_to_exitcode(status) != 0):
        said = "\n".join(line for line in (backend, *lines) if not line.startswith("at\t"))
        raise Failed(f"status {status}, to be killed at {chosen}: {said}")
    if passed:
        machine.now = datetime.fromisoformat(passed[-1][1])
    _await_disconnect(int(backend))
    if killed:
        machine.step(LEASE_SECONDS + 1)
    run.refresh_from_db()
    return Life(labels, killed)


def _prepared() -> dict[Any, Any]:
    """The AWS clients of this process with their connections closed, for a child to use. Parsing
    AWS's models and Celery's tasks again would cost it more than all its work.
    """
    current_app.finalize()
    for aws in session._accounts.values():
        for client in aws._clients.values():
            client._endpoint.http_session.close()
    return dict(session._accounts)


def _be_a_worker(machine: Machine, run: Run, kill_at: Choice, writing: int) -> None:
    """The child's whole life; never returns."""
    code = 1
    alone = threading.Lock()

    def tell(*words: str) -> None:
        os.write(writing, ("\t".join(words) + "\n").encode())

    def at(label: str) -> None:
        with alone:  # a snapshot asks AWS from several threads; none passes this one's death
            tell("at", machine.now.isoformat(), label)
            if kill_at(label):
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        # The parent's connection is the parent's: left alone, neither used nor closed.
        connections["default"].connection = None
        connections["default"].ensure_connection()
        tell(str(connection.connection.info.backend_pid))
        work(machine, run, Recorder(at))
        code = 0
    except BaseException:
        tell(traceback.format_exc())
    finally:
        os._exit(code)


def _await_disconnect(backend: int) -> None:
    """PostgreSQL ends the session of a dead client, and with it its locks, a moment later."""
    deadline = time.monotonic() + DISCONNECT_SECONDS
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [backend])
            if not cursor.fetchone()[0]:
                return
            time.sleep(0.002)
    raise Failed(f"PostgreSQL session {backend} outlived its worker")
