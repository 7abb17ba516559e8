"""Rules for a distribution's viewer side: aliases, certificate, web ACL, error pages, countries.
Part of rules/distribution_config.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import Config
from lab.aws.cloudfront.protocol.errors import CloudFrontError, invalid
from lab.aws.resources import certificates, web_acls

# Developer Guide, "Requirements for using alternate domain names": lower case only.
_ALIAS = re.compile(r"(?=.{1,253}$)(\*\.)?([a-z0-9_-]+\.)+[a-z]{2,}")
_COUNTRY = re.compile(r"[A-Z]{2}")
# Developer Guide, "Generate custom error responses": supported statuses, and their replacements.
_ERROR_CODES = frozenset({400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504})
_RESPONSE_CODES = frozenset({"200", *(str(code) for code in _ERROR_CODES)})
NO_CERTIFICATE = (
    "The specified SSL certificate doesn't exist, isn't in us-east-1 region, isn't valid, "
    "or doesn't include a valid "
    "certificate chain."
)


def aliases_of(config: Config) -> tuple[str, ...]:
    """The aliases, in lower case."""
    return tuple(alias.lower() for alias in (config.get("Aliases") or {}).get("Items") or ())


def certificate_covers(context: Context, config: Config, alias: str) -> bool:
    """Whether the configuration's certificate is valid for an alias. IAM's certificates are assumed
    to be.
    """
    chosen = config.get("ViewerCertificate") or {}
    if chosen.get("ACMCertificateArn"):
        found = certificates.find_certificate(context.account, chosen["ACMCertificateArn"])
        return found is not None and found.covers(alias.lower())
    return bool(chosen.get("IAMCertificateId"))


def check_aliases(context: Context, config: Config, own_id: str | None) -> None:
    """Aliases must be valid, within the quota, unused, and covered by the certificate."""
    aliases = aliases_of(config)
    _check_certificate(context, config)
    if not aliases:
        return
    limit = context.quotas["aliases"]
    if len(aliases) > limit:
        raise CloudFrontError(
            "TooManyDistributionCNAMEs", f"You cannot have more than {limit} aliases."
        )
    check_unique(aliases, "The parameter CNAME {} is a duplicate.")
    for alias in config["Aliases"]["Items"]:
        if not _ALIAS.fullmatch(alias):
            raise invalid(f"The parameter CNAME contains an invalid name: {alias}")
    certificate = config.get("ViewerCertificate") or {}
    if not certificate.get("ACMCertificateArn") and not certificate.get("IAMCertificateId"):
        raise CloudFrontError(
            "InvalidViewerCertificate",
            "To add an alternate domain name (CNAME) to a CloudFront distribution, you must "
            "attach a trusted "
            "certificate that validates your authorization to use the domain name.",
        )
    for alias in aliases:
        if not certificate_covers(context, config, alias):
            raise CloudFrontError(
                "InvalidViewerCertificate",
                "The certificate that is attached to your distribution doesn't cover the "
                "alternate domain name "
                f"(CNAME) that you're trying to add: {alias}",
            )
    for other in context.store.distributions.values():
        if other.id != own_id and not set(aliases).isdisjoint(aliases_of(other.latest.config)):
            raise CloudFrontError(
                "CNAMEAlreadyExists",
                "One or more of the CNAMEs you provided are already associated with a "
                "different resource.",
            )


def check_web_acl(context: Context, config: Config, _own_id: str | None) -> None:
    """The web ACL must exist in this account, with scope CLOUDFRONT."""
    web_acl = config.get("WebACLId")
    if web_acl and not web_acls.has_web_acl(context.account, web_acl):
        raise CloudFrontError(
            "InvalidWebACLId",
            "A web ACL ID specified is not valid. To specify a web ACL created using the "
            "latest version of AWS WAF, "
            "use the ACL ARN, for example "
            "arn:aws:wafv2:us-east-1:123456789012:global/webacl/ExampleWebACL/"
            "473e64fd-f30b-4765-81a0-62ad96dd167a.",
        )
    if web_acl:
        check_imitated(context, web_acl)


def check_imitated(context: Context, web_acl: str) -> None:
    """The lab's own rule: what it does not imitate cannot be attached, since it would guard
    nothing.
    """
    if names := web_acls.statements_not_imitated(context.account, web_acl):
        raise CloudFrontError(
            "InvalidWebACLId",
            f"The lab does not imitate {', '.join(names)}, so this web ACL would not block what "
            "it blocks on AWS. Remove these rules to attach it here.",
        )


def check_error_pages(_context: Context, config: Config, _own_id: str | None) -> None:
    """Custom error responses replace supported statuses, each once, and have both page and status
    or neither.
    """
    pages = (config.get("CustomErrorResponses") or {}).get("Items") or []
    check_unique(
        (str(page["ErrorCode"]) for page in pages), "The parameter ErrorCode {} is a duplicate."
    )
    for page in pages:
        if page["ErrorCode"] not in _ERROR_CODES:
            raise CloudFrontError(
                "InvalidErrorCode", f"An invalid error code was specified: {page['ErrorCode']}"
            )
        path, code = page.get("ResponsePagePath"), page.get("ResponseCode")
        if bool(path) != bool(code):
            raise invalid("ResponsePagePath and ResponseCode must be given together.")
        if path and not path.startswith("/"):
            raise invalid("The parameter ResponsePagePath must begin with a slash.")
        if code and code not in _RESPONSE_CODES:
            raise CloudFrontError("InvalidResponseCode", f"A response code is not valid: {code}")
        if page.get("ErrorCachingMinTTL", 0) < 0:
            raise invalid("The parameter ErrorCachingMinTTL must not be negative.")


def check_countries(_context: Context, config: Config, _own_id: str | None) -> None:
    """Geographic restrictions list two-letter country codes; "none" lists none."""
    restriction = (config.get("Restrictions") or {}).get("GeoRestriction")
    if restriction is None:
        return
    countries = restriction.get("Items") or []
    if (restriction["RestrictionType"] == "none") != (not countries):
        raise CloudFrontError(
            "InvalidGeoRestrictionParameter",
            "The specified geo restriction parameter is not valid: a whitelist or blacklist "
            "needs countries, and "
            "none has none.",
        )
    for country in countries:
        if not _COUNTRY.fullmatch(country):
            raise CloudFrontError(
                "InvalidLocationCode", f"The location code specified is not valid: {country}"
            )


def check_unique(names: Iterable[str], message: str) -> None:
    """Refuse the first duplicate; `message` has a placeholder for it."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise invalid(message.format(name))
        seen.add(name)


