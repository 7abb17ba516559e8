"""The state directory: decides whether a folder is ours, who uses it now, and what may be wiped.

It must never delete or fill a folder that does not carry our marker, however it was named on the
command line.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import IO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

MARKER = ".edge-portal-state"
MARKER_TEXT = "State of the edge portal on this machine. `make demo CLEAN=1` empties this folder.\n"


class StateError(Exception):
    """The state directory cannot be used; the message says why and what to do."""


class StateDir:
    """One folder that holds all that survives a restart: databases, the lab, secrets and logs."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self._lock: IO[str] | None = None

    @property
    def logs(self) -> Path:
        """One file per process."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """Pid file of the supervisor."""
        return self.path / "run"

    @property
    def lab(self) -> Path:
        """LAB_STATE_DIR."""
        return self.path / "lab"

    def take(self) -> None:
        """Make the folder ours if it is new, and keep everybody else out until `release`.

        :raises StateError: it cannot be written, belongs to something else, or is in use.
        """
        try:
            self._claim()
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise StateError(
                f"{self.path} cannot be used: {error.strerror}; choose another folder"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            lock.close()
            raise StateError(
                f"the product already runs from {self.path} ({holder}). Stop it with Ctrl-C "
                "where it runs, "
                "end that process, or use a clone in another folder with another PORT."
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"pid {os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        """Let the next one in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> StateDir:
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def empty(self) -> None:
        """Delete everything but the marker and the lock. Only the one who holds the lock may.

        :raises StateError: not ours, or not taken.
        """
        if self._lock is None or not (self.path / MARKER).is_file():
            raise StateError(
                f"{self.path} is not emptied: it is not a state folder that this process has taken"
            )
        for entry in self.path.iterdir():
            if entry.name in (MARKER, "lock"):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def secret(self, name: str) -> str:
        """A random value made once and kept, readable by its owner only."""
        path = self.path / f"{name}.secret"
        if not path.exists():
            fresh = path.with_suffix(".new")
            with os.fdopen(
                os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
            ) as file:
                file.write(secrets.token_urlsafe(48))
            fresh.replace(path)
        return path.read_text().strip()

    def signing_key(self, name: str) -> Path:
        """An Ed25519 key in PEM, made once and kept, readable by its owner only."""
        path = self.path / f"{name}.pem"
        if not path.exists():
            key = Ed25519PrivateKey.generate()
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            fresh = path.with_suffix(".new")
            with os.fdopen(
                os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            ) as file:
                file.write(pem)
            fresh.replace(path)
        return path

    def _claim(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        marker = self.path / MARKER
        if marker.is_file():
            return
        if any(self.path.iterdir()):
            raise StateError(
                f"{self.path} holds files that are not ours (no {MARKER} in it); choose "
                "another folder"
            )
        marker.write_text(MARKER_TEXT)
