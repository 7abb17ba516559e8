"""botocore's service model of CloudFront, which drives parsing and serialization."""

from __future__ import annotations

from botocore.model import ServiceModel, StructureShape
from botocore.session import get_session

API_VERSION = "2020-05-31"
NAMESPACE = f"http://cloudfront.amazonaws.com/doc/{API_VERSION}/"

SERVICE_MODEL: ServiceModel = get_session().get_service_model("cloudfront", API_VERSION)


def structure(name: str) -> StructureShape:
    """The structure of that name."""
    shape = SERVICE_MODEL.shape_for(name)
    if not isinstance(shape, StructureShape):
        raise TypeError(f"{name} is not a structure")
    return shape
