"""Distributions: list, read, and write back with the ETag of the read.

A distribution with elements that botocore does not know, and would drop, is never written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from provisioning.aws import unknown_elements
from provisioning.aws.errors import MEANINGS, UNKNOWN_ELEMENTS, AwsError, calling
from provisioning.aws.session import Aws
from provisioning.facts.distribution import Behavior, DistributionFacts, EdgeFunction, Origin
from provisioning.facts.names import Arn, DistributionId
from provisioning.redaction.masking import KnownSecrets

DEPLOYED, IN_PROGRESS = "Deployed", "InProgress"
DEFAULT_PATTERN = "*"
# AWS returns the methods in an order of its own; this is the order of the specification's method
# sets.
_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")


@dataclass(frozen=True)
class DistributionSummary:
    """One row of the account's list of distributions."""

    id: DistributionId
    domain_name: str
    status: str
    comment: str
    enabled: bool
    aliases: tuple[str, ...]
    staging: bool = False


@dataclass(frozen=True)
class DistributionRecord:
    """A distribution as AWS answered: facts, the whole DistributionConfig, and the ETag that a
    write needs.
    """

    facts: DistributionFacts
    config: dict[str, Any]
    etag: str
    status: str
    domain_name: str


def arn(account_id: str, distribution_id: str) -> Arn:
    """The ARN that tags hang on."""
    return Arn(f"arn:aws:cloudfront::{account_id}:distribution/{distribution_id}")


def list_all(aws: Aws) -> tuple[DistributionSummary, ...]:
    """Every distribution of the account."""
    return tuple(
        DistributionSummary(
            DistributionId(item["Id"]),
            item["DomainName"],
            item["Status"],
            item.get("Comment", ""),
            item["Enabled"],
            tuple(item["Aliases"].get("Items", ())),
            item.get("Staging", False),
        )
        for item in _summaries(aws)
    )


def read(aws: Aws, distribution_id: str) -> DistributionRecord | None:
    """The distribution, or None when it does not exist (any more)."""
    try:
        with calling("GetDistribution"):
            answer = aws.cloudfront_read.get_distribution(Id=distribution_id)
    except AwsError as error:
        if error.is_absent:
            return None
        raise
    return _record(cast("Mapping[str, Any]", answer))


def write(aws: Aws, record: DistributionRecord, config: Mapping[str, Any]) -> DistributionRecord:
    """Send one UpdateDistribution with the ETag of `record`, and return what AWS made of it.

    :raises AwsError: UnknownElements, without a call, when the record has elements that botocore
    would drop;
        `is_stale` if it was changed since the record was read: read again. Without an answer, the
        write may still have happened.
    """
    if record.facts.unknown_elements:
        raise AwsError(
            "UpdateDistribution",
            UNKNOWN_ELEMENTS,
            "The distribution has settings that this portal does not know yet, and writing "
            "it would lose them: "
            f"{', '.join(record.facts.unknown_elements)}",
            fix=MEANINGS[UNKNOWN_ELEMENTS].fix,
        )
    try:
        with calling("UpdateDistribution"):
            answer = aws.cloudfront_write.update_distribution(
                Id=record.facts.id,
                IfMatch=record.etag,
                DistributionConfig=cast("Any", dict(config)),
            )
    except AwsError as error:
        # botocore and CloudFront quote what they do not accept.
        values = KnownSecrets(
            header["HeaderValue"]
            for origin in config["Origins"]["Items"]
            for header in (origin.get("CustomHeaders") or {}).get("Items") or ()
        )
        raise error.without(values) from None
    return _record(cast("Mapping[str, Any]", answer))


def outline(record: DistributionRecord) -> dict[str, Any]:
    """Its ETag and origins, and which behavior leads to which: what a run waits to see."""
    return {
        "etag": record.etag,
        "origins": [origin.id for origin in record.facts.origins],
        "behaviors": {
            behavior.path_pattern: behavior.target_origin_id for behavior in record.facts.behaviors
        },
    }


