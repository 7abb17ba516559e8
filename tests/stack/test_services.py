"""PostgreSQL and Redis as children: data survives, a killed server does not block the next, nothing
listens openly.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import environ
import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from stack import services as services_module
from stack.processes import Supervisor, launched
from stack.product import SERVICES, Stack
from stack.services import SOCKET_PATH_LIMIT, Postgres, Redis, ServiceError, redis_binary
from stack.state import StateError
from tests.ports import free_ports

PATIENCE_SECONDS = 60.0


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder whose path leaves room for a socket; pytest's own are long."""
    with tempfile.TemporaryDirectory(prefix="st") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def running() -> Iterator[Stack]:
    """One for the stories that only look."""
    with tempfile.TemporaryDirectory(prefix="st") as directory, services(Path(directory)) as stack:
        yield stack


def services(directory: Path) -> Stack:
    return Stack(directory / "state", parts=SERVICES, durable=False)


def remember(stack: Stack, word: str) -> None:
    with psycopg.connect(stack.env["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS memory (word text)")
        connection.execute("INSERT INTO memory VALUES (%s)", [word])


def remembered(stack: Stack) -> list[str]:
    with psycopg.connect(stack.env["DATABASE_URL"]) as connection:
        return [str(row[0]) for row in connection.execute("SELECT word FROM memory")]


def test_a_restart_keeps_the_data_and_clean_does_not(short_dir: Path) -> None:
    with services(short_dir) as stack:
        remember(stack, "kept")
    stack = services(short_dir)
    with stack:
        assert remembered(stack) == ["kept"]
    stack = services(short_dir)
    stack.start(clean=True)
    try:
        with pytest.raises(psycopg.errors.UndefinedTable):
            remembered(stack)
    finally:
        stack.stop()


def test_both_killed_come_back_with_the_data(short_dir: Path) -> None:
    with services(short_dir) as stack:
        remember(stack, "kept")
        for name in SERVICES:
            before = stack.kill(name)
            until_replaced(stack, name, before)
        assert remembered(stack) == ["kept"]
        assert redis.Redis.from_url(stack.env["REDIS_URL"]).ping()


def until_replaced(stack: Stack, name: str, before: int) -> None:
    until(lambda: stack.pid(name) not in (None, before))
    stack.wait_ready(name, PATIENCE_SECONDS)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


KILLED = """
import json, sys, time
from pathlib import Path
from stack import services as services_module
from stack.processes import Supervisor, launched
from stack.product import SERVICES, Stack
stack = Stack(Path(sys.argv[1]) / "state", parts=SERVICES, durable=False)
stack.start()
print(json.dumps([stack.pid("postgres"), stack.env["DATABASE_URL"]]), flush=True)
time.sleep(300)
"""


def test_kill_9_of_the_supervisor_does_not_block_the_next_start(short_dir: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(short_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        json.loads(killed.stdout.readline())
        killed.kill()
    with services(short_dir) as stack:
        remember(stack, "works")
        assert remembered(stack) == ["works"]


def test_a_server_that_outlived_its_supervisor_is_replaced_not_joined(short_dir: Path) -> None:
    """The record of children is lost, PostgreSQL runs on: only its own pid file tells."""
    with services(short_dir):
        pass
    postgres = Postgres(short_dir / "state" / "postgres", durable=False)
    child = postgres.child(os.environ)
    command = launched(child.command, death_signal=signal.SIGINT, user=child.user)
    with subprocess.Popen(command, cwd=child.directory, stderr=subprocess.DEVNULL) as left_over:
        until(postgres.answers)
        with services(short_dir) as stack:
            assert left_over.wait(PATIENCE_SECONDS) == 0
            remember(stack, "works")


def test_a_pid_file_that_names_a_stranger_is_put_aside(short_dir: Path) -> None:
    """After a reboot the pid of the old server may be anybody's; PostgreSQL alone would refuse to
    start.
    """
    with services(short_dir) as stack:
        remember(stack, "kept")
    pid_file = short_dir / "state" / "postgres" / "data" / "postmaster.pid"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as stranger:
        pid_file.write_text(f"{stranger.pid}\n{pid_file.parent}\n")
        with services(short_dir) as stack:
            assert remembered(stack) == ["kept"]
        assert stranger.poll() is None
        stranger.kill()


@pytest.fixture
def own_environment(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment in which nothing is kept yet."""
    environment = short_dir / "environment"
    environment.mkdir()
    monkeypatch.setattr(sys, "prefix", str(environment))
    return environment


@pytest.mark.parametrize("durable", [False, True])
def test_initdb_runs_once_for_an_environment(
    short_dir: Path, own_environment: Path, durable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    Postgres(short_dir / "first", durable=False).prepare()
    [kept] = own_environment.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700, "a database is nobody else's"
    monkeypatch.setattr(services_module, "EMPTY_DATABASE", ("--no-such-argument",))
    with pytest.raises(ServiceError, match="no-such-argument"):
        Postgres(short_dir / "other", durable=durable).prepare()
    monkeypatch.undo()
    monkeypatch.setattr(sys, "prefix", str(own_environment))
    monkeypatch.setattr(Postgres, "_initdb", only_sync)
    second = Postgres(short_dir / "second", durable=durable)
    second.prepare()
    supervisor = Supervisor(short_dir / "run", short_dir / "logs", say=print)
    try:
        child = second.child(os.environ)
        supervisor.start(child)
        supervisor.wait_ready(child)
        second.ensure_database()
    finally:
        supervisor.stop()


def only_sync(self: Postgres, *arguments: str) -> None:
    assert self.durable, "a database that need not last is not written to disk"
    assert arguments[0] == "--sync-only"


def test_where_nothing_can_be_kept_initdb_runs_each_time(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(short_dir / "nowhere"))
    postgres = Postgres(short_dir / "postgres", durable=False)
    postgres.prepare()
    assert (postgres.data / "PG_VERSION").exists()


def test_initdb_that_was_interrupted_is_done_again(short_dir: Path) -> None:
    half = short_dir / "state" / "postgres" / "data.new"
    with services(short_dir) as stack:
        pass
    (short_dir / "state" / "postgres" / "data").rename(half)
    with services(short_dir) as stack:
        remember(stack, "works")
    assert not half.exists()


def test_data_of_another_version_is_refused_with_the_way_out(short_dir: Path) -> None:
    postgres = Postgres(short_dir / "postgres", durable=False)
    postgres.data.mkdir(parents=True)
    (postgres.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServiceError, match="CLEAN=1"):
        postgres.prepare()


def test_a_deep_folder_puts_the_socket_where_its_path_fits(short_dir: Path) -> None:
    deep = short_dir / ("d" * 60) / ("e" * 60)
    socket_dir = Postgres(deep).socket_dir
    assert deep not in socket_dir.parents
    assert len(os.fsencode(socket_dir / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT
    with services(deep) as stack:
        remember(stack, "works")
        elsewhere = Postgres(stack.state.path / "postgres").socket_dir
        assert elsewhere.exists()
    assert not elsewhere.exists(), "nothing stays behind in the temporary folder"


def test_a_folder_with_spaces_quotes_and_capitals_works(short_dir: Path) -> None:
    with services(short_dir / 'My "Own", Ünit') as stack:
        remember(stack, "works")
        assert redis.Redis.from_url(stack.env["REDIS_URL"]).ping()


def test_django_libpq_and_psycopg_read_the_same_url(short_dir: Path) -> None:
    postgres = Postgres(short_dir / "A b")
    django = environ.Env.db_url_config(postgres.url())
    libpq = psycopg.conninfo.conninfo_to_dict(postgres.url())
    assert django["NAME"] == libpq["dbname"] == "portal"
    assert django["USER"] == libpq["user"] == "postgres"
    assert django["OPTIONS"]["host"] == libpq["host"] == str(postgres.socket_dir)


def test_nothing_listens_beyond_loopback_and_postgresql_not_at_all(running: Stack) -> None:
    listening = {}
    for name in SERVICES:
        pid = running.pid(name)
        assert pid is not None
        connections = psutil.Process(pid).net_connections("inet")
        listening[name] = [each.laddr for each in connections if each.status == psutil.CONN_LISTEN]
    assert listening == {"postgres": [], "redis": [("127.0.0.1", running.ports.redis)]}


def test_redis_wants_its_password_and_the_process_list_does_not_tell_it(running: Stack) -> None:
    pid = running.pid("redis")
    assert pid is not None
    secret = running.state.secret("redis")
    assert secret in running.env["REDIS_URL"]
    assert secret not in " ".join(psutil.Process(pid).cmdline())
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=running.ports.redis, retry=Retry(NoBackoff(), 0)).ping()


def test_two_in_one_folder_are_refused(running: Stack) -> None:
    with pytest.raises(StateError, match="already runs"):
        Stack(running.state.path, parts=SERVICES).start()
    assert redis.Redis.from_url(running.env["REDIS_URL"]).ping()


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can be refused by PostgreSQL for being root"
)
def test_root_gets_a_database_even_in_a_closed_home(short_dir: Path) -> None:
    closed = short_dir / "root"
    closed.mkdir(mode=0o700)
    with services(closed) as stack:
        remember(stack, "works")
        pid = stack.pid("postgres")
        assert pid is not None
        assert psutil.Process(pid).uids().effective != 0
    assert closed.stat().st_mode & 0o777 == 0o700


def test_without_any_redis_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ServiceError, match="apt-get install redis-server"):
        redis_binary()


def test_a_redis_on_path_is_preferred(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = short_dir / "valkey-server"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(short_dir))
    assert redis_binary() == own


def test_a_child_stopped_by_hand_does_not_hang_the_end(short_dir: Path) -> None:
    with services(short_dir) as stack:
        pid = stack.kill("redis", signal.SIGSTOP)
        children = psutil.Process(pid)
    assert not children.is_running()


def test_redis_is_configured_on_the_given_port_only(short_dir: Path) -> None:
    port = free_ports().redis
    redis_server = Redis(short_dir / "redis", port, "secret")
    redis_server.prepare()
    assert f"port {port}\n" in (short_dir / "redis" / "redis.conf").read_text()
    assert redis_server.url == f"redis://:secret@127.0.0.1:{port}/0"


def test_tokens_are_asked_for_when_they_are_lost_or_expire_soon(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(short_dir, free_ports().web)
    asked: list[tuple[str, ...]] = []

    def manage(*command: str) -> str:
        asked.append(command)
        return "people"

    monkeypatch.setattr(stack, "manage", manage)
    stack._seed()
    stack.tokens_file.write_text("{}")
    stack._seed()
    month_old = time.time() - 30 * 86_400
    os.utime(stack.tokens_file, (month_old, month_old))
    stack._seed()
    anew = ("seed_demo", "--tokens", str(stack.tokens_file))
    assert asked == [anew, ("seed_demo",), anew]
