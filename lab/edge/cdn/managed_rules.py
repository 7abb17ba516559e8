"""AWSManagedRulesCommonRuleSet, as far as it concerns a handshake (PURE).

AWS WAF Developer Guide, "Core rule set (CRS) managed rule group": the rules, the sizes and the
labels are AWS's; of the patterns AWS documents examples only, and only those are looked for. Rules
about bodies are left out, since a handshake has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

from lab.edge.http.messages import ViewerRequest

LABELS = "awswaf:managed:aws:core-rule-set:"
_LONGEST_QUERY, _LONGEST_COOKIE, _LONGEST_PATH = 2_048, 10_240, 1_024
_BAD_BOTS = re.compile(r"nessus|nmap", re.IGNORECASE)
_METADATA = re.compile(r"\b169\.254\.169\.254\b")
_TRAVERSAL = re.compile(r"\.\.[/\\]\.\.[/\\]")
_REMOTE_FILE = re.compile(r"\b(?:https?|ftps?|file)://\d{1,3}(?:\.\d{1,3}){3}\b", re.IGNORECASE)
_EXTENSION = re.compile(r"\.(?:log|ini)\b", re.IGNORECASE)
_SCRIPT = re.compile(r"<\s*script\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ManagedRule:
    """A rule of the group: its name, the end of the label that it adds, and what it looks for."""

    name: str
    label: str
    matches: Callable[[ViewerRequest], bool]


def _headers(request: ViewerRequest, name: str) -> list[str]:
    return [value for key, value in request.headers if key.lower() == name]


def _path(request: ViewerRequest) -> Iterator[str]:
    yield unquote_plus(request.path)


def _arguments(request: ViewerRequest) -> Iterator[str]:
    for pair in request.query.split("&"):
        yield unquote_plus(pair.partition("=")[2])


def _cookies(request: ViewerRequest) -> Iterator[str]:
    for value in _headers(request, "cookie"):
        yield unquote_plus(value)


def _finds(
    pattern: re.Pattern[str], where: Callable[[ViewerRequest], Iterator[str]]
) -> Callable[[ViewerRequest], bool]:
    return lambda request: any(pattern.search(text) for text in where(request))


def _longer(
    most: int, where: Callable[[ViewerRequest], Iterator[str]]
) -> Callable[[ViewerRequest], bool]:
    return lambda request: any(len(text.encode()) > most for text in where(request))


COMMON_RULES = (
    ManagedRule(
        "NoUserAgent_HEADER",
        "NoUserAgent_Header",
        lambda request: not _headers(request, "user-agent"),
    ),
    ManagedRule(
        "UserAgent_BadBots_HEADER",
        "BadBots_Header",
        lambda request: any(map(_BAD_BOTS.search, _headers(request, "user-agent"))),
    ),
    ManagedRule(
        "SizeRestrictions_QUERYSTRING",
        "SizeRestrictions_QueryString",
        _longer(_LONGEST_QUERY, lambda request: iter((request.query,))),
    ),
    ManagedRule(
        "SizeRestrictions_Cookie_HEADER",
        "SizeRestrictions_Cookie_Header",
        _longer(_LONGEST_COOKIE, lambda request: iter(_headers(request, "cookie"))),
    ),
    ManagedRule(
        "SizeRestrictions_URIPATH",
        "SizeRestrictions_URIPath",
        _longer(_LONGEST_PATH, lambda request: iter((request.path,))),
    ),
    ManagedRule("EC2MetaDataSSRF_COOKIE", "EC2MetaDataSSRF_Cookie", _finds(_METADATA, _cookies)),
    ManagedRule("EC2MetaDataSSRF_URIPATH", "EC2MetaDataSSRF_URIPath", _finds(_METADATA, _path)),
    ManagedRule(
        "EC2MetaDataSSRF_QUERYARGUMENTS",
        "EC2MetaDataSSRF_QueryArguments",
        _finds(_METADATA, _arguments),
    ),
    ManagedRule(
        "GenericLFI_QUERYARGUMENTS", "GenericLFI_QueryArguments", _finds(_TRAVERSAL, _arguments)
    ),
    ManagedRule("GenericLFI_URIPATH", "GenericLFI_URIPath", _finds(_TRAVERSAL, _path)),
    ManagedRule(
        "RestrictedExtensions_URIPATH", "RestrictedExtensions_URIPath", _finds(_EXTENSION, _path)
    ),
    ManagedRule(
        "RestrictedExtensions_QUERYARGUMENTS",
        "RestrictedExtensions_QueryArguments",
        _finds(_EXTENSION, _arguments),
    ),
    ManagedRule(
        "GenericRFI_QUERYARGUMENTS", "GenericRFI_QueryArguments", _finds(_REMOTE_FILE, _arguments)
    ),
    ManagedRule("GenericRFI_URIPATH", "GenericRFI_URIPath", _finds(_REMOTE_FILE, _path)),
    ManagedRule(
        "CrossSiteScripting_COOKIE", "CrossSiteScripting_Cookie", _finds(_SCRIPT, _cookies)
    ),
    ManagedRule(
        "CrossSiteScripting_QUERYARGUMENTS",
        "CrossSiteScripting_QueryArguments",
        _finds(_SCRIPT, _arguments),
    ),
    ManagedRule("CrossSiteScripting_URIPATH", "CrossSiteScripting_URIPath", _finds(_SCRIPT, _path)),
)
"""In the order of AWS's table."""
