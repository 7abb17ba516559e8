"""The three kinds of policies a behavior can name, and which policies of a kind an account sees.

It decides what the kinds have in common (names of errors, quotas and fields follow from the kind's
name) and whether a policy exists or is in use. What may stand in a policy is policy_config.py's. It
must never change anything.
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
from lab.aws.cloudfront.entities.store import Shelf
from lab.aws.cloudfront.protocol.errors import CloudFrontError
from lab.aws.cloudfront.rules import policy_config

# Managed policies were last changed before any lab existed; the date itself is of no consequence.
_MANAGED_SINCE = 1_755_648_000.0
Check: TypeAlias = Callable[[Config, Mapping[str, int]], None]


@dataclass(frozen=True)
class Kind:
    """One kind. `name` is how shapes and errors call it; `plural` is for lists and quota errors."""

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
        """The member of a behavior that names a policy of this kind."""
        return f"{self.name}Id"

    def shelf(self, context: Context) -> Shelf[Policy]:
        """Where custom policies of this kind are kept."""
        shelves = {
            "CachePolicy": context.store.cache_policies,
            "OriginRequestPolicy": context.store.origin_request_policies,
            "ResponseHeadersPolicy": context.store.response_headers_policies,
        }
        return shelves[self.name]

    def own(self, context: Context) -> list[Policy]:
        """The account's custom policies."""
        return [
            policy for policy in self.shelf(context).values() if policy.account == context.account
        ]

    def managed_policies(self) -> list[Policy]:
        """AWS's policies."""
        return [self._managed_policy(policy_id) for policy_id in self.managed]

    def find(self, context: Context, policy_id: str) -> Policy:
        """The managed policy, or the account's own, of that id.

        :raises CloudFrontError: NoSuchCachePolicy, NoSuchOriginRequestPolicy,
        NoSuchResponseHeadersPolicy.
        """
        if policy_id in self.managed:
            return self._managed_policy(policy_id)
        policy = self.shelf(context).get(policy_id)
        if policy is None or policy.account != context.account:
            raise CloudFrontError(
                f"NoSuch{self.name}", f"The specified {self.title} does not exist."
            )
        return policy

    def users(self, context: Context, policy_id: str) -> Iterator[str]:
        """Ids of the distributions that serve, or will serve, a configuration that names the
        policy.
        """
        for distribution in context.store.distributions.values():
            if any(
                names_policy(revision.config, self, policy_id)
                for revision in distribution.live(context.now)
            ):
                yield distribution.id

    def _managed_policy(self, policy_id: str) -> Policy:
        etag = "E" + policy_id.replace("-", "").upper()[:13]
        return Policy("aws", policy_id, etag, self.managed[policy_id], _MANAGED_SINCE)


def names_policy(config: Config, kind: Kind, policy_id: str) -> bool:
    """True if any behavior of a distribution's configuration names the policy."""
    behaviors = [
        config["DefaultCacheBehavior"],
        *((config.get("CacheBehaviors") or {}).get("Items") or []),
    ]
    return any(behavior.get(kind.field) == policy_id for behavior in behaviors)


def check_attachable(context: Context, kind: Kind, policy_id: str, own_id: str | None) -> None:
    """Refuse to let the distribution `own_id` (None: a new one) name a policy.

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


CACHE = Kind(
    name="CachePolicy",
    plural="CachePolicies",
    title="cache policy",
    path="cache-policy",
    quota="cache_policies",
    managed=CACHE_POLICIES,
    check=policy_config.check_cache_policy,
    complete=policy_config.completed_cache_policy,
)
ORIGIN_REQUEST = Kind(
    name="OriginRequestPolicy",
    plural="OriginRequestPolicies",
    title="origin request policy",
    path="origin-request-policy",
    quota="origin_request_policies",
    managed=ORIGIN_REQUEST_POLICIES,
    check=policy_config.check_origin_request_policy,
)
RESPONSE_HEADERS = Kind(
    name="ResponseHeadersPolicy",
    plural="ResponseHeadersPolicies",
    title="response headers policy",
    path="response-headers-policy",
    quota="response_headers_policies",
    managed=RESPONSE_HEADERS_POLICIES,
    check=policy_config.check_response_headers_policy,
)
KINDS = (CACHE, ORIGIN_REQUEST, RESPONSE_HEADERS)
