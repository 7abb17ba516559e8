"""CloudFront's entities as the edge reads them, except distributions (edge_state/document.py)."""

from __future__ import annotations

from typing import Any

from lab.aws.cloudfront.entities.lifecycle import Config, KeyGroup, VpcOrigin
from lab.aws.cloudfront.entities.managed_policies import (
    CACHE_POLICIES,
    ORIGIN_REQUEST_POLICIES,
    RESPONSE_HEADERS_POLICIES,
)
from lab.aws.cloudfront.entities.store import CloudFrontStore

_NOTHING_IN_THE_KEY: Config = {
    "HeadersConfig": {"HeaderBehavior": "none"},
    "CookiesConfig": {"CookieBehavior": "none"},
    "QueryStringsConfig": {"QueryStringBehavior": "none"},
}


def sections(store: CloudFrontStore, now: float) -> dict[str, Any]:
    """The parts of /_lab/state about CloudFront's entities, at lab time `now`."""
    return {
        "vpc_origins": [
            _vpc_origin(origin, now) for _, origin in sorted(store.vpc_origins.items())
        ],
        "origin_request_policies": {
            **{
                policy_id: _request_policy(config)
                for policy_id, config in ORIGIN_REQUEST_POLICIES.items()
            },
            **{
                policy.id: _request_policy(policy.config)
                for policy in store.origin_request_policies.values()
            },
        },
        "cache_policies": {
            **{policy_id: _cache_policy(config) for policy_id, config in CACHE_POLICIES.items()},
            **{policy.id: _cache_policy(policy.config) for policy in store.cache_policies.values()},
        },
        "response_headers_policies": {
            **RESPONSE_HEADERS_POLICIES,
            **{policy.id: policy.config for policy in store.response_headers_policies.values()},
        },
        "key_groups": {group.id: _keys(store, group) for group in store.key_groups.values()},
        "continuous_deployment_policies": {
            policy.id: {**_continuous_deployment(policy.serving(now)), "resets": policy.resets}
            for policy in store.continuous_deployment_policies.values()
        },
    }


def _vpc_origin(origin: VpcOrigin, now: float) -> dict[str, Any]:
    return {
        "account": origin.account,
        "id": origin.id,
        "endpoint_arn": origin.endpoint["Arn"],
        "http_port": origin.endpoint["HTTPPort"],
        "https_port": origin.endpoint["HTTPSPort"],
        "protocol_policy": origin.endpoint["OriginProtocolPolicy"],
        "ssl_protocols": (origin.endpoint.get("OriginSslProtocols") or {}).get("Items") or [],
        "vpc_id": origin.vpc,
        "status": origin.status(now),
    }


def _continuous_deployment(config: Config) -> dict[str, Any]:
    """What a policy's type lacks is null; times are in seconds, the weight is a fraction."""
    traffic: Config = config.get("TrafficConfig") or {}
    header: Config = traffic.get("SingleHeaderConfig") or {}
    weight: Config = traffic.get("SingleWeightConfig") or {}
    stickiness: Config = weight.get("SessionStickinessConfig") or {}
    return {
        "enabled": bool(config["Enabled"]),
        "staging_domains": [
            name.lower() for name in config["StagingDistributionDnsNames"].get("Items") or ()
        ],
        "type": traffic.get("Type"),
        "header": header.get("Header"),
        "value": header.get("Value"),
        "weight": weight.get("Weight"),
        "idle_ttl": stickiness.get("IdleTTL"),
        "maximum_ttl": stickiness.get("MaximumTTL"),
    }


def _request_policy(config: Config) -> dict[str, Any]:
    return {"name": config["Name"], **_behaviors(config)}


def _keys(store: CloudFrontStore, group: KeyGroup) -> list[dict[str, str]]:
    return [
        {"id": key_id, "pem": store.public_keys[key_id].config["EncodedKey"]}
        for key_id in group.config["Items"]
    ]


def _cache_policy(config: Config) -> dict[str, Any]:
    return {
        "name": config["Name"],
        **_behaviors(config.get("ParametersInCacheKeyAndForwardedToOrigin") or _NOTHING_IN_THE_KEY),
        "min_ttl": config["MinTTL"],
        "max_ttl": config["MaxTTL"],
        "default_ttl": config["DefaultTTL"],
    }


def _behaviors(config: Config) -> dict[str, Any]:
    headers, cookies, queries = (
        config["HeadersConfig"],
        config["CookiesConfig"],
        config["QueryStringsConfig"],
    )
    return {
        "headers": headers["HeaderBehavior"],
        "header_names": (headers.get("Headers") or {}).get("Items") or [],
        "cookies": cookies["CookieBehavior"],
        "cookie_names": (cookies.get("Cookies") or {}).get("Items") or [],
        "query_strings": queries["QueryStringBehavior"],
        "query_string_names": (queries.get("QueryStrings") or {}).get("Items") or [],
    }
