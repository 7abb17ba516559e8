"""moto's accounts, which survive a restart: every request that may change them is journaled, and
repeated at start.

Requests run one at a time under the lab's lock, each with its own time and random seed, so that a
replay creates the same ids. A change is journaled before it is answered. CloudFront changes an
account's network through `change`.
"""

from __future__ import annotations

import io
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from botocore.model import OperationNotFoundError
from moto.iam.models import get_account_id_from, iam_backends
from werkzeug.test import create_environ, run_wsgi_app

from lab.aws.database import JournalEntry, LabDatabase
from lab.aws.moto_application import MotoApplication
from lab.aws.moto_patches import fixed_time_and_seed
from lab.aws.replies import HttpReply, Refusal, bad_input, error_reply, no_such_operation
from lab.aws.sigv4 import CredentialScope

log = logging.getLogger(__name__)

JsonObject: TypeAlias = dict[str, Any]
InternalChange: TypeAlias = Callable[[JsonObject], JsonObject]

_ACCOUNT = re.compile(r"[0-9]{12}")
# The access key that moto's GetSessionToken and GetFederationToken always return.
_SESSION_TOKENS_KEY = "AKIAIOSFODNN7EXAMPLE"
_ACCOUNT_HEADER = "x-moto-account-id"
# The lab time of a request, journaled with its other headers.
_LAB_TIME_HEADER = "x-lab-time"
_READ_PREFIXES = (
    "Describe",
    "List",
    "Get",
    "Search",
    "BatchGet",
    "Lookup",
    "Simulate",
    "Query",
    "Select",
    "Decode",
)
_LONGEST_MESSAGE = 500
_UNPRINTABLE_BYTES = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
# moto's own API would change accounts without the journal.
_MOTOS_OWN_PATHS = ("/moto-api", "/latest/", "/favicon.ico")
# STS API reference: the maximum role session duration, in seconds.
LONGEST_SESSION = 12 * 3600
# The edge sees changes in these services.
_NETWORK_SERVICES = frozenset(
    {"ec2", "elasticloadbalancing", "acm", "route53", "wafv2", "apigateway"}
)


