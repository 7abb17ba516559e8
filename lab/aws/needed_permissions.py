"""Which IAM actions a call needs, on which resources, and what a policy's conditions can ask about
it (PURE).

From the Service Authorization Reference: an action without resource types is allowed on `*` only.
Calls that are not listed here are judged on `*`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

Tags = Callable[[str], Mapping[str, str] | None]
"""ARN → the tags of what exists, None otherwise."""
PREFIXES = {"service-quotas": "servicequotas"}
"""The name that requests are signed for → its prefix in policies, where they differ."""
_TAG = re.compile(r"TagSpecification\.\d+\.Tag\.(\d+)\.(Key|Value)")


@dataclass(frozen=True)
class CalledBy:
    """The account and Region of a call."""

    account: str
    region: str


@dataclass(frozen=True)
class NeededPermission:
    """An action on a resource; `context` are condition keys with their values."""

    action: str
    resource: str = "*"
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def of_request(
    service: str,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    by: CalledBy,
    tags: Tags,
) -> list[NeededPermission]:
    """What a call to any service but CloudFront needs; `headers` have lower-case names."""
    prefix = PREFIXES.get(service, service)
    if prefix == "apigateway":
        tail = re.sub("^/v2", "", unquote(path))
        return [NeededPermission(f"apigateway:{method}", f"arn:aws:apigateway:{by.region}::{tail}")]
    if target := headers.get("x-amz-target", ""):
        name, given = target.rpartition(".")[2], _json_object(body)
    else:
        given = dict(parse_qsl(query)) | dict(parse_qsl(body.decode("latin-1")))
        name = str(given.get("Action", f"{method} {path}"))
    action = f"{prefix}:{name}"
    if prefix == "ec2":
        return _of_ec2(action, given, by, tags)
    resource = _RESOURCES.get(action)
    context = {}
    if action == "iam:CreateServiceLinkedRole":
        context["iam:AWSServiceName"] = (str(given.get("AWSServiceName", "")),)
    return [NeededPermission(action, resource(given, by) if resource else "*", context)]


def of_cloudfront(
    operation: str, given: Mapping[str, Any], by: CalledBy, tags: Tags
) -> list[NeededPermission]:
    """What an operation of CloudFront needs; `given` are its parameters as botocore names them."""
    action, own = f"cloudfront:{operation}", f"arn:aws:cloudfront::{by.account}:"
    if operation in ("TagResource", "UntagResource", "ListTagsForResource"):
        arn = str(given.get("Resource", "*"))
        sent = _request_tags(given.get("Tags", {}))
        keys = tuple(given.get("TagKeys", {}).get("Items", ()))
        context = {**_tags_of(tags(arn)), **sent} | ({"aws:TagKeys": keys} if keys else {})
        return [NeededPermission(action, arn, context)]
    if operation == "CreateVpcOrigin":
        sent = _request_tags(given.get("Tags", {}))
        made = [NeededPermission("cloudfront:TagResource", f"{own}vpcorigin/*", sent)]
        return [NeededPermission(action, "*", sent), *(made if sent else [])]
    kind = next((word for part, word in _KINDS if part in operation), "")
    lists = operation.startswith(("List", "Create")) and operation != "ListDomainConflicts"
    of_what = given.get("Id") or given.get("DomainControlValidationResource", {}).get(
        "DistributionId"
    )
    if not kind or not of_what or lists:
        return [NeededPermission(action)]
    arn = f"{own}{kind}/{of_what}"
    return [NeededPermission(action, arn, _tags_of(tags(arn)))]


_KINDS = (
    ("OriginRequestPolicy", "origin-request-policy"),
    ("CachePolicy", "cache-policy"),
    ("ResponseHeadersPolicy", "response-headers-policy"),
    ("VpcOrigin", "vpcorigin"),
    ("DomainConflicts", "distribution"),
    ("Distribution", "distribution"),
)


def _of_ec2(
    action: str, given: Mapping[str, Any], by: CalledBy, tags: Tags
) -> list[NeededPermission]:
    """Rules of security groups are judged on the group, and on the new rule where it is tagged.
    RevokeSecurityGroupIngress knows no rules as resources.
    """
    region = {"ec2:Region": (by.region,)}
    if action not in ("ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"):
        return [NeededPermission(action, "*", region)]
    own = f"arn:aws:ec2:{by.region}:{by.account}:"
    group = f"{own}security-group/{given.get('GroupId', '*')}"
    needed = [NeededPermission(action, group, region | _tags_of(tags(group)))]
    labels: dict[str, dict[str, str]] = {}
    for name, value in given.items():
        if found := _TAG.fullmatch(name):
            labels.setdefault(found[1], {})[found[2]] = str(value)
    if labels:
        sent = _request_tags({"Items": list(labels.values())}) | region
        rule = f"{own}security-group-rule/*"
        marking = {"ec2:CreateAction": (action.partition(":")[2],)}
        needed += [
            NeededPermission(action, rule, sent),
            NeededPermission("ec2:CreateTags", rule, sent | marking),
        ]
    return needed


def _request_tags(given: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    sent = {str(one.get("Key", "")): str(one.get("Value", "")) for one in given.get("Items", ())}
    context = {f"aws:RequestTag/{key}": (value,) for key, value in sent.items()}
    return context | ({"aws:TagKeys": tuple(sent)} if sent else {})


def _tags_of(tags: Mapping[str, str] | None) -> dict[str, tuple[str, ...]]:
    return {f"aws:ResourceTag/{key}": (value,) for key, value in (tags or {}).items()}


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body or b"{}")
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


def _role(given: Mapping[str, Any], by: CalledBy) -> str:
    name = str(given.get("RoleName", "*"))
    if name.startswith("AWSServiceRoleFor"):
        return (
            f"arn:aws:iam::{by.account}:role/aws-service-role/"
            f"vpcorigin.cloudfront.amazonaws.com/{name}"
        )
    return f"arn:aws:iam::{by.account}:role/{name}"


def _linked_role(given: Mapping[str, Any], by: CalledBy) -> str:
    service = str(given.get("AWSServiceName", "*"))
    names = {"vpcorigin.cloudfront.amazonaws.com": "AWSServiceRoleForCloudFrontVPCOrigin"}
    name = names.get(service, "*")
    return f"arn:aws:iam::{by.account}:role/aws-service-role/{service}/{name}"


_RESOURCES: Mapping[str, Callable[[Mapping[str, Any], CalledBy], str]] = {
    "acm:DescribeCertificate": lambda given, by: str(given.get("CertificateArn", "*")),
    "servicequotas:GetServiceQuota": lambda given, by: (
        f"arn:aws:servicequotas:{by.region}:{by.account}:"
        f"{given.get('ServiceCode', '*')}/{given.get('QuotaCode', '*')}"
    ),
    "wafv2:GetWebACL": lambda given, by: (
        f"arn:aws:wafv2:us-east-1:{by.account}:global/webacl/"
        f"{given.get('Name', '*')}/{given.get('Id', '*')}"
    ),
    "iam:GetRole": _role,
    "iam:SimulatePrincipalPolicy": lambda given, by: str(given.get("PolicySourceArn", "*")),
    "iam:CreateServiceLinkedRole": _linked_role,
}
