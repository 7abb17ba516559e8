"""What CloudFront says about a distribution: origins, behaviors, aliases."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.facts.names import Arn, DistributionId
from provisioning.facts.path_patterns import same_paths


@dataclass(frozen=True)
class EdgeFunction:
    """A function that a behavior runs. `event` is AWS's EventType: viewer-request, viewer-response,
    origin-request or origin-response. `include_body` is None for a CloudFront Function, which never
    sees the body, and AWS's IncludeBody for Lambda@Edge.
    """

    event: str
    arn: Arn
    include_body: bool | None = None

    @property
    def name(self) -> str:
        """The function's name; for Lambda@Edge with its version, as in `sign-in:3`."""
        if self.include_body is None:
            return self.arn.rpartition("/")[2]
        return self.arn.partition(":function:")[2] or self.arn


@dataclass(frozen=True)
class Behavior:
    """A cache behavior, in the order of the distribution; the default behavior has the pattern
    `*`.

    `key_groups` and `trusted_signers` (account IDs) say who may sign URLs and cookies; with either,
    CloudFront refuses requests that are not signed. The last three are AWS's identifiers, "" where
    nothing is attached.
    """

    path_pattern: str
    target_origin_id: str
    viewer_protocol_policy: str
    cache_policy_id: str
    origin_request_policy_id: str
    allowed_methods: str
    functions: tuple[EdgeFunction, ...] = ()
    key_groups: tuple[str, ...] = ()
    trusted_signers: tuple[str, ...] = ()
    response_headers_policy_id: str = ""
    realtime_log_config_arn: str = ""
    field_level_encryption_id: str = ""


@dataclass(frozen=True)
class Origin:
    """An origin of a distribution; `vpc_origin_id` is empty for custom and S3 origins,
    `protocol_policy` for all but custom ones. `path` is put before every path that CloudFront asks
    for. `owner_account` is the account that shares its VPC origin, "" for the distribution's own.
    `access_control` is its origin access control or identity. Of the headers that CloudFront adds
    for it, only the names are read: a value may be a secret.
    """

    id: str
    domain_name: str
    vpc_origin_id: str
    path: str = ""
    protocol_policy: str = ""
    owner_account: str = ""
    access_control: str = ""
    header_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class DistributionFacts:
    """A distribution as it is configured (not necessarily what every edge already serves).

    `staging`: viewers come to it by its primary distribution only. `connection_mode` is AWS's:
    `direct`, or `tenant-only` for a multi-tenant distribution, which serves nothing by itself.
    `continuous_deployment_policy_id` is what joins a primary distribution with a staging one, ""
    without.
    """

    id: DistributionId
    domain_name: str
    enabled: bool
    status: str
    comment: str
    aliases: tuple[str, ...]
    behaviors: tuple[Behavior, ...]
    default_behavior: Behavior
    origins: tuple[Origin, ...]
    unknown_elements: tuple[str, ...] = ()
    certificate_arn: str = ""
    staging: bool = False
    continuous_deployment_policy_id: str = ""
    connection_mode: str = "direct"
    web_acl_id: str = ""

    @property
    def multi_tenant(self) -> bool:
        """Whether viewers come to it by distribution tenants only, never by its own name."""
        return self.connection_mode == "tenant-only"

    def patterns_of(self, origin_id: str) -> tuple[str, ...]:
        """The path patterns that lead to an origin, the default behavior's `*` last."""
        return tuple(
            one.path_pattern
            for one in (*self.behaviors, self.default_behavior)
            if one.target_origin_id == origin_id
        )

    def origin(self, origin_id: str) -> Origin | None:
        """The origin with this id, if there is one."""
        return next((origin for origin in self.origins if origin.id == origin_id), None)

    def behavior(self, path_pattern: str) -> Behavior | None:
        """The behavior with exactly this path pattern, if there is one."""
        return next(
            (behavior for behavior in self.behaviors if behavior.path_pattern == path_pattern), None
        )

    def behavior_for(self, path_pattern: str) -> Behavior | None:
        """The first behavior for exactly the paths of this pattern, however its own is written."""
        return next(
            (one for one in self.behaviors if same_paths(one.path_pattern, path_pattern)), None
        )


@dataclass(frozen=True)
class DomainConflict:
    """A name of another distribution; its id and account as far as AWS shows them (`*` hides the
    rest).
    """

    domain: str
    resource: str
    account: str
