"""Plans for faults of the distribution and its VPC origin."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.faults.plans.networks import answer_not_found
from lab.faults.plans.plan import Plan, PlanContext, Plans
from lab.faults.steps.cloudfront import NEVER, newest_config, part_of
from lab.faults.steps.step import JsonObject, Step
from lab.faults.targeting import FaultRefused

_REGION = "us-east-1"
_ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
_HANDSHAKE_HEADERS = (
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Extensions",
    "Origin",
)
_READ_METHODS = {"Quantity": 2, "Items": ["HEAD", "GET"]}
_ANTARCTICA = {"GeoRestriction": {"RestrictionType": "whitelist", "Quantity": 1, "Items": ["AQ"]}}

PLANS = Plans()


@PLANS.plan("headers-not-forwarded")
def drop_headers(context: PlanContext) -> Plan:
    """Remove the origin request policy."""
    yield _behavior_edit(context, "OriginRequestPolicyId", None)


@PLANS.plan("subprotocol-not-forwarded")
def drop_subprotocol(context: PlanContext) -> Plan:
    """Forward every handshake header but Sec-WebSocket-Protocol."""
    headers = {"Quantity": len(_HANDSHAKE_HEADERS), "Items": list(_HANDSHAKE_HEADERS)}
    policy = {
        "Name": context.mark,
        "Comment": "A fault of the lab",
        "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": headers},
        "CookiesConfig": {"CookieBehavior": "all"},
        "QueryStringsConfig": {"QueryStringBehavior": "all"},
    }
    policy_id = yield Step(
        "make request policy", _account(context), _REGION, context.mark, None, policy
    )
    yield _behavior_edit(context, "OriginRequestPolicyId", policy_id)


@PLANS.plan("apigateway-host-forwarded")
def forward_host(context: PlanContext) -> Plan:
    """Forward every header, Host included, to an API Gateway."""
    if ".execute-api." not in context.target.origin.domain_name:
        raise FaultRefused(
            f"The origin of {context.target.path} is not an API Gateway. Choose a path whose "
            "origin is one.",
            409,
        )
    yield _behavior_edit(context, "OriginRequestPolicyId", _ALL_VIEWER)


@PLANS.plan("path-not-matched")
def move_patterns(context: PlanContext) -> Plan:
    """Change the pattern of every behavior that matches the path."""
    for number, pattern in enumerate(context.target.require_patterns()):
        # Two behaviors must not have the same pattern.
        moved = f"/moved-away-{context.mark}-{number}"
        yield Step(
            "edit distribution",
            _account(context),
            _REGION,
            _key(context, pattern, "PathPattern"),
            pattern,
            moved,
        )


@PLANS.plan("spa-error-page")
def serve_page_for_errors(context: PlanContext) -> Plan:
    """Answer 404 at the listener, and turn that into /index.html with 200."""
    yield from answer_not_found(context)
    page = {"ResponsePagePath": "/index.html", "ResponseCode": "200", "ErrorCachingMinTTL": 0}
    responses = [{"ErrorCode": code, **page} for code in (403, 404)]
    yield _edit(context, "CustomErrorResponses", {"Quantity": 2, "Items": responses})


@PLANS.plan("viewer-https-only")
def demand_https(context: PlanContext) -> Plan:
    """Set the viewer protocol policy to https-only."""
    yield _behavior_edit(context, "ViewerProtocolPolicy", "https-only")


@PLANS.plan("viewer-redirect")
def redirect_viewers(context: PlanContext) -> Plan:
    """Set the viewer protocol policy to redirect-to-https."""
    yield _behavior_edit(context, "ViewerProtocolPolicy", "redirect-to-https")


@PLANS.plan("methods-too-few")
def allow_reading_only(context: PlanContext) -> Plan:
    """Allow GET and HEAD only."""
    methods = {**_READ_METHODS, "CachedMethods": dict(_READ_METHODS)}
    yield _behavior_edit(context, "AllowedMethods", methods)


@PLANS.plan("signed-cookies-required")
def demand_signatures(context: PlanContext) -> Plan:
    """Require a key group whose private key is thrown away."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    group_id = yield Step("make key group", _account(context), _REGION, context.mark, None, pem)
    yield _behavior_edit(
        context, "TrustedKeyGroups", {"Enabled": True, "Quantity": 1, "Items": [group_id]}
    )


