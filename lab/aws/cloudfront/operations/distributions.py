"""Distributions: create, get, update, delete, list.

Rules for the configuration are in rules/distribution_config.py. A reply contains the XML exactly as
it was sent.
"""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Mapping
from dataclasses import dataclass

from lab.aws.cloudfront.context import Context, Operation, check_if_match, new_etag, new_id, page
from lab.aws.cloudfront.entities.lifecycle import (
    DISTRIBUTION_SECONDS,
    Config,
    Distribution,
    DistributionStatus,
    Invalidation,
    Revision,
    duration,
)
from lab.aws.cloudfront.operations import tagging
from lab.aws.cloudfront.operations.signing_keys import active_key_groups
from lab.aws.cloudfront.protocol.errors import CloudFrontError
from lab.aws.cloudfront.protocol.rest_xml import (
    Call,
    Values,
    Verbatim,
    read_structure,
    write_element,
)
from lab.aws.cloudfront.protocol.service_model import structure
from lab.aws.cloudfront.protocol.xml_document import parse
from lab.aws.cloudfront.rules.continuous_deployment import policy_of
from lab.aws.cloudfront.rules.defaults import complete, missing_for_update
from lab.aws.cloudfront.rules.distribution_config import check_distribution

_SUMMARY_SHAPE = structure("DistributionSummary")
_SMALL = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class ParsedConfig:
    """A configuration as sent, with defaults filled in, and the values in it."""

    raw: bytes
    config: Config


def create_distribution(context: Context, call: Call) -> Values:
    """CreateDistribution."""
    return create(context, _given(call, "DistributionConfig"), {})


def create_distribution_with_tags(context: Context, call: Call) -> Values:
    """CreateDistributionWithTags."""
    tags = tagging.merged({}, call.parameters["DistributionConfigWithTags"]["Tags"])
    return create(context, _given(call, "DistributionConfigWithTags"), tags)


def get_distribution(context: Context, call: Call) -> Values:
    """GetDistribution."""
    distribution = find(context, call.parameters["Id"])
    return {"Distribution": shown(context, distribution), "ETag": distribution.latest.etag}


def get_distribution_config(context: Context, call: Call) -> Values:
    """GetDistributionConfig: the newest accepted configuration, deployed or not."""
    latest = find(context, call.parameters["Id"]).latest
    return {"DistributionConfig": Verbatim(latest.raw.decode()), "ETag": latest.etag}


def update_distribution(context: Context, call: Call) -> Values:
    """UpdateDistribution: replaces the whole configuration, even while an earlier update is
    InProgress.
    """
    distribution = find(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), distribution.latest.etag)
    given = _given(call, "DistributionConfig")
    if given.config["CallerReference"] != distribution.latest.config["CallerReference"]:
        raise CloudFrontError("IllegalUpdate", "You cannot update Origin or CallerReference.")
    missing = missing_for_update(call.document) if call.document is not None else None
    if missing is not None:
        raise CloudFrontError("IllegalUpdate", f"{missing} is required for updates.")
    check_distribution(context, given.config, distribution.id)
    changed = revise(context, distribution, given)
    return {"Distribution": shown(context, changed), "ETag": changed.latest.etag}


def delete_distribution(context: Context, call: Call) -> Values:
    """DeleteDistribution: only after disabling has reached every edge."""
    distribution = find(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), distribution.latest.etag)
    if distribution.latest.config["Enabled"] or deployment(context, distribution) != "Deployed":
        raise CloudFrontError(
            "DistributionNotDisabled",
            "The distribution you are trying to delete has not been disabled.",
        )
    if (
        distribution.latest.continuous_deployment_policy_id
        or policy_of(context, distribution) is not None
    ):
        # Field report; the model has no more specific code.
        raise CloudFrontError(
            "PreconditionFailed", "A continuous deployment policy uses the distribution."
        )
    for invalidation in _invalidations(context, distribution):
        context.store.invalidations.drop(invalidation)
    context.store.drop_distribution(distribution)
    return {}


def list_distributions(context: Context, call: Call) -> Values:
    """ListDistributions: the account's own, in pages."""
    own = (
        entity
        for entity in context.store.distributions.values()
        if entity.account == context.account
    )
    listed = page(
        context,
        own,
        call.parameters,
        lambda entity: entity.id,
        lambda entity: summary(context, entity),
    )
    return {"DistributionList": listed}


def create(context: Context, given: ParsedConfig, tags: dict[str, str]) -> Values:
    """Store a new distribution, and give the reply. Checks in order: caller reference,
    configuration, quotas.
    """
    reference = given.config["CallerReference"]
    existing = context.store.by_caller_reference(context.account, reference)
    if existing is not None:
        raise CloudFrontError(
            "DistributionAlreadyExists",
            "The caller reference that you are using to create a distribution is "
            "associated with another "
            f"distribution. Already exists: {existing}",
        )
    check_distribution(context, given.config, None)
    _check_quotas(context, staging=bool(given.config.get("Staging")))
    distribution_id = new_id("E", 13)
    revision = Revision(
        number=1,
        etag=new_etag(),
        raw=given.raw,
        config=given.config,
        modified=context.real_time,
        deployed_at=context.now + duration(DISTRIBUTION_SECONDS, f"{distribution_id}/1"),
    )
    distribution = Distribution(
        account=context.account,
        id=distribution_id,
        domain=new_id("d", 13, _SMALL) + ".cloudfront.net",
        created=context.real_time,
        revisions=(revision,),
        tags=tags,
    )
    context.store.put_distribution(distribution, revision)
    location = f"https://cloudfront.amazonaws.com/2020-05-31/distribution/{distribution.id}"
    return {
        "Distribution": shown(context, distribution),
        "ETag": revision.etag,
        "Location": location,
    }


