"""The setting `origin_headers`: headers that CloudFront adds to what it sends to the origin.

Sources: CloudFront Developer Guide, "Add custom headers to origin requests" (with "Custom headers
that CloudFront can't add to origin requests") and "Quotas" (custom headers).
"""

from __future__ import annotations

from provisioning.redaction.masking import mask_header
from provisioning.redaction.references import malformed_reference

MOST_HEADERS, LONGEST_NAME, LONGEST_VALUE, LONGEST_TOGETHER = 10, 256, 1783, 10_240
"""CloudFront's quotas: headers of an origin, and characters."""
FORBIDDEN = frozenset(
    {
        "cache-control",
        "connection",
        "content-length",
        "cookie",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "request-range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-real-ip",
    }
)
FORBIDDEN_PREFIXES = ("x-amz-", "x-edge-")
HANDSHAKE_PREFIX = "sec-websocket-"
"""What each viewer and the app agree on: CloudFront would send the same value for all."""


def origin_headers(text: str) -> tuple[tuple[str, str], ...]:
    """The lines of a valid setting as names and values, which may refer to secrets."""
    pairs = (line.partition(":") for line in text.splitlines())
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


def can_add(name: str) -> bool:
    """Whether CloudFront can add a header of this name, and every handshake survives it."""
    lower = name.lower()
    return lower not in FORBIDDEN and not lower.startswith((*FORBIDDEN_PREFIXES, HANDSHAKE_PREFIX))


def origin_headers_fault(text: str) -> str:
    """The first thing that is wrong with the lines of the setting, or an empty string. Whether the
    secrets exist is not asked here. Repeats no value.
    """
    headers = origin_headers(text)
    if len(headers) > MOST_HEADERS:
        return f"CloudFront adds at most {MOST_HEADERS} headers. Remove some."
    seen: set[str] = set()
    for name, value in headers:
        if name.lower().startswith(HANDSHAKE_PREFIX):
            return f"{name} belongs to each viewer's handshake. Choose another name."
        if not can_add(name):
            return f"CloudFront cannot add the header {name}. Choose another name."
        if name.lower() in seen:
            return f"{name} is listed twice. Remove one."
        seen.add(name.lower())
        if written := malformed_reference(value):
            return (
                f"{written} is not a reference to a secret. Write ${{secret:NAME}}, with the name "
                "exactly as under Secrets."
            )
        if mask_header(name, value) != value:
            return (
                f"The value of {name} looks like a credential. Add it under Secrets, and write "
                "${secret:NAME} in its place."
            )
    return too_long(dict(headers))


def too_long(headers: dict[str, str]) -> str:
    """Which header is longer than CloudFront takes, or an empty string. Repeats no value."""
    for name, value in headers.items():
        if len(name) > LONGEST_NAME:
            return f"{name[:40]}… is longer than {LONGEST_NAME} characters. Choose a shorter name."
        if len(value) > LONGEST_VALUE:
            return f"The value of {name} is longer than {LONGEST_VALUE:,} characters. Shorten it."
    if sum(len(name) + len(value) for name, value in headers.items()) > LONGEST_TOGETHER:
        return f"The headers are longer than {LONGEST_TOGETHER:,} characters together. Remove some."
    return ""
