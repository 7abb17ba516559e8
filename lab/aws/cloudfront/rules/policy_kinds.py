"""The three kinds of policies that a behavior can use, and which policies an account sees.

Names of errors, quotas and fields follow from the kind's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import Config, Policy
from lab.aws.cloudfront.entities.managed_policies import (
    CACHE_POLICIES,
    ORIGIN_REQUEST_POLICIES,
    RESPONSE_HEADERS_POLICIES,
)
from lab.aws.cloudfront.entities.store import EntityTable
from lab.aws.cloudfront.protocol.errors import CloudFrontError
from lab.aws.cloudfront.rules import policy_config

# Any date before the lab was first started.
_MANAGED_SINCE = 1_755_648_000.0
Check: TypeAlias = Callable[[Config, Mapping[str, int]], None]


@dataclass(frozen=True)
class PolicyKind:
    """One kind. `name` is its name in shapes and errors; `plural` is for lists and quota errors."""

    name: str
    plural: str
    title: str
    path: str
    quota: str
    managed: Mapping[str, Config]
    check: Check
    complete: Callable[[Config], Config] = dict

    @property
    def field(self) -> str:
        """The member of a behavior for a policy of this kind."""
        return f"{self.name}Id"

    def table(self, context: Context) -> EntityTable[Policy]:
        """Where custom policies of this kind are kept."""
        tables = {
            "CachePolicy": context.store.cache_policies,
            "OriginRequestPolicy": context.store.origin_request_policies,
            "ResponseHeadersPolicy": context.store.response_headers_policies,
        }
        return tables[self.name]

    def own(self, context: Context) -> list[Policy]:
        """The account's custom policies."""
        return [
            policy for policy in self.table(context).values() if policy.account == context.account
        ]

    def managed_policies(self) -> list[Policy]:
        """AWS's policies."""
        return [self._managed_policy(policy_id) for policy_id in self.managed]

    def find(self, context: Context, policy_id: str) -> Policy:
        """The managed policy, or the account's own, with that id.

        :raises CloudFrontError: NoSuchCachePolicy, NoSuchOriginRequestPolicy,
        NoSuchResponseHeadersPolicy.
        """
        if policy_id in self.managed:
            return self._managed_policy(policy_id)
        policy = self.table(context).get(policy_id)
        if policy is None or policy.account != context.account:
            raise CloudFrontError(
                f"NoSuch{self.name}", f"The specified {self.title} does not exist."
            )
        return policy

    def users(self, context: Context, policy_id: str) -> Iterator[str]:
        """Ids of the distributions that serve, or will serve, a configuration with the policy."""
        for distribution in context.store.distributions.values():
            if any(
                names_policy(revision.config, self, policy_id)
                for revision in distribution.live(context.now)
            ):
                yield distribution.id

    def _managed_policy(self, policy_id: str) -> Policy:
        etag = "E" + policy_id.replace("-", "").upper()[:13]
        return Policy("aws", policy_id, etag, self.managed[policy_id], _MANAGED_SINCE)


def names_policy(config: Config, kind: PolicyKind, policy_id: str) -> bool:
    """True if any behavior of a distribution's configuration uses the policy."""
    behaviors = [
        config["DefaultCacheBehavior"],
        *((config.get("CacheBehaviors") or {}).get("Items") or []),
    ]
    return any(behavior.get(kind.field) == policy_id for behavior in behaviors)


def check_attachable(
    context: Context, kind: PolicyKind, policy_id: str, own_id: str | None
) -> None:
    """Refuse to let the distribution `own_id` (None: a new one) use a policy.

    :raises CloudFrontError: NoSuch…Policy, TooManyDistributionsAssociatedTo…Policy.
    """
    if kind.find(context, policy_id).account != context.account:
        return
    limit = context.quotas["distributions_per_policy"]
    if sum(user != own_id for user in kind.users(context, policy_id)) >= limit:
        raise CloudFrontError(
            f"TooManyDistributionsAssociatedTo{kind.name}",
            f"The {kind.title} is already associated with {limit} distributions, the limit.",
        )


CACHE = PolicyKind(
    name="CachePolicy",
    plural="CachePolicies",
    title="cache policy",
    path="cache-policy",
    quota="cache_policies",
    managed=CACHE_POLICIES,
    check=policy_config.check_cache_policy,
    complete=policy_config.completed_cache_policy,
)
ORIGIN_REQUEST = PolicyKind(
    name="OriginRequestPolicy",
    plural="OriginRequestPolicies",
    title="origin request policy",
    path="origin-request-policy",
    quota="origin_request_policies",
    managed=ORIGIN_REQUEST_POLICIES,
    check=policy_config.check_origin_request_policy,
)
RESPONSE_HEADERS = PolicyKind(
    name="ResponseHeadersPolicy",
    plural="ResponseHeadersPolicies",
    title="response headers policy",
    path="response-headers-policy",
    quota="response_headers_policies",
    managed=RESPONSE_HEADERS_POLICIES,
    check=policy_config.check_response_headers_policy,
)
KINDS = (CACHE, ORIGIN_REQUEST, RESPONSE_HEADERS)