@PLANS.plan("waf-block")
def block_by_firewall(context: PlanContext) -> Plan:
    """Add a web ACL that blocks every path that starts with this one."""
    visible = {
        "SampledRequestsEnabled": True,
        "CloudWatchMetricsEnabled": False,
        "MetricName": context.mark,
    }
    match = {
        "SearchString": context.target.path.encode().decode("latin-1"),
        "FieldToMatch": {"UriPath": {}},
        "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        "PositionalConstraint": "STARTS_WITH",
    }
    rule = {
        "Name": "block-handshakes",
        "Priority": 0,
        "Statement": {"ByteMatchStatement": match},
        "Action": {"Block": {}},
        "VisibilityConfig": visible,
    }
    acl = {
        "Name": context.mark,
        "Scope": "CLOUDFRONT",
        "DefaultAction": {"Allow": {}},
        "Rules": [rule],
        "VisibilityConfig": visible,
    }
    arn = yield Step("make web ACL", _account(context), _REGION, context.mark, None, acl)
    yield _edit(context, "WebACLId", arn)


@PLANS.plan("geo-block")
def keep_countries_out(context: PlanContext) -> Plan:
    """Allow viewers in Antarctica only."""
    yield _edit(context, "Restrictions", _ANTARCTICA)


@PLANS.plan("distribution-disabled")
def switch_off(context: PlanContext) -> Plan:
    """Disable the distribution."""
    yield _edit(context, "Enabled", False)


@PLANS.plan("alias-absent")
def drop_aliases(context: PlanContext) -> Plan:
    """Remove all alternate domain names."""
    if not context.target.distribution.aliases:
        raise FaultRefused(
            f"{context.target.distribution.id} has no alternate domain name. Add one first.", 409
        )
    yield _edit(context, "Aliases", {"Quantity": 0})


@PLANS.plan("vpc-origin-deploying")
def hold_vpc_origin(context: PlanContext) -> Plan:
    """Let the VPC origin stay Deploying until the fault is cleared."""
    document = _vpc_origin_document(context)
    held = {**document, "settled_at": NEVER}
    yield Step("set VPC origin", document["account"], _REGION, document["id"], document, held)


@PLANS.plan("vpc-origin-deleted")
def hide_vpc_origin(context: PlanContext) -> Plan:
    """Remove the VPC origin; what CloudFront created in the VPC stays."""
    document = _vpc_origin_document(context)
    yield Step("set VPC origin", document["account"], _REGION, document["id"], document, None)


def _vpc_origin_document(context: PlanContext) -> JsonObject:
    with context.cloudfront.moto.lock:
        return asdict(context.cloudfront.store.vpc_origins[context.target.require_vpc_origin().id])


def _behavior_edit(context: PlanContext, field: str, after: Any) -> Step:
    return _edit(context, field, after, context.target.behavior.path_pattern or "default")


def _edit(context: PlanContext, field: str, after: Any, where: str = "") -> Step:
    """A step that edits one field; `where` is as in EditDistribution's key."""
    distribution = context.target.distribution
    found = newest_config(context.cloudfront, distribution.id)
    if found is None:
        raise FaultRefused(f"{distribution.id} has just been deleted.", 409)
    _, config = found
    part = part_of(config, where) or config["DefaultCacheBehavior"]
    return Step(
        "edit distribution",
        distribution.account,
        _REGION,
        _key(context, where, field),
        part.get(field),
        after,
    )


def _key(context: PlanContext, where: str, field: str) -> str:
    return f"{context.target.distribution.id}|{where}|{field}"


def _account(context: PlanContext) -> str:
    return context.target.distribution.account
