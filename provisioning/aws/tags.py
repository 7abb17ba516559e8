"""Tags of CloudFront's resources. It reads only; a VPC origin gets its tags when it is created."""

from __future__ import annotations

from provisioning.aws.errors import AwsError, calling
from provisioning.aws.session import Aws


def of_resource(aws: Aws, arn: str) -> dict[str, str]:
    """The tags of a distribution or a VPC origin; none when it is gone."""
    try:
        with calling("ListTagsForResource"):
            answer = aws.cloudfront_read.list_tags_for_resource(Resource=arn)
    except AwsError as error:
        if error.is_absent:
            return {}
        raise
    return {tag["Key"]: tag.get("Value", "") for tag in answer["Tags"].get("Items", ())}
