"""Service Quotas for CloudFront, which moto lacks: applied and default quotas.

The values are the lab's settings, read through `use_quotas`; nothing here changes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.responses import ServiceQuotasResponse

from lab.config import DEFAULT_QUOTAS

SERVICE_CODE = "cloudfront"
# The Region of CloudFront's quotas.
_REGION = "us-east-1"
# The lab's name → AWS's name, and AWS's code if it is public.
_NAMES: dict[str, tuple[str, str]] = {
    "vpc_origins": ("VPC origins per AWS account", ""),
    "distributions_per_vpc_origin": ("Distributions associated with a single VPC origin", ""),
    "distributions": ("Web distributions per AWS account", "L-24B04930"),
    "staging_distributions": ("Staging distributions per AWS account", ""),
    "continuous_deployment_policies": ("Continuous deployment policies per AWS account", ""),
    "cache_behaviors": ("Cache behaviors per distribution", "L-F432D044"),
    "origins": ("Origins per distribution", ""),
    "origin_groups": ("Origin groups per distribution", ""),
    "aliases": ("Alternate domain names (CNAMEs) per distribution", ""),
    "cache_policies": ("Cache policies per AWS account", ""),
    "origin_request_policies": ("Origin request policies per AWS account", ""),
    "response_headers_policies": ("Response headers policies per AWS account", ""),
    "headers_per_origin_request_policy": ("Headers per origin request policy", ""),
    "public_keys": ("Public keys per AWS account", ""),
    "public_keys_per_key_group": ("Public keys in a single key group", "L-9EBD26CA"),
    "key_groups": ("Key groups per AWS account", "L-D64DA6E2"),
    "key_groups_per_behavior": ("Key groups associated with a single distribution", "L-E7E9ACEB"),
}
_applied: list[Callable[[], Mapping[str, int]]] = []


def use_quotas(read: Callable[[], Mapping[str, int]]) -> None:
    """Read the applied quotas with `read` from now on."""
    _applied[:] = [read]


def patch_service_quotas() -> None:
    """Add CloudFront's quotas to moto, which has its own for VPC."""
    list_defaults: Callable[[Any], str] = ServiceQuotasResponse.list_aws_default_service_quotas
    get_quota: Callable[[Any], str] = ServiceQuotasResponse.get_service_quota

    def for_cloudfront(
        own: Callable[[Any], str], moto: Callable[[Any], str]
    ) -> Callable[[Any], str]:
        def answer(request: Any) -> str:
            return (
                own(request)
                if _given(request).get("ServiceCode") == SERVICE_CODE
                else moto(request)
            )

        return answer

    for own, moto in (
        (list_service_quotas, list_defaults),
        (list_aws_default_service_quotas, list_defaults),
        (get_service_quota, get_quota),
        (get_aws_default_service_quota, get_quota),
    ):
        setattr(ServiceQuotasResponse, own.__name__, for_cloudfront(own, moto))


def list_service_quotas(request: Any) -> str:
    """ListServiceQuotas."""
    return json.dumps({"Quotas": _quotas(request, _current())})


def list_aws_default_service_quotas(request: Any) -> str:
    """ListAWSDefaultServiceQuotas."""
    return json.dumps({"Quotas": _quotas(request, DEFAULT_QUOTAS)})


def get_service_quota(request: Any) -> str:
    """GetServiceQuota."""
    return json.dumps({"Quota": _one(request, _current())})


def get_aws_default_service_quota(request: Any) -> str:
    """GetAWSDefaultServiceQuota."""
    return json.dumps({"Quota": _one(request, DEFAULT_QUOTAS)})


def _current() -> Mapping[str, int]:
    return _applied[0]() if _applied else DEFAULT_QUOTAS


def _one(request: Any, values: Mapping[str, int]) -> dict[str, Any]:
    for quota in _quotas(request, values):
        if quota["QuotaCode"] == _given(request).get("QuotaCode"):
            return quota
    raise NoSuchResource


def _quotas(request: Any, values: Mapping[str, int]) -> list[dict[str, Any]]:
    if request.region != _REGION:
        raise NoSuchResource
    account, found = request.current_account, []
    for name, (title, known) in _NAMES.items():
        code = known or "L-" + hashlib.sha256(name.encode()).hexdigest()[:8].upper()
        found.append(
            {
                "ServiceCode": SERVICE_CODE,
                "ServiceName": "Amazon CloudFront",
                "QuotaArn": f"arn:aws:servicequotas::{account}:{SERVICE_CODE}/{code}",
                "QuotaCode": code,
                "QuotaName": title,
                "Value": float(values[name]),
                "Unit": "None",
                # According to the quotas page, this one cannot be raised.
                "Adjustable": name != "distributions_per_vpc_origin",
                "GlobalQuota": True,
            }
        )
    return found


def _given(request: Any) -> dict[str, Any]:
    given = json.loads(request.body)
    return given if isinstance(given, dict) else {}
