"""Compares what AWS has with the plans that were applied (PURE).

A difference is about one setting or one resource. Values of custom headers, which may be secrets,
are in none, nor are their fingerprints: only the names are compared.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from provisioning.facts import names
from provisioning.facts.network import SecurityGroupRule
from provisioning.facts.path_patterns import overlap, same_paths
from provisioning.facts.snapshot import VpcOriginFacts
from provisioning.plan.distribution_config import has_settings
from provisioning.spec.parsing import read_spec

Config = Mapping[str, Any]
NOTHING = "nothing"
VPC_ORIGINS = "VPC origins"
"""The source of what the account's list of VPC origins shows."""


class Code(StrEnum):
    """`orphan`: it carries the portal's name, and belongs to no endpoint."""

    MISSING = "missing"
    CHANGED = "changed"
    ORPHAN = "orphan"


TITLES = {
    "distribution": "Distribution",
    "origin": "Origin",
    "behavior": "Behavior",
    "vpc-origin": "VPC origin",
    "ingress-rule": "Security group rule",
}


@dataclass(frozen=True)
class Difference:
    """One difference. `subject` is the resource's name in AWS; a change is about one `setting`, in
    AWS's words. `source` says which answer of AWS shows it; `endpoint` is the endpoint's key, ""
    for an orphan.
    """

    code: Code
    resource: str
    subject: str
    source: str
    endpoint: str = ""
    setting: str = ""
    approved: str = ""
    seen: str = ""

    def __str__(self) -> str:
        what = f"{TITLES[self.resource]} {self.subject}"
        if self.code is Code.MISSING:
            return f"{what} is missing"
        if self.code is Code.ORPHAN:
            return f"{what} carries the portal's name but belongs to no endpoint ({self.seen})"
        return f"{what}: {self.setting} was approved as {self.approved} and is now {self.seen}"


@dataclass(frozen=True)
class Applied:
    """An endpoint as its last finished run left it. `origin` and `behaviors` are as approved, the
    origin with its VPC origin; `vpc_origin` is the VpcOriginEndpointConfig. `rules` are the ingress
    rules that it relies on: (group, port, source). `agreed` are origins, and behaviors as "pattern
    to origin", that may come before its own.
    """

    endpoint: str
    distribution_id: str
    origin: Config
    behaviors: tuple[Config, ...]
    vpc_origin_id: str
    vpc_origin: Config
    region: str
    rules: tuple[tuple[str, int, str], ...] = ()
    agreed: frozenset[str] = frozenset()

    def difference(self, code: Code, resource: str, subject: str, **more: str) -> Difference:
        """A difference of this endpoint; of its distribution, unless another source is given."""
        source = more.pop("source", distribution_source(self.distribution_id))
        return Difference(code, resource, subject, source, self.endpoint, **more)


def applied(
    plan: Mapping[str, Any],
    *,
    endpoint: str,
    origins: Mapping[str, str],
    rules: Collection[tuple[str, int, str]],
    neighbors: Collection[str],
) -> Applied:
    """What a plan (its dict) left of an endpoint (its key). `origins` are AWS's IDs of VPC origins
    by their keys, `rules` the portal's own that it uses, `neighbors` the origins of endpoints.
    """
    spec = read_spec(plan["spec"])
    after: dict[str, list[Any]] = {}
    for item in plan["items"]:
        if item["after"]:
            after.setdefault(item["resource"], []).append(item["after"])
    aws_id, origin = origins.get(spec.vpc_origin_key, ""), after["origin"][-1]
    private = origin["VpcOriginConfig"] | ({"VpcOriginId": aws_id} if aws_id else {})
    others = {
        (one["GroupId"], one["Port"], one["Source"])
        for one in after.get("ingress-rule", ())
        if one["Source"] != names.SERVICE_GROUP_NAME
    }
    return Applied(
        endpoint=endpoint,
        distribution_id=spec.distribution_id,
        origin=origin | {"VpcOriginConfig": private},
        behaviors=tuple(after["behavior"]),
        vpc_origin_id=aws_id,
        vpc_origin=after["vpc-origin"][-1],
        region=spec.region,
        rules=tuple(sorted({*rules, *others})),
        agreed=frozenset({*neighbors, *plan["relies_on"]["overlapping_behaviors"]}),
    )


