"""AssociateAlias and UpdateDomainAssociation: move an alias to another distribution in one step.

Both distributions get a new configuration, which is deployed as usual. Across accounts AWS requires
a DNS record as proof; the lab has no DNS and refuses such moves.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.aws.cloudfront.context import Context, Operation, check_if_match
from lab.aws.cloudfront.entities.lifecycle import Distribution
from lab.aws.cloudfront.operations import distributions
from lab.aws.cloudfront.protocol.config_editing import aliases_member, with_members
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values
from lab.aws.cloudfront.rules.viewer_config import aliases_of, certificate_covers

TOO_MANY_ALIASES = "TooManyDistributionCNAMEs"


def associate_alias(context: Context, call: Call) -> Values:
    """AssociateAlias."""
    _move(
        context,
        distributions.find(context, call.parameters["TargetDistributionId"]),
        call.parameters["Alias"],
    )
    return {}


def update_domain_association(context: Context, call: Call) -> Values:
    """UpdateDomainAssociation, between distributions; the lab has no distribution tenants."""
    target_id = call.parameters["TargetResource"].get("DistributionId")
    if not target_id:
        raise invalid("The parameter DistributionId is required.")
    try:
        target = distributions.find(context, target_id)
    except CloudFrontError:
        raise CloudFrontError(
            "EntityNotFound", "The specified distribution does not exist."
        ) from None
    if call.parameters.get("IfMatch") is not None:
        check_if_match(call.parameters["IfMatch"], target.latest.etag)
    domain = call.parameters["Domain"]
    try:
        moved = _move(context, target, domain)
    except CloudFrontError as refusal:
        # The two operations have different error codes for too many aliases.
        if refusal.code == TOO_MANY_ALIASES:
            raise CloudFrontError("EntityLimitExceeded", refusal.message) from None
        raise
    return {"Domain": domain, "ResourceId": moved.id, "ETag": moved.latest.etag}


def _move(context: Context, target: Distribution, name: str) -> Distribution:
    """The target with the alias. Everything is checked before anything is stored."""
    alias, held = name.lower(), aliases_of(target.latest.config)
    if alias in held:
        return target
    if not certificate_covers(context, target.latest.config, alias):
        raise invalid(f"The certificate of {target.id} does not cover {name}.")
    limit = context.quotas["aliases"]
    if len(held) >= limit:
        raise CloudFrontError(TOO_MANY_ALIASES, f"You cannot have more than {limit} aliases.")
    holders = [
        entity
        for entity in context.store.distributions.values()
        if alias in aliases_of(entity.latest.config)
    ]
    if any(holder.account != context.account for holder in holders):
        raise CloudFrontError(
            "IllegalUpdate", f"{name} belongs to a distribution of another account."
        )
    if any(
        entity.latest.staging or entity.latest.continuous_deployment_policy_id
        for entity in (target, *holders)
    ):
        raise CloudFrontError(
            "IllegalUpdate", "Aliases cannot be changed while continuous deployment is in use."
        )
    for holder in holders:
        _with_aliases(
            context, holder, [other for other in aliases_of(holder.latest.config) if other != alias]
        )
    return _with_aliases(context, target, [*held, alias])


def _with_aliases(context: Context, distribution: Distribution, aliases: list[str]) -> Distribution:
    member = aliases_member(aliases)
    raw = with_members(distribution.latest.raw, {"Aliases": member})
    return distributions.revise(context, distribution, distributions.parse_config(raw))


OPERATIONS: Mapping[str, Operation] = {
    "AssociateAlias": associate_alias,
    "UpdateDomainAssociation": update_domain_association,
}
