"""Reads an exported file back to what CloudFront's API would be sent, and brings that and what AWS
returned to one form. It shares nothing with what writes the files.
"""

from __future__ import annotations

import json
import re
from typing import Any

import hcl2

Config = dict[str, Any]

# What AWS makes of a setting that is not sent.
DEFAULTS: Config = {
    "AllowedMethods": ["GET", "HEAD"],
    "CachedMethods": ["GET", "HEAD"],
    "ConnectionMode": "direct",
    "OriginHttpVersion": "http1.1",
    "SelectionCriteria": "default",
}
# The last two say again what stands beside them; nobody can choose the first afterwards.
UNSENT = {"CallerReference", "Certificate", "CertificateSource"}
UNORDERED = {"AllowedMethods", "CachedMethods", "Aliases", "Origins"}


def normal(value: Any, key: str = "") -> Any:
    """The form in which two configurations are compared: no Quantity, nothing that is empty, off or
    a default, and header values by their presence.
    """
    if isinstance(value, dict) and "Quantity" in value:
        inner = normal(list(value.get("Items") or ()), key)
        cached = value.get("CachedMethods")
        return {"all": inner, "cached": normal(cached, "CachedMethods")} if cached else inner
    if isinstance(value, dict):
        if value.get("CloudFrontDefaultCertificate"):
            return {"CloudFrontDefaultCertificate": True}
        found = {k: normal(v, k) for k, v in value.items() if k not in UNSENT}
        if "DomainName" in value:
            found["kind"] = next(
                (k for k in ("CustomOriginConfig", "VpcOriginConfig") if value.get(k)), "S3"
            )
        for name in ("HeaderValue", "ResponseCode"):
            if name in found:
                found[name] = "given" if name == "HeaderValue" else str(found[name])
        return {
            k: v
            for k, v in found.items()
            if v is not None and v is not False and v not in ("", [], {}) and v != DEFAULTS.get(k)
        }
    if isinstance(value, list):
        listed = [normal(one) for one in value]
        return (
            sorted(listed, key=lambda one: json.dumps(one, sort_keys=True))
            if key in UNORDERED
            else listed
        )
    return value


def distributions_in_template(text: str) -> dict[str, Config]:
    """DistributionConfig of each distribution of a CloudFormation template, by logical ID."""
    template = json.loads(text)
    known = set(template.get("Parameters", {})) | set(template["Resources"])
    return {
        name: _api(_resolved(one["Properties"]["DistributionConfig"], known))
        for name, one in template["Resources"].items()
        if one["Type"] == "AWS::CloudFront::Distribution"
    }


def _resolved(value: Any, known: set[str]) -> Any:
    """References as the names of what they refer to, which has to be in the template."""
    if isinstance(value, dict):
        if set(value) == {"Ref"}:
            assert value["Ref"] in known
            return value["Ref"]
        if set(value) == {"Fn::GetAtt"}:
            assert value["Fn::GetAtt"][0] in known
            return ".".join(value["Fn::GetAtt"])
        return {key: _resolved(one, known) for key, one in value.items()}
    return [_resolved(one, known) for one in value] if isinstance(value, list) else value


def _api(value: Any, key: str = "") -> Any:
    names = {
        "AcmCertificateArn": "ACMCertificateArn",
        "IamCertificateId": "IAMCertificateId",
        "SslSupportMethod": "SSLSupportMethod",
        "OriginCustomHeaders": "CustomHeaders",
        "OriginSSLProtocols": "OriginSslProtocols",
        "IPV6Enabled": "IsIPV6Enabled",
    }
    if isinstance(value, list):
        return [_api(one) for one in value]
    if not isinstance(value, dict):
        return value
    found: Config = {str(names.get(name, name)): _api(one, name) for name, one in value.items()}
    if "AllowedMethods" in found:
        methods, cached = found["AllowedMethods"], found.pop("CachedMethods")
        found["AllowedMethods"] = {
            **_pair(methods),
            "CachedMethods": _pair(cached),
        }
    if key == "GeoRestriction":
        found |= _pair(found.pop("Locations", []))
    if key == "Logging":
        found["Enabled"] = "Bucket" in found
    return found


