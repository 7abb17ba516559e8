"""Which steps a fault of the distribution or of its VPC origin takes, from the newest
configuration.

They decide what must change so that the fault really shows, and nothing more. They only look; steps
act.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.faults.plans.networks import Circumstances, Plan, answer_not_found
from lab.faults.steps.cloudfront import NEVER, newest
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


def drop_headers(given: Circumstances) -> Plan:
    """No origin request policy."""
    yield _behavior_edit(given, "OriginRequestPolicyId", None)


def drop_subprotocol(given: Circumstances) -> Plan:
    """A custom policy that lists the handshake's headers without Sec-WebSocket-Protocol."""
    policy = {
        "Name": given.mark,
        "Comment": "A fault of the lab",
        "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": _listed(_HANDSHAKE_HEADERS)},
        "CookiesConfig": {"CookieBehavior": "all"},
        "QueryStringsConfig": {"QueryStringBehavior": "all"},
    }
    policy_id = yield Step(
        "make request policy", _account(given), _REGION, given.mark, None, policy
    )
    yield _behavior_edit(given, "OriginRequestPolicyId", policy_id)


def forward_host(given: Circumstances) -> Plan:
    """AllViewer, before an API Gateway."""
    if ".execute-api." not in given.aim.origin.domain_name:
        raise FaultRefused(
            f"the origin of {given.aim.path} is no API Gateway; name a path whose origin is one",
            409,
        )
    yield _behavior_edit(given, "OriginRequestPolicyId", _ALL_VIEWER)


def move_patterns(given: Circumstances) -> Plan:
    """Every behavior that matches the path gets another pattern; where only the default one does,
    there is no fault.
    """
    for number, pattern in enumerate(given.aim.need_patterns()):
        # Two behaviors must not end with one pattern.
        moved = f"/moved-away-{given.mark}-{number}"
        yield Step(
            "edit distribution",
            _account(given),
            _REGION,
            _key(given, pattern, "PathPattern"),
            pattern,
            moved,
        )


def serve_page_for_errors(given: Circumstances) -> Plan:
    """404 from the listener, and /index.html with 200 in its place."""
    yield from answer_not_found(given)
    page = {"ResponsePagePath": "/index.html", "ResponseCode": "200", "ErrorCachingMinTTL": 0}
    responses = [{"ErrorCode": code, **page} for code in (403, 404)]
    yield _edit(given, "CustomErrorResponses", {"Quantity": 2, "Items": responses})


def demand_https(given: Circumstances) -> Plan:
    """Viewer protocol policy https-only."""
    yield _behavior_edit(given, "ViewerProtocolPolicy", "https-only")


def redirect_viewers(given: Circumstances) -> Plan:
    """Viewer protocol policy redirect-to-https."""
    yield _behavior_edit(given, "ViewerProtocolPolicy", "redirect-to-https")


def allow_reading_only(given: Circumstances) -> Plan:
    """GET and HEAD."""
    methods = {**_READ_METHODS, "CachedMethods": dict(_READ_METHODS)}
    yield _behavior_edit(given, "AllowedMethods", methods)


def demand_signatures(given: Circumstances) -> Plan:
    """A key group whose private key nobody has."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    group_id = yield Step("make key group", _account(given), _REGION, given.mark, None, pem)
    yield _behavior_edit(
        given, "TrustedKeyGroups", {"Enabled": True, "Quantity": 1, "Items": [group_id]}
    )


def block_by_firewall(given: Circumstances) -> Plan:
    """A web ACL with one rule, which blocks what begins with the path."""
    visible = {
        "SampledRequestsEnabled": True,
        "CloudWatchMetricsEnabled": False,
        "MetricName": given.mark,
    }
    match = {
        "SearchString": given.aim.path.encode().decode("latin-1"),
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
        "Name": given.mark,
        "Scope": "CLOUDFRONT",
        "DefaultAction": {"Allow": {}},
        "Rules": [rule],
        "VisibilityConfig": visible,
    }
    arn = yield Step("make web ACL", _account(given), _REGION, given.mark, None, acl)
    yield _edit(given, "WebACLId", arn)


def keep_countries_out(given: Circumstances) -> Plan:
    """Only Antarctica is let in."""
    yield _edit(given, "Restrictions", _ANTARCTICA)


def switch_off(given: Circumstances) -> Plan:
    """Enabled false."""
    yield _edit(given, "Enabled", False)


def drop_aliases(given: Circumstances) -> Plan:
    """No alternate domain names; there must be one to lose."""
    if not given.aim.distribution.aliases:
        raise FaultRefused(
            f"{given.aim.distribution.id} has no alternate domain name; add one first", 409
        )
    yield _edit(given, "Aliases", {"Quantity": 0})


def hold_vpc_origin(given: Circumstances) -> Plan:
    """Deploying, until the fault is cleared."""
    document = _vpc_origin_document(given)
    held = {**document, "settled_at": NEVER}
    yield Step("set VPC origin", document["account"], _REGION, document["id"], document, held)


def hide_vpc_origin(given: Circumstances) -> Plan:
    """Gone from the account; what CloudFront made in the VPC stays."""
    document = _vpc_origin_document(given)
    yield Step("set VPC origin", document["account"], _REGION, document["id"], document, None)


def _vpc_origin_document(given: Circumstances) -> JsonObject:
    with given.cloudfront.moto.lock:
        return asdict(given.cloudfront.store.vpc_origins[given.aim.need_vpc_origin().id])


def _behavior_edit(given: Circumstances, field: str, after: Any) -> Step:
    pattern = given.aim.behavior.path_pattern
    return _step(given, pattern or "default", field, after)


def _edit(given: Circumstances, field: str, after: Any) -> Step:
    return _step(given, "", field, after)


def _step(given: Circumstances, where: str, field: str, after: Any) -> Step:
    before = _place(_newest(given), where).get(field)
    return Step(
        "edit distribution", _account(given), _REGION, _key(given, where, field), before, after
    )


def _place(config: JsonObject, where: str) -> JsonObject:
    if where == "":
        return config
    behaviors = config.get("CacheBehaviors", {}).get("Items", [])
    found: JsonObject = next((item for item in behaviors if item["PathPattern"] == where), {})
    return found or config["DefaultCacheBehavior"]


def _newest(given: Circumstances) -> JsonObject:
    found = newest(given.cloudfront, given.aim.distribution.id)
    if found is None:
        raise FaultRefused(f"{given.aim.distribution.id} has just been deleted", 409)
    return found[1]


def _key(given: Circumstances, where: str, field: str) -> str:
    return f"{given.aim.distribution.id}|{where}|{field}"


def _account(given: Circumstances) -> str:
    return given.aim.distribution.account


def _listed(names: tuple[str, ...]) -> JsonObject:
    return {"Quantity": len(names), "Items": list(names)}


PLANS: Mapping[str, Callable[[Circumstances], Plan]] = {
    "headers-not-forwarded": drop_headers,
    "subprotocol-not-forwarded": drop_subprotocol,
    "path-not-matched": move_patterns,
    "spa-error-page": serve_page_for_errors,
    "viewer-https-only": demand_https,
    "viewer-redirect": redirect_viewers,
    "methods-too-few": allow_reading_only,
    "waf-block": block_by_firewall,
    "geo-block": keep_countries_out,
    "signed-cookies-required": demand_signatures,
    "distribution-disabled": switch_off,
    "alias-absent": drop_aliases,
    "apigateway-host-forwarded": forward_host,
    "vpc-origin-deploying": hold_vpc_origin,
    "vpc-origin-deleted": hide_vpc_origin,
}
