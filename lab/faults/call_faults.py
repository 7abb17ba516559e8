"""The layer before the AWS endpoint in which calls go wrong.

It decides, call by call, whether a fault is met, and what then happens instead of the answer or to
it. It must never touch a socket: an answer that has to break off is handed to whoever owns the
connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import parse_qs

from botocore.exceptions import BotoCoreError, ClientError

from lab.aws.cloudfront.protocol.errors import CloudFrontError
from lab.aws.cloudfront.protocol.rest_xml import Router
from lab.aws.replies import HttpReply, error_reply
from lab.faults.aws_clients import OWN_CALL, OWN_CALL_HEADER, Aws
from lab.faults.catalogue.call_matching import CLOUDFRONT, Call, refusal
from lab.faults.manager import Faults

log = logging.getLogger(__name__)

_LARGEST_FORM = 1_000_000
Ending: TypeAlias = Literal["silence", "reset", "half"]
_PROXY_PAGE = (
    b"<html><head><title>Sign in to the network</title></head><body>Please sign in.</body></html>"
)
_ENDINGS: Mapping[str, tuple[Ending, bool]] = {
    # Fault -> how the connection ends, and whether the call is done before.
    "timeout-before": ("silence", False),
    "timeout-after-success": ("silence", True),
    "connection-reset": ("reset", False),
    "reset-after-success": ("reset", True),
    "half-body": ("half", True),
}


@dataclass(frozen=True, slots=True)
class BrokenReply:
    """An answer that does not arrive as a whole. `wanted` says whether a silence still has to go
    on.
    """

    ending: Ending
    reply: HttpReply
    wanted: Callable[[], bool]


class CallFaults:
    """Faults of calls, met or not."""

    def __init__(
        self, faults: Faults, aws: Aws, account_of: Callable[[Mapping[str, str]], str]
    ) -> None:
        self._faults = faults
        self._aws = aws
        self._account_of = account_of
        self._router = Router.for_all_operations()

    def meet(
        self,
        service: str,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        perform: Callable[[], HttpReply],
    ) -> HttpReply | BrokenReply:
        """Perform a call, or what a fault makes of it; `headers` have lower-case names."""
        if not self._faults.any_of_calls():
            return perform()
        operation, resource = _operation_of(
            self._router, service, method, path, query, headers, body
        )
        own = headers.get(OWN_CALL_HEADER) == OWN_CALL
        call = Call(service, operation, self._account_of(headers), resource, own)
        struck = self._faults.strike(call)
        reply = self._performed(struck.name if struck else "", call, perform)
        if service == CLOUDFRONT and method != "GET":
            self._faults.hold_deployments()
        return reply

    def _performed(
        self, name: str, call: Call, perform: Callable[[], HttpReply]
    ) -> HttpReply | BrokenReply:
        refused = refusal(name, call)
        if refused is not None:
            return error_reply(call.service, refused.status, refused.code, refused.message)
        if name in _ENDINGS:
            ending, done = _ENDINGS[name]
            reply = perform() if done else HttpReply(504, (), b"")
            return BrokenReply(ending, reply, lambda: self._faults.any_of_calls(name))
        if name == "third-party-edit":
            self._edit(call)
        reply = perform()
        if name == "wrong-xml":
            return HttpReply(200, (("Content-Type", "text/html"),), _PROXY_PAGE)
        return reply

    def _edit(self, call: Call) -> None:
        """Somebody else writes the distribution's comment; its old ETag is worth nothing from now
        on.
        """
        client = self._aws.client(CLOUDFRONT, call.account)
        try:
            got = client.get_distribution_config(Id=call.resource)
            config = {
                **got["DistributionConfig"],
                "Comment": _edited(got["DistributionConfig"].get("Comment", "")),
            }
            client.update_distribution(
                Id=call.resource, IfMatch=got["ETag"], DistributionConfig=config
            )
        except (ClientError, BotoCoreError) as error:
            # There is nothing to edit: the caller will hear that from AWS itself.
            log.info("no third-party edit of %s: %s", call.resource, error)


def _edited(comment: str) -> str:
    mark = " (edited by somebody else)"
    return comment.removesuffix(mark) if comment.endswith(mark) else comment + mark


def _operation_of(
    router: Router,
    service: str,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> tuple[str, str]:
    """By the wire alone, as AWS does: CloudFront's routes, the query protocol's Action, or
    X-Amz-Target.

    Gives the operation's name, "" if nothing tells it, and the id of what it is about, "" if the
    URI has none.
    """
    if service == CLOUDFRONT:
        try:
            operation, located = router.match(method, path, query)
        except CloudFrontError:
            return "", ""
        return operation.name, str(located["uri"].get("Id", ""))
    target = headers.get("x-amz-target", "")
    if target:
        return target.rsplit(".", 1)[-1], ""
    form = parse_qs(body.decode("latin-1")) if len(body) < _LARGEST_FORM else {}
    return (form.get("Action") or parse_qs(query).get("Action") or [""])[0], ""
