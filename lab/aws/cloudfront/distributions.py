"""Distributions: create, get, update, delete, list, and who uses a VPC origin.

It decides when a configuration may be replaced or a distribution deleted. The configuration's own rules are
distribution_rules.py's; when it is out is lifecycle.py's. What it answers with is the XML it was given.
"""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Mapping
from dataclasses import dataclass

from lab.aws.cloudfront import tagging
from lab.aws.cloudfront.completion import complete
from lab.aws.cloudfront.context import Context, Operation, check_if_match, new_etag, new_id, page
from lab.aws.cloudfront.distribution_rules import check_distribution
from lab.aws.cloudfront.document import Document, parse
from lab.aws.cloudfront.errors import CloudFrontError
from lab.aws.cloudfront.lifecycle import DISTRIBUTION_SECONDS, Config, Distribution, Revision, duration
from lab.aws.cloudfront.model import structure
from lab.aws.cloudfront.vpc_origins import find as find_vpc_origin
from lab.aws.cloudfront.wire import Call, Values, Verbatim, read_structure, write_element

_SUMMARY_SHAPE = structure("DistributionSummary")
_SMALL = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class _Given:
    """A configuration as it was sent, completed, and the values read from it."""

    raw: bytes
    config: Config


def create_distribution(context: Context, call: Call) -> Values:
    """CreateDistribution."""
    return _create(context, _given(call, "DistributionConfig"), {})


def create_distribution_with_tags(context: Context, call: Call) -> Values:
    """CreateDistributionWithTags."""
    tags = tagging.merged({}, call.parameters["DistributionConfigWithTags"]["Tags"])
    return _create(context, _given(call, "DistributionConfigWithTags"), tags)


def get_distribution(context: Context, call: Call) -> Values:
    """GetDistribution."""
    distribution = _find(context, call.parameters["Id"])
    return {"Distribution": _shown(context, distribution), "ETag": distribution.latest.etag}


def get_distribution_config(context: Context, call: Call) -> Values:
    """GetDistributionConfig: the newest accepted configuration, deployed or not."""
    latest = _find(context, call.parameters["Id"]).latest
    return {"DistributionConfig": Verbatim(latest.raw.decode()), "ETag": latest.etag}


def update_distribution(context: Context, call: Call) -> Values:
    """UpdateDistribution: replaces the whole configuration. Allowed while an earlier update is InProgress."""
    distribution = _find(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), distribution.latest.etag)
    given = _given(call, "DistributionConfig")
    if given.config["CallerReference"] != distribution.latest.config["CallerReference"]:
        raise CloudFrontError("IllegalUpdate", "You cannot update Origin or CallerReference.")
    check_distribution(context, given.config, distribution.id)
    number = distribution.latest.number + 1
    revision = Revision(
        number=number,
        etag=new_etag(),
        raw=given.raw,
        config=given.config,
        modified=context.wall,
        deployed_at=distribution.next_deployment(context.now, number),
    )
    changed = dataclasses.replace(distribution, revisions=(*distribution.live(context.now), revision))
    context.store.put_distribution(changed, revision)
    return {"Distribution": _shown(context, changed), "ETag": revision.etag}


def delete_distribution(context: Context, call: Call) -> Values:
    """DeleteDistribution: only when it is disabled and that has reached every edge."""
    distribution = _find(context, call.parameters["Id"])
    check_if_match(call.parameters.get("IfMatch"), distribution.latest.etag)
    if distribution.latest.config["Enabled"] or distribution.status(context.now) != "Deployed":
        raise CloudFrontError(
            "DistributionNotDisabled", "The distribution you are trying to delete has not been disabled."
        )
    context.store.drop_distribution(distribution)
    return {}


def list_distributions(context: Context, call: Call) -> Values:
    """ListDistributions: the account's own, in pages."""
    own = (entity for entity in context.store.distributions.values() if entity.account == context.account)
    listed = page(context, own, call.parameters, lambda entity: entity.id, lambda entity: _summary(context, entity))
    return {"DistributionList": listed}


