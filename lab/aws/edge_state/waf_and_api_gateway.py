"""The parts of /_lab/state about AWS WAF and API Gateway: web ACLs, WebSocket APIs."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from moto.apigatewayv2.models import apigatewayv2_backends
from moto.wafv2.models import wafv2_backends

_INTEGRATION = re.compile(r"integrations/(\w+)")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def sections() -> dict[str, Any]:
    """Web ACLs with their sets, and WebSocket APIs."""
    return {"firewall": firewall(), "gateways": gateways()}


def firewall() -> dict[str, dict[str, Any]]:
    """Every web ACL of scope CLOUDFRONT, IP sets and regex pattern sets by ARN, in AWS WAF's own
    terms.
    """
    found: dict[str, dict[str, Any]] = {"web_acls": {}, "ip_sets": {}, "pattern_sets": {}}
    for _, regions in list(wafv2_backends.items()):
        for backend in list(regions.values()):
            for acl in backend.wacls.values():
                # Distributions cannot use regional ones.
                if ":global/" in acl.arn:
                    found["web_acls"][acl.arn] = _web_acl(acl)
            for ip_set in backend.ip_sets.values():
                found["ip_sets"][ip_set.arn] = list(ip_set.addresses)
            for patterns in backend.regex_pattern_sets.values():
                expressions = [item.get("RegexString", "") for item in patterns.regular_expressions]
                found["pattern_sets"][patterns.arn] = expressions
    return found


def gateways() -> list[dict[str, Any]]:
    """Every WebSocket API: host name, stages, and host:port of the $default route's integration."""
    found = []
    for account, regions in list(apigatewayv2_backends.items()):
        for backend in list(regions.values()):
            for api in backend.apis.values():
                if api.protocol_type == "WEBSOCKET":
                    found.append(
                        {
                            "account": account,
                            "host": str(urlsplit(api.api_endpoint).hostname),
                            "stages": [stage.name for stage in api.stages.values()],
                            "integration": _integration(api),
                            "disabled": bool(api.disable_execute_api_endpoint),
                        }
                    )
    return found


def _web_acl(acl: Any) -> dict[str, Any]:
    return {
        "name": acl.name,
        "default_action": acl.default_action,
        "rules": [
            {
                "name": rule.name,
                "priority": rule.priority,
                "action": rule.action,
                "override_action": rule.override_action,
                "statement": rule.statement,
            }
            for rule in acl.rules
        ],
    }


def _integration(api: Any) -> str:
    """host:port of the $default route's integration, "" if it does not lead to an address."""
    target = next(
        (str(route.target or "") for route in api.routes.values() if route.route_key == "$default"),
        "",
    )
    named = _INTEGRATION.fullmatch(target)
    integration = api.integrations.get(named.group(1)) if named else None
    try:
        uri = urlsplit(str(integration.integration_uri or "")) if integration else None
        port = (uri.port or _DEFAULT_PORTS.get(uri.scheme)) if uri else None
    except ValueError:
        return ""
    return f"{uri.hostname}:{port}" if uri and uri.hostname and port else ""
