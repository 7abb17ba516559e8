"""Judges calls by the policies of the role that makes them, and AssumeRole by the role's trust
policy.

Judged are sessions of roles that IAM has. Every other caller is an administrator of its account: a
key that is an account's number, `lab`, and a session of a role that does not exist, such as
OrganizationAccountAccessRole. Errors are worded as AWS words them (IAM User Guide, "Troubleshoot
access denied error messages").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from moto.ec2.models import ec2_backends
from moto.iam.exceptions import IAMException
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from lab.aws.moto_backend import MotoBackend
from lab.aws.moto_patches.policy_simulation import (
    ALLOWED,
    EXPLICIT_DENY,
    Decision,
    decide,
    document_of,
    policies_of,
)
from lab.aws.needed_permissions import CalledBy, NeededPermission, Tags, of_cloudfront, of_request
from lab.aws.replies import HttpReply, error_reply, protocol_of
from lab.aws.sigv4 import CredentialScope

_ALWAYS_ALLOWED = frozenset({"sts:GetCallerIdentity"})
"""IAM User Guide: no permission is needed, and an explicit deny has no effect."""


@dataclass(frozen=True)
class RoleSession:
    """A session of a role that IAM has."""

    account: str
    role_arn: str
    arn: str


class Authorization:
    """`cloudfront_tags` gives the tags of CloudFront's resources."""

    def __init__(self, moto: MotoBackend, cloudfront_tags: Tags) -> None:
        self._moto = moto
        self._cloudfront_tags = cloudfront_tags

    def refuse(
        self,
        service: str,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> HttpReply | None:
        """The error for a call to any service but CloudFront that is not allowed, or None."""
        if service == "sts" and (why := self._not_trusted(query, headers, body)):
            return error_reply(service, 403, "AccessDenied", why)
        session = self._session(headers)
        if session is None:
            return None
        by = CalledBy(session.account, self._credential(headers).region)
        needed = of_request(service, method, path, query, headers, body, by, self._tags)
        why = self._denied(session, needed)
        if why is None:
            return None
        if service == "ec2":
            return error_reply(
                service,
                403,
                "UnauthorizedOperation",
                f"You are not authorized to perform this operation. {why}",
            )
        if protocol_of(service) == "json":
            status = 403 if service == "apigateway" else 400
            return error_reply(service, status, "AccessDeniedException", why)
        return error_reply(service, 403, "AccessDenied", why)

    def why_not_cloudfront(
        self, headers: Mapping[str, str], operation: str, given: Mapping[str, Any]
    ) -> str | None:
        """Why an operation of CloudFront is not allowed; None where it is."""
        session = self._session(headers)
        if session is None:
            return None
        by = CalledBy(session.account, "us-east-1")
        return self._denied(session, of_cloudfront(operation, given, by, self._tags))

    def _denied(self, session: RoleSession, needed: Iterable[NeededPermission]) -> str | None:
        role, policies = policies_of(iam_backends[session.account]["aws"], session.role_arn)
        bound = getattr(role, "permissions_boundary_arn", None)
        boundary = (
            {bound: document_of(iam_backends[session.account]["aws"].get_policy(bound))}
            if bound
            else None
        )
        for one in needed:
            if one.action in _ALWAYS_ALLOWED:
                continue
            context = {**one.context, "aws:PrincipalArn": (session.role_arn,)}
            decision = decide(policies, one.action, one.resource, context)
            if why := _because(decision, one.action, "identity-based policy"):
                return _sentence(session.arn, one, why)
            if boundary is not None:
                bounded = decide(boundary, one.action, one.resource, context)
                if why := _because(bounded, one.action, "permissions boundary"):
                    return _sentence(session.arn, one, why)
        return None

    def _not_trusted(self, query: str, headers: Mapping[str, str], body: bytes) -> str | None:
        """Why a role's trust policy keeps the caller out. A role that does not exist is an
        administrator's.
        """
        given = dict(parse_qsl(query)) | dict(parse_qsl(body.decode("latin-1")))
        if given.get("Action") != "AssumeRole":
            return None
        arn = given.get("RoleArn", "")
        role = _role(arn)
        if role is None:
            return None
        session, account = self._session(headers), self._moto.account_of(headers)
        caller = session.arn if session else f"arn:aws:iam::{account}:user/lab"
        ids = {"sts:RoleSessionName": (given.get("RoleSessionName", ""),)}
        if "ExternalId" in given:
            ids["sts:ExternalId"] = (given["ExternalId"],)
        trusting = {
            "trust": {
                "Statement": [
                    {**statement, "Resource": "*"}
                    for statement in _statements(role.assume_role_policy_document)
                    if _trusts(statement.get("Principal"), account, caller, session)
                ]
            }
        }
        if decide(trusting, "sts:AssumeRole", arn, ids).word == ALLOWED:
            return None
        return f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"

    def _session(self, headers: Mapping[str, str]) -> RoleSession | None:
        key = self._credential(headers).access_key
        for account, partitions in list(sts_backends.items()):
            for backend in list(partitions.values()):
                found = backend.get_assumed_role_from_access_key(key)
                if found is not None:
                    if _role(found.role_arn) is None:
                        return None
                    return RoleSession(account, found.role_arn, found.arn)
        return None

    def _credential(self, headers: Mapping[str, str]) -> CredentialScope:
        found = CredentialScope.of(headers.get("authorization", ""))
        return found or CredentialScope("", "us-east-1", "")

    def _tags(self, arn: str) -> Mapping[str, str] | None:
        _, _, service, region, account, resource = arn.split(":", 5)
        if service == "cloudfront":
            return self._cloudfront_tags(arn)
        if service == "ec2":
            tags = ec2_backends[account][region].describe_tags(
                filters={"resource-id": [resource.partition("/")[2]]}
            )
            return {str(tag["key"]): str(tag["value"]) for tag in tags}
        return None


def _role(arn: str) -> Any:
    account = arn.split(":")[4] if arn.count(":") >= 5 else ""
    if account not in iam_backends:
        return None
    try:
        return iam_backends[account]["aws"].get_role_by_arn(arn)
    except IAMException:
        return None


def _statements(document: Any) -> list[dict[str, Any]]:
    found = document_of(document).get("Statement", [])
    return list(found) if isinstance(found, list) else [found]


def _trusts(principal: Any, account: str, caller: str, session: RoleSession | None) -> bool:
    if principal == "*":
        return True
    named = principal.get("AWS", []) if isinstance(principal, dict) else []
    ours = {"*", account, f"arn:aws:iam::{account}:root", caller}
    ours |= {session.role_arn} if session else set()
    return bool(ours & {*([named] if isinstance(named, str) else named)})


def _because(decision: Decision, action: str, policy: str) -> str:
    if decision.word == ALLOWED:
        return ""
    if decision.word == EXPLICIT_DENY:
        article = "an" if policy.startswith("i") else "a"
        return f"with an explicit deny in {article} {policy}"
    return f"because no {policy} allows the {action} action"


def _sentence(caller: str, needed: NeededPermission, why: str) -> str:
    on = "" if needed.resource == "*" else f" on resource: {needed.resource}"
    return f"User: {caller} is not authorized to perform: {needed.action}{on} {why}"
