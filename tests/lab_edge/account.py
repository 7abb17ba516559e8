"""An account written by hand, in the JSON that the AWS process would serve to the edge.

It decides only spelling. It must never be clever: a test that names `closed_group=True` must be
readable in the JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
ALL_EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
SOCKET_HEADERS_ONLY = "custom-socket-headers"
KEY_AND_VERSION_ONLY = "custom-key-and-version"
PREFIX_LIST = "pl-3b927c52"
SERVICE_GROUP = "sg-service"
VPC = "vpc-chat"
ALL_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")

POLICIES: Json = {
    ALL_VIEWER: {
        "name": "AllViewer",
        "headers": "allViewer",
        "cookies": "all",
        "query_strings": "all",
    },
    ALL_EXCEPT_HOST: {
        "name": "AllViewerExceptHostHeader",
        "headers": "allExcept",
        "header_names": ["Host"],
        "cookies": "all",
        "query_strings": "all",
    },
    KEY_AND_VERSION_ONLY: {
        "name": "KeyAndVersion",
        "headers": "whitelist",
        "header_names": ["Sec-WebSocket-Key", "Sec-WebSocket-Version"],
        "cookies": "none",
        "query_strings": "none",
    },
    SOCKET_HEADERS_ONLY: {
        "name": "Sockets",
        "headers": "whitelist",
        "header_names": [
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Accept",
            "Sec-WebSocket-Extensions",
            "CloudFront-Forwarded-Proto",
        ],
        "cookies": "whitelist",
        "cookie_names": ["session"],
        "query_strings": "whitelist",
        "query_string_names": ["room"],
    },
}


def items(values: Sequence[Any]) -> Json:
    return {"Quantity": len(values), "Items": list(values)}


def vpc_origin_ref(id: str, domain: str = "internal-int.elb.amazonaws.com", **more: Any) -> Json:
    """An origin of a distribution that leads to the VPC origin `vo_<id>`."""
    return {
        "Id": id,
        "DomainName": domain,
        "OriginPath": "",
        "VpcOriginConfig": {"VpcOriginId": f"vo_{id}"},
        **more,
    }


def custom_origin(id: str, domain: str, http_port: int = 80, policy: str = "http-only") -> Json:
    ports = {"HTTPPort": http_port, "HTTPSPort": 443, "OriginProtocolPolicy": policy}
    return {"Id": id, "DomainName": domain, "OriginPath": "", "CustomOriginConfig": ports}


def behavior(
    origin: str,
    pattern: str | None = None,
    policy: str | None = ALL_VIEWER,
    viewer: str = "https-only",
    methods: Sequence[str] = ("GET", "HEAD"),
) -> Json:
    made: Json = {
        "TargetOriginId": origin,
        "ViewerProtocolPolicy": viewer,
        "AllowedMethods": items(methods),
        "CachePolicyId": CACHING_DISABLED,
    }
    if pattern is not None:
        made["PathPattern"] = pattern
    if policy is not None:
        made["OriginRequestPolicyId"] = policy
    return made


def distribution(
    name: str, origins: Sequence[Json], default: Json, behaviors: Sequence[Json] = (), **more: Any
) -> Json:
    """The distribution that answers for `<name>.cloudfront.net`."""
    config = {
        "Enabled": True,
        "Origins": items(origins),
        "DefaultCacheBehavior": default,
        "CacheBehaviors": items(behaviors),
        **more,
    }
    return {
        "id": f"E{name.upper()}",
        "domain": f"{name}.cloudfront.net",
        "enabled": True,
        "config": config,
    }


def vpc_origin(id: str, balancer: str, status: str = "Deployed", policy: str = "http-only") -> Json:
    return {
        "id": f"vo_{id}",
        "endpoint_arn": f"arn:lb/{balancer}",
        "http_port": 80,
        "https_port": 443,
        "protocol_policy": policy,
        "status": status,
    }


def listener(
    balancer: str, action: Json, port: int = 80, rules: Sequence[Json] = (), protocol: str = "HTTP"
) -> Json:
    arn = f"arn:listener/{balancer}/{port}"
    return {
        "arn": arn,
        "port": port,
        "protocol": protocol,
        "default_actions": [action],
        "rules": list(rules),
    }


def load_balancer(
    name: str,
    listeners: Sequence[Json],
    group: str = "sg-open",
    scheme: str = "internal",
    idle: str = "60",
    type: str = "application",
) -> Json:
    prefix = "internal-" if scheme == "internal" else ""
    return {
        "arn": f"arn:lb/{name}",
        "name": name,
        "dns_name": f"{prefix}{name}.elb.amazonaws.com",
        "type": type,
        "scheme": scheme,
        "state": "active",
        "vpc_id": VPC,
        "security_groups": [group],
        "attributes": {"idle_timeout.timeout_seconds": idle},
        "listeners": list(listeners),
    }


def forward(group: str) -> Json:
    return {"type": "forward", "target_group_arn": f"arn:tg/{group}"}


def target_group(name: str, *targets: str, health: str = "healthy") -> Json:
    pairs = [target.rsplit(":", 1) for target in targets]
    entries = [{"id": address, "port": int(port), "health": health} for address, port in pairs]
    return {
        "arn": f"arn:tg/{name}",
        "protocol": "HTTP",
        "port": 8080,
        "vpc_id": VPC,
        "targets": entries,
    }


def ingress(
    port: int, cidrs: Sequence[str] = (), groups: Sequence[str] = (), lists: Sequence[str] = ()
) -> Json:
    rule = {"protocol": "tcp", "from_port": port, "to_port": port}
    return {**rule, "cidrs": list(cidrs), "groups": list(groups), "prefix_lists": list(lists)}


def account(
    distributions: Sequence[Json] = (),
    vpc_origins: Sequence[Json] = (),
    load_balancers: Sequence[Json] = (),
    target_groups: Sequence[Json] = (),
    hosts: dict[str, str] | None = None,
    scale: float = 100.0,
) -> Json:
    return {
        "version": 1,
        "clock": {"scale": scale},
        "distributions": list(distributions),
        "vpc_origins": list(vpc_origins),
        "origin_request_policies": POLICIES,
        "cache_policies": {CACHING_DISABLED: {"name": "CachingDisabled"}},
        "load_balancers": list(load_balancers),
        "target_groups": list(target_groups),
        "security_groups": {
            "sg-open": {
                "vpc_id": VPC,
                "ingress": [ingress(80, lists=[PREFIX_LIST]), ingress(443, lists=[PREFIX_LIST])],
            },
            "sg-closed": {"vpc_id": VPC, "ingress": [ingress(80, cidrs=["10.10.0.0/16"])]},
            "sg-service-only": {"vpc_id": VPC, "ingress": [ingress(80, groups=[SERVICE_GROUP])]},
            "sg-world": {"vpc_id": VPC, "ingress": [ingress(80, cidrs=["0.0.0.0/0"])]},
        },
        "prefix_lists": {
            PREFIX_LIST: {"name": "origin-facing", "cidrs": ["130.176.0.0/18", "64.252.64.0/18"]}
        },
        "service_groups": {VPC: SERVICE_GROUP},
        "hosts": hosts or {},
    }
