"""PURE. What CloudFront's entities are, and how time changes them.

Statuses, served configurations and what is in use all follow from `now` (lab time, seconds).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

Config: TypeAlias = dict[str, Any]
VpcOriginStatus: TypeAlias = Literal["Deploying", "Deployed"]
DistributionStatus: TypeAlias = Literal["InProgress", "Deployed"]
InvalidationStatus: TypeAlias = Literal["InProgress", "Completed"]

# Field reports: about 9 minutes to create, "a few minutes" to delete; 3-20 minutes for a
# distribution.
VPC_ORIGIN_SECONDS = 540.0
VPC_ORIGIN_DELETE_SECONDS = 180.0
DISTRIBUTION_SECONDS = 300.0
INVALIDATION_SECONDS = 60.0
JITTER = 0.1


def duration(typical: float, name: str) -> float:
    """`typical` seconds plus or minus 10 %, always the same for the same name."""
    fraction = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    return typical * (1 + JITTER * (2 * fraction - 1))


@dataclass(frozen=True)
class VpcOrigin:
    """A VPC origin. `settled_at` ends the current deployment; `deleted_at` is set when its deletion
    begins.
    """

    account: str
    id: str
    etag: str
    endpoint: Config
    created: float
    modified: float
    settled_at: float
    vpc: str
    region: str
    deleted_at: float | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """Its ARN, which has no Region."""
        return f"arn:aws:cloudfront::{self.account}:vpcorigin/{self.id}"

    def status(self, now: float) -> VpcOriginStatus:
        """Deploying, even while it is being deleted."""
        return "Deployed" if self.deleted_at is None and now >= self.settled_at else "Deploying"

    def gone(self, now: float) -> bool:
        """True once its deletion is complete."""
        return self.deleted_at is not None and now >= self.deleted_at

    def changes_after(self, now: float) -> Iterator[float]:
        """When its status will change."""
        for moment in (self.settled_at, self.deleted_at):
            if moment is not None and moment > now:
                yield moment


@dataclass(frozen=True)
class Revision:
    """One accepted configuration of a distribution: the XML as sent, the values in it, and when it
    is deployed.
    """

    number: int
    etag: str
    raw: bytes
    config: Config
    modified: float
    deployed_at: float

    @cached_property
    def vpc_origin_ids(self) -> frozenset[str]:
        """The VPC origins that it uses."""
        origins = self.config["Origins"].get("Items", [])
        return frozenset(
            origin["VpcOriginConfig"]["VpcOriginId"]
            for origin in origins
            if origin.get("VpcOriginConfig")
        )

    @property
    def continuous_deployment_policy_id(self) -> str:
        """Its continuous deployment policy, or ""."""
        return str(self.config.get("ContinuousDeploymentPolicyId") or "")

    @property
    def staging(self) -> bool:
        """Whether it belongs to a staging distribution."""
        return bool(self.config.get("Staging"))


@dataclass(frozen=True)
class Distribution:
    """A distribution. `revisions` run from the oldest that an edge may still serve to the newest
    accepted one.
    """

    account: str
    id: str
    domain: str
    created: float
    revisions: tuple[Revision, ...]
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:cloudfront::{self.account}:distribution/{self.id}"

    @property
    def latest(self) -> Revision:
        """What GetDistribution shows."""
        return self.revisions[-1]

    def status(self, now: float) -> DistributionStatus:
        """InProgress until the newest revision has reached every edge."""
        return "Deployed" if now >= self.latest.deployed_at else "InProgress"

    def serving(self, now: float) -> Revision | None:
        """The newest revision that is deployed; None before the first."""
        out = [revision for revision in self.revisions if now >= revision.deployed_at]
        return out[-1] if out else None

    def next_deployment(self, now: float, number: int) -> float:
        """When a revision accepted now is deployed: never before an earlier one."""
        own = now + duration(DISTRIBUTION_SECONDS, f"{self.id}/{number}")
        return max(own, self.latest.deployed_at + 1.0)

    def uses(self, vpc_origin_id: str, now: float) -> bool:
        """True while a revision that an edge serves, or will serve, uses the VPC origin."""
        return any(vpc_origin_id in revision.vpc_origin_ids for revision in self.live(now))

    def follows(self, policy_id: str, now: float) -> bool:
        """True while a revision that an edge serves, or will serve, has the continuous deployment
        policy.
        """
        return any(
            revision.continuous_deployment_policy_id == policy_id for revision in self.live(now)
        )

    def live(self, now: float) -> tuple[Revision, ...]:
        """The revision that is served, and all newer ones."""
        serving = self.serving(now)
        first = serving.number if serving else 0
        return tuple(revision for revision in self.revisions if revision.number >= first)

    def changes_after(self, now: float) -> Iterator[float]:
        """When its status, or what is served, will change."""
        for revision in self.revisions:
            if revision.deployed_at > now:
                yield revision.deployed_at


@dataclass(frozen=True)
class Policy:
    """A custom cache, origin request or response headers policy, or a managed one (account
    "aws").
    """

    account: str
    id: str
    etag: str
    config: Config
    modified: float


@dataclass(frozen=True)
class PublicKey:
    """A public key; `config` has the PEM text as EncodedKey."""

    account: str
    id: str
    etag: str
    config: Config
    created: float


@dataclass(frozen=True)
class KeyGroup:
    """A key group; the Items of `config` are ids of public keys."""

    account: str
    id: str
    etag: str
    config: Config
    modified: float


@dataclass(frozen=True)
class ResourcePolicy:
    """Which other accounts may use a resource; its id is the resource's ARN, `document` is JSON
    text.
    """

    account: str
    id: str
    document: str


@dataclass(frozen=True)
class ContinuousDeploymentPolicy:
    """Which requests of a primary distribution go to its staging distribution.

    `config` is the newest accepted one. `rollout` lists what the edges follow: pairs of a lab time
    and the configuration that applies from then on, oldest first; the first one has always applied.
    `resets` counts how often all sticky sessions ended because the policy or its stickiness was
    switched on or off.
    """

    account: str
    id: str
    etag: str
    config: Config
    modified: float
    rollout: list[tuple[float, Config]]
    resets: int = 0

    @property
    def staging_domains(self) -> tuple[str, ...]:
        """CloudFront's domain names of the staging distributions, in lower case; there is always
        one.
        """
        return tuple(
            name.lower() for name in self.config["StagingDistributionDnsNames"].get("Items") or ()
        )

    def serving(self, now: float) -> Config:
        """The configuration that the edges follow."""
        return self.live(now)[0][1]

    def live(self, now: float) -> list[tuple[float, Config]]:
        """What the edges follow now, and later."""
        out = [index for index, (moment, _) in enumerate(self.rollout) if now >= moment]
        return self.rollout[out[-1] if out else 0 :]

    def changes_after(self, now: float) -> Iterator[float]:
        """When what the edges follow will change."""
        for moment, _ in self.rollout:
            if moment > now:
                yield moment


def switches(config: Config) -> tuple[bool, bool]:
    """Whether a continuous deployment policy is enabled, and whether its sessions are sticky."""
    weight: Config = (config.get("TrafficConfig") or {}).get("SingleWeightConfig") or {}
    return bool(config["Enabled"]), bool(weight.get("SessionStickinessConfig"))


@dataclass(frozen=True)
class Invalidation:
    """An invalidation. `created` is real time, `completed_at` lab time."""

    account: str
    id: str
    distribution: str
    reference: str
    paths: list[str]
    created: float
    completed_at: float

    def status(self, now: float) -> InvalidationStatus:
        """InProgress until every edge has invalidated the files."""
        return "Completed" if now >= self.completed_at else "InProgress"