def _pair(items: list[Any]) -> Config:
    return {"Quantity": len(items), "Items": items}


def parsed(text: str) -> Config:
    """A Terraform file, with texts unquoted and expressions as they stand."""
    read: Config = _plain(hcl2.loads(text))
    return read


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(key): _plain(one) for key, one in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return _text(value) if isinstance(value, str) else value


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def _text(text: str) -> str:
    """HCL's own escapes undone (HashiCorp, syntax of expressions: strings and templates)."""
    if not text.startswith('"'):
        return text
    plain = re.sub(
        r'\\U([0-9a-f]{8})|\\([nrt"\\])|\$\$\{|%%\{',
        lambda one: chr(int(one[1], 16)) if one[1] else _ESCAPES[one[2]] if one[2] else one[0][1:],
        text[1:-1],
    )
    return plain


def resources(module: Config) -> dict[str, Config]:
    """The resources of a parsed module by address."""
    return {
        f"{kind}.{name}": body
        for one in module["resource"]
        for kind, named in one.items()
        for name, body in named.items()
    }


def distributions_in_terraform(text: str) -> dict[str, Config]:
    """DistributionConfig of each distribution of a module, by name."""
    return {
        address.partition(".")[2]: _distribution(body)
        for address, body in resources(parsed(text)).items()
        if address.startswith("aws_cloudfront_distribution.")
    }


def _one(body: Config, name: str) -> Config:
    found = body.get(name) or [{}]
    assert len(found) == 1
    return dict(found[0])


def _renamed(body: Config, names: str) -> Config:
    """`names` are pairs of words, the provider's and the API's."""
    words = names.split()
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    return {api: body[name] for name, api in pairs.items() if name in body}


def _distribution(body: Config) -> Config:
    config = _renamed(
        body,
        """enabled Enabled comment Comment aliases Aliases price_class PriceClass
        http_version HttpVersion is_ipv6_enabled IsIPV6Enabled staging Staging
        default_root_object DefaultRootObject web_acl_id WebACLId
        continuous_deployment_policy_id ContinuousDeploymentPolicyId
        anycast_ip_list_id AnycastIpListId""",
    )
    logging = _renamed(
        _one(body, "logging_config"),
        "bucket Bucket prefix Prefix include_cookies IncludeCookies",
    )
    geo = _renamed(
        _one(_one(body, "restrictions"), "geo_restriction"),
        "restriction_type RestrictionType locations Items",
    )
    mtls = _one(body, "viewer_mtls_config")
    return config | {
        "Origins": [_origin(one) for one in body["origin"]],
        "OriginGroups": [
            {
                "Id": one["origin_id"],
                "FailoverCriteria": {"StatusCodes": _one(one, "failover_criteria")["status_codes"]},
                "Members": [{"OriginId": member["origin_id"]} for member in one["member"]],
            }
            for one in body.get("origin_group", ())
        ],
        "DefaultCacheBehavior": _behavior(_one(body, "default_cache_behavior")),
        "CacheBehaviors": [_behavior(one) for one in body.get("ordered_cache_behavior", ())],
        "CustomErrorResponses": [
            _renamed(
                one,
                """error_code ErrorCode response_code ResponseCode
                response_page_path ResponsePagePath error_caching_min_ttl ErrorCachingMinTTL""",
            )
            for one in body.get("custom_error_response", ())
        ],
        "Logging": logging | {"Enabled": "Bucket" in logging},
        "Restrictions": {"GeoRestriction": _pair(geo.pop("Items", [])) | geo},
        "ViewerCertificate": _renamed(
            _one(body, "viewer_certificate"),
            """cloudfront_default_certificate CloudFrontDefaultCertificate
            acm_certificate_arn ACMCertificateArn iam_certificate_id IAMCertificateId
            ssl_support_method SSLSupportMethod minimum_protocol_version MinimumProtocolVersion""",
        ),
        "ViewerMtlsConfig": _renamed(mtls, "mode Mode")
        | {
            "TrustStoreConfig": _renamed(
                _one(mtls, "trust_store_config"),
                """trust_store_id TrustStoreId ignore_certificate_expiry IgnoreCertificateExpiry
                advertise_trust_store_ca_names AdvertiseTrustStoreCaNames""",
            )
        },
        "ConnectionFunctionAssociation": _renamed(
            _one(body, "connection_function_association"), "id Id"
        ),
        "CacheTagConfig": _renamed(_one(body, "cache_tag_config"), "header_name HeaderName"),
    }


