"""The situations that only CloudFront's own configuration makes: one distribution each, added to
the whole account.
"""

from __future__ import annotations

import base64
import functools
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .account import (
    ALL_EXCEPT_HOST,
    ALL_METHODS,
    ALL_VIEWER,
    Json,
    behavior,
    custom_origin,
    distribution,
    items,
    vpc_origin_ref,
)

CACHING = "caching-by-path"
HEADERS_POLICY = "response-headers"
KEY_GROUP = "key-group"
KEY_ID = "K2JCJMDEHXQW5F"
WEB_ACL = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/chat/1"
IP_SET = "arn:aws:wafv2:us-east-1:111122223333:global/ipset/bad/1"
GATEWAY = "abcdefgh.execute-api.us-east-1.amazonaws.com"
# Viewers who bind to this loopback address are in Germany.
IN_GERMANY = "127.0.0.49"
BLOCKED_ADDRESS = "127.0.0.66"
ONLY_GERMANY = {"GeoRestriction": {"RestrictionType": "whitelist", "Quantity": 1, "Items": ["DE"]}}


@functools.cache
def signing_key() -> rsa.RSAPrivateKey:
    """The private half of the key that the key group holds."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def add_cloudfront_situations(account: Json, chat: str) -> None:
    """`chat` is the simulated address of the chat app."""
    made = account["distributions"]
    to_chat = [vpc_origin_ref("chat")]
    made.append(distribution("dhttp1", to_chat, behavior("chat"), HttpVersion="http1.1"))
    wild: Json = {"Aliases": items(["*.wild.example"]), "DefaultRootObject": "healthz"}
    made.append(distribution("dwild", to_chat, behavior("chat"), **wild))
    exact: Json = {"Aliases": items(["a.wild.example"]), "Enabled": False}
    made.append(distribution("dexact", to_chat, behavior("chat"), **exact))
    made.append(distribution("dgeo", to_chat, behavior("chat"), Restrictions=ONLY_GERMANY))
    page = {"ErrorCode": 403, "ResponsePagePath": "/index.html", "ResponseCode": "200"}
    mapped: Json = {"Restrictions": ONLY_GERMANY, "CustomErrorResponses": items([page])}
    made.append(distribution("dgeopage", to_chat, behavior("chat"), **mapped))
    made.append(distribution("dwaf", to_chat, behavior("chat"), WebACLId=WEB_ACL))
    groups = {"TrustedKeyGroups": {"Enabled": True, **items([KEY_GROUP])}}
    made.append(distribution("dsigned", to_chat, {**behavior("chat"), **groups}))
    headers = {"ResponseHeadersPolicyId": HEADERS_POLICY}
    to_odd = [vpc_origin_ref("odd")]
    cookies = {**behavior("odd", "/cookies"), **headers}
    made.append(
        distribution("dheaders", to_chat + to_odd, {**behavior("chat"), **headers}, [cookies])
    )
    capped = vpc_origin_ref("odd", ResponseCompletionTimeout=3)
    made.append(distribution("dcapped", [capped], behavior("odd")))
    patient = vpc_origin_ref(
        "odd", VpcOriginConfig={"VpcOriginId": "vo_odd", "OriginReadTimeout": 3}
    )
    made.append(distribution("dstalled", [patient], behavior("odd")))
    cached = {"CachePolicyId": CACHING}
    # No page, only a caching time that no test outlasts.
    kept: Json = {"CustomErrorResponses": items([{"ErrorCode": 404, "ErrorCachingMinTTL": 86400}])}
    made.append(
        distribution(
            "derrors", to_odd, {**behavior("odd", methods=("GET", "HEAD")), **cached}, **kept
        )
    )
    members = {"Members": items([{"OriginId": "odd"}, {"OriginId": "chat"}])}
    failing = {"Id": "both", "FailoverCriteria": {"StatusCodes": items([404, 502])}, **members}
    either = behavior("both", methods=ALL_METHODS)
    made.append(distribution("dgroup", to_odd + to_chat, either, OriginGroups=items([failing])))
    closed = {"Members": items([{"OriginId": "port"}, {"OriginId": "chat"}])}
    unconnected = {"Id": "both", "FailoverCriteria": {"StatusCodes": items([503])}, **closed}
    to_closed = [vpc_origin_ref("port"), *to_chat]
    made.append(
        distribution("dgroupdown", to_closed, behavior("both"), OriginGroups=items([unconnected]))
    )
    for name, to, protocol in (
        ("dtwo", "dchat", "https-only"),
        ("dthree", "dtwo", "https-only"),
        ("dself", "dself", ""),
    ):
        origin = custom_origin("next", f"{to}.cloudfront.net", policy=protocol or "http-only")
        made.append(
            distribution(
                name, [origin], behavior("next", policy=ALL_EXCEPT_HOST, viewer="allow-all")
            )
        )
    made.append({**distribution("dother", to_chat, behavior("chat")), "account": "444455556666"})
    for name, policy in (("dheader", "by-header"), ("dweight", "by-weight")):
        made.append(
            {
                **distribution(name, to_chat, behavior("chat")),
                "continuous_deployment_policy_id": policy,
            }
        )
        made.append({**distribution(f"{name}new", to_odd, behavior("odd")), "staging": True})
    for name, policy, protocol, path in (
        ("dgateway", ALL_EXCEPT_HOST, "https-only", "/prod"),
        ("dgatewayhost", ALL_VIEWER, "https-only", "/prod"),
        ("dgatewayhttp", ALL_EXCEPT_HOST, "http-only", "/prod"),
        ("dgatewaystage", ALL_EXCEPT_HOST, "https-only", "/test"),
    ):
        origin = {**custom_origin("api", GATEWAY, policy=protocol), "OriginPath": path}
        made.append(distribution(name, [origin], behavior("api", policy=policy)))
    for name in ("dfull", "dlimited", "dlambda", "dproxied", "dlagging"):
        made.append(distribution(name, to_chat, behavior("chat")))
    account["cache_policies"][CACHING] = {
        "name": "Caching",
        "max_ttl": 86400,
        "default_ttl": 60,
        "min_ttl": 0,
    }
    account["response_headers_policies"] = {HEADERS_POLICY: response_headers_policy()}
    pem = (
        signing_key()
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    account["key_groups"] = {KEY_GROUP: [{"id": KEY_ID, "pem": pem}]}
    account["continuous_deployment_policies"] = {
        "by-header": deployment(
            "dheadernew", type="SingleHeader", header="aws-cf-cd-new", value="yes"
        ),
        "by-weight": deployment(
            "dweightnew", type="SingleWeight", weight=1.0, idle_ttl=300, maximum_ttl=600
        ),
    }
    account["firewall"] = firewall()
    account["gateways"] = [{"host": GATEWAY, "stages": ["prod"], "integration": chat}]
    account["settings"] = {"viewer_country": "US", "viewer_countries": {IN_GERMANY: "DE"}}
    account["faults"] = [
        {"name": "edge-capacity", "distribution": "EDFULL"},
        {"name": "edge-capacity", "distribution": "EDLIMITED", "detail": "LimitExceeded"},
        {"name": "edge-capacity", "distribution": "EDLAMBDA", "detail": "LambdaLimitExceeded"},
        {"name": "wrong-accept", "distribution": "EDPROXIED"},
        {"name": "edge-stale", "distribution": "EDLAGGING"},
    ]


def deployment(staging: str, **given: Any) -> Json:
    """A continuous deployment policy as the AWS process tells it."""
    nothing = dict.fromkeys(("type", "header", "value", "weight", "idle_ttl", "maximum_ttl"))
    return {**nothing, "enabled": True, "staging_domains": [f"{staging}.cloudfront.net"], **given}


def response_headers_policy() -> Json:
    """Security headers, CORS, a header of one's own, and one that goes."""
    return {
        "Name": "chat",
        "SecurityHeadersConfig": {
            "ContentTypeOptions": {"Override": True},
            "FrameOptions": {"FrameOption": "DENY", "Override": True},
            "StrictTransportSecurity": {
                "AccessControlMaxAgeSec": 300,
                "IncludeSubdomains": True,
                "Preload": False,
                "Override": True,
            },
        },
        "CorsConfig": {
            "AccessControlAllowOrigins": items(["https://*.example.com"]),
            "AccessControlAllowHeaders": items(["*"]),
            "AccessControlAllowMethods": items(["GET"]),
            "AccessControlAllowCredentials": True,
            "OriginOverride": True,
        },
        "CustomHeadersConfig": items(
            [
                {"Header": "X-Team", "Value": "chat", "Override": True},
                {"Header": "Content-Type", "Value": "text/never", "Override": False},
            ]
        ),
        "RemoveHeadersConfig": items([{"Header": "Set-Cookie"}]),
    }