def list_distributions_by_vpc_origin_id(context: Context, call: Call) -> Values:
    """ListDistributionsByVpcOriginId: ids of the distributions whose newest configuration names it."""
    origin = find_vpc_origin(context, call.parameters["VpcOriginId"])
    users = (
        entity
        for entity in context.store.distributions.values()
        if entity.account == context.account and origin.id in entity.latest.vpc_origin_ids
    )
    return {"DistributionIdList": page(context, users, call.parameters, _identity, _identity)}


def _identity(distribution: Distribution) -> str:
    return distribution.id


def _create(context: Context, given: _Given, tags: dict[str, str]) -> Values:
    """Checks in order: caller reference, configuration, quota."""
    reference = given.config["CallerReference"]
    existing = context.store.by_caller_reference(context.account, reference)
    if existing is not None:
        raise CloudFrontError(
            "DistributionAlreadyExists",
            f"The caller reference that you are using to create a distribution is associated with another "
            f"distribution. Already exists: {existing}",
        )
    check_distribution(context, given.config, None)
    limit = context.quotas["distributions"]
    if sum(entity.account == context.account for entity in context.store.distributions.values()) >= limit:
        raise CloudFrontError("TooManyDistributions", f"You have reached the limit of {limit} distributions.")
    distribution_id = new_id("E", 13)
    revision = Revision(
        number=1,
        etag=new_etag(),
        raw=given.raw,
        config=given.config,
        modified=context.wall,
        deployed_at=context.now + duration(DISTRIBUTION_SECONDS, f"{distribution_id}/1"),
    )
    distribution = Distribution(
        account=context.account,
        id=distribution_id,
        domain=new_id("d", 13, _SMALL) + ".cloudfront.net",
        created=context.wall,
        revisions=(revision,),
        tags=tags,
    )
    context.store.put_distribution(distribution, revision)
    location = f"https://cloudfront.amazonaws.com/2020-05-31/distribution/{distribution.id}"
    return {"Distribution": _shown(context, distribution), "ETag": revision.etag, "Location": location}


def _given(call: Call, payload: str) -> _Given:
    """The configuration in the request's body: cut out, completed, and read again from the completed bytes."""
    document = call.document
    if document is None:
        raise CloudFrontError("MissingBody", "This operation requires a body. Ensure that the body is present.")
    element = document.root if payload == "DistributionConfig" else document.root.child("DistributionConfig")
    if element is None:
        raise CloudFrontError("MissingBody", "The body has no DistributionConfig.")
    alone: Document = parse(document.cut(element))
    raw = complete(alone)
    completed = alone if raw == alone.raw else parse(raw)
    return _Given(raw, read_structure("DistributionConfig", completed.root))


def _find(context: Context, distribution_id: str) -> Distribution:
    distribution = context.store.distributions.get(distribution_id)
    if distribution is None or distribution.account != context.account:
        raise CloudFrontError("NoSuchDistribution", "The specified distribution does not exist.")
    return distribution


def _shown(context: Context, distribution: Distribution) -> Values:
    latest = distribution.latest
    nobody = {"Enabled": False, "Quantity": 0}
    return {
        "Id": distribution.id,
        "ARN": distribution.arn,
        "Status": distribution.status(context.now),
        "LastModifiedTime": latest.modified,
        "InProgressInvalidationBatches": 0,
        "DomainName": distribution.domain,
        "ActiveTrustedSigners": nobody,
        "ActiveTrustedKeyGroups": nobody,
        "DistributionConfig": Verbatim(latest.raw.decode()),
    }


def _summary(context: Context, distribution: Distribution) -> Verbatim:
    """One list entry. Its size is that of the whole configuration, so the XML is kept per version and status."""
    status = distribution.status(context.now)
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
    "ListDistributionsByVpcOriginId": list_distributions_by_vpc_origin_id,
    "CreateDistribution": create_distribution,
    "CreateDistributionWithTags": create_distribution_with_tags,
    "GetDistribution": get_distribution,
    "GetDistributionConfig": get_distribution_config,
    "UpdateDistribution": update_distribution,
    "DeleteDistribution": delete_distribution,
    "ListDistributions": list_distributions,
}
