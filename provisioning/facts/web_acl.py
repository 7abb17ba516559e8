"""Which rules of a web ACL look at the path, and whether they apply to an endpoint's paths (PURE).

A web ACL sees every request of its distribution, whatever behavior answers. So a new behavior
leaves none of its rules, but a path may: a rule that is scoped to other paths guards them and not
this one. Sources: AWS WAF Developer Guide (rule statements, URI path, text transformations) and API
Reference (WebACL).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioning.facts.path_patterns import covers, overlap

Json = Mapping[str, Any]


class Applies(enum.StrEnum):
    """Whether a rule applies to requests for the paths of a pattern: to all, perhaps to some, to
    none.
    """

    ALL = "all"
    SOME = "some"
    NONE = "none"


@dataclass(frozen=True)
class WebAclRule:
    """A rule: `action` is Block, Allow, Count, Captcha, Challenge, or what a rule group does."""

    name: str
    action: str
    statement: Json = field(hash=False)

    @property
    def looks_at_path(self) -> bool:
        """Whether some part of the statement is about the URI path."""
        return any("UriPath" in (part.get("FieldToMatch") or {}) for part in _parts(self.statement))

    def applies_to(self, pattern: str) -> Applies:
        """Whether the rule applies to the paths of a CloudFront pattern."""
        some, every = _reach(self.statement, pattern)
        if not some:
            return Applies.NONE
        return Applies.ALL if every else Applies.SOME


@dataclass(frozen=True)
class WebAcl:
    """A distribution's web ACL. `default_action` is Allow or Block."""

    arn: str
    name: str
    default_action: str
    rules: tuple[WebAclRule, ...] = ()

    def rules_by_path(self, pattern: str) -> tuple[tuple[WebAclRule, Applies], ...]:
        """The rules that look at the path, each with whether it applies to the pattern's paths."""
        return tuple((rule, rule.applies_to(pattern)) for rule in self.rules if rule.looks_at_path)


def _parts(statement: Json) -> Iterator[Json]:
    """All statements in a statement, each without its kind's name."""
    for given in statement.values():
        if not isinstance(given, Mapping):
            continue
        yield given
        inner = [*(given.get("Statements") or ())]
        inner += [given[name] for name in ("Statement", "ScopeDownStatement") if given.get(name)]
        for one in inner:
            yield from _parts(one)


def _reach(statement: Json, pattern: str) -> tuple[bool, bool]:
    """Whether requests for the pattern's paths can satisfy the statement, and whether all do: what
    looks at something else, such as an address, can be satisfied by any, and not by all.
    """
    kind: str = next(iter(statement), "")
    given: Json = statement.get(kind, {})
    if kind == "AndStatement":
        each = [_reach(one, pattern) for one in given["Statements"]]
        return all(some for some, _ in each), all(every for _, every in each)
    if kind == "OrStatement":
        each = [_reach(one, pattern) for one in given["Statements"]]
        return any(some for some, _ in each), any(every for _, every in each)
    if kind == "NotStatement":
        some, every = _reach(given["Statement"], pattern)
        return not every, not some
    if scope := given.get("ScopeDownStatement"):
        return _reach(scope, pattern)
    if "UriPath" not in (given.get("FieldToMatch") or {}):
        return True, False  # another condition, such as an address
    transformations = [one.get("Type") for one in given.get("TextTransformations") or ()]
    lowered = "LOWERCASE" in transformations
    paths = pattern.lower() if lowered else pattern
    if kind == "ByteMatchStatement":
        return _byte_match(given, paths)
    if kind == "RegexMatchStatement":
        return _regex_match(str(given.get("RegexString", "")), paths)
    return True, False


def _byte_match(given: Json, paths: str) -> tuple[bool, bool]:
    sought = given.get("SearchString", b"")
    text = sought.decode("utf-8", "replace") if isinstance(sought, bytes) else str(sought)
    if "*" in text or "?" in text:
        return True, False  # no pattern of CloudFront's says that
    glob = {
        "EXACTLY": text,
        "STARTS_WITH": f"{text}*",
        "ENDS_WITH": f"*{text}",
        "CONTAINS": f"*{text}*",
        "CONTAINS_WORD": f"*{text}*",
    }.get(str(given.get("PositionalConstraint")))
    if glob is None:
        return True, False
    every = given.get("PositionalConstraint") != "CONTAINS_WORD" and covers(glob, paths)
    return overlap(glob, paths), every


def _regex_match(regex: str, paths: str) -> tuple[bool, bool]:
    """Decided for a pattern that is one path, and for an expression that is a prefix."""
    try:
        sought = re.compile(regex)
    except re.error:
        return True, False
    if "*" not in paths and "?" not in paths:
        found = sought.search(paths) is not None
        return found, found
    prefix = re.fullmatch(r"\^((?:[\w/\-]|\\[./-])+)(?:\.\*)?", regex)
    if prefix:
        start = prefix[1].replace("\\", "")
        return overlap(f"{start}*", paths), covers(f"{start}*", paths)
    return True, False


def described(patterns: Sequence[str], acl: WebAcl) -> list[str]:
    """What an approval covers: each rule that looks at the path, with whether it applies."""
    said = {
        Applies.ALL: "applies to",
        Applies.SOME: "may apply to",
        Applies.NONE: "does not apply to",
    }
    return [
        f"{rule.name} ({rule.action}) of {acl.name} {said[applies]} {pattern}"
        for pattern in patterns
        for rule, applies in acl.rules_by_path(pattern)
    ]
