"""Every fault of the lab and every refusal of refusals.toml, and the first verdict the portal
gives for it.

The whole product runs; two endpoints are made and proven live. Then each fault is set, the endpoint
is tested through the portal's API as a team would, the verdict is read, the fault cleared. Two
faults need another question: methods that are not allowed are refused to a POST, whose log row is
given to the portal; API Gateway is no endpoint of the portal, and is asked with `manage.py probe`.
Pairs of faults are set together. The refusals are what frameworks, servers and proxies send: an
origin that sends them takes the app's place. Each is checked through the API, with a look at AWS,
and once more without one.

Goals: the first verdict is the one that the fault names in at least 95 of 100 cases, nothing wrong
is said with high certainty, a healthy endpoint has no finding, it is healthy again after each
fault, and of a pair both verdicts are among the first three in at least 80 of 100 cases.

`python -m bench.confusion` takes about half an hour; `--pairs 0` leaves the pairs out, `--only
NAME` takes one fault or refusal (may repeat, and leaves the pairs to those), `--refusals` takes the
refusals alone.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.confusion_site import (
    GATEWAY_STAGE,
    Endpoint,
    Given,
    Site,
    put_doors_in_front,
    team_session,
)
from bench.refusals import CAUSES, CannedOrigin, serving
from stack.product import Stack

TIME_SCALE = 90.0
SECURE_NAME = "secure.chat.example"
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
    "POST": {},
}
"""What a person asks for who sees what the fault's signature says."""
NOT_BY_HANDSHAKE = {
    "handshake with an alias as host": "the portal checks the distribution's own name, which "
    "cannot be removed",
}
TURNS = {"several handshakes": 8}
BEFORE = {"edge-stale": "signed-cookies-required"}
"""A fault that is set and cleared before another: an edge that lags behind shows only when what was
before differed.
"""


@dataclass(frozen=True)
class Cell:
    """One fault and what was said of it."""

    fault: str
    wanted: str
    given: Given

    @property
    def right(self) -> bool:
        """Is the first verdict the fault's own? After a live handshake it follows the word that it
        is live.
        """
        told = self.given.told(2)
        return told[:1] == (self.wanted,) or (self.given.live and told == ("WSE-LIVE", self.wanted))

    @property
    def surely_wrong(self) -> tuple[str, ...]:
        """Codes that were said with high certainty and are not the fault's."""
        return self.given.sure_beyond(self.wanted)


