"""Which services requests can be signed for, and which operations each of them has, as botocore
describes them.

It decides nothing: it looks names up. It must never be asked about a single call; calls.py knows
what that is.
"""

from __future__ import annotations

import functools

from botocore.session import get_session

from lab.faults.calls import CLOUDFRONT
from lab.faults.request import CLIENT_NAMES


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
