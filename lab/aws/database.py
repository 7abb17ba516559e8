"""What survives a restart of the AWS endpoint, in one SQLite file.

It stores a journal of changes in moto, CloudFront's entities as JSON documents, and named values,
without knowing what they mean. Use it only while holding the lab's lock. All changes of one call
are one transaction, so a `kill -9` leaves all of them or none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, seed INTEGER NOT NULL,
    kind TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, query TEXT NOT NULL,
    headers TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS entity (
    kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revision (
    distribution TEXT NOT NULL, number INTEGER NOT NULL, document TEXT NOT NULL,
    config BLOB NOT NULL,
    PRIMARY KEY (distribution, number)
);
CREATE TABLE IF NOT EXISTS value (name TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class JournalEntry:
    """One change in moto, with everything needed to repeat it with the same result.

    `kind` is "http" (a request as it was sent) or the name of an internal change, whose arguments
    are in `body`. `at` is the real time (Unix) that moto saw; `seed` is the seed of its random
    numbers.
    """

    at: float
    seed: int
    kind: str
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class LabDatabase:
    """The SQLite file; the caller holds the lab's lock."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # The kernel's page cache survives a killed process; only a power failure loses commits.
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.executescript(_SCHEMA)
        self._depth = 0

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def clear(self) -> None:
        """Delete everything."""
        with self.transaction():
            for table in ("journal", "entity", "revision", "value"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all writes inside together; an exception rolls them back. Nested ones join the
        outer one.
        """
        if self._depth:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        else:
            self._connection.execute("COMMIT")
        finally:
            self._depth = 0

    def append_journal(self, entry: JournalEntry) -> None:
        """Add an entry to the journal."""
        self._connection.execute(
            "INSERT INTO journal (at, seed, kind, method, path, query, headers, body) "
            "VALUES (?,?,?,?,?,?,?,?)",
            (
                entry.at,
                entry.seed,
                entry.kind,
                entry.method,
                entry.path,
                entry.query,
                json.dumps(entry.headers),
                entry.body,
            ),
        )

    def delete_journal(self, body_like: bytes, before: float) -> None:
        """Delete entries from before a real time whose body matches a LIKE pattern."""
        self._connection.execute(
            "DELETE FROM journal WHERE at < ? AND CAST(body AS TEXT) LIKE ?",
            (before, body_like.decode()),
        )

    def journal(self) -> Iterator[JournalEntry]:
        """All entries, oldest first."""
        rows = self._connection.execute(
            "SELECT at, seed, kind, method, path, query, headers, body FROM journal ORDER BY seq"
        )
        for at, seed, kind, method, path, query, headers, body in rows:
            pairs = tuple((str(name), str(text)) for name, text in json.loads(headers))
            yield JournalEntry(at, seed, kind, method, path, query, pairs, body)

    def put_entity(self, kind: str, entity_id: str, document: dict[str, Any]) -> None:
        """Insert or replace one entity."""
        self._connection.execute(
            "INSERT OR REPLACE INTO entity (kind, id, document) VALUES (?,?,?)",
            (kind, entity_id, json.dumps(document)),
        )

    def delete_entity(self, kind: str, entity_id: str) -> None:
        """Delete one entity; absence is success."""
        self._connection.execute("DELETE FROM entity WHERE kind=? AND id=?", (kind, entity_id))

    def entities(self, kind: str) -> list[dict[str, Any]]:
        """All entities of a kind, by id."""
        rows = self._connection.execute(
            "SELECT document FROM entity WHERE kind=? ORDER BY id", (kind,)
        )
        return [json.loads(document) for (document,) in rows]

    def put_revision(
        self, distribution: str, number: int, document: dict[str, Any], config: bytes
    ) -> None:
        """Insert one revision of a distribution's configuration."""
        self._connection.execute(
            "INSERT OR REPLACE INTO revision (distribution, number, document, config) "
            "VALUES (?,?,?,?)",
            (distribution, number, json.dumps(document), config),
        )

    def delete_revisions(self, distribution: str, below: int | None = None) -> None:
        """Delete a distribution's revisions: all, or those with a number below `below`."""
        limit = 2**62 if below is None else below
        self._connection.execute(
            "DELETE FROM revision WHERE distribution=? AND number<?", (distribution, limit)
        )

    def revisions(self, distribution: str) -> list[tuple[dict[str, Any], bytes]]:
        """A distribution's revisions, oldest first."""
        rows = self._connection.execute(
            "SELECT document, config FROM revision WHERE distribution=? ORDER BY number",
            (distribution,),
        )
        return [(json.loads(document), config) for document, config in rows]

    def put_value(self, name: str, document: Any) -> None:
        """Set a named value."""
        self._connection.execute(
            "INSERT OR REPLACE INTO value (name, document) VALUES (?,?)",
            (name, json.dumps(document)),
        )

    def value(self, name: str) -> Any:
        """A named value, None if it was never set."""
        row = self._connection.execute(
            "SELECT document FROM value WHERE name=?", (name,)
        ).fetchone()
        return None if row is None else json.loads(row[0])
