"""The plan that adopts an endpoint which exists already (PURE). Every item is kept as AWS has it:
nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.facts.distribution import DistributionFacts
from provisioning.facts.guards import carried_over
from provisioning.facts.path_patterns import same_paths
from provisioning.facts.snapshot import Snapshot
from provisioning.plan.behaviors import desired_behavior, desired_origin
from provisioning.plan.ingress import ingress_items
from provisioning.plan.items import CREATE, KEEP, PlanItem, Unplannable
from provisioning.plan.path_ownership import PathRights, contests, whom_to_ask
from provisioning.plan.plan import ADOPT, Plan, writable_distribution
from provisioning.plan.planner import known_target
from provisioning.plan.read_back import Candidate, as_in_aws
from provisioning.plan.reliance import relies_on
from provisioning.plan.vpc_origin import vpc_origin_item
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.fields import FIELD
from provisioning.spec.origin_headers import origin_headers

SECONDS = 10
KEPT = "As it is in AWS; nothing is written."


def make_adoption_plan(
    spec: EndpointSpec,
    snapshot: Snapshot,
    found: Candidate | None,
    *,
    endpoint_key: str,
    owner: str,
    rights: PathRights,
    headers: Mapping[str, str],
    present_headers: Mapping[str, str],
) -> Plan:
    """What the endpoint is made of. `found` is its origin as AWS has it now, None without;
    `headers` and `present_headers` are the fingerprints of the headers to the target, by name, as
    the spec wants them and as AWS has them. Raises Unplannable:

    1. where it cannot be adopted any more, or AWS has other settings than the spec by now,
    2. where others have some of the paths,
    3. where the origin sends headers whose values the team did not give: without them, a removal
       could not be restored.
    """
    target, distribution = known_target(snapshot), writable_distribution(snapshot)
    if found is None:
        raise Unplannable(
            "not_in_aws",
            f"{distribution.id} has no behavior with origin {spec.origin_id} any more. Cancel this "
            "request.",
        )
    if found.obstacle:
        raise Unplannable("not_adoptable", found.obstacle)
    if different := _different(spec, found):
        raise Unplannable(
            "not_in_aws",
            f"AWS has other settings by now: {', '.join(different)}. Cancel this request and adopt "
            "the endpoint again.",
        )
    contested = contests(spec.path_patterns, distribution, rights, origin_id=spec.origin_id)
    if refused := next((one for one in contested if not one.permitted), None):
        raise Unplannable("path_contested", f"{refused}. {whom_to_ask(refused)}")
    if fault := header_fault(headers, present_headers):
        raise Unplannable("headers_unknown", fault)
    config = snapshot.distribution_config or {}
    private = vpc_origin_item(spec, snapshot, owner)
    items = (
        PlanItem(
            "vpc-origin", KEEP, private.title, private.before, private.after, KEPT, shared=True
        ),
        *(one for one in ingress_items(spec, target, owner) if one.action != CREATE),
        _origin_item(spec, config, distribution, target.dns_name, endpoint_key, owner, headers),
        *_behavior_items(spec, config, distribution, endpoint_key, owner),
    )
    facts = relies_on(spec, target, distribution, snapshot, contested, origin_id=spec.origin_id)
    return Plan(endpoint_key, spec, items, facts, SECONDS, action=ADOPT)


def header_fault(wanted: Mapping[str, str], present: Mapping[str, str]) -> str:
    """Why the headers of the spec are not those that the origin sends, or an empty string. Both are
    fingerprints by name.
    """
    known = {name.lower(): value for name, value in wanted.items()}
    have = {name.lower(): (name, value) for name, value in present.items()}
    missing = sorted(name for lower, (name, _) in have.items() if lower not in known)
    if missing:
        return (
            f"The origin sends the header {', '.join(missing)}. Add each value under Secrets, and "
            f"write “{missing[0]}: ${{secret:NAME}}” in “{FIELD['origin_headers'].label}”: the "
            "portal cannot read values from AWS for you, and needs them to restore the endpoint."
        )
    if extra := sorted(name for name in wanted if name.lower() not in have):
        return f"The origin does not send the header {', '.join(extra)}. Leave it out."
    other = [name for lower, (name, value) in have.items() if known[lower] != value]
    if other:
        return f"The origin sends another value of {', '.join(sorted(other))}. Replace the secret."
    return ""


def _different(spec: EndpointSpec, found: Candidate) -> list[str]:
    """The labels of the settings that AWS has otherwise than the spec."""
    has = spec.to_dict()
    return [
        FIELD[name].label
        for name, value in found.settings.items()
        if has[name] != (list(value) if isinstance(value, tuple) else value)
    ]


def _origin_item(
    spec: EndpointSpec,
    config: Mapping[str, Any],
    distribution: DistributionFacts,
    domain_name: str,
    endpoint_key: str,
    owner: str,
    headers: Mapping[str, str],
) -> PlanItem:
    wanted = desired_origin(spec, domain_name, endpoint_key, owner)
    entry = next(
        one for one in (config.get("Origins") or {}).get("Items") or () if one["Id"] == wanted["Id"]
    )
    rest = {name: value for name, value in entry.items() if name != "CustomHeaders"}
    after = as_in_aws(wanted, rest)
    after["VpcOriginName"] = spec.vpc_origin_id
    if headers:
        listed = [
            {"HeaderName": name, "ValueFingerprint": headers[name]}
            for name, _ in origin_headers(spec.origin_headers)
        ]
        after["CustomHeaders"] = {"Quantity": len(listed), "Items": listed}
    return PlanItem(
        "origin", KEEP, f"Origin {wanted['Id']} in {distribution.id}", after, after, KEPT
    )


def _behavior_items(
    spec: EndpointSpec,
    config: Mapping[str, Any],
    distribution: DistributionFacts,
    endpoint_key: str,
    owner: str,
) -> Iterator[PlanItem]:
    entries = (config.get("CacheBehaviors") or {}).get("Items") or ()
    for pattern in spec.path_patterns:
        facts = distribution.behavior_for(pattern)
        entry = next(one for one in entries if same_paths(one["PathPattern"], pattern))
        wanted = desired_behavior(spec, pattern, endpoint_key, owner)
        wanted |= carried_over(facts, spec.carry_over) if facts else {}
        after = as_in_aws(wanted, entry)
        title = f"Behavior {pattern} in {distribution.id}"
        yield PlanItem("behavior", KEEP, title, after, after, KEPT)


@dataclass(frozen=True)
class Unusual:
    """A setting of an adopted endpoint that the portal would build otherwise. `subject` is the
    plan's title of the resource.
    """

    subject: str
    name: str
    seen: Any
    usual: Any


def unusual_settings(
    spec: EndpointSpec, applied: Mapping[str, Any] | None, owner: str
) -> tuple[Unusual, ...]:
    """What the portal would build otherwise than an applied plan (its dict) says. A change of the
    endpoint, even one without new settings, brings it in line.
    """
    found: list[Unusual] = []
    for item in applied["items"] if applied else ():
        after = item["after"]
        if not applied or not after or item["resource"] not in ("origin", "behavior"):
            continue
        key, domain = applied["endpoint_key"], str(applied["relies_on"]["target_dns_name"])
        wanted = (
            desired_origin(spec, domain, key, owner)
            if item["resource"] == "origin"
            else desired_behavior(spec, after["PathPattern"], key, owner)
        )
        found += (
            Unusual(item["title"], name, after.get(name), value)
            for name, value in wanted.items()
            if name not in _CARRIED and after.get(name) != value
        )
    return tuple(found)


_CARRIED = frozenset(
    {
        "CustomHeaders",
        "FunctionAssociations",
        "LambdaFunctionAssociations",
        "TrustedKeyGroups",
        "TrustedSigners",
    }
)
"""Members that say what is carried over, in which the portal builds what AWS has."""
