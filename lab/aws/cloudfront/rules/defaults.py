"""PURE. The defaults that CloudFront fills into a distribution's configuration, and what an update
must contain.

Defaults are inserted into the bytes, which otherwise stay as they were sent, except for two
deprecated members that repeat the chosen certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

from lab.aws.cloudfront.protocol.xml_document import Document, Element, parse
from lab.aws.cloudfront.rules.policy_config import DAY, YEAR

_NOTHING = "<Quantity>0</Quantity>"
_READS = "<Quantity>2</Quantity><Items><Method>HEAD</Method><Method>GET</Method></Items>"
_TIMEOUTS = {
    "OriginReadTimeout": "30",
    "OriginKeepaliveTimeout": "5",
}

_DEFAULT_CERTIFICATE = {
    "CloudFrontDefaultCertificate": "true",
    "SSLSupportMethod": "vip",
    "MinimumProtocolVersion": "TLSv1",
    "CertificateSource": "cloudfront",
}
# The member that chooses a certificate → CertificateSource.
_CERTIFICATES = {"ACMCertificateArn": "acm", "IAMCertificateId": "iam"}
_DISTRIBUTION = {
    "Aliases": _NOTHING,
    "DefaultRootObject": "",
    "OriginGroups": _NOTHING,
    "CacheBehaviors": _NOTHING,
    "CustomErrorResponses": _NOTHING,
    "Logging": (
        "<Enabled>false</Enabled><IncludeCookies>false</IncludeCookies>"
        "<Bucket></Bucket><Prefix></Prefix>"
    ),
    "PriceClass": "PriceClass_All",
    "ViewerCertificate": "".join(
        f"<{name}>{text}</{name}>" for name, text in _DEFAULT_CERTIFICATE.items()
    ),
    "Restrictions": (
        f"<GeoRestriction><RestrictionType>none</RestrictionType>{_NOTHING}</GeoRestriction>"
    ),
    "WebACLId": "",
    "HttpVersion": "http2",
    "IsIPV6Enabled": "false",
    "ContinuousDeploymentPolicyId": "",
    "Staging": "false",
}
_ORIGIN = {
    "OriginPath": "",
    "CustomHeaders": _NOTHING,
    "ConnectionAttempts": "3",
    "ConnectionTimeout": "10",
    "OriginShield": "<Enabled>false</Enabled>",
    "OriginAccessControlId": "",
}
_CUSTOM_ORIGIN = {
    "OriginSslProtocols": (
        "<Quantity>3</Quantity><Items><SslProtocol>TLSv1</SslProtocol>"
        "<SslProtocol>TLSv1.1</SslProtocol>"
        "<SslProtocol>TLSv1.2</SslProtocol></Items>"
    ),
    **_TIMEOUTS,
}
_BEHAVIOR = {
    "TrustedSigners": f"<Enabled>false</Enabled>{_NOTHING}",
    "TrustedKeyGroups": f"<Enabled>false</Enabled>{_NOTHING}",
    "AllowedMethods": f"{_READS}<CachedMethods>{_READS}</CachedMethods>",
    "SmoothStreaming": "false",
    "Compress": "false",
    "LambdaFunctionAssociations": _NOTHING,
    "FunctionAssociations": _NOTHING,
    "FieldLevelEncryptionId": "",
    "GrpcConfig": "<Enabled>false</Enabled>",
}
_ALLOWED_METHODS = {"CachedMethods": _READS}
_LEGACY = {"Headers": _NOTHING, "QueryStringCacheKeys": _NOTHING}
_TIMES_TO_LIVE = ("MinTTL", "DefaultTTL", "MaxTTL")
# Not filled in by UpdateDistribution (field reports); the Developer Guide says that updates require
# more.
_ORIGIN_ON_UPDATE = ("CustomHeaders",)
_KIND_ON_UPDATE = ("OriginReadTimeout", "OriginKeepaliveTimeout")


def complete(document: Document) -> bytes:
    """The DistributionConfig of a parsed document, with defaults, as bytes."""
    stale = _stale(document.root.child("ViewerCertificate"))
    if stale:
        document = parse(document.with_elements(stale))
    return document.with_insertions(_insertions(document.root))


def missing_for_update(document: Document) -> str | None:
    """The first member that is optional on create but required on update; None if all are there."""
    for origin in _items(document.root, "Origins", "Origin"):
        for element, names in (
            (origin, _ORIGIN_ON_UPDATE),
            (origin.child("CustomOriginConfig"), _KIND_ON_UPDATE),
            (origin.child("VpcOriginConfig"), _KIND_ON_UPDATE),
        ):
            for name in names:
                if element is not None and element.child(name) is None:
                    return name
    return None


def _insertions(config: Element) -> list[tuple[Element, str]]:
    found = [_missing(config, _DISTRIBUTION)]
    for origin in _items(config, "Origins", "Origin"):
        found.append(_missing(origin, _ORIGIN))
        for name, defaults in (
            ("CustomOriginConfig", _CUSTOM_ORIGIN),
            ("VpcOriginConfig", _TIMEOUTS),
        ):
            kind = origin.child(name)
            if kind is not None:
                found.append(_missing(kind, defaults))
    certificate = config.child("ViewerCertificate")
    if certificate is not None:
        found.append(_missing(certificate, _certificate_members(certificate)))
    default = config.child("DefaultCacheBehavior")
    behaviors = _items(config, "CacheBehaviors", "CacheBehavior")
    for behavior in [default, *behaviors] if default is not None else behaviors:
        legacy = behavior.child("ForwardedValues")
        if legacy is not None:
            found.append(_missing(legacy, _LEGACY))
        found.append(
            _missing(
                behavior, {**_BEHAVIOR, **(_times_to_live(behavior) if legacy is not None else {})}
            )
        )
        methods = behavior.child("AllowedMethods")
        if methods is not None:
            found.append(_missing(methods, _ALLOWED_METHODS))
    return [(element, text) for element, text in found if text and element.inner_end >= 0]


def _certificate_members(chosen: Element) -> dict[str, str]:
    """The other members of a ViewerCertificate, for its certificate or for CloudFront's own."""
    for name, source in _CERTIFICATES.items():
        named = chosen.child(name)
        if named is not None and named.text:
            return {
                "CloudFrontDefaultCertificate": "false",
                "MinimumProtocolVersion": "TLSv1",
                "Certificate": escape(named.text),
                "CertificateSource": source,
            }
    return _DEFAULT_CERTIFICATE


