"""The running product and its lab, as confusion.py reaches them: a team's API calls, an operator's
command, a visitor.

Nothing here knows what a verdict should be.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import boto3
import httpx

from stack.ports import LOOPBACK
from stack.product import PROJECT, Stack

ACCOUNT, DISTRIBUTION = "111122223333", "Chat front door"
MAKING_PATIENCE, CHECK_PATIENCE = 240.0, 90.0
HEAL_PATIENCE = 60.0
GATEWAY_STAGE = "/prod"
CACHING_DISABLED, ALL_BUT_HOST = (
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
    "b689b0a8-53d0-40ab-baf2-68738e2966ac",
)


@dataclass(frozen=True)
class Given:
    """The verdicts of one check: (code, certainty), ranked; `live` as the portal says, `address`
    its own in the API.
    """

    live: bool
    verdicts: tuple[tuple[str, str], ...]
    address: str = ""

    @property
    def first(self) -> str:
        """The code to act on."""
        return self.verdicts[0][0] if self.verdicts else ""

    def sure_beyond(self, *wanted: str) -> tuple[str, ...]:
        """Codes that were said with high certainty and are none of these."""
        return tuple(
            code
            for code, sure in self.verdicts
            if sure == "high" and code not in (*wanted, "WSE-LIVE")
        )

    def told(self, most: int = 3) -> tuple[str, ...]:
        """The first codes."""
        return tuple(code for code, _ in self.verdicts[:most])


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of the portal, and what the lab aims its faults at; `id` is "" where the portal
    has none there.
    """

    id: str
    distribution: str
    path: str


class Site:
    """The running product and its lab, as a team and an operator reach them."""

    def __init__(self, stack: Stack, team: boto3.Session) -> None:
        tokens = json.loads(stack.tokens_file.read_text())
        aws = stack.env["AWS_ENDPOINT_URL"]
        self._env = stack.env
        self._first: dict[str, str] = {}
        trust = ssl.create_default_context(cafile=stack.env["PROBE_CA_FILE"])
        self._visitor = httpx.Client(
            base_url=f"https://{LOOPBACK}:{stack.ports.edge_tls}", verify=trust, timeout=30
        )
        lab = {"Host": "lab.localhost"}
        self._logs = httpx.Client(
            base_url=f"http://{LOOPBACK}:{stack.ports.edge}", headers=lab, timeout=30
        )
        self._api = _client(stack.url, tokens["ana"])
        self._approver = _client(stack.url, tokens["olga"])
        self._lab = httpx.Client(base_url=aws, timeout=60)
        self._balancers = team.client("elbv2", endpoint_url=aws)
        listed = team.client("cloudfront", endpoint_url=aws).list_distributions()[
            "DistributionList"
        ]["Items"]
        self.distribution, self._domain = next(
            (item["Id"], item["DomainName"]) for item in listed if item["Comment"] == DISTRIBUTION
        )

    def address(self, path: str) -> str:
        """A path of the distribution, as a client connects to it."""
        return f"wss://{self._domain}{path}"

    def make(self, name: str, target: str, path: str, **more: str) -> Endpoint:
        """An endpoint, asked for, approved by somebody else, and live."""
        arn = self._balancers.describe_load_balancers(Names=[target])["LoadBalancers"][0][
            "LoadBalancerArn"
        ]
        answers = {
            "team": "chat",
            "name": name,
            "account_id": ACCOUNT,
            "distribution_id": self.distribution,
            "target_arn": arn,
            "path_patterns": path,
            "max_silence_seconds": "30",
            "justification": "To be broken on purpose.",
        }
        asked = self._api.post("/requests", json=answers | more).raise_for_status().json()
        planned = self._await(asked["id"], "awaiting_approval")
        decision = {"plan_digest": planned["plan_digest"], "reason": "Measured."}
        self._approver.post(f"/requests/{asked['id']}/approve", json=decision).raise_for_status()
        made = self._await(asked["id"], "live")["endpoint"]
        return Endpoint(made["id"], self.distribution, path.partition(",")[0])

    def _await(self, request_id: str, state: str) -> dict[str, Any]:
        until = time.monotonic() + MAKING_PATIENCE
        while True:
            shown: dict[str, Any] = self._api.get(f"/requests/{request_id}").json()
            if shown["state"] == state:
                return shown
            if time.monotonic() > until or shown["state"] in (
                "blocked",
                "failed",
                "stuck",
                "unanswered",
            ):
                raise SystemExit(
                    f"{shown['name']} is {shown['state']}, not {state}: {shown['reason']}"
                )
            time.sleep(0.5)

    def faults(self) -> list[dict[str, Any]]:
        """Those a handshake may meet."""
        listed = self._lab.get("/_lab/faults").json()["faults"]
        return [fault for fault in listed if fault["verdict"]]

    def set(self, name: str, **given: str) -> str:
        """Set a fault; its id."""
        answer = self._lab.post("/_lab/faults", json={"name": name, **given})
        if answer.status_code != 201:
            raise RuntimeError(f"{name}: {answer.text}")
        return str(answer.json()["id"])

    def lead(self, address: str, port: int) -> None:
        """Lead a simulated target to a port of loopback, 0 to where it led at first."""
        if not self._first:
            self._first = dict(self._lab.get("/_lab/hosts").raise_for_status().json()["hosts"])
        there = f"{LOOPBACK}:{port}" if port else self._first[address]
        self._lab.post("/_lab/hosts", json={address: there}).raise_for_status()

    def clear(self) -> None:
        """Clear every fault."""
        self._lab.delete("/_lab/faults").raise_for_status()

    def check(self, endpoint_id: str, wanted: dict[str, str]) -> Given:
        """Test as a team does, and read the verdicts."""
        until = time.monotonic() + CHECK_PATIENCE
        while True:
            asked = self._api.post(f"/endpoints/{endpoint_id}/checks", json=wanted)
            if asked.status_code == 202:
                break
            if asked.status_code not in (409, 429) or time.monotonic() > until:
                raise RuntimeError(f"the check was not taken: {asked.text}")
            time.sleep(1)
        address = f"/endpoints/{endpoint_id}/checks/{asked.json()['id']}"
        return _given(self._ended(address, until), address)

    def check_with_log_rows(self, endpoint: Endpoint) -> Given:
        """Test, have a visitor's POST refused, and give the portal CloudFront's log row of that, as
        a team may.
        """
        live = self.check(endpoint.id, {})
        self._visitor.post(
            endpoint.path,
            content=b"40",
            headers={"Host": self._domain},
            extensions={"sni_hostname": self._domain},
        )
        logs = self._logs.get("/_lab/logs", params={"distribution": endpoint.distribution})
        rows = [row for row in logs.raise_for_status().json()["rows"] if row["cs-method"] == "POST"]
        if not rows:
            raise RuntimeError("CloudFront's log has no row of the POST")
        until = time.monotonic() + CHECK_PATIENCE
        asked = self._api.post(
            f"{live.address}/log-rows", json={"rows": json.dumps(rows[-1])}
        ).raise_for_status()
        self._ended(f"/endpoints/{endpoint.id}/probes/{asked.json()['id']}", until)
        return _given(self._api.get(live.address).json(), live.address)

    def probe(self, path: str) -> Given:
        """`manage.py probe` of a path of the distribution, as an operator types it: it asks AWS
        nothing.
        """
        command = [
            sys.executable,
            "manage.py",
            "probe",
            self.address(path),
            "--handshake-only",
            "--json",
        ]
        done = subprocess.run(
            command, cwd=PROJECT, env=dict(self._env), capture_output=True, text=True, check=False
        )
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        (way,) = json.loads(done.stdout)["routes"]
        return Given(
            way["live"], tuple((found["code"], found["certainty"]) for found in way["verdicts"])
        )

    def _ended(self, address: str, until: float) -> dict[str, Any]:
        while True:
            shown: dict[str, Any] = self._api.get(address).json()
            if shown.get("state") == "finished":
                return shown
            if time.monotonic() > until:
                raise RuntimeError(f"{address} did not end: {shown}")
            time.sleep(0.4)

    def look(self, endpoint: Endpoint, wanted: dict[str, str]) -> Given:
        """A check of the portal's where it has an endpoint, else the operator's probe."""
        return self.check(endpoint.id, wanted) if endpoint.id else self.probe(endpoint.path)

    def heal(self, endpoint: Endpoint) -> Given:
        """Clear, and test until the endpoint is live again."""
        self.clear()
        until = time.monotonic() + HEAL_PATIENCE
        while True:
            given = self.look(endpoint, {})
            if given.live or time.monotonic() > until:
                return given
            time.sleep(1)


