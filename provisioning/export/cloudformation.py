"""An export as a CloudFormation template, with what a resource import needs (PURE).

The tree of properties that it makes is also what `cdk` writes down.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from provisioning.export.content import (
    Config,
    ExportedDistribution,
    ExportedRule,
    ExportedVpcOrigin,
    Hidden,
    Stack,
    VpcOriginRef,
    items,
    pascal,
    unique_names,
)

DISTRIBUTION = "AWS::CloudFront::Distribution"
VPC_ORIGIN = "AWS::CloudFront::VpcOrigin"
INGRESS_RULE = "AWS::EC2::SecurityGroupIngress"
TEMPLATE, TO_IMPORT, FRAGMENT = (
    "template.json",
    "resources-to-import.json",
    "distribution-fragment.json",
)

# CloudFormation's name of what CloudFront's API calls otherwise.
_RENAMED = {
    "ACMCertificateArn": "AcmCertificateArn",
    "CustomHeaders": "OriginCustomHeaders",
    "IAMCertificateId": "IamCertificateId",
    "IsIPV6Enabled": "IPV6Enabled",
    "OriginSslProtocols": "OriginSSLProtocols",
    "SSLSupportMethod": "SslSupportMethod",
}
# Pairs of Quantity and Items that CloudFormation has as they are; all others are plain lists.
_PAIRS = frozenset({"OriginGroups", "Members", "StatusCodes"})
# AWS sets the first, and derives the others from what stands beside them.
_DERIVED = frozenset({"CallerReference", "Certificate", "CertificateSource"})
NOT_EXPRESSED = {"OriginHttpVersion": "http1.1"}
"""Settings that CloudFormation has no property for, with CloudFront's default."""


def resource_names(stack: Stack) -> dict[str, str]:
    """The logical ID of everything in the stack, by its ID in AWS."""
    ids = {one.id: f"Distribution {one.id}" for one in stack.distributions}
    ids |= {one.id: f"VpcOrigin {one.id.removeprefix('vo_')}" for one in stack.vpc_origins}
    ids |= {
        one.rule.rule_id: f"IngressRule {one.rule.rule_id.removeprefix('sgr-')}"
        for one in stack.rules
    }
    return unique_names(ids, lambda aws_id: pascal(ids[aws_id]))


def parameter_names(stack: Stack) -> dict[str, str]:
    """The name of the parameter for each hidden value, by what it is."""
    taken = {name.lower() for name in resource_names(stack).values()}

    def spell(what: str) -> str:
        name = pascal(what)
        return f"{name}Value" if name.lower() in taken else name

    return unique_names((one.what for one in stack.hidden), spell)


def resources(stack: Stack) -> dict[str, tuple[str, dict[str, Any]]]:
    """Type and properties of everything in the stack, by logical ID. Hidden values and references
    are still in them.
    """
    names = resource_names(stack)
    found = {names[one.id]: (VPC_ORIGIN, _vpc_origin(one)) for one in stack.vpc_origins}
    found |= {names[one.rule.rule_id]: (INGRESS_RULE, _rule(one)) for one in stack.rules}
    return found | {
        names[one.id]: (DISTRIBUTION, _distribution(one)) for one in stack.distributions
    }


def fragment_properties(stack: Stack) -> dict[str, Any]:
    """An endpoint's origin and behaviors as they stand in a DistributionConfig."""
    if stack.fragment is None:
        return {}
    return {
        "Origins": [_properties(stack.fragment.origin)],
        "CacheBehaviors": [_properties(one.config) for one in stack.fragment.behaviors],
    }


def files(stack: Stack) -> dict[str, str]:
    """The template, the identifiers for its import and, for an endpoint, the part to paste."""
    names, parameters = resource_names(stack), parameter_names(stack)
    declared = {
        name: {"Type": "String", "NoEcho": True, "Description": f"{what}. Not exported."}
        for what, name in parameters.items()
    }

    def filled(tree: Any) -> Any:
        match tree:
            case Hidden():
                return {"Ref": parameters[tree.what]}
            case VpcOriginRef():
                return {"Fn::GetAtt": [names[tree.id], "Id"]}
            case Mapping():
                return {key: filled(value) for key, value in tree.items()}
            case list():
                return [filled(one) for one in tree]
        return tree

    template: dict[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Exported from account {stack.account_id}, {stack.region}",
    }
    here = filled({name: properties for name, (_, properties) in resources(stack).items()})
    # cfn-lint calls a parameter that nothing uses a mistake; the fragment brings its own.
    used = {name: one for name, one in declared.items() if f'"Ref": "{name}"' in json.dumps(here)}
    if used:
        template["Parameters"] = used
    template["Resources"] = {
        name: {
            "Type": kind,
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": here[name],
        }
        for name, (kind, _) in resources(stack).items()
    }
    written = {TEMPLATE: _json(template), TO_IMPORT: _json(to_import(stack))}
    if stack.fragment:
        fragment = {"Parameters": declared} if declared else {}
        written[FRAGMENT] = _json(fragment | filled(fragment_properties(stack)))
    return written


