"""Which differences can become what is approved, and as which settings (PURE).

A difference can if a setting of the endpoint says it and it opens no guard. All others are refused,
in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.drift.comparison import NOTHING, Code
from provisioning.facts.guards import FUNCTIONS, KEY_GROUPS
from provisioning.facts.names import ALL_VIEWER, ALL_VIEWER_EXCEPT_HOST
from provisioning.spec.derivation import METHOD_SETS
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.field_kinds import Field, InvalidValue
from provisioning.spec.fields import (
    CARRY_OVER,
    FIELDS,
    FORWARD_HOST,
    METHODS,
    PATHS,
)

_GUARDS = {
    "FunctionAssociations": FUNCTIONS,
    "LambdaFunctionAssociations": FUNCTIONS,
    "TrustedKeyGroups": KEY_GROUPS,
    "TrustedSigners": KEY_GROUPS,
}
"""Members of a behavior that guard its paths, and the word of `carry_over` that keeps them."""
_PLACES: Mapping[tuple[str, str], Field] = {
    (row.place.resource, row.place.member): row
    for row in FIELDS
    if row.asked and row.place and row.place.member and row.place.resource in ("origin", "behavior")
}
_RESTORE = "Request to restore what was approved, or ignore it until a date."
_REFUSED = {
    "ViewerProtocolPolicy": "Clients could connect without TLS.",
    "CachePolicyId": "An endpoint caches nothing: a cached answer would break handshakes.",
    "OriginRequestPolicyId": "An endpoint forwards every header, with or without Host; another "
    "origin request policy may drop headers of the handshake.",
    "CustomHeaders": "The portal does not read values of headers. Request a change of “Headers to "
    "the target” instead.",
    "its place": "Other behaviors get requests of this path first.",
    "TargetOriginId": "The path leads to another target. Request a change of the target instead.",
    "VpcOriginConfig.VpcOriginId": "The origin leads to a VPC origin that the portal does not "
    "know.",
}


@dataclass(frozen=True)
class Found:
    """A difference, as `comparison.Difference` and the stored finding both describe it."""

    code: str
    resource: str
    subject: str
    setting: str
    approved: str
    seen: str


class Inexpressible(ValueError):
    """The difference cannot be accepted; the message says why and what to do."""


def accepted_settings(found: Sequence[Found], spec: EndpointSpec) -> dict[str, Any]:
    """The settings of `spec` that become others once these differences are accepted. Raises
    Inexpressible.
    """
    changes: dict[str, Any] = {}
    for one in found:
        name, value = _setting(one, changes, spec)
        if name not in (PATHS.name, CARRY_OVER.name) and changes.get(name, value) != value:
            raise Inexpressible(
                f"{one.subject}: the endpoint's behaviors differ from each other. {_RESTORE}"
            )
        changes[name] = value
    return changes


def _setting(one: Found, changes: Mapping[str, Any], spec: EndpointSpec) -> tuple[str, Any]:
    if one.code != Code.CHANGED or one.resource not in ("origin", "behavior"):
        raise Inexpressible(
            f"{one.subject}: only a setting of the origin or of a behavior can be accepted. "
            f"{_RESTORE}"
        )
    if word := _GUARDS.get(one.setting):
        if one.approved != NOTHING:
            raise Inexpressible(
                f"{one.subject}: {one.setting} guards this path. To replace it, or to do without "
                "it, request a change."
            )
        kept = changes.get(CARRY_OVER.name, spec.carry_over)
        return CARRY_OVER.name, CARRY_OVER.parse([*(w for w in kept if w != word), word])
    row = _PLACES.get((one.resource, one.setting))
    value = _value(row, one, changes, spec) if row else None
    if row is None or value is None:
        why = _REFUSED.get(one.setting, "No setting of an endpoint says this.")
        raise Inexpressible(f"{one.subject}: {why} {_RESTORE}")
    try:
        return row.name, row.parse(value)
    except InvalidValue as invalid:
        why = _REFUSED.get(one.setting, invalid.message)
        raise Inexpressible(f"{one.subject}: {why} {_RESTORE}") from invalid


def _value(row: Field, one: Found, changes: Mapping[str, Any], spec: EndpointSpec) -> Any:
    """What the form would send for what AWS has; None where no answer means that."""
    if row is FORWARD_HOST:
        known = {str(ALL_VIEWER): True, str(ALL_VIEWER_EXCEPT_HOST): False}
        return known.get(one.seen)
    if row is METHODS:
        seen = set(one.seen.split(", "))
        return next((each for each in METHOD_SETS if set(each.split(",")) == seen), None)
    if row is PATHS:
        now: Sequence[str] = changes.get(PATHS.name, spec.path_patterns)
        return [one.seen if pattern == one.subject else pattern for pattern in now]
    if one.setting == "CustomHeaders" or one.seen == NOTHING:
        return None
    return one.seen