def _given(shown: dict[str, Any], address: str) -> Given:
    verdicts = tuple((found["code"], found["certainty"]) for found in shown["findings"])
    return Given(bool(shown["ok"]), verdicts, address)


def _client(url: str, token: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30
    )


def team_session(stack: Stack) -> boto3.Session:
    """The team's own access to its account."""
    env = stack.env
    own = boto3.Session("lab", "lab", region_name=env["AWS_DEFAULT_REGION"])
    role = own.client("sts", endpoint_url=env["AWS_ENDPOINT_URL"]).assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/OrganizationAccountAccessRole",
        RoleSessionName="bench",
    )["Credentials"]
    keys = (role["AccessKeyId"], role["SecretAccessKey"], role["SessionToken"])
    return boto3.Session(*keys, region_name=env["AWS_DEFAULT_REGION"])


def put_doors_in_front(team: boto3.Session, aws: str) -> None:
    """The distribution's default behavior becomes that of a website: without an origin request
    policy, so that what another behavior answers differs from what the endpoint answers. Another
    path leads to the account's WebSocket API of API Gateway, which is no endpoint of the portal.
    """
    apis = team.client("apigatewayv2", endpoint_url=aws).get_apis()["Items"]
    host = next(
        api["ApiEndpoint"].partition("://")[2] for api in apis if api["ProtocolType"] == "WEBSOCKET"
    )
    cloudfront = team.client("cloudfront", endpoint_url=aws)
    listed = cloudfront.list_distributions()["DistributionList"]["Items"]
    found = next(item["Id"] for item in listed if item["Comment"] == DISTRIBUTION)
    answer = cloudfront.get_distribution_config(Id=found)
    config = answer["DistributionConfig"]
    website = config["DefaultCacheBehavior"]
    website.pop("OriginRequestPolicyId", None)
    origin: Any = config["Origins"]["Items"][0]
    custom = origin["CustomOriginConfig"] | {"OriginProtocolPolicy": "https-only"}
    api = origin | {"Id": "api", "DomainName": host, "CustomOriginConfig": custom}
    forwarding = {"CachePolicyId": CACHING_DISABLED, "OriginRequestPolicyId": ALL_BUT_HOST}
    to_api: Any = website | forwarding | {"PathPattern": GATEWAY_STAGE, "TargetOriginId": "api"}
    config["Origins"] = {"Quantity": 2, "Items": [origin, api]}
    config["CacheBehaviors"] = {"Quantity": 1, "Items": [to_api]}
    cloudfront.update_distribution(Id=found, IfMatch=answer["ETag"], DistributionConfig=config)
