"""What can carry a credential: headers and query parameters by name, values by shape (PURE).

Names are compared in lower case with `_` and `-` alike. A name counts if it is listed, or if its
last words are those of a credential (`x-session-token`, `chatApiKey`); a name on a PUBLIC list
never counts, since the diagnosis needs its value.
"""

from __future__ import annotations

import math
import re
from collections import Counter

RANDOM_BY_NATURE = frozenset(
    {"etag", "if-none-match", "sec-websocket-accept", "sec-websocket-key", "x-amz-cf-id"}
    | {"x-amz-id-2"}
)
"""Those of them whose values are random and no secrets: never masked."""

SECRET_HEADERS = frozenset(
    {
        "authentication",
        "authorization",
        "cf-access-client-id",
        "cf-access-client-secret",
        "cf-access-jwt-assertion",
        "cf-access-token",
        "cookie",
        "dpop",
        "ocp-apim-subscription-key",
        "proxy-authorization",
        "set-cookie",
        "x-amz-security-token",
        "x-amz-signature",
        "x-amzn-oidc-accesstoken",
        "x-amzn-oidc-data",
        "x-amzn-oidc-identity",
        "x-csrftoken",
        "x-forwarded-client-cert",
        "x-goog-iap-jwt-assertion",
        "x-hub-signature-256",
        "x-ms-client-principal",
        "x-origin-verify",
        "x-xsrftoken",
    }
)
"""Headers whose name does not end like a credential's, and the best known of those that do."""

PUBLIC_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "age",
        "alt-svc",
        "cache-control",
        "cf-ray",
        "connection",
        "content-encoding",
        "content-length",
        "content-security-policy",
        "content-security-policy-report-only",
        "content-type",
        "date",
        "etag",
        "host",
        "idempotency-key",
        "if-none-match",
        "last-modified",
        "nel",
        "report-to",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-version",
        "server",
        "strict-transport-security",
        "surrogate-key",
        "traceparent",
        "tracestate",
        "upgrade",
        "user-agent",
        "vary",
        "via",
        "x-amz-cf-id",
        "x-amz-cf-pop",
        "x-amz-id-2",
        "x-amz-request-id",
        "x-amzn-requestid",
        "x-amzn-trace-id",
        "x-cache",
        "x-cache-key",
        "x-correlation-id",
        "x-request-id",
    }
)
"""Headers that identify a request or describe a message: only what has an issuer's prefix is masked
in them."""

URL_HEADERS = frozenset(
    {
        "content-location",
        "location",
        "origin",
        "referer",
        "x-forwarded-uri",
        "x-original-uri",
        "x-original-url",
        "x-rewrite-url",
    }
)
"""Headers whose value is a URL or a path with a query."""

SECRET_PARAMETERS = frozenset(
    {
        "auth",
        "awsaccesskeyid",
        "bearer",
        "code",
        "connectionparams",
        "csrf",
        "id-token-hint",
        "key",
        "key-pair-id",
        "otp",
        "pass",
        "pin",
        "policy",
        "pwd",
        "session",
        "session-id",
        "sessionid",
        "sid",
        "sig",
        "state",
        "ticket",
        "x-amz-credential",
        "x-amz-security-token",
        "x-amz-signature",
    }
)
"""Query parameters, beside those whose name ends like a credential's. `policy`, `signature` and
`key-pair-id` are CloudFront's signed URLs; `code` and `state` are OAuth's; `sid` is a session of
Engine.IO."""

SECRET_KEYS = frozenset(
    {"auth", "bearer", "cookie", "pass", "pwd", "session", "sessionid", "session-id", "sid", "otp"}
)
"""Keys in messages and prose, beside those whose name ends like a credential's. `code`, `key` and
`state` stand for too much there; they count only in a query."""

ATTRIBUTES = frozenset(
    {"domain", "expires", "httponly", "max-age", "partitioned", "path", "priority", "samesite"}
    | {"secure"}
)
"""What follows the pair in Set-Cookie (RFC 6265 4.1.1): kept, because it decides what a client
sends back."""

SCHEMES = ("basic", "bearer", "digest", "dpop", "negotiate", "ntlm", "token", "apikey")
"""Authentication schemes: the word is kept, what follows is masked."""

SUBPROTOCOL_PREFIXES = (
    "base64url.bearer.authorization.k8s.io.",
    "header-",
    "bearer.",
    "bearer-",
    "token.",
    "token-",
    "auth.",
    "auth-",
    "authorization.",
    "access_token.",
    "access-token.",
    "jwt.",
    "jwt-",
    "ticket.",
    "ticket-",
)
"""Subprotocols that carry a credential behind a prefix: Kubernetes, AppSync, and common habits."""

SUBPROTOCOL_WORDS = frozenset(
    {"bearer", "x.bearer", "token", "access_token", "access-token", "authorization", "auth", "jwt"}
    | {"ticket", "auth-token", "accesstoken", "realtime.bearer", "x-auth-token"}
)
"""Subprotocols that announce one: the next in the list is the credential."""

