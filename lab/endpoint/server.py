"""The AWS endpoint's process: one HTTP server for CloudFront, for moto and for `/_lab`.

It answers nothing before the stored state is restored, and survives every broken request or client.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, cast

from werkzeug.serving import BaseWSGIServer, make_server

from lab.aws.authorization import Authorization
from lab.aws.cloudfront.protocol.service_model import API_VERSION
from lab.aws.cloudfront.service import CloudFront
from lab.aws.database import LabDatabase
from lab.aws.edge_state.document import EdgeState, load_anchor
from lab.aws.moto_backend import MotoBackend
from lab.aws.moto_patches import apply_patches
from lab.aws.replies import HttpReply, error_reply
from lab.aws.resources import vpc_origin_network
from lab.aws.settings import LabSettings
from lab.aws.sigv4 import CredentialScope
from lab.certificates import ensure_certificates
from lab.clock import LabClock
from lab.config import LOOPBACK, LabConfig
from lab.endpoint import seed
from lab.endpoint.access_keys import refuse_caller
from lab.endpoint.http_connection import MAX_BODY, Handler, headers_of, read_body, target_of
from lab.endpoint.lab_api import LabApi
from lab.faults.aws_clients import AwsClients
from lab.faults.call_faults import BrokenReply, CallFaults
from lab.faults.catalogue.call_matching import CLOUDFRONT
from lab.faults.manager import FaultManager
from lab.origin_certificates import OriginAuthority

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

_LAB = "/_lab/"


def run(config: LabConfig) -> None:
    """Serve until SIGTERM or SIGINT.

    1. Restore certificates and state, and replay moto's journal.
    2. Listen. At the first start, create the accounts through this endpoint.
    3. Print the ready line, wait for the signal, stop.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # moto would prefer this to the access key, by which the lab finds accounts.
    os.environ.pop("MOTO_ACCOUNT_ID", None)
    ensure_certificates(config.state_dir)
    apply_patches()
    database = LabDatabase(config.state_dir / "aws.sqlite3")
    clock = LabClock(config.time_scale, load_anchor(database))
    if not database.value(seed.DONE):
        # Seeding was interrupted. Start again rather than with half an account.
        database.clear()
    moto = MotoBackend(database, clock.now)
    for kind, change in vpc_origin_network.CHANGES.items():
        moto.register(kind, change)
    moto.replay()
    cloudfront = CloudFront(moto, database, clock, LabSettings(database, moto.lock, config.quotas))
    authorization = Authorization(moto, cloudfront.tags_of)
    cloudfront.why_not_allowed = authorization.why_not_cloudfront
    aws = AwsClients(config.aws_url)
    faults = FaultManager(aws, cloudfront, database, clock)
    state = EdgeState(moto, cloudfront, clock, database, faults)
    server = make_server(
        LOOPBACK,
        config.aws_port,
        cast(
            "WSGIApplication",
            _Endpoint(
                moto,
                cloudfront,
                LabApi(cloudfront, clock, state, faults, f"http://{LOOPBACK}:{config.edge_port}"),
                CallFaults(faults, aws, moto.account_of),
                authorization,
            ),
        ),
        threaded=True,
        request_handler=Handler,
    )
    ending = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: ending.set())
    serving = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="serve", daemon=True
    )
    serving.start()
    if not database.value(seed.DONE):
        state.set_hosts(seed.hosts(config.app_address, config.app_port))
        authority = OriginAuthority.kept_in(config.state_dir)
        seed.plant(config.aws_url, state.advance_clock, authority, config.external_id)
        with moto.lock, database.transaction():
            database.put_value(seed.DONE, True)
    else:
        # The apps may have moved to another port since the first start.
        state.set_hosts(seed.hosts(config.app_address, config.app_port))
    print(f"ready aws {config.aws_url}", flush=True)
    ending.wait()
    _stop(server, serving)
    # Never released, so that a running request cannot use the closed database.
    moto.lock.acquire()
    database.close()


def _stop(server: BaseWSGIServer, serving: threading.Thread) -> None:
    server.shutdown()
    serving.join(timeout=1)
    # Threads of idle keep-alive connections are daemons; only the listener is left to close.
    server.socket.close()


class _Endpoint:
    """The application that `Handler` calls with werkzeug's environ of a request."""

    def __init__(
        self,
        moto: MotoBackend,
        cloudfront: CloudFront,
        lab_api: LabApi,
        call_faults: CallFaults,
        authorization: Authorization,
    ) -> None:
        self._moto = moto
        self._cloudfront = cloudfront
        self._lab_api = lab_api
        self._call_faults = call_faults
        self._authorization = authorization

    def __call__(self, environ: dict[str, Any]) -> HttpReply | BrokenReply:
        try:
            return self._reply(environ)
        except Exception:
            log.exception("a bug of the lab")
            return HttpReply(500, (("Content-Type", "text/plain"),), b"internal error\n")

    def _reply(self, environ: dict[str, Any]) -> HttpReply | BrokenReply:
        method = environ["REQUEST_METHOD"]
        path, query = target_of(environ)
        headers = tuple(headers_of(environ))
        lowered = {name.lower(): text for name, text in headers}
        credential = CredentialScope.of(lowered.get("authorization", ""))
        for_cloudfront = path.startswith(f"/{API_VERSION}/") or (
            credential and credential.service == CLOUDFRONT
        )
        service = CLOUDFRONT if for_cloudfront else credential.service if credential else ""
        try:
            body = read_body(environ)
        except OSError:
            why = "The body is shorter than its header says, or malformed."
            return _unread(path, service, 400, "IncompleteBody", why)
        if body is None:
            return _unread(
                path,
                service,
                413,
                "RequestEntityTooLarge",
                f"The body is longer than {MAX_BODY} bytes.",
            )
        if path.startswith(_LAB):
            return self._lab_api.answer(method, path, query, body, lowered)
        refused = refuse_caller(service, lowered.get("authorization", ""), self._moto.knows_key)
        if refused is not None:
            return refused

        def perform() -> HttpReply:
            if for_cloudfront:
                return self._cloudfront.handle(method, path, query, lowered, body)
            self._cloudfront.settle()
            with self._moto.lock:
                refused = self._authorization.refuse(service, method, path, query, lowered, body)
            if refused is not None:
                return refused
            return self._moto.request(method, str(environ["PATH_INFO"]), query, headers, body)

        return self._call_faults.answer(service, method, path, query, lowered, body, perform)


def _unread(path: str, service: str, status: int, code: str, why: str) -> HttpReply:
    """The reply to a request whose body cannot be read. The connection must end, since what follows
    cannot be read either.
    """
    reply = error_reply(service, status, code, why)
    if path.startswith(_LAB):
        reply = HttpReply(
            status, (("Content-Type", "application/json"),), json.dumps({"error": why}).encode()
        )
    return HttpReply(status, (*reply.headers, ("Connection", "close")), reply.body)