def firewall() -> Json:
    """One web ACL: an address set, a byte match on a header, and a limit of ten handshakes for one
    path.
    """
    scope = {"ByteMatchStatement": byte_match({"UriPath": {}}, "/ws/limited", "EXACTLY")}
    rate = {
        "Limit": 10,
        "EvaluationWindowSec": 300,
        "AggregateKeyType": "IP",
        "ScopeDownStatement": scope,
    }
    agent = byte_match({"SingleHeader": {"Name": "user-agent"}}, "badbot", "CONTAINS", "LOWERCASE")
    rules = [
        rule("limit", 3, {"RateBasedStatement": rate}),
        rule("addresses", 1, {"IPSetReferenceStatement": {"ARN": IP_SET}}),
        rule("agents", 2, {"ByteMatchStatement": agent}),
    ]
    acl = {"name": "chat", "default_action": {"Allow": {}}, "rules": rules}
    return {
        "web_acls": {WEB_ACL: acl},
        "ip_sets": {IP_SET: [f"{BLOCKED_ADDRESS}/32"]},
        "pattern_sets": {},
    }


def rule(name: str, priority: int, statement: Json, action: Json | None = None) -> Json:
    return {
        "name": name,
        "priority": priority,
        "action": action or {"Block": {}},
        "statement": statement,
    }


def byte_match(field: Json, text: str, how: str, change: str = "NONE") -> Json:
    return {
        "SearchString": base64.b64encode(text.encode()).decode(),
        "FieldToMatch": field,
        "TextTransformations": [{"Priority": 0, "Type": change}],
        "PositionalConstraint": how,
    }