def revise(context: Context, distribution: Distribution, given: ParsedConfig) -> Distribution:
    """The distribution with a new, valid configuration; stored."""
    return _with_revision(context, distribution, new_etag(), given, context.real_time)


def redeploy(context: Context, distribution: Distribution) -> Distribution:
    """The distribution, InProgress again with its present configuration and ETag; stored."""
    latest = distribution.latest
    return _with_revision(
        context, distribution, latest.etag, ParsedConfig(latest.raw, latest.config), latest.modified
    )


def parse_config(raw: bytes) -> ParsedConfig:
    """A DistributionConfig as bytes, with defaults filled in, and the values in it."""
    alone = parse(raw)
    completed = complete(alone)
    document = alone if completed == raw else parse(completed)
    return ParsedConfig(completed, read_structure("DistributionConfig", document.root))


def find(context: Context, distribution_id: str) -> Distribution:
    """The caller's distribution with that id.

    :raises CloudFrontError: NoSuchDistribution.
    """
    distribution = context.store.distributions.get(distribution_id)
    if distribution is None or distribution.account != context.account:
        raise CloudFrontError("NoSuchDistribution", "The specified distribution does not exist.")
    return distribution


def deployment(context: Context, distribution: Distribution) -> DistributionStatus:
    """The status in replies. Deployed only when the edge, a process of its own, is known to serve
    it.
    """
    return distribution.status(min(context.now, context.edges_at))


def shown(context: Context, distribution: Distribution) -> Values:
    """The distribution as replies show it."""
    latest = distribution.latest
    return {
        "Id": distribution.id,
        "ARN": distribution.arn,
        "Status": deployment(context, distribution),
        "LastModifiedTime": latest.modified,
        "InProgressInvalidationBatches": sum(
            invalidation.status(context.now) == "InProgress"
            for invalidation in _invalidations(context, distribution)
        ),
        "DomainName": distribution.domain,
        "ActiveTrustedSigners": {"Enabled": False, "Quantity": 0},
        "ActiveTrustedKeyGroups": active_key_groups(context, latest.config),
        "DistributionConfig": Verbatim(latest.raw.decode()),
    }


def _given(call: Call, payload: str) -> ParsedConfig:
    """The configuration in the request's body, with defaults filled in."""
    document = call.document
    if document is None:
        raise CloudFrontError(
            "MissingBody", "This operation requires a body. Ensure that the body is present."
        )
    element = (
        document.root
        if payload == "DistributionConfig"
        else document.root.child("DistributionConfig")
    )
    if element is None:
        raise CloudFrontError("MissingBody", "The body has no DistributionConfig.")
    return parse_config(document.cut(element))


def _invalidations(context: Context, distribution: Distribution) -> list[Invalidation]:
    return [
        entity
        for entity in context.store.invalidations.values()
        if entity.distribution == distribution.id
    ]


def _with_revision(
    context: Context, distribution: Distribution, etag: str, given: ParsedConfig, modified: float
) -> Distribution:
    number = distribution.latest.number + 1
    revision = Revision(
        number=number,
        etag=etag,
        raw=given.raw,
        config=given.config,
        modified=modified,
        deployed_at=distribution.next_deployment(context.now, number),
    )
    changed = dataclasses.replace(
        distribution, revisions=(*distribution.live(context.now), revision)
    )
    context.store.put_distribution(changed, revision)
    return changed


def _check_quotas(context: Context, *, staging: bool) -> None:
    own = [
        entity
        for entity in context.store.distributions.values()
        if entity.account == context.account
    ]
    limit = context.quotas["distributions"]
    if len(own) >= limit:
        raise CloudFrontError(
            "TooManyDistributions", f"You have reached the limit of {limit} distributions."
        )
    limit = context.quotas["staging_distributions"]
    if staging and sum(entity.latest.staging for entity in own) >= limit:
        raise CloudFrontError(
            "TooManyDistributions", f"You have reached the limit of {limit} staging distributions."
        )


def summary(context: Context, distribution: Distribution) -> Verbatim:
    """One list entry. It is as large as the configuration, so the XML is cached per ETag and
    status.
    """
    status = deployment(context, distribution)
    key = (distribution.latest.etag, status)
    kept = _SUMMARIES.get(distribution.id)
    if kept is None or kept[0] != key:
        values = _summary_values(distribution, status)
        kept = (key, Verbatim(write_element("DistributionSummary", _SUMMARY_SHAPE, values)))
        _SUMMARIES[distribution.id] = kept
    return kept[1]


_SUMMARIES: dict[str, tuple[tuple[str, str], Verbatim]] = {}


def _summary_values(distribution: Distribution, status: str) -> Values:
    latest = distribution.latest
    config = latest.config
    copied = {name: config[name] for name in _SUMMARY_SHAPE.members if name in config}
    return {
        **copied,
        "Id": distribution.id,
        "ARN": distribution.arn,
        "ETag": latest.etag,
        "Status": status,
        "LastModifiedTime": latest.modified,
        "DomainName": distribution.domain,
    }


OPERATIONS: Mapping[str, Operation] = {
    "CreateDistribution": create_distribution,
    "CreateDistributionWithTags": create_distribution_with_tags,
    "GetDistribution": get_distribution,
    "GetDistributionConfig": get_distribution_config,
    "UpdateDistribution": update_distribution,
    "DeleteDistribution": delete_distribution,
    "ListDistributions": list_distributions,
}