def _check_certificate(context: Context, config: Config) -> None:
    chosen = config.get("ViewerCertificate") or {}
    arn, server_certificate = chosen.get("ACMCertificateArn"), chosen.get("IAMCertificateId")
    if arn and server_certificate:
        raise invalid("Only one of ACMCertificateArn and IAMCertificateId can be given.")
    if chosen.get("CloudFrontDefaultCertificate") and (arn or server_certificate):
        raise invalid(
            "CloudFrontDefaultCertificate cannot be true beside a certificate of your own."
        )
    if (arn or server_certificate) and not chosen.get("SSLSupportMethod"):
        raise invalid("The parameter SSLSupportMethod is required with a certificate of your own.")
    if (
        chosen.get("SSLSupportMethod") == "sni-only"
        and chosen.get("MinimumProtocolVersion") == "SSLv3"
    ):
        raise CloudFrontError(
            "InvalidProtocolSettings",
            "You cannot specify SSLv3 as the minimum protocol version if you only want to "
            "support only clients that "
            "support Server Name Indication (SNI).",
        )
    if arn:
        found = certificates.find_certificate(context.account, arn)
        if found is None or not found.issued:
            raise CloudFrontError("InvalidViewerCertificate", NO_CERTIFICATE)
    if server_certificate and not certificates.has_server_certificate(
        context.account, server_certificate
    ):
        raise CloudFrontError("InvalidViewerCertificate", NO_CERTIFICATE)
