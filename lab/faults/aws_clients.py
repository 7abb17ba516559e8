"""The lab's own AWS endpoint, called by the lab: how faults look at accounts and change them.

It decides only how calls are marked: they name their account without a session, and faults of calls
never hit them.
"""

from __future__ import annotations

import functools
import secrets
import threading
from typing import Any

import boto3
from botocore.config import Config
from botocore.session import get_session

from lab.faults.catalogue.call_matching import CLIENT_NAMES, CLOUDFRONT

# A caller that knows this is the lab itself; made anew by every process, so nobody else does.
OWN_CALL_HEADER = "x-lab-own-call"
OWN_CALL = secrets.token_hex(16)
_ACCOUNT_HEADER = "x-moto-account-id"


class Aws:
    """Clients for every account, made when they are first needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str, str], Any] = {}

    def client(self, service: str, account: str, region: str = "us-east-1") -> Any:
        """A client of one service as if one belonged to the account."""
        key = (service, account, region)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._made(service, account, region)
            return self._clients[key]

    def _made(self, service: str, account: str, region: str) -> Any:
        client: Any = boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self._url,
            region_name=region,
            aws_access_key_id="lab",
            aws_secret_access_key="lab",  # noqa: S106 - the lab checks no signatures
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

        def mark(request: Any, **_: Any) -> None:
            request.headers[_ACCOUNT_HEADER] = account
            request.headers[OWN_CALL_HEADER] = OWN_CALL

        client.meta.events.register(
            f"before-sign.{client.meta.service_model.service_id.hyphenize()}", mark
        )
        return client


@functools.lru_cache(maxsize=64)
def operations_of(service: str) -> frozenset[str] | None:
    """The operations of a service by the name that its requests are signed for; None if nothing is
    signed for it.

    Empty where a request's path alone tells its operation: the lab reads that for CloudFront only.
    """
    session = get_session()
    clients = [client for client, signed in CLIENT_NAMES.items() if signed == service]
    if not clients and service not in CLIENT_NAMES and service in session.get_available_services():
        clients = [service]
    if not clients:
        return None
    models = [session.get_service_model(client) for client in clients]
    told = [
        model
        for model in models
        if service == CLOUDFRONT or not str(model.metadata["protocol"]).startswith("rest")
    ]
    return frozenset(name for model in told for name in model.operation_names)
