"""The accounts' load balancers and targets as CloudFront and the edge see them: readings of moto's
ELBv2 and EC2.

It decides how moto's objects become plain values; VPCs, addresses and names are
`vpc_sections.py`'s. It must never change them (service_network.py does), and its callers hold the
world's lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends

from lab.aws import vpc_sections
from lab.aws.moto_patches import ORIGIN_FACING_IPV6_LIST, ORIGIN_FACING_LIST, block_public_access

SERVICE_GROUP_NAME = "CloudFront-VPCOrigins-Service-SG"
SERVICE_TAG = ("aws.cloudfront.vpcorigin", "enabled")

_LOAD_BALANCER_ARN = re.compile(
    r"arn:aws[\w-]*:elasticloadbalancing:([a-z0-9-]+):(\d{12}):loadbalancer/(app|net|gwy)/[^/]+/[0-9a-f]+"
)
_INSTANCE_ARN = re.compile(r"arn:aws[\w-]*:ec2:([a-z0-9-]+):(\d{12}):instance/(i-[0-9a-f]+)")


@dataclass(frozen=True)
class Target:
    """What a VPC origin's ARN names. `kind` is application, network, gateway or instance."""

    arn: str
    kind: str
    account: str
    region: str
    vpc: str
    state: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    tls_listener: bool


def is_target_arn(arn: str) -> bool:
    """True for the ARN of a load balancer or an instance, existing or not."""
    return bool(_LOAD_BALANCER_ARN.fullmatch(arn) or _INSTANCE_ARN.fullmatch(arn))


def target_account(arn: str) -> str | None:
    """The account an ARN of a load balancer or instance names."""
    found = _LOAD_BALANCER_ARN.fullmatch(arn) or _INSTANCE_ARN.fullmatch(arn)
    return found.group(2) if found else None


def find_target(arn: str) -> Target | None:
    """The load balancer or instance of that ARN, None if there is none."""
    balancer = _LOAD_BALANCER_ARN.fullmatch(arn)
    if balancer:
        return _balancer_target(arn, balancer.group(1), balancer.group(2))
    instance = _INSTANCE_ARN.fullmatch(arn)
    if instance:
        return _instance_target(arn, *instance.groups())
    return None


def has_internet_gateway(account: str, region: str, vpc: str) -> bool:
    """True if an internet gateway is attached to the VPC; routes do not matter."""
    gateways = ec2_backends[account][region].internet_gateways.values()
    return any(gateway.vpc and gateway.vpc.id == vpc for gateway in gateways)


def sections() -> dict[str, Any]:
    """The parts of /_lab/state that the accounts' networks fill."""
    return {
        "load_balancers": load_balancers(),
        "target_groups": target_groups(),
        "security_groups": security_groups(),
        "prefix_lists": prefix_lists(),
        "service_groups": service_groups(),
        "block_public_access": block_public_access(),
        **vpc_sections.sections(),
    }


def load_balancers() -> list[dict[str, Any]]:
    """Every load balancer with listeners and rules, in the form of /_lab/state."""
    found = []
    for account, region, backend in _existing(elbv2_backends):
        for balancer in backend.load_balancers.values():
            balancer.activate()
            found.append(
                {
                    "account": account,
                    "region": region,
                    "arn": balancer.arn,
                    "name": balancer.name,
                    "dns_name": balancer.dns_name,
                    "type": balancer.type,
                    "scheme": balancer.scheme,
                    "state": balancer.state,
                    "vpc_id": balancer.vpc_id,
                    "subnets": [subnet.id for subnet in balancer.subnets],
                    "security_groups": list(balancer.security_groups or []),
                    "attributes": dict(balancer.attrs),
                    "listeners": [_listener(listener) for listener in balancer.listeners.values()],
                }
            )
    return found


def target_groups() -> list[dict[str, Any]]:
    """Every target group with its targets and their health, in the form of /_lab/state."""
    found = []
    for account, _, backend in _existing(elbv2_backends):
        for group in backend.target_groups.values():
            health = backend.describe_target_health(group.arn, [])
            found.append(
                {
                    "account": account,
                    "arn": group.arn,
                    "name": group.name,
                    "protocol": group.protocol,
                    "protocol_version": group.protocol_version,
                    "port": _number(group.port),
                    "vpc_id": group.vpc_id,
                    "target_type": group.target_type,
                    "attributes": dict(group.attributes),
                    "health_check": _health_check(group),
                    "targets": [
                        {
                            "id": state.instance_id,
                            "port": _number(state.port),
                            "health": state.status,
                        }
                        for state in health
                    ],
                }
            )
    return found


