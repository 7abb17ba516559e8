"""What the edge reads about web ACLs, WebSocket APIs and viewers that were created through
the API.
"""

from __future__ import annotations

import json
import urllib.error
from typing import Any

import pytest

from tests.lab.account import CHAT_ACCOUNT, REGION, Account, Lab

SILENT = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "chat"}


def test_a_web_acl_of_cloudfront_with_its_sets(lab: Lab, account: Account) -> None:
    waf = account.client("wafv2")
    addresses = {"IPAddressVersion": "IPV4", "Addresses": ["192.0.2.0/24"]}
    ip_set = waf.create_ip_set(Name="bad", Scope="CLOUDFRONT", **addresses)["Summary"]["ARN"]
    rule = {
        "Name": "addresses",
        "Priority": 1,
        "Action": {"Block": {}},
        "VisibilityConfig": SILENT,
        "Statement": {"IPSetReferenceStatement": {"ARN": ip_set}},
    }
    made: dict[str, str] = {}
    for scope in ("CLOUDFRONT", "REGIONAL"):
        acl = waf.create_web_acl(
            Name=scope,
            Scope=scope,
            DefaultAction={"Allow": {}},
            VisibilityConfig=SILENT,
            Rules=[rule],
        )
        made[scope] = acl["Summary"]["ARN"]
    firewall = lab.get("/_lab/state")["firewall"]
    assert firewall["ip_sets"][ip_set] == ["192.0.2.0/24"]
    assert made["REGIONAL"] not in firewall["web_acls"]
    (told,) = firewall["web_acls"][made["CLOUDFRONT"]]["rules"]
    assert told == {
        "name": "addresses",
        "priority": 1,
        "action": {"Block": {}},
        "override_action": None,
        "statement": rule["Statement"],
    }


def test_a_websocket_api_and_where_it_leads(lab: Lab, account: Account) -> None:
    gateway = account.client("apigatewayv2")
    version = lab.get("/_lab/state")["version"]
    api = gateway.create_api(
        Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
    )
    assert lab.get("/_lab/state")["version"] > version
    integration = gateway.create_integration(
        ApiId=api["ApiId"],
        IntegrationType="HTTP_PROXY",
        IntegrationUri="http://10.10.8.174:8080/",
        IntegrationMethod="ANY",
    )
    host = f"{api['ApiId']}.execute-api.{REGION}.amazonaws.com"

    def told() -> dict[str, Any]:
        (found,) = [item for item in lab.get("/_lab/state")["gateways"] if item["host"] == host]
        result: dict[str, Any] = found
        return result

    assert (told()["stages"], told()["integration"]) == ([], "")
    gateway.create_route(
        ApiId=api["ApiId"],
        RouteKey="$default",
        Target=f"integrations/{integration['IntegrationId']}",
    )
    gateway.create_stage(ApiId=api["ApiId"], StageName="prod")
    assert (told()["stages"], told()["integration"]) == (["prod"], "10.10.8.174:8080")
    http = gateway.create_api(Name="pages", ProtocolType="HTTP")
    assert all(http["ApiId"] not in item["host"] for item in lab.get("/_lab/state")["gateways"])


def test_the_chat_accounts_own_api(lab: Lab) -> None:
    told = lab.get("/_lab/state")["gateways"]
    (seeded,) = [item for item in told if item["account"] == CHAT_ACCOUNT]
    assert (seeded["stages"], seeded["integration"]) == (["prod"], "10.10.8.174:8080")
    assert seeded["integration"] in lab.get("/_lab/state")["hosts"]


def test_where_viewers_are(lab: Lab) -> None:
    before = lab.get("/_lab/viewers")
    changed = lab.post(
        "/_lab/viewers", {"viewer_countries": {"127.0.0.49": "de"}, "log_delay_seconds": 2}
    )
    assert changed == {
        **before,
        "viewer_countries": {"127.0.0.49/32": "DE"},
        "log_delay_seconds": 2.0,
    }
    assert lab.get("/_lab/state")["settings"] == changed
    for nonsense in (
        {"viewer_country": "Germany"},
        {"viewer_countries": {"not an address": "DE"}},
        {"viewer_countries": ["DE"]},
        {"log_delay_seconds": -1},
        {"log_delay_seconds": True},
        {"country": "DE"},
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            lab.post("/_lab/viewers", nonsense)
        with refused.value as reply:
            assert reply.code == 400
            assert json.loads(reply.read())["error"]
    assert lab.get("/_lab/viewers") == changed
    lab.post("/_lab/viewers", {"viewer_countries": {"127.0.0.49": ""}, "log_delay_seconds": 0})
    assert lab.get("/_lab/viewers") == before