@dataclass(frozen=True)
class Pair:
    """Two faults at once, their verdicts, and what was said."""

    faults: tuple[str, str]
    wanted: tuple[str, str]
    given: Given

    @property
    def right(self) -> bool:
        """Are both verdicts among the first three?"""
        return set(self.wanted) <= set(self.given.told(3))

    @property
    def surely_wrong(self) -> tuple[str, ...]:
        """Codes that were said with high certainty and are neither's."""
        return self.given.sure_beyond(*self.wanted)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 0 when every goal is met."""
    parser = argparse.ArgumentParser(prog="python -m bench.confusion", description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--refusals", action="store_true")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="edge-portal-confusion-") as directory:
        stack = Stack(
            Path(directory) / "state", time_scale=TIME_SCALE, durable=False, say=lambda line: None
        )
        with stack:
            team = team_session(stack)
            put_doors_in_front(team, stack.env["AWS_ENDPOINT_URL"])
            os.environ.update(stack.env | {"DJANGO_SETTINGS_MODULE": "portal.settings"})
            site = Site(stack, team)
            return _measure(site, chosen.only, chosen.pairs, faults=not chosen.refusals)


def _measure(site: Site, only: Sequence[str], pairs: int, *, faults: bool) -> int:
    plain = site.make("plain", "int-chat", "/ws,/ws/*")
    secure = site.make(
        "secure",
        "int-secure",
        "/secure",
        origin_protocol="https-only",
        origin_domain=SECURE_NAME,
        forward_host="false",
    )
    gateway = Endpoint("", site.distribution, GATEWAY_STAGE)
    healthy = [site.look(endpoint, {}) for endpoint in (plain, secure, gateway)]
    print(f"healthy: {[given.told() for given in healthy]}", flush=True)
    cells: list[Cell] = []
    met: list[dict[str, Any]] = []
    for fault in site.faults() if faults else ():
        if only and fault["name"] not in only:
            continue
        if fault["action"] in NOT_BY_HANDSHAKE:
            print(f"{fault['name']:32} left out: {NOT_BY_HANDSHAKE[fault['action']]}")
            continue
        if fault["name"] in BEFORE:
            site.set(BEFORE[fault["name"]], distribution=plain.distribution, path=plain.path)
            site.heal(plain)
        try:
            endpoint = _set_where_it_fits(site, fault, (plain, secure, gateway))
        except RuntimeError as refused:
            print(f"{fault['name']:32} left out: {refused}")
            continue
        if fault["action"] == "POST":
            given = site.check_with_log_rows(endpoint)
        else:
            # Where a fault shows only now and then: up to the first that fails
            for _ in range(TURNS.get(fault["action"], 1)):
                given = site.look(endpoint, ASKED[fault["action"]])
                if not given.live:
                    break
        cells.append(cell := Cell(fault["name"], fault["verdict"], given))
        if endpoint is plain:
            met.append(fault)
        mark = "" if cell.right else "  <-- wanted " + cell.wanted
        told = " ".join(f"{code}({sure})" for code, sure in given.verdicts[:3])
        print(f"{fault['name']:32} {told}{mark}", flush=True)
        again = site.heal(endpoint)
        if not again.live:
            print(f"  not healthy after {fault['name']}: {again.verdicts}")
            return _report(healthy, cells, [], [], healed=False)
    found, healed = _pairs(site, plain, met, pairs)
    refusals = _refusals(site, plain, only)
    return _report(healthy, cells, found, refusals, healed and site.heal(plain).live)


TARGET = "10.10.8.174:8080"
"""The app of int-chat in the lab's first account."""


def _refusals(site: Site, endpoint: Endpoint, only: Sequence[str]) -> list[Cell]:
    """Each refusal in the app's place: one cell with a look at AWS, one without."""
    from bench.without_aws import explain

    cells: list[Cell] = []
    origin = CannedOrigin(CAUSES[0])
    with serving(origin) as port:
        site.lead(TARGET, port)
        try:
            while explain(site.address(endpoint.path)).first.code == "WSE-LIVE":
                time.sleep(0.5)  # The edge has not followed yet.
            for cause in CAUSES:
                if only and cause.name not in only:
                    continue
                # The lab's distribution has no other name that could be tried.
                right = cause.right(looked=cause.opens != "host alias")
                origin.cause = cause
                alone = explain(site.address(endpoint.path))
                told = tuple((one.code, str(one.certainty)) for one in alone.diagnoses)
                # Who is refused for being no browser sees it as such a client.
                client = {"client": "node"} if cause.opens == "user agent" else {}
                pair = (
                    Cell(cause.name, right, site.check(endpoint.id, client)),
                    Cell(f"{cause.name} alone", cause.right(looked=False), Given(False, told)),
                )
                cells += pair
                for cell in pair:
                    mark = "" if cell.right else "  <-- wanted " + cell.wanted
                    mark += f"  <-- surely wrong {cell.surely_wrong}" if cell.surely_wrong else ""
                    shown = " ".join(f"{code}({sure})" for code, sure in cell.given.verdicts[:3])
                    print(f"{cell.fault:45} {shown}{mark}", flush=True)
        finally:
            site.lead(TARGET, 0)
    return cells


def _set_where_it_fits(
    site: Site, fault: dict[str, Any], endpoints: Sequence[Endpoint]
) -> Endpoint:
    """Set a fault on the first endpoint that can have it. Raises RuntimeError with the last
    refusal.
    """
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


