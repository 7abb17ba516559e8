"""Every fault of the lab, and the first verdict the portal gives for it.

The whole product runs; two endpoints are made and proven live. Then each fault is set, the endpoint is tested through
the portal's API as a team would, the verdict is read, the fault cleared. Pairs of faults are set together. Goals: the
first verdict is the one that the fault names in at least 95 of 100 cases, nothing wrong is said with high certainty, a
healthy endpoint has no finding, and of a pair both verdicts are among the first three in at least 80 of 100 cases.

`python -m bench.confusion` takes about five minutes; `--pairs 0` leaves the pairs out, `--only NAME` takes one fault.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx

from stack.product import Stack

TIME_SCALE = 90.0
ACCOUNT, DISTRIBUTION, SECURE_NAME = "111122223333", "Chat front door", "secure.chat.example"
MAKING_PATIENCE, CHECK_PATIENCE = 240.0, 90.0
HEAL_PATIENCE = 60.0
GOAL_DIAGONAL, GOAL_PAIRS = 0.95, 0.8
SEED = 20261121

ASKED: dict[str, dict[str, str]] = {
    "handshake": {},
    "handshake over ws://": {"unencrypted": "true"},
    "handshake with the Origin https://elsewhere.example": {"origin": "https://elsewhere.example"},
    "handshake that offers the subprotocol chat.v1": {"subprotocols": "chat.v1"},
    "handshake, then a message": {},
    "handshake, then silence": {"script": "hold 20"},
    "several handshakes": {},
}
"""What a person asks for who sees what the fault's signature says."""
NOT_BY_HANDSHAKE = {
    "POST": "a handshake is a GET; the check sends no POST",
    "handshake with an alias as host": "the check asks by the distribution's own name",
}
TURNS = {"several handshakes": 8}