def distribution_source(distribution_id: str) -> str:
    """The source of what a distribution shows."""
    return f"distribution {distribution_id}"


def rules_source(region: str) -> str:
    """The source of what the security groups of a Region show."""
    return f"security groups in {region}"


def compare_distribution(applied: Applied, config: Config | None) -> Iterator[Difference]:
    """The endpoint's origin and behaviors; `config` is None for a distribution that is gone."""
    if config is None:
        yield applied.difference(Code.MISSING, "distribution", applied.distribution_id)
        return
    own = str(applied.origin["Id"])
    origin = next((one for one in _items(config, "Origins") if one["Id"] == own), None)
    if origin is None:
        yield applied.difference(Code.MISSING, "origin", own)
    else:
        for setting, approved, seen in _changes(_names_only(applied.origin), _names_only(origin)):
            yield applied.difference(
                Code.CHANGED, "origin", own, setting=setting, approved=approved, seen=seen
            )
    entries = _items(config, "CacheBehaviors")
    renamed = _renamed(applied, entries, own)
    for behavior in applied.behaviors:
        pattern = str(behavior["PathPattern"])
        now = renamed.get(pattern, pattern)
        place = next(
            (n for n, one in enumerate(entries) if same_paths(one["PathPattern"], now)), None
        )
        if place is None:
            yield applied.difference(Code.MISSING, "behavior", pattern)
            continue
        if now != pattern:
            yield applied.difference(
                Code.CHANGED,
                "behavior",
                pattern,
                setting="PathPattern",
                approved=pattern,
                seen=now,
            )
        wanted = {name: value for name, value in behavior.items() if name != "PathPattern"}
        for setting, approved, seen in _changes(wanted, entries[place]):
            yield applied.difference(
                Code.CHANGED, "behavior", pattern, setting=setting, approved=approved, seen=seen
            )
        first = [
            f"{one['PathPattern']} to {one['TargetOriginId']}"
            for one in entries[:place]
            if one["TargetOriginId"] not in {*applied.agreed, own}
            and overlap(one["PathPattern"], now)
        ]
        if intruding := [one for one in first if one not in applied.agreed]:
            yield applied.difference(
                Code.CHANGED,
                "behavior",
                pattern,
                setting="its place",
                approved="first for its paths",
                seen=f"after {', '.join(intruding)}",
            )


def _renamed(applied: Applied, entries: Sequence[Config], own: str) -> dict[str, str]:
    """Patterns that are missing → those that lead to the endpoint's origin in their place, in the
    order of both.
    """
    planned = [str(one["PathPattern"]) for one in applied.behaviors]
    present = [str(one["PathPattern"]) for one in entries]
    missing = [one for one in planned if not any(same_paths(one, each) for each in present)]
    leading = [str(one["PathPattern"]) for one in entries if one["TargetOriginId"] == own]
    new = [one for one in leading if not any(same_paths(one, each) for each in planned)]
    return dict(zip(missing, new, strict=False))


def compare_vpc_origin(applied: Applied, config: Config | None) -> Iterator[Difference]:
    """The endpoint's VPC origin; `config` is its VpcOriginEndpointConfig, None if it is gone."""
    if config is None:
        yield applied.difference(
            Code.MISSING, "vpc-origin", applied.vpc_origin_id, source=VPC_ORIGINS
        )
        return
    for setting, approved, seen in _changes(applied.vpc_origin, config):
        yield applied.difference(
            Code.CHANGED,
            "vpc-origin",
            applied.vpc_origin_id,
            source=VPC_ORIGINS,
            setting=setting,
            approved=approved,
            seen=seen,
        )


