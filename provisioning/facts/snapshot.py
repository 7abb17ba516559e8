"""What AWS says about a target, a distribution and an account: the basis of plan and preflight.

A fact that could not be read (no permission, an API error) is a Gap, never an empty value, so that
"unknown" cannot pass for "fine".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioning.facts.certificate import Certificate
from provisioning.facts.distribution import DistributionFacts, DomainConflict
from provisioning.facts.forwarding import Forwarding
from provisioning.facts.names import Arn, VpcOriginId
from provisioning.facts.permissions import Permission
from provisioning.facts.target import TargetFacts
from provisioning.facts.web_acl import WebAcl


@dataclass(frozen=True)
class Gap:
    """Something that AWS did not say, and why. `turn_in_seconds`: if the portal did not ask because
    its call budget was used up, when its turn is.
    """

    what: str
    reason: str
    turn_in_seconds: float | None = None


@dataclass(frozen=True)
class VpcOriginFacts:
    """A VPC origin of the account. `ours` means that its owner tag carries this portal's name;
    `distributions` is how many use it, None where that was not asked.
    """

    id: VpcOriginId
    name: str
    target_arn: Arn
    status: str
    ours: bool | None = None
    distributions: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """Everything that one plan or preflight is based on, read together. Quotas are AWS's defaults,
    unless those would not suffice and AWS said what applies.

    `viewer_certificate` is what the distribution shows to viewers under its own names;
    `service_role` says whether the account has CloudFront's role for VPC origins; `permissions` is
    what the portal's own role may do; `domain_conflicts` what overlaps with those of the
    distribution's names that have a star. None if it was not read. `request_policies` are the
    custom origin request policies that the distribution's behaviors have, by id, as far as AWS
    showed them. `web_acl` is the distribution's. `unusable_origins` are the distribution's origins
    whose VPC origin AWS does not know or no longer shares. `target_successor` is the ARN of a load
    balancer that has the name of a target that does not exist, "" without. `distribution_config` is
    the distribution's DistributionConfig, from the same read. `vpc_origin_configs` are the
    VpcOriginEndpointConfig, by ID, of the VPC origins that an adoption asks about.
    """

    target: TargetFacts | None
    distribution: DistributionFacts | None
    vpc_origins: tuple[VpcOriginFacts, ...] = ()
    vpc_origin_quota: int = 25
    behavior_quota: int = 75
    origin_quota: int = 100
    rules_per_group: int = 60
    viewer_certificate: Certificate | None = None
    service_role: bool | None = None
    permissions: tuple[Permission, ...] | None = None
    domain_conflicts: tuple[DomainConflict, ...] | None = None
    request_policies: tuple[tuple[str, Forwarding], ...] = ()
    web_acl: WebAcl | None = None
    unusable_origins: tuple[str, ...] = ()
    target_successor: str = ""
    distribution_config: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    vpc_origin_configs: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict, compare=False, repr=False
    )
    gaps: tuple[Gap, ...] = field(default=())

    def gap(self, what: str) -> Gap | None:
        """The gap about `what`, if it could not be read."""
        return next((gap for gap in self.gaps if gap.what == what), None)

    @property
    def held_back(self) -> Gap | None:
        """The gap with the longest wait, if the call budget did not suffice: try again then."""
        held = [gap for gap in self.gaps if gap.turn_in_seconds is not None]
        return max(held, key=lambda gap: gap.turn_in_seconds or 0.0, default=None)
