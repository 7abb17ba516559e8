"""CloudFront's continuous deployment policies, as in `/_lab/state` (PURE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeploymentPolicy:
    """A continuous deployment policy. `weight` is from 0 to 1; the TTLs are in seconds, None
    without stickiness. Each of its `resets` ends all sessions.
    """

    id: str
    enabled: bool
    staging_domains: frozenset[str]
    kind: str
    header: str
    value: str
    weight: float
    idle_ttl: float | None
    maximum_ttl: float | None
    resets: int = 0

    @property
    def sessions(self) -> str:
        """The prefix of the cookies of its current sessions."""
        return f"{self.id}-{self.resets}"


def parse_deployment_policy(id: str, entry: Json) -> DeploymentPolicy:
    """One entry of `continuous_deployment_policies`."""
    idle, maximum = entry.get("idle_ttl"), entry.get("maximum_ttl")
    return DeploymentPolicy(
        id=id,
        enabled=bool(entry.get("enabled")),
        staging_domains=frozenset(name.lower() for name in entry.get("staging_domains") or ()),
        kind=entry.get("type") or "",
        header=(entry.get("header") or "").lower(),
        value=entry.get("value") or "",
        weight=float(entry.get("weight") or 0),
        idle_ttl=None if idle is None else float(idle),
        maximum_ttl=None if maximum is None else float(maximum),
        resets=int(entry.get("resets") or 0),
    )
