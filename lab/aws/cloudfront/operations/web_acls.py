"""Associates and disassociates a distribution's web ACL without its whole configuration.

The edges see it as a change of the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.aws.cloudfront.context import Context, Operation, check_if_match
from lab.aws.cloudfront.entities.lifecycle import Distribution
from lab.aws.cloudfront.operations import distributions
from lab.aws.cloudfront.protocol.config_editing import text_member, with_members
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.cloudfront.protocol.rest_xml import Call, Values
from lab.aws.cloudfront.rules.continuous_deployment import policy_of, primary_of
from lab.aws.cloudfront.rules.viewer_config import check_imitated
from lab.aws.resources import web_acls


def associate(context: Context, call: Call) -> Values:
    """AssociateDistributionWebACL."""
    distribution = _find(context, call)
    web_acl = call.parameters["WebACLArn"]
    if not web_acls.has_web_acl(context.account, web_acl):
        raise invalid(f"The web ACL does not exist, or its scope is not CLOUDFRONT: {web_acl}")
    check_imitated(context, web_acl)
    limit = context.quotas["distributions_per_web_acl"]
    users = [
        entity.id
        for entity in context.store.distributions.values()
        if entity.id != distribution.id and entity.latest.config.get("WebACLId") == web_acl
    ]
    if len(users) >= limit:
        raise CloudFrontError(
            "EntityLimitExceeded", f"The web ACL is used by {limit} distributions, the limit."
        )
    changed = _with_web_acl(context, distribution, web_acl)
    return {"Id": changed.id, "WebACLArn": web_acl, "ETag": changed.latest.etag}


def disassociate(context: Context, call: Call) -> Values:
    """DisassociateDistributionWebACL."""
    changed = _with_web_acl(context, _find(context, call), "")
    return {"Id": changed.id, "ETag": changed.latest.etag}


def _find(context: Context, call: Call) -> Distribution:
    """The distribution, if the caller has its current ETag. These operations report a missing one
    as EntityNotFound.
    """
    try:
        distribution = distributions.find(context, call.parameters["Id"])
    except CloudFrontError:
        raise CloudFrontError(
            "EntityNotFound", "The specified distribution does not exist."
        ) from None
    check_if_match(call.parameters.get("IfMatch"), distribution.latest.etag)
    return distribution


def _with_web_acl(context: Context, distribution: Distribution, web_acl: str) -> Distribution:
    """The distribution with that web ACL; unchanged if it already has it."""
    latest = distribution.latest
    if latest.config.get("WebACLId", "") == web_acl:
        return distribution
    policy = policy_of(context, distribution)
    if latest.continuous_deployment_policy_id or (
        policy is not None and primary_of(context, policy.id) is not None
    ):
        raise invalid(
            "A web ACL cannot be changed while a continuous deployment policy is attached."
        )
    raw = with_members(latest.raw, {"WebACLId": text_member("WebACLId", web_acl)})
    return distributions.revise(context, distribution, distributions.parse_config(raw))


OPERATIONS: Mapping[str, Operation] = {
    "AssociateDistributionWebACL": associate,
    "DisassociateDistributionWebACL": disassociate,
}
