"""Every implemented operation of CloudFront follows botocore's model: one success, and each error
that the lab can return.

Complete by construction: an operation without a story fails, as does a declared error that is
neither seen nor listed here with a reason, or one that is listed but seen.
"""

from __future__ import annotations

import pytest

from lab.aws.cloudfront.protocol.service_model import SERVICE_MODEL
from lab.aws.cloudfront.service import OPERATIONS
from tests.lab.account import Lab
from tests.lab.contract import SUCCESS, Contract
from tests.lab.contract_stories import REFUSED_CONFIGURATIONS, STORIES

# Declared by many operations; the lab returns it from few or none.
NEVER_EVERYWHERE = {
    "AccessDenied": "permissions are not checked; only what is shared is guarded",
    "UnsupportedOperation": "every Region has the operation",
    "MissingBody": "botocore always sends a body; test_wire.py sends none",
    "TooManyCertificates": "certificates for dedicated addresses are not counted",
    "IllegalFieldLevelEncryptionConfigAssociationWithCacheBehavior": "no field-level encryption",
    "NoSuchFieldLevelEncryptionConfig": "no field-level encryption",
    "TooManyDistributionsAssociatedToFieldLevelEncryptionConfig": "no field-level encryption",
    "IllegalOriginAccessConfiguration": "no S3 origins",
    "InvalidOrigin": "no S3 origins",
    "InvalidOriginAccessIdentity": "no S3 origins",
    "InvalidOriginAccessControl": "no S3 origins",
    "InvalidDomainNameForOriginAccessControl": "no S3 origins",
    "InvalidHeadersForS3Origin": "no S3 origins",
    "TooManyDistributionsAssociatedToOriginAccessControl": "no S3 origins",
    "NoSuchRealtimeLogConfig": "no real-time logs",
    "RealtimeLogConfigOwnerMismatch": "no real-time logs",
    "InvalidMinimumProtocolVersion": "the model's enum is checked first, as MalformedXML",
    "InvalidProtocolSettings": "the model does not say when",
    "InvalidRequiredProtocol": "the model's enum is checked first, as MalformedXML",
    "InvalidRelativePath": "InvalidArgument instead",
    "InvalidQueryStringParameters": "InvalidArgument instead",
    "TooManyTrustedSigners": "trusted signers of the old kind are not checked",
    "TrustedSignerDoesNotExist": "trusted signers of the old kind are not checked",
    "TooManyDistributionsAssociatedToKeyGroup": "not counted",
    "TooManyDistributionsWithFunctionAssociations": "not counted",
    "TooManyDistributionsWithLambdaAssociations": "not counted",
    "TooManyDistributionsWithSingleFunctionARN": "not counted",
}
_CONFIGURATION = {code for code, _ in REFUSED_CONFIGURATIONS} - {"InvalidArgument"} | {
    "CNAMEAlreadyExists",
    "TooManyDistributionsAssociatedToCachePolicy",
    "TooManyDistributionsAssociatedToOriginRequestPolicy",
    "TooManyDistributionsAssociatedToResponseHeadersPolicy",
}
# Declared by the operation, but never returned.
NEVER_BY: dict[str, set[str]] = {
    "CreateDistribution": {"NoSuchContinuousDeploymentPolicy", "ContinuousDeploymentPolicyInUse"},
    "CreateDistributionWithTags": {
        "NoSuchContinuousDeploymentPolicy",
        "ContinuousDeploymentPolicyInUse",
    },
    # They work on configurations that were accepted before.
    "CopyDistribution": _CONFIGURATION,
    "UpdateDistributionWithStagingConfig": _CONFIGURATION | {"EntityLimitExceeded"},
    # A distribution in continuous deployment cannot be disabled, so deletion cannot be reached.
    "DeleteDistribution": {"ResourceInUse"},
    # An unknown account or kind of policy cannot be asked for.
    "ListVpcOrigins": {"EntityNotFound"},
    "ListCachePolicies": {"NoSuchCachePolicy"},
    "ListOriginRequestPolicies": {"NoSuchOriginRequestPolicy"},
    "ListResponseHeadersPolicies": {"NoSuchResponseHeadersPolicy"},
    "ListContinuousDeploymentPolicies": {"NoSuchContinuousDeploymentPolicy"},
    # The number of VPC origins does not grow.
    "UpdateVpcOrigin": {"EntityLimitExceeded"},
    # Ids are free text, so a malformed one is just unknown.
    "GetVpcOrigin": {"InvalidArgument"},
    "DeleteVpcOrigin": {"InvalidArgument"},
    "DeleteContinuousDeploymentPolicy": {"InvalidArgument"},
    "DisassociateDistributionWebACL": {"InvalidArgument"},
    "UntagResource": {"InvalidTagging"},
    "ListTagsForResource": {"InvalidTagging"},
    "UpdatePublicKey": {"IllegalUpdate"},
    # The model does not say when.
    "UpdateDomainAssociation": {"InvalidAssociation"},
    # These operations have no If-Match.
    "PutResourcePolicy": {"PreconditionFailed"},
    "DeleteResourcePolicy": {"PreconditionFailed"},
}


@pytest.fixture(scope="module")
def contract(lab: Lab) -> Contract:
    """What all stories have seen, with every reply checked."""
    seen = Contract()
    for story in STORIES:
        story(seen, lab)
    return seen


@pytest.mark.rule(
    "api/all-operations",
    "api/declared-errors",
    "policy/cache-custom",
    "policy/response-headers-custom",
    "policy/key-groups",
)
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_an_operation_keeps_its_contract(contract: Contract, operation: str) -> None:
    seen = contract.seen[operation]
    assert SUCCESS in seen, f"no story lets {operation} succeed"
    declared = {shape.name for shape in SERVICE_MODEL.operation_model(operation).error_shapes}
    never = NEVER_BY.get(operation, set())
    unmet = declared - seen - NEVER_EVERYWHERE.keys() - never
    assert not unmet, (
        f"no story meets these errors of {operation}, and no reason says why: {sorted(unmet)}"
    )
    stale = never & (seen | ({*never} - declared))
    assert stale <= _CONFIGURATION - seen, (
        f"{operation} gives or does not declare {sorted(stale)}: drop the excuse"
    )


def test_errors_that_no_model_declares_are_few(contract: Contract) -> None:
    undeclared = {
        (name, code)
        for name, codes in contract.seen.items()
        for code in codes - {SUCCESS}
        if code not in {shape.name for shape in SERVICE_MODEL.operation_model(name).error_shapes}
    }
    assert undeclared == set()