def compare_rules(applied: Applied, present: Collection[SecurityGroupRule]) -> Iterator[Difference]:
    """The ingress rules that the endpoint relies on."""
    for group, port, source in applied.rules:
        if not any(
            (one.group_id, one.source) == (group, source) and one.covers(port) for one in present
        ):
            yield applied.difference(
                Code.MISSING,
                "ingress-rule",
                f"{group}: TCP {port} from {source}",
                source=rules_source(applied.region),
            )


def orphan_origins(
    distribution_id: str, config: Config, *, owner: str, known: Collection[str]
) -> Iterator[Difference]:
    """Origins that are named as the portal names its own; `known` are those of endpoints."""
    ours = re.compile(rf"{re.escape(owner)}-[0-9a-f]{{12}}")
    for origin in _items(config, "Origins"):
        if origin["Id"] in known or not ours.fullmatch(origin["Id"]):
            continue
        leading = [
            str(one["PathPattern"])
            for one in _items(config, "CacheBehaviors")
            if one["TargetOriginId"] == origin["Id"]
        ]
        yield Difference(
            Code.ORPHAN,
            "origin",
            origin["Id"],
            distribution_source(distribution_id),
            seen=f"in {distribution_id}, with the behaviors {', '.join(leading)}"
            if leading
            else f"in {distribution_id}, without behaviors",
        )


def named_as_ours(
    present: Sequence[VpcOriginFacts], *, owner: str, known: Collection[str]
) -> list[VpcOriginFacts]:
    """VPC origins that are named as the portal names its own; `known` are the names of its rows."""
    ours = re.compile(rf"{re.escape(owner)}-[0-9a-f]{{16}}")
    return [one for one in present if one.name not in known and ours.fullmatch(one.name)]


def orphan_vpc_origin(found: VpcOriginFacts) -> Difference:
    """A VPC origin that carries the portal's name and tag, and is in no row."""
    return Difference(
        Code.ORPHAN,
        "vpc-origin",
        found.id,
        VPC_ORIGINS,
        seen=f"{found.name}, {found.status}, to {found.target_arn}",
    )


def orphan_rules(
    region: str,
    tagged: Collection[SecurityGroupRule],
    *,
    known: Collection[tuple[str, int, str]],
) -> Iterator[Difference]:
    """Rules that carry the portal's tag; `known` are its rows: (group, port, source)."""
    for one in tagged:
        if (one.group_id, one.from_port, one.source) not in known:
            yield Difference(
                Code.ORPHAN,
                "ingress-rule",
                one.rule_id,
                rules_source(region),
                seen=f"{one.group_id}: TCP {one.from_port} from {one.source}",
            )


def _changes(approved: Config, seen: Config) -> Iterator[tuple[str, str, str]]:
    """Each setting that differs: its name, as approved, as seen. What AWS says besides is its
    own.
    """
    for name, value in approved.items():
        now = seen.get(name)
        if has_settings(now, value):
            continue
        if isinstance(value, Mapping) and isinstance(now, Mapping) and "Quantity" not in value:
            for setting, before, after in _changes(value, now):
                yield f"{name}.{setting}", before, after
        else:
            yield name, _said(value), _said(now)


def _names_only(origin: Config) -> dict[str, Any]:
    names = [{"HeaderName": one["HeaderName"]} for one in _items(origin, "CustomHeaders")]
    # What the plan says in its own words is no setting of AWS.
    own_words = ("CustomHeadersFrom", "VpcOriginName")
    kept = {name: value for name, value in origin.items() if name not in own_words}
    return kept | {"CustomHeaders": {"Quantity": len(names), "Items": names}}


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        items = value.get("Items", ()) if "Quantity" in value else value.values()
        return ", ".join(filter(None, map(_said, items))) or NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value in (None, "") else str(value)


def _items(config: Config, name: str) -> list[Any]:
    """AWS leaves Items out when there are none."""
    return list((config.get(name) or {}).get("Items") or ())
