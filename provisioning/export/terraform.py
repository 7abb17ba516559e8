"""An export as Terraform, each resource with its import block (PURE).

Written as `terraform fmt` would write it. Arguments are those of version 6 of the provider
hashicorp/aws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioning.export.content import (
    Config,
    ExportedRule,
    Hidden,
    PlacedBehavior,
    Stack,
    VpcOriginRef,
    items,
    snake,
    unique_names,
)

MAIN, FRAGMENT = "main.tf", "distribution-fragment.hcl"
OLDEST_PROVIDER = "6.69"
"""The version whose arguments these are."""
NOT_EXPRESSED = {
    "ConnectionMode": "direct",
    "IpAddressType": "ipv4",
    "OriginHttpVersion": "http1.1",
    "SelectionCriteria": "default",
    "TenantConfig": {},
}
"""Settings that the provider's resources have no argument for, with CloudFront's default."""

Body = dict[str, Any]
"""Arguments by name: a dict is a block, a list of them several. None, "" and [] are left out, and a
block with nothing else in it."""


def resource_names(stack: Stack) -> dict[str, str]:
    """The address of everything in the stack, by its ID in AWS."""
    kinds = {one.id: "aws_cloudfront_distribution" for one in stack.distributions}
    kinds |= {one.id: "aws_cloudfront_vpc_origin" for one in stack.vpc_origins}
    kinds |= {one.rule.rule_id: "aws_vpc_security_group_ingress_rule" for one in stack.rules}
    names = unique_names(kinds, lambda aws_id: aws_id.replace("-", "_"))
    return {aws_id: f"{kinds[aws_id]}.{name}" for aws_id, name in names.items()}


def variable_names(stack: Stack) -> dict[str, str]:
    """The name of the variable for each hidden value, by what it is."""
    return unique_names((one.what for one in stack.hidden), snake)


def files(stack: Stack) -> dict[str, str]:
    """The module and, for an endpoint, the part to paste."""
    names, variables = resource_names(stack), variable_names(stack)
    writer = _Writer(names, variables)
    blocks = [
        writer.block(
            "terraform",
            {
                "required_version": ">= 1.5",
                "required_providers": {
                    "aws": _Inline({"source": "hashicorp/aws", "version": f">= {OLDEST_PROVIDER}"})
                },
            },
        ),
        writer.block(
            'provider "aws"',
            {"region": stack.region, "allowed_account_ids": [stack.account_id]},
        ),
    ]
    for what, name in variables.items():
        described = {"description": f"{what}. Not exported.", "type": _Word("string")}
        blocks.append(writer.block(f"variable {_quoted(name)}", {**described, "sensitive": True}))
    kept = {"lifecycle": {"prevent_destroy": True}}
    for origin in stack.vpc_origins:
        body = {"vpc_origin_endpoint_config": _endpoint_config(origin.config)}
        blocks += writer.resource(origin.id, body | _tags(origin.tags) | kept)
    for rule in stack.rules:
        blocks += writer.resource(rule.rule.rule_id, _rule(rule) | _tags(rule.tags) | kept)
    for one in stack.distributions:
        blocks += writer.resource(one.id, _distribution(one.config) | _tags(one.tags) | kept)
    written = {MAIN: "\n".join(blocks)}
    if stack.fragment:
        parts = [writer.block("origin", _origin(stack.fragment.origin))]
        for behavior in stack.fragment.behaviors:
            block = writer.block("ordered_cache_behavior", _behavior(behavior.config))
            parts.append(f"# {place_of(behavior)}\n{block}")
        written[FRAGMENT] = "\n".join(parts)
    return written


def place_of(behavior: PlacedBehavior) -> str:
    """Where the behavior stands, in a sentence."""
    end = f"before {behavior.before}" if behavior.before else "last, before the default behavior"
    return f"Behavior number {behavior.position + 1} of the distribution, {end}."


def _tags(tags: Mapping[str, Any]) -> dict[str, Any]:
    # Names that begin with aws: are AWS's own, and the provider leaves them alone.
    own = {key: tags[key] for key in sorted(tags) if not key.startswith("aws:")}
    return {"tags": _Inline(own)} if own else {}


def _endpoint_config(config: Config) -> Body:
    protocols = items(config, "OriginSslProtocols")
    return {
        "name": config["Name"],
        "arn": config["Arn"],
        "http_port": config["HTTPPort"],
        "https_port": config["HTTPSPort"],
        "origin_protocol_policy": config["OriginProtocolPolicy"],
        "origin_ssl_protocols": {"items": protocols, "quantity": len(protocols) or None},
    }


def _rule(one: ExportedRule) -> Body:
    rule = one.rule
    source = {
        "group": "referenced_security_group_id",
        "prefix-list": "prefix_list_id",
        "cidr": "cidr_ipv6" if ":" in rule.source else "cidr_ipv4",
    }[rule.source_kind]
    ports = {} if rule.from_port == -1 else {"from_port": rule.from_port, "to_port": rule.to_port}
    return {
        "security_group_id": rule.group_id,
        source: rule.source,
        "ip_protocol": rule.protocol,
        **ports,
        "description": rule.description,
    }


def _distribution(config: Config) -> Body:
    logging = config.get("Logging") or {}
    restriction = (config.get("Restrictions") or {}).get("GeoRestriction") or {}
    mtls = config.get("ViewerMtlsConfig") or {}
    trust = mtls.get("TrustStoreConfig") or {}
    return {
        "enabled": config["Enabled"],
        "comment": config.get("Comment"),
        "aliases": items(config, "Aliases"),
        "price_class": config.get("PriceClass"),
        "http_version": config.get("HttpVersion"),
        "is_ipv6_enabled": config.get("IsIPV6Enabled"),
        "default_root_object": config.get("DefaultRootObject"),
        "web_acl_id": config.get("WebACLId"),
        "staging": config.get("Staging"),
        "continuous_deployment_policy_id": config.get("ContinuousDeploymentPolicyId"),
        "anycast_ip_list_id": config.get("AnycastIpListId"),
        "origin": [_origin(one) for one in items(config, "Origins")],
        "origin_group": [
            {
                "origin_id": one["Id"],
                "failover_criteria": {
                    "status_codes": items(one["FailoverCriteria"], "StatusCodes")
                },
                "member": [{"origin_id": member["OriginId"]} for member in items(one, "Members")],
            }
            for one in items(config, "OriginGroups")
        ],
        "default_cache_behavior": _behavior(config["DefaultCacheBehavior"]),
        "ordered_cache_behavior": [_behavior(one) for one in items(config, "CacheBehaviors")],
        "custom_error_response": [
            {
                "error_code": one["ErrorCode"],
                "response_code": int(one["ResponseCode"]) if one.get("ResponseCode") else None,
                "response_page_path": one.get("ResponsePagePath"),
                "error_caching_min_ttl": one.get("ErrorCachingMinTTL"),
            }
            for one in items(config, "CustomErrorResponses")
        ],
        "logging_config": {
            "bucket": logging.get("Bucket"),
            "prefix": logging.get("Prefix"),
            "include_cookies": bool(logging.get("IncludeCookies")),
        }
        if logging.get("Enabled") or logging.get("IncludeCookies")
        else None,
        "restrictions": {
            "geo_restriction": {
                "restriction_type": restriction.get("RestrictionType", "none"),
                "locations": items({"": restriction}, ""),
            }
        },
        "viewer_certificate": _certificate(config.get("ViewerCertificate") or {}),
        "viewer_mtls_config": {
            "mode": mtls.get("Mode"),
            "trust_store_config": {
                "trust_store_id": trust.get("TrustStoreId"),
                "advertise_trust_store_ca_names": trust.get("AdvertiseTrustStoreCaNames"),
                "ignore_certificate_expiry": trust.get("IgnoreCertificateExpiry"),
            },
        },
        "connection_function_association": {
            "id": (config.get("ConnectionFunctionAssociation") or {}).get("Id")
        },
        "cache_tag_config": {"header_name": (config.get("CacheTagConfig") or {}).get("HeaderName")},
    }


def _certificate(config: Config) -> Body:
    if config.get("CloudFrontDefaultCertificate") or not config:
        return {"cloudfront_default_certificate": True}
    return {
        "acm_certificate_arn": config.get("ACMCertificateArn"),
        "iam_certificate_id": config.get("IAMCertificateId"),
        "ssl_support_method": config.get("SSLSupportMethod"),
        "minimum_protocol_version": config.get("MinimumProtocolVersion"),
    }


def _origin(config: Config) -> Body:
    shield = config.get("OriginShield") or {}
    custom = config.get("CustomOriginConfig") or {}
    private = config.get("VpcOriginConfig") or {}
    return {
        "origin_id": config["Id"],
        "domain_name": config["DomainName"],
        "origin_path": config.get("OriginPath"),
        "origin_access_control_id": config.get("OriginAccessControlId"),
        "connection_attempts": config.get("ConnectionAttempts"),
        "connection_timeout": config.get("ConnectionTimeout"),
        "response_completion_timeout": config.get("ResponseCompletionTimeout"),
        "custom_header": [
            {"name": one["HeaderName"], "value": one["HeaderValue"]}
            for one in items(config, "CustomHeaders")
        ],
        "origin_shield": {
            "enabled": True,
            "origin_shield_region": shield.get("OriginShieldRegion"),
        }
        if shield.get("Enabled")
        else None,
        "s3_origin_config": {
            "origin_access_identity": (config.get("S3OriginConfig") or {}).get(
                "OriginAccessIdentity"
            )
        },
        "custom_origin_config": {
            "http_port": custom.get("HTTPPort"),
            "https_port": custom.get("HTTPSPort"),
            "origin_protocol_policy": custom.get("OriginProtocolPolicy"),
            "origin_ssl_protocols": items(custom, "OriginSslProtocols"),
            "origin_read_timeout": custom.get("OriginReadTimeout"),
            "origin_keepalive_timeout": custom.get("OriginKeepaliveTimeout"),
            "ip_address_type": custom.get("IpAddressType"),
            "origin_mtls_config": {
                "client_certificate_arn": (custom.get("OriginMtlsConfig") or {}).get(
                    "ClientCertificateArn"
                )
            },
        },
        "vpc_origin_config": {
            "vpc_origin_id": private.get("VpcOriginId"),
            "owner_account_id": private.get("OwnerAccountId"),
            "origin_read_timeout": private.get("OriginReadTimeout"),
            "origin_keepalive_timeout": private.get("OriginKeepaliveTimeout"),
        },
    }


def _behavior(config: Config) -> Body:
    methods = config.get("AllowedMethods") or {}
    forwarded = config.get("ForwardedValues") or {}
    cookies = forwarded.get("Cookies") or {}
    grpc = config.get("GrpcConfig") or {}
    return {
        "path_pattern": config.get("PathPattern"),
        "target_origin_id": config["TargetOriginId"],
        "viewer_protocol_policy": config["ViewerProtocolPolicy"],
        "allowed_methods": items(config, "AllowedMethods") or ["GET", "HEAD"],
        "cached_methods": items(methods, "CachedMethods") or ["GET", "HEAD"],
        "cache_policy_id": config.get("CachePolicyId"),
        "origin_request_policy_id": config.get("OriginRequestPolicyId"),
        "response_headers_policy_id": config.get("ResponseHeadersPolicyId"),
        "compress": config.get("Compress"),
        "smooth_streaming": config.get("SmoothStreaming"),
        "field_level_encryption_id": config.get("FieldLevelEncryptionId"),
        "realtime_log_config_arn": config.get("RealtimeLogConfigArn"),
        "trusted_signers": items(config, "TrustedSigners"),
        "trusted_key_groups": items(config, "TrustedKeyGroups"),
        "min_ttl": config.get("MinTTL"),
        "default_ttl": config.get("DefaultTTL"),
        "max_ttl": config.get("MaxTTL"),
        "lambda_function_association": [
            {
                "event_type": one["EventType"],
                "lambda_arn": one["LambdaFunctionARN"],
                "include_body": one.get("IncludeBody"),
            }
            for one in items(config, "LambdaFunctionAssociations")
        ],
        "function_association": [
            {"event_type": one["EventType"], "function_arn": one["FunctionARN"]}
            for one in items(config, "FunctionAssociations")
        ],
        "forwarded_values": {
            "query_string": forwarded.get("QueryString"),
            "query_string_cache_keys": items(forwarded, "QueryStringCacheKeys"),
            "headers": items(forwarded, "Headers"),
            "cookies": {
                "forward": cookies.get("Forward"),
                "whitelisted_names": items(cookies, "WhitelistedNames"),
            },
        },
        "grpc_config": {"enabled": grpc.get("Enabled") or None},
    }


class _Word(str):
    """A text that is written without quotes."""


class _Inline(dict[str, Any]):
    """A map that is a value, not a block."""


class _Writer:
    """Writes blocks in Terraform's own layout."""

    def __init__(self, names: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self._names = names
        self._variables = variables

    def resource(self, aws_id: str, body: Body) -> list[str]:
        """The resource, after the block that imports it."""
        address = self._names[aws_id]
        kind, _, name = address.partition(".")
        return [
            self.block("import", {"to": _Word(address), "id": aws_id}),
            self.block(f'resource "{kind}" "{name}"', body),
        ]

    def block(self, head: str, body: Body) -> str:
        """A block at the left margin."""
        return "\n".join(self._block(head, body, "")) + "\n"

    def _block(self, head: str, body: Body, indent: str) -> list[str]:
        inner = indent + "  "
        lines = [f"{indent}{head} {{"]
        blocks: list[tuple[str, Body]] = []
        arguments: list[tuple[str, Any]] = []
        for name, value in body.items():
            if isinstance(value, dict) and not isinstance(value, _Inline):
                blocks += [(name, value)] if _says_something(value) else []
            elif isinstance(value, list) and value and isinstance(value[0], dict):
                blocks += [(name, one) for one in value]
            elif _says_something(value):
                arguments.append((name, value))
        lines += self._arguments(arguments, inner)
        for number, (name, one) in enumerate(blocks):
            lines += [""] if arguments or number else []
            lines += self._block(name, one, inner)
        return [*lines, f"{indent}}}"]

    def _arguments(self, arguments: Sequence[tuple[str, Any]], indent: str) -> list[str]:
        """Equals signs stand below each other; a value of several lines ends such a column."""
        lines: list[str] = []
        column: list[tuple[str, str]] = []

        def end_column() -> None:
            width = max((len(name) for name, _ in column), default=0)
            lines.extend(f"{indent}{name:<{width}} = {text}" for name, text in column)
            column.clear()

        for name, value in arguments:
            if isinstance(value, _Inline):
                end_column()
                keys = [(_key(key), one) for key, one in value.items()]
                lines += [
                    f"{indent}{name} = {{",
                    *self._arguments(keys, indent + "  "),
                    f"{indent}}}",
                ]
            else:
                column.append((name, self._value(value)))
        end_column()
        return lines

    def _value(self, value: Any) -> str:
        match value:
            case Hidden():
                return f"var.{self._variables[value.what]}"
            case VpcOriginRef():
                return f"{self._names[value.id]}.id"
            case _Word():
                return str(value)
            case bool():
                return "true" if value else "false"
            case list():
                return f"[{', '.join(map(self._value, value))}]"
            case str():
                return _quoted(value)
        return str(value)


def _says_something(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_says_something, value.values()))
    return value is not None and value != "" and value != []


def _key(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else _quoted(name)


def _quoted(text: str) -> str:
    """A string of HCL: a template, in which ${ and %{ begin something."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    escaped = escaped.replace("\r", "\\r").replace("\t", "\\t")
    escaped = "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped)
    return f'"{escaped.replace("${", "$${").replace("%{", "%%{")}"'
