"""The lab's `/_lab/state`, parsed once into one frozen value (PURE).

A fact missing from the JSON stays absent: nothing is filled in that AWS would not fill in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.edge.account.api_gateways import WebSocketApi, parse_websocket_api
from lab.edge.account.deployment_policies import DeploymentPolicy, parse_deployment_policy
from lab.edge.account.distributions import (
    Distribution,
    PublicKey,
    VpcOrigin,
    parse_distribution,
    parse_vpc_origin,
)
from lab.edge.account.lab_settings import EdgeFault, LabSettings, parse_faults, parse_settings
from lab.edge.account.load_balancers import (
    Certificate,
    LoadBalancer,
    TargetGroup,
    parse_certificate,
    parse_load_balancer,
    parse_target_group,
)
from lab.edge.account.policies import (
    ResponseHeadersPolicy,
    parse_policy,
    parse_response_headers_policy,
)
from lab.edge.account.vpcs import Network, parse_network
from lab.edge.account.web_acls import WebAcl, parse_web_acl

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class State:
    """The whole account at one version. The lab runs `scale` times as fast as real time."""

    version: int
    scale: float
    distributions: tuple[Distribution, ...] = ()
    vpc_origins: Mapping[str, VpcOrigin] = field(default_factory=dict)
    load_balancers: tuple[LoadBalancer, ...] = ()
    target_groups: Mapping[str, TargetGroup] = field(default_factory=dict)
    certificates: Mapping[str, Certificate] = field(default_factory=dict)
    network: Network = field(default_factory=Network)
    names: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    response_headers_policies: Mapping[str, ResponseHeadersPolicy] = field(default_factory=dict)
    key_groups: Mapping[str, tuple[PublicKey, ...]] = field(default_factory=dict)
    continuous_deployment_policies: Mapping[str, DeploymentPolicy] = field(default_factory=dict)
    web_acls: Mapping[str, WebAcl] = field(default_factory=dict)
    websocket_apis: Mapping[str, WebSocketApi] = field(default_factory=dict)
    settings: LabSettings = field(default_factory=LabSettings)
    faults: tuple[EdgeFault, ...] = ()

    @property
    def socket_scale(self) -> float:
        """How many times as fast as on AWS idle timeouts run: the lab's scale, at most 6.

        People need a few seconds to type, so the shortest idle timeout (60 s) never drops below
        10 s, and the three (60, 350 and 600 s) keep their proportions.
        """
        return max(1.0, min(self.scale, 6.0))


def parse_state(body: Json) -> State:
    """Parse the JSON of `/_lab/state`.

    :raises KeyError, TypeError, ValueError: it is malformed.
    """
    policies = {
        **{id: parse_policy(p) for id, p in body.get("cache_policies", {}).items()},
        **{id: parse_policy(p) for id, p in body.get("origin_request_policies", {}).items()},
    }
    firewall: Json = body.get("firewall") or {}
    return State(
        version=int(body["version"]),
        scale=float(body.get("clock", {}).get("scale", 1.0)),
        distributions=tuple(
            parse_distribution(entry, policies)
            for entry in body.get("distributions", [])
            if entry.get("config")
        ),
        vpc_origins={entry["id"]: parse_vpc_origin(entry) for entry in body.get("vpc_origins", [])},
        load_balancers=tuple(
            parse_load_balancer(entry) for entry in body.get("load_balancers", [])
        ),
        target_groups={
            entry["arn"]: parse_target_group(entry) for entry in body.get("target_groups", [])
        },
        certificates={
            arn: parse_certificate(arn, entry)
            for arn, entry in body.get("certificates", {}).items()
        },
        network=parse_network(body),
        names=dict(body.get("names", {})),
        hosts=dict(body.get("hosts", {})),
        response_headers_policies={
            id: parse_response_headers_policy(config)
            for id, config in body.get("response_headers_policies", {}).items()
        },
        key_groups={
            id: tuple(PublicKey(key["id"], key["pem"]) for key in keys)
            for id, keys in body.get("key_groups", {}).items()
        },
        continuous_deployment_policies={
            id: parse_deployment_policy(id, entry)
            for id, entry in body.get("continuous_deployment_policies", {}).items()
        },
        web_acls={
            arn: parse_web_acl(arn, entry, firewall)
            for arn, entry in (firewall.get("web_acls") or {}).items()
        },
        websocket_apis={
            gateway.host: gateway for gateway in map(parse_websocket_api, body.get("gateways", []))
        },
        settings=parse_settings(body.get("settings") or {}),
        faults=parse_faults(body.get("faults") or ()),
    )
