"""Calls to AWS that go wrong: refused, lost, cut off, or answered with nonsense.

It never touches a socket: it returns a BrokenReply, and the HTTP connection breaks off.
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
from lab.faults.aws_clients import OWN_CALL, OWN_CALL_HEADER, AwsClients
from lab.faults.catalogue.call_matching import CLOUDFRONT, AwsCall, error_for
from lab.faults.manager import FaultManager

log = logging.getLogger(__name__)

_LARGEST_FORM = 1_000_000
_MARK = " (edited by someone else)"
Ending: TypeAlias = Literal["silence", "reset", "half"]
_PROXY_PAGE = (
    b"<html><head><title>Sign in to the network</title></head><body>Please sign in.</body></html>"
)
_ENDINGS: Mapping[str, tuple[Ending, bool]] = {
    # Fault -> how the connection ends, and whether the call is performed first.
    "timeout-before": ("silence", False),
    "timeout-after-success": ("silence", True),
    "connection-reset": ("reset", False),
    "reset-after-success": ("reset", True),
    "half-body": ("half", True),
}


@dataclass(frozen=True, slots=True)
class BrokenReply:
    """A reply that does not arrive in full. `wanted` says whether a silence must continue."""

    ending: Ending
    reply: HttpReply
    wanted: Callable[[], bool]


class CallFaults:
    """Applies the call faults that are set."""

    def __init__(
        self, faults: FaultManager, aws: AwsClients, account_of: Callable[[Mapping[str, str]], str]
    ) -> None:
        self._faults = faults
        self._aws = aws
        self._account_of = account_of
        self._router = Router.for_all_operations()

    def answer(
        self,
        service: str,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        perform: Callable[[], HttpReply],
    ) -> HttpReply | BrokenReply:
        """Perform a call, or what a fault turns it into; `headers` have lower-case names."""
        if not self._faults.has_call_faults():
            return perform()
        operation, resource = _operation_of(
            self._router, service, method, path, query, headers, body
        )
        own = headers.get(OWN_CALL_HEADER) == OWN_CALL
        call = AwsCall(service, operation, self._account_of(headers), resource, own)
        fault = self._faults.match_call(call)
        reply = self._perform(fault.name if fault else "", call, perform)
        if service == CLOUDFRONT and method != "GET":
            self._faults.hold_deployments()
        return reply

    def _perform(
        self, name: str, call: AwsCall, perform: Callable[[], HttpReply]
    ) -> HttpReply | BrokenReply:
        refused = error_for(name, call)
        if refused is not None:
            return error_reply(call.service, refused.status, refused.code, refused.message)
        if name in _ENDINGS:
            ending, done = _ENDINGS[name]
            reply = perform() if done else HttpReply(504, (), b"")
            return BrokenReply(ending, reply, lambda: self._faults.has_call_faults(name))
        if name == "third-party-edit":
            self._edit_distribution(call)
        reply = perform()
        if name == "wrong-xml":
            return HttpReply(200, (("Content-Type", "text/html"),), _PROXY_PAGE)
        return reply

    def _edit_distribution(self, call: AwsCall) -> None:
        """Change the distribution's comment as someone else would, so that its ETag is stale."""
        client = self._aws.client(CLOUDFRONT, call.account)
        try:
            got = client.get_distribution_config(Id=call.resource)
            comment = got["DistributionConfig"].get("Comment", "")
            config = {
                **got["DistributionConfig"],
                "Comment": comment.removesuffix(_MARK)
                if comment.endswith(_MARK)
                else comment + _MARK,
            }
            client.update_distribution(
                Id=call.resource, IfMatch=got["ETag"], DistributionConfig=config
            )
        except (ClientError, BotoCoreError) as error:
            # There is nothing to edit; AWS will tell the caller.
            log.info("no third-party edit of %s: %s", call.resource, error)


def _operation_of(
    router: Router,
    service: str,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> tuple[str, str]:
    """The operation's name and the id in its URI, both "" if unknown: from CloudFront's routes, the
    query protocol's Action, or X-Amz-Target.
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