def to_import(stack: Stack) -> list[dict[str, Any]]:
    """What `--resources-to-import` takes: each resource with its identifier in AWS."""
    ids = {name: aws_id for aws_id, name in resource_names(stack).items()}
    return [
        {
            "ResourceType": kind,
            "LogicalResourceId": name,
            "ResourceIdentifier": {"Id": ids[name]},
        }
        for name, (kind, _) in resources(stack).items()
    ]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _distribution(one: ExportedDistribution) -> dict[str, Any]:
    return {"DistributionConfig": _properties(one.config)} | _tags(one.tags)


def _vpc_origin(one: ExportedVpcOrigin) -> dict[str, Any]:
    return {"VpcOriginEndpointConfig": _properties(one.config)} | _tags(one.tags)


def _rule(one: ExportedRule) -> dict[str, Any]:
    rule = one.rule
    source = {
        "group": "SourceSecurityGroupId",
        "prefix-list": "SourcePrefixListId",
        "cidr": "CidrIpv6" if ":" in rule.source else "CidrIp",
    }[rule.source_kind]
    properties: dict[str, Any] = {"GroupId": rule.group_id, "IpProtocol": rule.protocol}
    if rule.from_port != -1:
        properties |= {"FromPort": rule.from_port, "ToPort": rule.to_port}
    properties[source] = rule.source
    return properties | ({"Description": rule.description} if rule.description else {})


def _tags(tags: Mapping[str, Any]) -> dict[str, Any]:
    # Names that begin with aws: are AWS's own, and no template may set them.
    own = [{"Key": key, "Value": tags[key]} for key in sorted(tags) if not key.startswith("aws:")]
    return {"Tags": own} if own else {}


def _properties(config: Config) -> dict[str, Any]:
    """A structure of the API as CloudFormation has it. What is empty is left out, as AWS does."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key in _DERIVED or key in NOT_EXPRESSED or value in ("", None):
            continue
        if key in _OTHERWISE:
            found |= _OTHERWISE[key](value)
            continue
        converted = _value(key, value)
        if converted not in ({}, []):
            found[_RENAMED.get(key, key)] = converted
    return found


def _methods(value: Config) -> dict[str, Any]:
    cached = items(value, "CachedMethods")
    return {"AllowedMethods": list(value["Items"])} | ({"CachedMethods": cached} if cached else {})


def _geo_restriction(value: Config) -> dict[str, Any]:
    locations = value.get("Items")
    kind = {"RestrictionType": value["RestrictionType"]}
    return {"GeoRestriction": kind | ({"Locations": locations} if locations else {})}


def _logging(value: Config) -> dict[str, Any]:
    if not (value.get("Enabled") or value.get("IncludeCookies")):
        return {}
    where = {one: value[one] for one in ("Bucket", "Prefix") if value.get(one)}
    return {"Logging": {"IncludeCookies": bool(value.get("IncludeCookies")), **where}}


def _certificate(value: Config) -> dict[str, Any]:
    """CloudFormation takes one of the three kinds only."""
    own = {key: one for key, one in value.items() if key != "CloudFrontDefaultCertificate"}
    default = value.get("CloudFrontDefaultCertificate")
    return {
        "ViewerCertificate": {"CloudFrontDefaultCertificate": True} if default else _properties(own)
    }


_OTHERWISE: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "AllowedMethods": _methods,
    "GeoRestriction": _geo_restriction,
    "Logging": _logging,
    "ResponseCode": lambda value: {"ResponseCode": int(value)},
    # An S3 origin has it, also where access control has replaced the identity.
    "S3OriginConfig": lambda value: {
        "S3OriginConfig": {"OriginAccessIdentity": ""} | _properties(value)
    },
    "TenantConfig": lambda value: (
        {"TenantConfig": _properties(value)} if value.get("ParameterDefinitions") else {}
    ),
    "ViewerCertificate": _certificate,
}
"""The properties that a setting makes, where it is not just renamed."""


def _value(key: str, value: Any) -> Any:
    if isinstance(value, Mapping) and "Quantity" in value:
        listed = [_value("", one) for one in value.get("Items") or ()]
        return {"Quantity": len(listed), "Items": listed} if key in _PAIRS and listed else listed
    if isinstance(value, Mapping):
        return _properties(value)
    return [_value("", one) for one in value] if isinstance(value, list) else value