def _stale(chosen: Element | None) -> list[tuple[Element, str]]:
    """Deprecated members that name another certificate, each with its replacement."""
    if chosen is None:
        return []
    members = _certificate_members(chosen)
    return [
        (
            child,
            f"<{child.name}>{members[child.name]}</{child.name}>" if child.name in members else "",
        )
        for child in chosen.children
        if child.name in ("Certificate", "CertificateSource")
        and escape(child.text) != members.get(child.name)
    ]


def _times_to_live(behavior: Element) -> dict[str, str]:
    """Legacy TTLs: none is smaller than the previous one (API reference, CacheBehavior)."""
    given = {
        child.name: int(child.text) for child in behavior.children if child.name in _TIMES_TO_LIVE
    }
    least = given.get("MinTTL", 0)
    usual = given.get("DefaultTTL", max(DAY, least))
    return {"MinTTL": str(least), "DefaultTTL": str(usual), "MaxTTL": str(max(YEAR, usual))}


def _items(config: Element, group: str, member: str) -> list[Element]:
    outer = config.child(group)
    items = outer.child("Items") if outer is not None else None
    return [child for child in items.children if child.name == member] if items is not None else []


def _missing(element: Element, defaults: Mapping[str, str]) -> tuple[Element, str]:
    present = {child.name for child in element.children}
    return element, "".join(
        f"<{name}>{text}</{name}>" for name, text in defaults.items() if name not in present
    )