@dataclass(frozen=True)
class Given:
    """The verdicts of one check: (code, certainty), ranked; `live` as the portal says."""

    live: bool
    verdicts: tuple[tuple[str, str], ...]

    @property
    def first(self) -> str:
        """The code to act on."""
        return self.verdicts[0][0] if self.verdicts else ""

    def told(self, most: int = 3) -> tuple[str, ...]:
        """The first codes."""
        return tuple(code for code, _ in self.verdicts[:most])


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of the portal, and what the lab aims its faults at."""

    id: str
    distribution: str
    path: str


class Site:
    """The running product and its lab, as a team and an operator reach them."""

    def __init__(self, stack: Stack, team: boto3.Session) -> None:
        tokens = json.loads(stack.tokens_file.read_text())
        aws = stack.env["AWS_ENDPOINT_URL"]
        self._api = _client(stack.url, tokens["ana"])
        self._approver = _client(stack.url, tokens["olga"])
        self._lab = httpx.Client(base_url=aws, timeout=60)
        self._balancers = team.client("elbv2", endpoint_url=aws)
        listed = team.client("cloudfront", endpoint_url=aws).list_distributions()["DistributionList"]["Items"]
        self.distribution = next(item["Id"] for item in listed if item["Comment"] == DISTRIBUTION)

    def make(self, name: str, target: str, path: str, **more: str) -> Endpoint:
        """An endpoint, asked for, approved by somebody else, and live."""
        arn = self._balancers.describe_load_balancers(Names=[target])["LoadBalancers"][0]["LoadBalancerArn"]
        wish = {
            "team": "chat",
            "name": name,
            "account_id": ACCOUNT,
            "distribution_id": self.distribution,
            "target_arn": arn,
            "path_patterns": path,
            "max_silence_seconds": "30",
            "justification": "To be broken on purpose.",
        }
        asked = self._api.post("/requests", json=wish | more).raise_for_status().json()
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
            if time.monotonic() > until or shown["state"] in ("blocked", "failed", "stuck", "unanswered"):
                raise SystemExit(f"{shown['name']} is {shown['state']}, not {state}: {shown['reason']}")
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
        while True:
            shown = self._api.get(address).json()
            if shown.get("state") == "finished":
                break
            if time.monotonic() > until:
                raise RuntimeError(f"the check did not end: {shown}")
            time.sleep(0.4)
        verdicts = tuple((found["code"], found["certainty"]) for found in shown["findings"])
        return Given(bool(shown["ok"]), verdicts)

    def heal(self, endpoint_id: str) -> Given:
        """Clear, and test until the endpoint is live again."""
        self.clear()
        until = time.monotonic() + HEAL_PATIENCE
        while True:
            given = self.check(endpoint_id, {})
            if given.live or time.monotonic() > until:
                return given
            time.sleep(1)


def _client(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30)


@dataclass(frozen=True)
class Cell:
    """One fault and what was said of it."""

    fault: str
    wanted: str
    given: Given

    @property
    def right(self) -> bool:
        """Is the first verdict the fault's own? After a live handshake it follows the word that it is live."""
        told = self.given.told(2)
        return told[:1] == (self.wanted,) or (self.given.live and told == ("WSE-LIVE", self.wanted))

    @property
    def surely_wrong(self) -> tuple[str, ...]:
        """Codes that were said with high certainty and are not the fault's."""
        return tuple(
            code
            for code, certainty in self.given.verdicts
            if certainty == "high" and code not in (self.wanted, "WSE-LIVE")
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 0 when every goal is met."""
    parser = argparse.ArgumentParser(prog="python -m bench.confusion", description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--only", action="append", default=[])
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="edge-portal-confusion-") as directory:
        stack = Stack(Path(directory) / "state", time_scale=TIME_SCALE, durable=False, say=lambda line: None)
        with stack:
            team = _team(stack)
            _put_a_website_in_front(team, stack.env["AWS_ENDPOINT_URL"])
            return _measure(Site(stack, team), chosen.only, chosen.pairs)


def _team(stack: Stack) -> boto3.Session:
    """The team's own access to its account."""
    env = stack.env
    own = boto3.Session("lab", "lab", region_name=env["AWS_DEFAULT_REGION"])
    role = own.client("sts", endpoint_url=env["AWS_ENDPOINT_URL"]).assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/edge-portal", RoleSessionName="bench"
    )["Credentials"]
    keys = (role["AccessKeyId"], role["SecretAccessKey"], role["SessionToken"])
    return boto3.Session(*keys, region_name=env["AWS_DEFAULT_REGION"])


def _put_a_website_in_front(team: boto3.Session, aws: str) -> None:
    """The distribution's default behavior becomes that of a website: without an origin request policy, so that what
    another behavior answers differs from what the endpoint answers.
    """
    cloudfront = team.client("cloudfront", endpoint_url=aws)
    listed = cloudfront.list_distributions()["DistributionList"]["Items"]
    found = next(item["Id"] for item in listed if item["Comment"] == DISTRIBUTION)
    answer = cloudfront.get_distribution_config(Id=found)
    config = answer["DistributionConfig"]
    config["DefaultCacheBehavior"].pop("OriginRequestPolicyId", None)
    cloudfront.update_distribution(Id=found, IfMatch=answer["ETag"], DistributionConfig=config)


def _measure(site: Site, only: Sequence[str], pairs: int) -> int:
    plain = site.make("plain", "int-chat", "/ws,/ws/*")
    secure = site.make(
        "secure", "int-secure", "/secure", origin_protocol="https-only", origin_domain=SECURE_NAME, forward_host="false"
    )
    healthy = [site.check(endpoint.id, {}) for endpoint in (plain, secure)]
    print(f"healthy: {[given.told() for given in healthy]}", flush=True)
    cells: list[Cell] = []
    met: list[dict[str, Any]] = []
    for fault in site.faults():
        if only and fault["name"] not in only:
            continue
        if fault["ask"] in NOT_BY_HANDSHAKE:
            print(f"{fault['name']:32} left out: {NOT_BY_HANDSHAKE[fault['ask']]}")
            continue
        try:
            endpoint = _set_where_it_fits(site, fault, (plain, secure))
        except RuntimeError as refused:
            print(f"{fault['name']:32} left out: {refused}")
            continue
        given = _look(site, endpoint.id, fault["ask"])
        cells.append(cell := Cell(fault["name"], fault["verdict"], given))
        if endpoint is plain:
            met.append(fault)
        mark = "" if cell.right else "  <-- wanted " + cell.wanted
        told = " ".join(f"{code}({sure})" for code, sure in given.verdicts[:3])
        print(f"{fault['name']:32} {told}{mark}", flush=True)
        again = site.heal(endpoint.id)
        if not again.live:
            print(f"  not healthy after {fault['name']}: {again.verdicts}")
            return 1
    found = _pairs(site, plain, met, pairs)
    return _report(healthy, cells, found)