class MotoBackend:
    """All accounts that moto serves. `lock` guards moto, the database and CloudFront's state."""

    def __init__(self, database: LabDatabase, lab_now: Callable[[], float]) -> None:
        self.lock = threading.RLock()
        self.changes = 0
        self._database = database
        self._lab_now = lab_now
        self._application = MotoApplication()
        self._internal: dict[str, InternalChange] = {}
        # By service: checks that moto cannot make, called with account, Region, path and body. A
        # refused request is not journaled, since a replay could not repeat the check.
        self.guards: dict[str, Callable[[str, str, str, bytes], Refusal | None]] = {}

    def register(self, kind: str, change: InternalChange) -> None:
        """Add an internal change, which `change` performs and `replay` repeats."""
        self._internal[kind] = change

    def account_of(self, headers: Mapping[str, str]) -> str:
        """The account of a request. An account's number is an access key of that account; other
        keys are looked up as moto does.
        """
        credential = CredentialScope.of(headers.get("authorization", ""))
        key = credential.access_key if credential else ""
        for given in (headers.get(_ACCOUNT_HEADER, ""), key):
            if _ACCOUNT.fullmatch(given):
                return given
        return str(get_account_id_from(key))

    def knows_key(self, access_key: str) -> bool:
        """Whether IAM or STS issued this access key, in any account."""
        backends = [
            backend for account in list(iam_backends.values()) for backend in list(account.values())
        ]
        return access_key == _SESSION_TOKENS_KEY or any(
            access_key in backend.access_keys for backend in backends
        )

    def request(
        self, method: str, path: str, query: str, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> HttpReply:
        """Let moto answer a request. If it may change something, it is journaled first."""
        lowered = {name.lower(): text for name, text in headers}
        credential = CredentialScope.of(lowered.get("authorization", ""))
        if credential is None:
            raise ValueError("the endpoint refuses requests without a credential scope")
        if path.startswith(_MOTOS_OWN_PATHS):
            return error_reply(
                credential.service, 404, "NoSuchOperation", f"There is nothing at {path}"
            )
        # The account is stored, so that a replay does not depend on a temporary key.
        own = (_ACCOUNT_HEADER, _LAB_TIME_HEADER)
        named = (
            *((name, text) for name, text in headers if name.lower() not in own),
            (_ACCOUNT_HEADER, self.account_of(lowered)),
            (_LAB_TIME_HEADER, repr(self._lab_now())),
        )
        entry = JournalEntry(
            time.time(), secrets.randbits(53), "http", method, path, query, named, body
        )
        if not _may_change(credential.service, method, path, query, lowered, body):
            with self.lock:
                return self._perform(entry)
        with self.lock:
            guard = self.guards.get(credential.service)
            refusal = (
                guard(self.account_of(lowered), credential.region, path, body) if guard else None
            )
            if refusal:
                return error_reply(credential.service, 400, refusal.code, refusal.message)
            reply = self._perform(entry)
            self._database.append_journal(entry)
            if credential.service in _NETWORK_SERVICES:
                self.changes += 1
            return reply

    def change(self, kind: str, arguments: JsonObject) -> JsonObject:
        """Perform and journal a registered change. The caller holds the lock and a transaction."""
        body = json.dumps(arguments).encode()
        entry = JournalEntry(time.time(), secrets.randbits(53), kind, "", "", "", (), body)
        with fixed_time_and_seed(entry.at, entry.seed, self._lab_now()):
            result = self._internal[kind](arguments)
        self._database.append_journal(entry)
        self.changes += 1
        return result

    def replay(self) -> int:
        """Repeat the whole journal, oldest first; gives the number of entries. Call it once, before
        serving.

        Expired sessions are deleted first, or the journal would grow with every AssumeRole.
        """
        count = 0
        with self.lock:
            self._database.delete_journal(
                b"Action=AssumeRole&%", before=time.time() - LONGEST_SESSION
            )
            for entry in self._database.journal():
                if entry.kind == "http":
                    self._perform(entry)
                else:
                    with fixed_time_and_seed(entry.at, entry.seed, 0.0):
                        self._internal[entry.kind](json.loads(entry.body))
                count += 1
        return count

    def _perform(self, entry: JournalEntry) -> HttpReply:
        given = {name.lower(): text for name, text in entry.headers}
        credential = CredentialScope.of(given.get("authorization", ""))
        service = credential.service if credential else ""
        try:
            environ = create_environ(
                path=entry.path,
                base_url="http://127.0.0.1",
                query_string=entry.query,
                method=entry.method,
                headers=list(entry.headers),
                input_stream=io.BytesIO(entry.body),
            )
            environ["CONTENT_LENGTH"] = str(len(entry.body))
            environ["RAW_URI"] = environ["REQUEST_URI"] = entry.path + (
                f"?{entry.query}" if entry.query else ""
            )
            with fixed_time_and_seed(entry.at, entry.seed, float(given.get(_LAB_TIME_HEADER, "0"))):
                chunks, status, headers = run_wsgi_app(self._application, environ, buffered=True)
            # moto echoes input, including characters that XML cannot hold.
            body = (
                b"".join(chunks)
                if service == "s3"
                else _UNPRINTABLE_BYTES.sub(b"?", b"".join(chunks))
            )
        except (NotImplementedError, OperationNotFoundError) as error:
            sorry = f"The lab does not implement this call: {error}"
            return error_reply(service, 400, no_such_operation(service), sorry)
        except Exception as error:
            # moto validates little. An exception is nearly always invalid input, which AWS would
            # report.
            log.warning("moto failed on %s %s", entry.method, entry.path, exc_info=True)
            sorry = f"The request could not be processed: {error!r}"
            return error_reply(service, 400, bad_input(service), sorry[:_LONGEST_MESSAGE])
        code = int(status.split(" ", 1)[0])
        if code >= 500:
            log.warning("moto answered %s to %s %s: %.300r", code, entry.method, entry.path, body)
            return error_reply(
                service, 400, bad_input(service), "The request could not be processed"
            )
        if code >= 400 and (
            not body or body.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))
        ):
            # An empty or HTML reply: the service has no such path.
            return error_reply(
                service, 404, no_such_operation(service), f"There is no {entry.method} {entry.path}"
            )
        kept = tuple(
            (name, text)
            for name, text in headers
            if name.lower() not in ("content-length", "connection")
        )
        return HttpReply(code, kept, body)


def _may_change(
    service: str, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> bool:
    """False only for reads: a GET, or an action that starts with a reading verb."""
    if method in ("GET", "HEAD", "OPTIONS") and "Action=" not in query:
        return False
    if service == "ram":
        return not path.startswith(("/get", "/list"))
    target = headers.get("x-amz-target", "")
    if target:
        action = target.rsplit(".", 1)[-1]
    else:
        form = parse_qs(body.decode("latin-1")) if len(body) < 1_000_000 else {}
        action = (form.get("Action") or parse_qs(query).get("Action") or [""])[0]
    return not action.startswith(_READ_PREFIXES)
