"""PURE. What CloudFront fills into a distribution's configuration when the caller leaves it out.

It decides the defaults (botocore's documentation of each member), which bytes to insert where, and what an update must
not leave out. It must never
change or drop a byte of what was sent: a body that is complete comes back exactly as it went in.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.aws.cloudfront.document import Document, Element

_NOTHING = "<Quantity>0</Quantity>"
_READS = "<Quantity>2</Quantity><Items><Method>HEAD</Method><Method>GET</Method></Items>"
_TIMEOUTS = {
    "OriginReadTimeout": "30",
    "OriginKeepaliveTimeout": "5",
}

_DISTRIBUTION = {
    "Aliases": _NOTHING,
    "DefaultRootObject": "",
    "OriginGroups": _NOTHING,
    "CacheBehaviors": _NOTHING,
    "CustomErrorResponses": _NOTHING,
    "Logging": "<Enabled>false</Enabled><IncludeCookies>false</IncludeCookies><Bucket></Bucket><Prefix></Prefix>",
    "PriceClass": "PriceClass_All",
    "ViewerCertificate": (
        "<CloudFrontDefaultCertificate>true</CloudFrontDefaultCertificate><SSLSupportMethod>vip</SSLSupportMethod>"
        "<MinimumProtocolVersion>TLSv1</MinimumProtocolVersion><CertificateSource>cloudfront</CertificateSource>"
    ),
    "Restrictions": f"<GeoRestriction><RestrictionType>none</RestrictionType>{_NOTHING}</GeoRestriction>",
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
        "<Quantity>3</Quantity><Items><SslProtocol>TLSv1</SslProtocol><SslProtocol>TLSv1.1</SslProtocol>"
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
# What UpdateDistribution does not fill in, as people report it; the Developer Guide says that there is more on update.
_ORIGIN_ON_UPDATE = ("CustomHeaders",)
_KIND_ON_UPDATE = ("OriginReadTimeout", "OriginKeepaliveTimeout")


def complete(document: Document) -> bytes:
    """The DistributionConfig of a parsed document, with defaults for what is missing, as bytes."""
    return document.with_insertions(_insertions(document.root))


def missing_for_update(document: Document) -> str | None:
    """The first member that a create may leave out and an update may not; None if all are there."""
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
        for name, defaults in (("CustomOriginConfig", _CUSTOM_ORIGIN), ("VpcOriginConfig", _TIMEOUTS)):
            kind = origin.child(name)
            if kind is not None:
                found.append(_missing(kind, defaults))
    default = config.child("DefaultCacheBehavior")
    behaviors = _items(config, "CacheBehaviors", "CacheBehavior")
    for behavior in [default, *behaviors] if default is not None else behaviors:
        found.append(_missing(behavior, _BEHAVIOR))
        methods = behavior.child("AllowedMethods")
        if methods is not None:
            found.append(_missing(methods, _ALLOWED_METHODS))
    return [(element, text) for element, text in found if text and element.inner_end >= 0]


def _items(config: Element, group: str, member: str) -> list[Element]:
    outer = config.child(group)
    items = outer.child("Items") if outer is not None else None
    return [child for child in items.children if child.name == member] if items is not None else []


def _missing(element: Element, defaults: Mapping[str, str]) -> tuple[Element, str]:
    present = {child.name for child in element.children}
    return element, "".join(f"<{name}>{text}</{name}>" for name, text in defaults.items() if name not in present)