def _origin(body: Config) -> Config:
    timeouts = """origin_read_timeout OriginReadTimeout
        origin_keepalive_timeout OriginKeepaliveTimeout"""
    custom = _one(body, "custom_origin_config")
    return _renamed(
        body,
        """origin_id Id domain_name DomainName origin_path OriginPath
        origin_access_control_id OriginAccessControlId connection_attempts ConnectionAttempts
        connection_timeout ConnectionTimeout
        response_completion_timeout ResponseCompletionTimeout""",
    ) | {
        "CustomHeaders": [
            _renamed(one, "name HeaderName value HeaderValue")
            for one in body.get("custom_header", ())
        ],
        "OriginShield": _renamed(
            _one(body, "origin_shield"), "enabled Enabled origin_shield_region OriginShieldRegion"
        ),
        "S3OriginConfig": _renamed(
            _one(body, "s3_origin_config"), "origin_access_identity OriginAccessIdentity"
        ),
        "CustomOriginConfig": _renamed(
            custom,
            f"""http_port HTTPPort https_port HTTPSPort ip_address_type IpAddressType
            origin_protocol_policy OriginProtocolPolicy origin_ssl_protocols OriginSslProtocols
            {timeouts}""",
        )
        | {
            "OriginMtlsConfig": _renamed(
                _one(custom, "origin_mtls_config"), "client_certificate_arn ClientCertificateArn"
            )
        }
        if custom
        else {},
        "VpcOriginConfig": _renamed(
            _one(body, "vpc_origin_config"),
            f"vpc_origin_id VpcOriginId owner_account_id OwnerAccountId {timeouts}",
        ),
    }


def _behavior(body: Config) -> Config:
    forwarded = _one(body, "forwarded_values")
    return _renamed(
        body,
        """path_pattern PathPattern target_origin_id TargetOriginId
        viewer_protocol_policy ViewerProtocolPolicy cache_policy_id CachePolicyId
        origin_request_policy_id OriginRequestPolicyId
        response_headers_policy_id ResponseHeadersPolicyId compress Compress
        smooth_streaming SmoothStreaming field_level_encryption_id FieldLevelEncryptionId
        realtime_log_config_arn RealtimeLogConfigArn trusted_signers TrustedSigners
        trusted_key_groups TrustedKeyGroups min_ttl MinTTL default_ttl DefaultTTL
        max_ttl MaxTTL""",
    ) | {
        "AllowedMethods": _pair(body["allowed_methods"])
        | {"CachedMethods": _pair(body["cached_methods"])},
        "LambdaFunctionAssociations": [
            _renamed(
                one,
                "event_type EventType lambda_arn LambdaFunctionARN include_body IncludeBody",
            )
            for one in body.get("lambda_function_association", ())
        ],
        "FunctionAssociations": [
            _renamed(one, "event_type EventType function_arn FunctionARN")
            for one in body.get("function_association", ())
        ],
        "ForwardedValues": _renamed(
            forwarded,
            """query_string QueryString headers Headers
            query_string_cache_keys QueryStringCacheKeys""",
        )
        | {
            "Cookies": _renamed(
                _one(forwarded, "cookies"), "forward Forward whitelisted_names WhitelistedNames"
            )
        },
        "GrpcConfig": _renamed(_one(body, "grpc_config"), "enabled Enabled"),
    }
