"""boto3 clients for the lab's own AWS endpoint, with which faults read and change accounts.

Calls name their account without a session, and faults never hit them.
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

# Marks a call as the lab's own. Every process chooses a new value, so no one else can know it.
OWN_CALL_HEADER = "x-lab-own-call"
OWN_CALL = secrets.token_hex(16)
_ACCOUNT_HEADER = "x-moto-account-id"


class AwsClients:
    """Clients for every account, created when first needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str, str], Any] = {}

    def client(self, service: str, account: str, region: str = "us-east-1") -> Any:
        """A client of one service that acts for the account."""
        key = (service, account, region)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._new(service, account, region)
            return self._clients[key]

    def _new(self, service: str, account: str, region: str) -> Any:
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

        service_id = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"before-sign.{service_id}", mark)
        return client


@functools.lru_cache(maxsize=64)
def operations_of(service: str) -> frozenset[str] | None:
    """The operations of the service whose requests are signed for that name; None if there is no
    such service.

    Empty for REST services other than CloudFront: the lab cannot tell their operations by the path.
    """
    session = get_session()
    clients = [client for client, signed in CLIENT_NAMES.items() if signed == service]
    if not clients and service not in CLIENT_NAMES and service in session.get_available_services():
        clients = [service]
    if not clients:
        return None
    models = [session.get_service_model(client) for client in clients]
    known = [
        model
        for model in models
        if service == CLOUDFRONT or not str(model.metadata["protocol"]).startswith("rest")
    ]
    return frozenset(name for model in known for name in model.operation_names)
