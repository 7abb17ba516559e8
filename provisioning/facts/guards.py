"""What guards a path at the edge today, and what a new behavior keeps of it (PURE).

The behavior that matches a path may run functions, require signatures or set response headers. A
new behavior for the path is matched first, and has only what the plan gives it. So the plan says
what is left behind, and carries over what was asked for. Sources: CloudFront Developer Guide
("Restrict access with VPC origins", "Restrictions on all edge functions") and API Reference
(CacheBehavior).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.facts.distribution import Behavior, DistributionFacts, EdgeFunction, Origin
from provisioning.facts.path_patterns import covers

FUNCTIONS, KEY_GROUPS = "functions", "key-groups"
RESPONSE_HEADERS, REALTIME_LOGS = "response-headers-policy", "realtime-logs"
ORIGIN_HEADERS = "origin-headers"
CARRY_OVER = (FUNCTIONS, KEY_GROUPS, RESPONSE_HEADERS, REALTIME_LOGS, ORIGIN_HEADERS)
"""What the setting `carry_over` may name, in the order in which the form lists it."""

_VIEWER_EVENTS = ("viewer-request", "viewer-response")


@dataclass(frozen=True)
class Guard:
    """Something attached to a behavior or its origin that decides who gets in, what the origin or
    the viewer receives, or what is logged.

    `name` says which, `effect` what it does, `without` what follows where it is missing.
    `carried_by` is the word of `carry_over` that keeps it, "" where CloudFront allows none: then
    `obstacle` says why. `caution` is what to know before carrying it over.
    """

    name: str
    effect: str
    without: str
    carried_by: str = ""
    obstacle: str = ""
    caution: str = ""
    look_up: str = ""


def answering_behavior(distribution: DistributionFacts, pattern: str) -> Behavior:
    """The behavior that all paths of `pattern` match today, unless a narrower one comes first: its
    own, or the first that covers it, or the default behavior.
    """
    own = distribution.behavior_for(pattern)
    return own or next(
        (one for one in distribution.behaviors if covers(one.path_pattern, pattern)),
        distribution.default_behavior,
    )


def guards_of(
    behavior: Behavior, distribution: DistributionFacts, target_domain: str = ""
) -> tuple[Guard, ...]:
    """Everything attached to the behavior and to the origin that it leads to. The distribution's
    own guards (web ACL, geographic restrictions, viewer mTLS) apply to every behavior.
    `target_domain` is the DNS name of the new endpoint's target.
    """
    return tuple(_guards(behavior, distribution, target_domain))


def header_source(
    distribution: DistributionFacts, target_domain: str, own_origin_id: str = ""
) -> Origin | None:
    """The origin that leads to the same target already and to which CloudFront adds headers: only
    its headers may be carried over, since a header that proves something to one app is a secret for
    every other.
    """
    return next(
        (
            origin
            for origin in sorted(distribution.origins, key=lambda one: one.id)
            if origin.header_names
            and origin.id != own_origin_id
            and _same_name(origin.domain_name, target_domain)
        ),
        None,
    )


def left_behind(
    distribution: DistributionFacts,
    pattern: str,
    carry_over: Sequence[str],
    target_domain: str = "",
) -> tuple[Guard, ...]:
    """The guards that a new behavior for `pattern` will not have."""
    answering = answering_behavior(distribution, pattern)
    guards = guards_of(answering, distribution, target_domain)
    return tuple(guard for guard in guards if guard.carried_by not in carry_over)


def carried_over(behavior: Behavior, carry_over: Sequence[str]) -> dict[str, Any]:
    """The members of a CacheBehavior that give a new behavior what `behavior` has of `carry_over`;
    what it does not have is left out.
    """
    members: dict[str, Any] = {}
    if FUNCTIONS in carry_over:
        kept = [one for one in behavior.functions if one.event in _VIEWER_EVENTS]
        edge = [
            {"FunctionARN": one.arn, "EventType": one.event}
            for one in kept
            if one.include_body is None
        ]
        lambdas = [
            {
                "LambdaFunctionARN": one.arn,
                "EventType": one.event,
                "IncludeBody": one.include_body,
            }
            for one in kept
            if one.include_body is not None
        ]
        members |= _listed("FunctionAssociations", edge)
        members |= _listed("LambdaFunctionAssociations", lambdas)
    if KEY_GROUPS in carry_over:
        members |= _listed("TrustedKeyGroups", behavior.key_groups, Enabled=True)
        members |= _listed("TrustedSigners", behavior.trusted_signers, Enabled=True)
    if RESPONSE_HEADERS in carry_over and behavior.response_headers_policy_id:
        members["ResponseHeadersPolicyId"] = behavior.response_headers_policy_id
    if REALTIME_LOGS in carry_over and behavior.realtime_log_config_arn:
        members["RealtimeLogConfigArn"] = behavior.realtime_log_config_arn
    return members


def _listed(member: str, items: Sequence[Any], **more: Any) -> Mapping[str, Any]:
    return {member: {**more, "Quantity": len(items), "Items": list(items)}} if items else {}


def _same_name(one: str, other: str) -> bool:
    return bool(one) and one.lower().rstrip(".") == other.lower().rstrip(".")


def _guards(
    behavior: Behavior, distribution: DistributionFacts, target_domain: str
) -> Iterator[Guard]:
    yield from map(_function, behavior.functions)
    if behavior.key_groups:
        yield Guard(
            f"key group {', '.join(behavior.key_groups)}",
            "CloudFront admits only signed URLs and signed cookies",
            "Requests without a valid signature would reach the app.",
            KEY_GROUPS,
            caution="Clients must send CloudFront's signed cookies with the handshake, or sign its "
            "URL.",
            look_up=f"aws cloudfront get-key-group --id {behavior.key_groups[0]}",
        )
    if behavior.trusted_signers:
        yield Guard(
            f"trusted signer {', '.join(behavior.trusted_signers)}",
            "CloudFront admits only signed URLs and signed cookies",
            "Requests without a valid signature would reach the app.",
            KEY_GROUPS,
            caution="Clients must send CloudFront's signed cookies with the handshake, or sign its "
            "URL.",
        )
    if policy := behavior.response_headers_policy_id:
        yield Guard(
            f"response headers policy {policy}",
            "it adds or removes response headers, such as CORS and security headers",
            "Responses would not have these headers. Browsers ignore most of them on a 101, but "
            "not on the HTTP answers of the same path.",
            RESPONSE_HEADERS,
            look_up=f"aws cloudfront get-response-headers-policy --id {policy}",
        )
    if log := behavior.realtime_log_config_arn:
        yield Guard(
            f"real-time log configuration {log.rpartition('/')[2]}",
            "requests are logged within seconds",
            "Handshakes would be missing from that log.",
            REALTIME_LOGS,
            look_up=f"aws cloudfront get-realtime-log-config --arn {log}",
        )
    if encryption := behavior.field_level_encryption_id:
        yield Guard(
            f"field-level encryption {encryption}",
            "CloudFront encrypts fields of posted forms",
            "Forms posted to this path would reach the app without it.",
            obstacle="It covers only POST requests with form fields, and needs HTTPS to the "
            "origin; a WebSocket carries no forms.",
            look_up=f"aws cloudfront get-field-level-encryption-config --id {encryption}",
        )
    origin = distribution.origin(behavior.target_origin_id)
    if origin and origin.access_control:
        yield Guard(
            f"origin access control {origin.access_control.rpartition('/')[2]} of {origin.id}",
            "CloudFront signs its requests to that origin",
            "The app gets unsigned requests.",
            obstacle="A VPC origin takes none; the security group protects the target instead.",
        )
    if origin and origin.header_names:
        same = _same_name(origin.domain_name, target_domain)
        yield Guard(
            f"header {', '.join(origin.header_names)} to {origin.id}",
            "CloudFront adds it to each request, often as proof that a request came this way",
            "The app does not receive it from this endpoint.",
            ORIGIN_HEADERS if same else "",
            obstacle=""
            if same
            else "That origin leads to another target, and the value may be a secret.",
            caution="The value is copied inside the distribution when the plan is applied; to "
            "change it later, change it in both origins."
            if same
            else "",
        )


def _function(function: EdgeFunction) -> Guard:
    kind = "function" if function.include_body is None else "Lambda@Edge function"
    name = f"{function.event} {kind} {function.name}"
    look_up = (
        f"aws cloudfront get-function --name {function.name} --stage LIVE function.js"
        if function.include_body is None
        else f"aws lambda get-function --function-name {function.arn} --region us-east-1"
    )
    replication = (
        ""
        if function.include_body is None
        else " The portal's role also needs lambda:GetFunction and lambda:EnableReplication* on it."
    )
    if function.event not in _VIEWER_EVENTS:
        return Guard(
            name,
            "it can change or answer requests on their way to the origin and back",
            "What it checks or changes does not happen on this path.",
            obstacle="CloudFront supports no origin-request and origin-response triggers with a "
            "VPC origin.",
            look_up=look_up,
        )
    if function.event == "viewer-response":
        return Guard(
            name,
            "it changes responses, for example adds security headers",
            "Responses of this path would be sent unchanged.",
            FUNCTIONS,
            caution=f"CloudFront does not run it for answers of 400 and above.{replication}",
            look_up=look_up,
        )
    return Guard(
        name,
        "it sees every request first, and may require a sign-in or refuse it",
        "Requests that it refuses today would reach the app.",
        FUNCTIONS,
        caution="WebSocket clients do not follow redirects: a function that redirects to a sign-in "
        "page breaks them. It must answer 401 or 403, or admit requests with a valid session; the "
        f"Upgrade header is not visible to it.{replication}",
        look_up=look_up,
    )
