"""The parts of /_lab/state about load balancers: listeners, rules, target groups, health checks."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from moto.elbv2.models import elbv2_backends

from lab.aws.edge_state import backends


def sections() -> dict[str, Any]:
    """Load balancers and target groups of every account."""
    return {"load_balancers": load_balancers(), "target_groups": target_groups()}


def certificate_arns(listener: Any) -> list[str]:
    """A listener's certificates, the default one first."""
    kept = [
        one["CertificateArn"] if isinstance(one, dict) else one for one in listener.certificates
    ]
    return list(dict.fromkeys(arn for arn in [listener.certificate, *kept] if arn))


def load_balancers() -> list[dict[str, Any]]:
    """Every load balancer with its listeners and rules."""
    found = []
    for account, region, balancer in backends.load_balancers():
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
    """Every target group with its targets and their health."""
    found = []
    for account, _, backend in backends.in_use(elbv2_backends):
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


def _listener(listener: Any) -> dict[str, Any]:
    rules = [rule for rule in listener.rules.values() if not rule.is_default]
    return {
        "arn": listener.arn,
        "port": _number(listener.port),
        "protocol": listener.protocol,
        "ssl_policy": listener.ssl_policy,
        "certificates": certificate_arns(listener),
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
    """What the action does with users who are not signed in, and where it sends them."""
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
    """None if there is none: if it is disabled, and for Lambda functions."""
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
    """{"field", "values"} of a condition, in old or new style; a header condition also has
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


def _number(text: Any) -> int | None:
    return int(text) if text is not None and str(text).isdecimal() else None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