def _pairs(
    site: Site, endpoint: Endpoint, faults: list[dict[str, Any]], most: int
) -> tuple[list[Pair], bool]:
    """Pairs of faults that a plain handshake meets and that lie in different places; False where
    the endpoint stayed broken after one, which is the last then.
    """
    plain = [
        fault for fault in faults if fault["action"] == "handshake" and fault["kind"] == "account"
    ]
    # What moves the path comes last, so that the other one hits the endpoint and not what answers
    # in its place.
    plain.sort(key=lambda fault: bool(fault["verdict"] == "WSE-PATH"))
    both = [(a, b) for a, b in itertools.combinations(plain, 2) if a["verdict"] != b["verdict"]]
    random.Random(SEED).shuffle(both)
    found = []
    for one, other in both[:most]:
        refused = _set_both(site, endpoint, one, other) and _set_both(site, endpoint, other, one)
        if refused:
            print(f"{one['name']} + {other['name']}: left out: {refused}")
            continue
        given = site.check(endpoint.id, {})
        pair = Pair((one["name"], other["name"]), (one["verdict"], other["verdict"]), given)
        found.append(pair)
        mark = "" if pair.right else f"  <-- wanted {' and '.join(pair.wanted)}"
        mark += f"  <-- surely wrong {' and '.join(pair.surely_wrong)}" if pair.surely_wrong else ""
        print(f"{' + '.join(pair.faults)}: {' '.join(given.told(3))}{mark}", flush=True)
        if not site.heal(endpoint).live:
            print("  not healthy after that")
            return found, False
    return found, True


def _set_both(site: Site, endpoint: Endpoint, one: dict[str, Any], other: dict[str, Any]) -> str:
    """Set two faults in this order; why not, with nothing set, where one hides what the other must
    hit.
    """
    try:
        for fault in (one, other):
            site.set(fault["name"], **_aim(fault, endpoint))
    except RuntimeError as refused:
        site.heal(endpoint)
        return str(refused)
    return ""


def _report(
    healthy: Sequence[Given],
    cells: Sequence[Cell],
    pairs: Sequence[Pair],
    refused: Sequence[Cell],
    healed: bool,
) -> int:
    right = sum(cell.right for cell in cells)
    wrong = [(cell.fault, cell.surely_wrong) for cell in cells if cell.surely_wrong]
    wrong += [(cell.fault, cell.surely_wrong) for cell in refused if cell.surely_wrong]
    wrong += [(" + ".join(pair.faults), pair.surely_wrong) for pair in pairs if pair.surely_wrong]
    both = sum(pair.right for pair in pairs)
    print(f"\n{right} of {len(cells)} faults: the first verdict is the fault's own")
    looked, alone = refused[::2], refused[1::2]
    seen, unseen = (sum(cell.right for cell in half) for half in (looked, alone))
    print(f"{seen} of {len(looked)} refusals with a look at AWS, {unseen} without one")
    print(f"surely wrong: {wrong or 'nothing'}")
    print(f"{both} of {len(pairs)} pairs: both verdicts among the first three")
    goals = {
        "healthy endpoints have no finding": all(
            given.told() == ("WSE-LIVE",) for given in healthy
        ),
        "healthy again after each fault": healed,
        f"diagonal at least {GOAL_DIAGONAL:.0%}": right >= GOAL_DIAGONAL * len(cells),
        f"refusals at least {GOAL_DIAGONAL:.0%}": seen >= GOAL_DIAGONAL * len(looked),
        f"refusals without AWS at least {GOAL_DIAGONAL:.0%}": unseen >= GOAL_DIAGONAL * len(alone),
        "nothing wrong with high certainty": not wrong,
        f"pairs at least {GOAL_PAIRS:.0%}": both >= GOAL_PAIRS * len(pairs),
    }
    for goal, met in goals.items():
        print(f"goal: {goal}: {'met' if met else 'MISSED'}")
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
