"""Aliases of other distributions that conflict with a domain name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lab.aws.cloudfront.context import Context, Operation, page
from lab.aws.cloudfront.entities.lifecycle import Distribution
from lab.aws.cloudfront.operations import distributions
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values
from lab.aws.cloudfront.rules.viewer_config import aliases_of, certificate_covers

_SHOWN_OF_DISTRIBUTION = 5
_SHOWN_OF_ACCOUNT = 4


def list_conflicting_aliases(context: Context, call: Call) -> Values:
    """ListConflictingAliases: overlapping aliases, with partly hidden ids."""
    distribution = distributions.find(context, call.parameters["DistributionId"])

    def show(alias: str, owner: Distribution) -> Values:
        return {
            "Alias": alias,
            "DistributionId": _hidden(owner.id, _SHOWN_OF_DISTRIBUTION),
            "AccountId": _hidden(owner.account, _SHOWN_OF_ACCOUNT),
        }

    listed = _conflicts(context, call, distribution, call.parameters["Alias"], show)
    shown = {
        name: listed[name]
        for name in ("NextMarker", "MaxItems", "Quantity", "Items")
        if name in listed
    }
    return {"ConflictingAliasesList": shown}


def list_domain_conflicts(context: Context, call: Call) -> Values:
    """ListDomainConflicts, for distributions; the lab has no distribution tenants."""
    resource = call.parameters["DomainControlValidationResource"]
    if not resource.get("DistributionId"):
        raise invalid("The parameter DistributionId is required.")
    try:
        distribution = distributions.find(context, resource["DistributionId"])
    except CloudFrontError:
        raise CloudFrontError(
            "EntityNotFound", "The specified distribution does not exist."
        ) from None

    def show(alias: str, owner: Distribution) -> Values:
        return {
            "Domain": alias,
            "ResourceType": "distribution",
            "ResourceId": _hidden(owner.id, _SHOWN_OF_DISTRIBUTION),
            "AccountId": _hidden(owner.account, _SHOWN_OF_ACCOUNT),
        }

    listed = _conflicts(context, call, distribution, call.parameters["Domain"], show)
    return {"DomainConflicts": listed.get("Items", []), "NextMarker": listed.get("NextMarker")}


def _overlap(one: str, other: str) -> bool:
    """Equal, or one is a wildcard for the other, at any depth."""
    return one == other or any(
        wide.startswith("*.") and narrow.endswith(wide[1:])
        for wide, narrow in ((one, other), (other, one))
    )


def _conflicts(
    context: Context,
    call: Call,
    own: Distribution,
    name: str,
    show: Callable[[str, Distribution], Any],
) -> Values:
    if not certificate_covers(context, own.latest.config, name):
        raise invalid(f"The distribution {own.id} has no certificate that covers {name}.")
    found = [
        (alias, owner)
        for owner in context.store.distributions.values()
        for alias in aliases_of(owner.latest.config)
        if _overlap(alias, name.lower())
    ]
    return page(context, found, call.parameters, lambda pair: pair[0], lambda pair: show(*pair))


def _hidden(text: str, shown: int) -> str:
    return "*" * (len(text) - shown) + text[-shown:]


OPERATIONS: Mapping[str, Operation] = {
    "ListConflictingAliases": list_conflicting_aliases,
    "ListDomainConflicts": list_domain_conflicts,
}
