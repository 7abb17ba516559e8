"""One documented rule of AWS: id, sentence, source, and the reason if the lab leaves it out. Tests
name rules, never the other way round.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

GROUPS = (
    "vpc-origin",
    "distribution",
    "policy",
    "websocket",
    "timeout",
    "balancer",
    "answer",
    "log",
    "api",
    "continuous-deployment",
    "sharing",
    "quota",
)


class Known(enum.Enum):
    """How well a rule is known."""

    DOCUMENTED = "documented"
    MODEL = "botocore's model"
    FIELD = "field report"
    INFERRED = "inferred"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Rule:
    """`says` is a sentence about AWS, `source` a page, a model or a report, `left_out` a reason or
    "".
    """

    id: str
    says: str
    source: str
    known: Known
    left_out: str = ""

    @property
    def group(self) -> str:
        """The part of the id before the slash."""
        return self.id.partition("/")[0]

    @property
    def must_be_proven(self) -> bool:
        """A documented rule needs a test or a reason; an unverified one may have a test."""
        return self.known in (Known.DOCUMENTED, Known.MODEL) and not self.left_out


# Pages of AWS, by their titles.
DG = "CloudFront Developer Guide: "
VPC_ORIGINS = DG + "Restrict access with VPC origins"
WEBSOCKETS = DG + "Use WebSockets with CloudFront distributions"
QUOTAS = DG + "Quotas"
CUSTOM_ORIGIN = DG + "Request and response behavior for custom origins"
SETTINGS = DG + "All distribution settings reference"
MULTI_TENANT = DG + "Understand how multi-tenant distributions work"
UPDATING = DG + "Update a distribution"
POLICIES = DG + "Use managed policies"
DEPLOYMENT = DG + "Use continuous deployment to safely test changes"
SHARING = DG + "Shared resources in CloudFront"
ERRORS = DG + "How CloudFront caches HTTP 4xx and 5xx status codes"
TROUBLE = DG + "Troubleshooting error responses"
LOGS = DG + "Standard logging reference"
PLANS = DG + "Flat-rate pricing plans"
VPC_BPA = "VPC User Guide: Block public access to VPCs and subnets"
PREFIX_LISTS = "VPC User Guide: AWS-managed prefix lists"
ELB_GUIDE = "Elastic Load Balancing: Application Load Balancers"
NLB_GUIDE = "Elastic Load Balancing: Network Load Balancers"
MODEL = "botocore's model of CloudFront"
COMMON = "AWS API references: Common Errors"
MODEL_ELB = "botocore's model of ELBv2"
MODEL_EC2 = "botocore's model of EC2"
NOBODY = "nobody; the lab takes the likeliest"