def _summaries(aws: Aws) -> Iterator[Mapping[str, Any]]:
    marker = ""
    while True:
        with calling("ListDistributions"):
            page = aws.cloudfront_read.list_distributions(**({"Marker": marker} if marker else {}))[
                "DistributionList"
            ]
        yield from cast("Any", page.get("Items", ()))
        following = page.get("NextMarker", "")
        if not page["IsTruncated"] or not following or following == marker:
            return
        marker = following


def _record(answer: Mapping[str, Any]) -> DistributionRecord:
    found = answer["Distribution"]
    config = found["DistributionConfig"]
    facts = DistributionFacts(
        id=DistributionId(found["Id"]),
        domain_name=found["DomainName"],
        enabled=config["Enabled"],
        status=found["Status"],
        comment=config.get("Comment", ""),
        aliases=tuple(_items(config, "Aliases")),
        behaviors=tuple(
            _behavior(item, item["PathPattern"]) for item in _items(config, "CacheBehaviors")
        ),
        default_behavior=_behavior(config["DefaultCacheBehavior"], DEFAULT_PATTERN),
        origins=tuple(_origin(item) for item in _items(config, "Origins")),
        unknown_elements=unknown_elements.found_in(answer),
        certificate_arn=(config.get("ViewerCertificate") or {}).get("ACMCertificateArn", ""),
        staging=bool(config.get("Staging")),
        continuous_deployment_policy_id=config.get("ContinuousDeploymentPolicyId") or "",
        connection_mode=config.get("ConnectionMode") or "direct",
        web_acl_id=config.get("WebACLId") or "",
    )
    return DistributionRecord(facts, config, answer["ETag"], found["Status"], found["DomainName"])


def _items(config: Mapping[str, Any], name: str) -> list[Any]:
    """The items of one of CloudFront's Quantity/Items pairs; AWS leaves Items out when there are
    none.
    """
    return list((config.get(name) or {}).get("Items") or ())


def _behavior(found: Mapping[str, Any], pattern: str) -> Behavior:
    methods = _items(found, "AllowedMethods") or ["GET", "HEAD"]
    return Behavior(
        pattern,
        found["TargetOriginId"],
        found["ViewerProtocolPolicy"],
        found.get("CachePolicyId", ""),
        found.get("OriginRequestPolicyId", ""),
        ",".join(
            sorted(
                methods,
                key=lambda method: _METHODS.index(method) if method in _METHODS else len(_METHODS),
            )
        ),
        functions=tuple(sorted(_functions(found), key=lambda one: one.event)),
        key_groups=tuple(sorted(_items(found, "TrustedKeyGroups"))),
        trusted_signers=tuple(sorted(_items(found, "TrustedSigners"))),
        response_headers_policy_id=found.get("ResponseHeadersPolicyId") or "",
        realtime_log_config_arn=found.get("RealtimeLogConfigArn") or "",
        field_level_encryption_id=found.get("FieldLevelEncryptionId") or "",
    )


def _functions(found: Mapping[str, Any]) -> Iterator[EdgeFunction]:
    for one in _items(found, "FunctionAssociations"):
        yield EdgeFunction(one["EventType"], Arn(one["FunctionARN"]))
    for one in _items(found, "LambdaFunctionAssociations"):
        yield EdgeFunction(
            one["EventType"], Arn(one["LambdaFunctionARN"]), bool(one.get("IncludeBody"))
        )


def _origin(found: Mapping[str, Any]) -> Origin:
    private = found.get("VpcOriginConfig") or {}
    identity = (found.get("S3OriginConfig") or {}).get("OriginAccessIdentity", "")
    return Origin(
        found["Id"],
        found["DomainName"],
        private.get("VpcOriginId", ""),
        found.get("OriginPath", ""),
        (found.get("CustomOriginConfig") or {}).get("OriginProtocolPolicy", ""),
        owner_account=private.get("OwnerAccountId") or "",
        access_control=found.get("OriginAccessControlId") or identity or "",
        header_names=tuple(sorted(one["HeaderName"] for one in _items(found, "CustomHeaders"))),
    )