def _set_where_it_fits(site: Site, fault: dict[str, Any], endpoints: Sequence[Endpoint]) -> Endpoint:
    """Set a fault on the first endpoint that can have it. Raises RuntimeError with the last refusal."""
    for endpoint in endpoints:
        try:
            site.set(fault["name"], **_aim(fault, endpoint))
            return endpoint
        except RuntimeError as refused:
            last = refused
    raise last


def _aim(fault: dict[str, Any], endpoint: Endpoint) -> dict[str, str]:
    aim = {"distribution": endpoint.distribution, "path": endpoint.path}
    return {name: value for name, value in aim.items() if name in fault["takes"]}


def _look(site: Site, endpoint_id: str, asks: str) -> Given:
    """One check; where a fault shows only now and then, up to the first that fails."""
    for _ in range(TURNS.get(asks, 1)):
        given = site.check(endpoint_id, ASKED[asks])
        if not given.live:
            break
    return given


def _pairs(
    site: Site, endpoint: Endpoint, faults: list[dict[str, Any]], most: int
) -> list[tuple[str, str, Given, bool]]:
    """Pairs of faults that a plain handshake meets and that lie in different places."""
    plain = [fault for fault in faults if ASKED[fault["ask"]] == {} and fault["kind"] == "account"]
    both = [(a, b) for a, b in itertools.combinations(plain, 2) if a["verdict"] != b["verdict"]]
    random.Random(SEED).shuffle(both)
    found = []
    for one, other in both[:most]:
        try:
            for fault in (one, other):
                site.set(fault["name"], **_aim(fault, endpoint))
        except RuntimeError as refused:
            print(f"{one['name']} + {other['name']}: left out: {refused}")
            site.heal(endpoint.id)
            continue
        given = site.check(endpoint.id, {})
        told = given.told(3)
        right = one["verdict"] in told and other["verdict"] in told
        found.append((one["name"], other["name"], given, right))
        mark = "" if right else f"  <-- wanted {one['verdict']} and {other['verdict']}"
        print(f"{one['name']} + {other['name']}: {' '.join(told)}{mark}", flush=True)
        if not site.heal(endpoint.id).live:
            print("  not healthy after that")
            break
    return found


def _report(healthy: Sequence[Given], cells: Sequence[Cell], pairs: Sequence[tuple[str, str, Given, bool]]) -> int:
    right = sum(cell.right for cell in cells)
    wrong = [(cell.fault, cell.surely_wrong) for cell in cells if cell.surely_wrong]
    both = sum(pair[3] for pair in pairs)
    print(f"\n{right} of {len(cells)} faults: the first verdict is the fault's own")
    print(f"surely wrong: {wrong or 'nothing'}")
    print(f"{both} of {len(pairs)} pairs: both verdicts among the first three")
    goals = {
        "healthy endpoints have no finding": all(given.told() == ("WSE-LIVE",) for given in healthy),
        f"diagonal at least {GOAL_DIAGONAL:.0%}": right >= GOAL_DIAGONAL * len(cells),
        "nothing wrong with high certainty": not wrong,
        f"pairs at least {GOAL_PAIRS:.0%}": both >= GOAL_PAIRS * len(pairs),
    }
    for goal, met in goals.items():
        print(f"goal: {goal}: {'met' if met else 'MISSED'}")
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