_WORD = (
    r"token|secret|password|passwd|passphrase|passcode|signature|credentials?|authorization"
    r"|authentication|cookie|jwt|assertion|csrf|xsrf|sessid"
)
_KEY = r"(?:access|secret|private|api|session|auth|admin|signing|subscription|master)-?key(?:-id)?"
_IN_MESSAGES = re.compile(rf"(?:.*[-.])?(?:{_WORD}|{_KEY})|.+(?:{_WORD}|apikey)")
_IN_HEADERS = re.compile(
    rf"{_IN_MESSAGES.pattern}|(?:.*[-.])?ticket|.*[-.](?:key|auth|sig|session|session-?id)"
    rf"|.*[-.](?:{_WORD})-(?:sha)?\d+"
)
_NO_CREDENTIAL = frozenset({"next-token", "continuation-token", "public-key", "no-cookie"})
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def plain_name(name: str) -> str:
    """A name to compare: `accessToken`, `ACCESS_TOKEN` and `access-token` are one."""
    return _CAMEL.sub("-", name.strip()).lower().replace("_", "-").strip("-")


def header_name(name: str) -> str:
    """A header's name to compare."""
    return name.strip().lower().replace("_", "-")


def _ends_like_a_credential(name: str, pattern: re.Pattern[str] = _IN_HEADERS) -> bool:
    return name not in _NO_CREDENTIAL and bool(pattern.fullmatch(name))


def is_secret_header(name: str) -> bool:
    """Whether a header of this name carries a credential."""
    known = header_name(name)
    if known in PUBLIC_HEADERS:
        return False
    if known in SECRET_HEADERS or known.startswith(("cf-access-", "x-amzn-oidc-")):
        return True
    return _ends_like_a_credential(known)


def is_secret_parameter(name: str) -> bool:
    """Whether a query parameter of this name carries a credential."""
    known = plain_name(name)
    return known in SECRET_PARAMETERS or known in SECRET_KEYS or _ends_like_a_credential(known)


def is_secret_key(name: str) -> bool:
    """Whether a key of this name in a message or in prose carries a credential."""
    known = plain_name(name)
    return known in SECRET_KEYS or _ends_like_a_credential(known, _IN_MESSAGES)


KNOWN_SHAPES = re.compile(
    r"""(?x)
    (?<![A-Za-z0-9])(?:
      eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}          # a JWT or the base64 of JSON
    | (?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}                     # an AWS access key id
    | gh[pousr]_[A-Za-z0-9]{16,} | github_pat_\w{20,}          # GitHub
    | gl(?:pat|dt|rt|cbt|ptt|soat)-[\w-]{16,}                  # GitLab
    | xox[abeprs]-[A-Za-z0-9-]{8,} | xapp-[A-Za-z0-9-]{8,}     # Slack
    | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,} | whsec_\w{10,}   # Stripe
    | sk-[A-Za-z0-9_-]{20,}                                    # OpenAI, Anthropic
    | AIza[\w-]{30,} | ya29\.[\w.-]{10,}                       # Google
    | npm_[A-Za-z0-9]{20,} | pypi-[\w-]{20,} | dop_v1_\w{20,} | hv[sb]\.[\w-]{16,}
    | SG\.[\w-]{16,}\.[\w-]{16,} | shp(?:at|ca|pa|ss)_\w{20,}
    | pwe_[\w-]{6,}                                            # this portal's tokens
    )"""
)
"""Credentials that are recognized anywhere, by their issuers' prefixes."""

_RANDOM = re.compile(r"[A-Za-z0-9+/_=~.-]{20,}")
_HEX = re.compile(r"[0-9a-f]{32,}|[0-9A-F]{32,}")
_ONE_CASE = re.compile(r"[a-z0-9]{24,}|[A-Z0-9]{24,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SHORTEST_RANDOM = 20
ENOUGH_BITS = 3.3
"""Bits per character, by the value's own letters: English in CamelCase has less at this length."""


def looks_random(value: str) -> bool:
    """Whether a value is long and random in base64 or base62: at least 20 characters in both cases
    with digits. A UUID is an id, not a credential.
    """
    if not _RANDOM.fullmatch(value) or _UUID.fullmatch(value):
        return False
    kinds = (str.isdigit, str.islower, str.isupper)
    if not all(any(kind(char) for char in value) for kind in kinds):
        return False
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return bits >= ENOUGH_BITS


def looks_random_in_one_case(value: str) -> bool:
    """Whether a value is long and random in base36: at least 24 letters of one case and
    digits, several of both.
    """
    if not _ONE_CASE.fullmatch(value):
        return False
    digits = sum(char.isdigit() for char in value)
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    several = len(value) / 5
    return several <= digits <= len(value) - several and bits >= ENOUGH_BITS


def has_secret_shape(value: str) -> bool:
    """Whether a value that a person gave is a credential by its looks: a known prefix, random
    base64 or base36, or at least 32 hexadecimal digits.
    """
    text = value.strip()
    return (
        bool(KNOWN_SHAPES.search(text))
        or bool(_HEX.fullmatch(text))
        or looks_random(text)
        or looks_random_in_one_case(text)
    )
