"""The role that AWS makes in an account with its first VPC origin. It only looks."""

from __future__ import annotations

from provisioning.aws.errors import AwsError, calling
from provisioning.aws.session import Aws
from provisioning.facts.names import SERVICE_ROLE_NAME


def has_service_role(aws: Aws) -> bool:
    """Whether the account has it."""
    try:
        with calling("GetRole"):
            aws.iam_read.get_role(RoleName=SERVICE_ROLE_NAME)
    except AwsError as error:
        if error.is_absent:
            return False
        raise
    return True