def security_groups() -> dict[str, dict[str, Any]]:
    """Every security group with what it lets in, by id, in the form of /_lab/state."""
    found: dict[str, dict[str, Any]] = {}
    for account, _, backend in _existing(ec2_backends):
        for vpc, groups in backend.groups.items():
            for group in groups.values():
                found[group.id] = {
                    "account": account,
                    "vpc_id": vpc,
                    "name": group.name,
                    "ingress": [_ingress(rule) for rule in group.ingress_rules],
                }
    return found


def prefix_lists() -> dict[str, dict[str, Any]]:
    """CloudFront's origin-facing lists of every account and Region, by id, in the form of
    /_lab/state.
    """
    found: dict[str, dict[str, Any]] = {}
    for account, region, backend in _existing(ec2_backends):
        for listed in backend.managed_prefix_lists.values():
            if listed.prefix_list_name in (ORIGIN_FACING_LIST, ORIGIN_FACING_IPV6_LIST):
                entries = list(listed.entries.values())[-1] if listed.entries else []
                found[listed.id] = {
                    "account": account,
                    "region": region,
                    "name": listed.prefix_list_name,
                    "cidrs": [entry["Cidr"] for entry in entries],
                }
    return found


def service_groups() -> dict[str, str]:
    """CloudFront's own security group of each VPC that has one."""
    found = {}
    for _, _, backend in _existing(ec2_backends):
        for vpc, groups in backend.groups.items():
            for group in groups.values():
                if group.name == SERVICE_GROUP_NAME:
                    found[vpc] = group.id
    return found


def _existing(backends: Any) -> Iterator[tuple[str, str, Any]]:
    """Only what was used so far: asking for another Region would create it."""
    for account, regions in list(backends.items()):
        for region, backend in list(regions.items()):
            yield account, region, backend


def _balancer_target(arn: str, region: str, account: str) -> Target | None:
    balancer = elbv2_backends[account][region].load_balancers.get(arn)
    if balancer is None:
        return None
    balancer.activate()
    return Target(
        arn=arn,
        kind=balancer.type,
        account=account,
        region=region,
        vpc=str(balancer.vpc_id),
        state=balancer.state,
        subnets=tuple(subnet.id for subnet in balancer.subnets),
        security_groups=tuple(balancer.security_groups or ()),
        tls_listener=any(listener.protocol == "TLS" for listener in balancer.listeners.values()),
    )


def _instance_target(arn: str, region: str, account: str, instance_id: str) -> Target | None:
    for reservation in ec2_backends[account][region].reservations.values():
        for instance in reservation.instances:
            if instance.id == instance_id:
                return Target(
                    arn=arn,
                    kind="instance",
                    account=account,
                    region=region,
                    vpc=str(instance.vpc_id),
                    state=instance.state,
                    subnets=(instance.subnet_id,) if instance.subnet_id else (),
                    security_groups=tuple(group.id for group in instance.dynamic_group_list),
                    tls_listener=False,
                )
    return None


def _listener(listener: Any) -> dict[str, Any]:
    rules = [rule for rule in listener.rules.values() if not rule.is_default]
    return {
        "arn": listener.arn,
        "port": _number(listener.port),
        "protocol": listener.protocol,
        "ssl_policy": listener.ssl_policy,
        "certificates": vpc_sections.certificate_arns(listener),
        "default_actions": [_action(_data(action)) for action in listener.default_actions],
        "rules": [
            {
                "arn": rule.arn,
                "priority": int(rule.priority),
                "conditions": [_condition(condition) for condition in rule.conditions],
                "actions": [_action(_data(action)) for action in rule.actions],
            }
            for rule in sorted(rules, key=lambda rule: int(rule.priority))
        ],
        "attributes": dict(listener.attributes),
    }


def _data(action: Any) -> dict[str, Any]:
    data = action if isinstance(action, dict) else action.data
    return dict(data)


def _action(data: dict[str, Any]) -> dict[str, Any]:
    kind = data.get("Type")
    if kind == "redirect":
        redirect = data.get("RedirectConfig", {})
        fields = ("Protocol", "Port", "Host", "Path", "Query", "StatusCode")
        return {"type": kind, **{_snake(name): redirect.get(name) for name in fields}}
    if kind == "fixed-response":
        fixed = data.get("FixedResponseConfig", {})
        return {
            "type": kind,
            **{
                _snake(name): fixed.get(name)
                for name in ("StatusCode", "ContentType", "MessageBody")
            },
        }
    if kind == "forward":
        groups = (data.get("ForwardConfig") or {}).get("TargetGroups") or []
        weighted = [
            {"target_group_arn": group["TargetGroupArn"], "weight": int(group.get("Weight", 1))}
            for group in groups
        ]
        arn = data.get("TargetGroupArn") or (weighted[0]["target_group_arn"] if weighted else None)
        return {
            "type": kind,
            "target_group_arn": arn,
            "target_groups": weighted or [{"target_group_arn": arn, "weight": 1}],
            "sticky_seconds": _sticky_seconds(
                (data.get("ForwardConfig") or {}).get("TargetGroupStickinessConfig")
            ),
        }
    if kind in ("authenticate-oidc", "authenticate-cognito"):
        return {"type": kind, **_login(kind, data)}
    return {"type": kind}


def _sticky_seconds(config: dict[str, Any] | None) -> int:
    if not config or str(config.get("Enabled")).lower() != "true":
        return 0
    return int(config.get("DurationSeconds") or 86400)


def _login(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """Where the action sends those who are not signed in, and whether it does."""
    oidc = kind == "authenticate-oidc"
    config = data.get("AuthenticateOidcConfig" if oidc else "AuthenticateCognitoConfig") or {}
    where = (
        config.get("AuthorizationEndpoint")
        if oidc
        else f"https://{config.get('UserPoolDomain')}/oauth2/authorize"
    )
    client = config.get("ClientId" if oidc else "UserPoolClientId") or ""
    asked = urlencode(
        {"client_id": client, "response_type": "code", "scope": config.get("Scope") or "openid"}
    )
    return {
        "on_unauthenticated": config.get("OnUnauthenticatedRequest"),
        "login_url": f"{where}?{asked}",
    }


def _health_check(group: Any) -> dict[str, Any] | None:
    """None where none is made: when it is off, and for Lambda functions."""
    if not group.health_check_enabled or group.target_type == "lambda":
        return None
    return {
        "protocol": group.health_check_protocol,
        "path": group.health_check_path or "/",
        "port": group.health_check_port,
        "interval": int(group.health_check_interval_seconds),
        "timeout": int(group.health_check_timeout_seconds),
        "healthy_threshold": int(group.healthy_threshold_count),
        "unhealthy_threshold": int(group.unhealthy_threshold_count),
        "codes": (getattr(group, "matcher", None) or {}).get("HttpCode") or "200",
    }


def _condition(condition: dict[str, Any]) -> dict[str, Any]:
    """{"field", "values"} of any condition, old style or new; a header condition also has
    "name".
    """
    values = list(condition.get("Values") or [])
    name = None
    for key, given in condition.items():
        if key.endswith("Config") and isinstance(given, dict):
            values = values or list(given.get("Values") or [])
            name = given.get("HttpHeaderName") or name
    found = {"field": condition.get("Field"), "values": values}
    return {**found, "name": name} if name else found


def _ingress(rule: Any) -> dict[str, Any]:
    cidr = rule.cidr_ipv4 or rule.cidr_ipv6
    group = (rule.source_group or {}).get("GroupId")
    return {
        "protocol": rule.ip_protocol,
        "from_port": rule.from_port,
        "to_port": rule.to_port,
        "cidrs": [cidr] if cidr else [],
        "groups": [group] if group else [],
        "prefix_lists": [rule.prefix_list_id] if rule.prefix_list_id else [],
    }


def _number(text: Any) -> int | None:
    return int(text) if text is not None and str(text).isdecimal() else None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
