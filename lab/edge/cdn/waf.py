"""AWS WAF: what a web ACL of scope CLOUDFRONT does with a request (PURE).

Supported are IP sets, byte and regex matches, sizes, countries, rates, labels, the core managed
rule group, and their combinations. Other statements match nothing, so the lab never blocks by
guess; a web ACL that has one cannot be attached.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import html
import operator
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote_plus

import re2

from lab.edge.account.web_acls import WebAcl, WebAclRule
from lab.edge.cdn.managed_rules import COMMON_RULES, LABELS
from lab.edge.http.messages import Refusal, ViewerRequest
from lab.firewall_statements import is_common_rule_set, not_imitated

Json = Mapping[str, Any]
# (rule, aggregation key, window in seconds, limit) -> whether this request exceeds the limit.
RateCheck = Callable[[str, str, float, int], bool]

BLOCKED = (
    "Request blocked. We can't connect to the server for this app or website at this time: "
    "a rule of the distribution's web ACL (CloudFront with AWS WAF) refused it."
)
DEFAULT_WINDOW = 300.0
MAX_COUNTED = 10_000
MAX_REQUESTS = 100_000


def refuse_by_web_acl(
    acl: WebAcl | None, request: ViewerRequest, rate_exceeded: RateCheck
) -> Refusal | None:
    """The first matching rule whose action is not Count decides; else the default action."""
    if acl is None:
        return None
    labels: set[str] = set()
    for rule in acl.rules:
        group = rule.statement.get("ManagedRuleGroupStatement")
        if group is not None:
            matcher = _RuleMatcher(acl, rule, request, rate_exceeded, frozenset(labels))
            try:
                action, added = matcher.managed(group)
            except (KeyError, TypeError, ValueError, AttributeError):
                continue
            labels |= added
            if action != "Count" and not rule.counts_group:
                return _refusal_for(action, 403)
        elif rule.action != "Count" and _matches(
            acl, rule, request, rate_exceeded, frozenset(labels)
        ):
            return _refusal_for(rule.action, rule.status)
    return _refusal_for(acl.default_action, acl.default_status)


def _matches(
    acl: WebAcl,
    rule: WebAclRule,
    request: ViewerRequest,
    rate_exceeded: RateCheck,
    labels: frozenset[str],
) -> bool:
    try:
        return _RuleMatcher(acl, rule, request, rate_exceeded, labels).matches(rule.statement)
    except (TypeError, ValueError, AttributeError):
        # moto does not validate statements. A malformed one matches nothing.
        return False


class RateCounter:
    """Recent requests by rule and aggregation key. It keeps no more of them than the limit needs;
    the least recently seen key is evicted first.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def exceeds(self, rule: str, whom: str, window: float, limit: int, now: float) -> bool:
        """Count one request at `now`. Whether there were more than `limit` in the last `window`
        seconds.
        """
        key = (rule, whom)
        times = self._seen.pop(key, None)
        if times is None or times.maxlen != min(limit, MAX_REQUESTS) + 1:
            times = deque(times or (), maxlen=min(limit, MAX_REQUESTS) + 1)
        times.append(now)
        while times[0] <= now - window:
            times.popleft()
        self._seen[key] = times
        if len(self._seen) > MAX_COUNTED:
            self._seen.popitem(last=False)
        return len(times) > limit


def _refusal_for(action: str, status: int) -> Refusal | None:
    match action:
        case "Block":
            return Refusal(status, "Error", BLOCKED, pageable=True)
        # No WebSocket client can solve a captcha or a challenge (AWS WAF guide).
        case "Captcha":
            return Refusal(
                405,
                "Error",
                "AWS WAF requires a CAPTCHA.",
                headers=(("x-amzn-waf-action", "captcha"),),
            )
        case "Challenge":
            return Refusal(
                202,
                "Error",
                "AWS WAF requires a challenge.",
                headers=(("x-amzn-waf-action", "challenge"),),
            )
        case _:
            return None


class _RuleMatcher:
    """One rule applied to one request, which has `labels` from the rules before."""

    def __init__(
        self,
        acl: WebAcl,
        rule: WebAclRule,
        request: ViewerRequest,
        rate_exceeded: RateCheck,
        labels: frozenset[str],
    ) -> None:
        self._labels = labels
        self._acl = acl
        self._rule = rule
        self._request = request
        self._rate_exceeded = rate_exceeded

    def managed(self, given: Json) -> tuple[str, frozenset[str]]:
        """The action of a managed rule group, Count if none of its rules decides, and the labels
        that it adds. A rule that only counts, by override or exclusion, adds its label, too.

        1. Without a match of the scope-down statement, the group is skipped.
        2. Rules are asked in their order, up to the first that does not only count.
        """
        scope: Json = given.get("ScopeDownStatement") or {}
        if not is_common_rule_set(given) or (scope and not self.matches(scope)):
            return "Count", frozenset()
        actions = {one["Name"]: "Count" for one in given.get("ExcludedRules") or ()}
        for one in given.get("RuleActionOverrides") or ():
            actions[one["Name"]] = next(iter(one["ActionToUse"]), "Block")
        labels: set[str] = set()
        for rule in COMMON_RULES:
            if rule.matches(self._request):
                labels.add(f"{LABELS}{rule.label}")
                action = actions.get(rule.name, "Block")
                if action != "Count":
                    return action, frozenset(labels)
        return "Count", frozenset(labels)

    def matches(self, statement: Json) -> bool:
        kind = next(iter(statement), "")
        given: Json = statement.get(kind) or {}
        match kind:
            case "AndStatement":
                return all(self.matches(part) for part in given.get("Statements") or [{}])
            case "OrStatement":
                return any(self.matches(part) for part in given.get("Statements") or ())
            case "NotStatement":
                inner: Json = given.get("Statement") or {}
                return _supported(inner) and not self.matches(inner)
            case "IPSetReferenceStatement":
                networks = self._acl.ip_sets.get(given.get("ARN") or "", ())
                addresses = self._addresses(given, "IPSetForwardedIPConfig")
                for address in addresses:
                    # A forwarded address may be malformed.
                    with contextlib.suppress(ValueError):
                        ip = ip_address(address)
                        if any(ip in network for network in networks):
                            return True
                return False
            case "GeoMatchStatement":
                return self._request.country in (given.get("CountryCodes") or ())
            case "ByteMatchStatement":
                needle = given.get("SearchString") or ""
                # The API sends blobs base64-encoded.
                with contextlib.suppress(binascii.Error, ValueError):
                    needle = base64.b64decode(needle, validate=True).decode("utf-8", "replace")
                return any(
                    _matches_text(given.get("PositionalConstraint"), text, needle)
                    for text in self._texts(given)
                )
            case "RegexMatchStatement":
                return self._matches_regex([given.get("RegexString") or ""], given)
            case "RegexPatternSetReferenceStatement":
                return self._matches_regex(
                    self._acl.pattern_sets.get(given.get("ARN") or "", ()), given
                )
            case "SizeConstraintStatement":
                size = int(given.get("Size") or 0)
                holds = _COMPARISONS.get(given.get("ComparisonOperator") or "", operator.ge)
                return any(holds(len(text), size) for text in self._texts(given))
            case "RateBasedStatement":
                return self._rate_limited(given)
            case "LabelMatchStatement":
                key = str(given.get("Key") or "")
                if given.get("Scope") == "NAMESPACE":
                    return any(f":{key.strip(':')}:" in f":{one}" for one in self._labels)
                return any(one == key or one.endswith(f":{key}") for one in self._labels)
            case _:
                return False

    def _rate_limited(self, given: Json) -> bool:
        scope: Json = given.get("ScopeDownStatement") or {}
        if scope and not self.matches(scope):
            return False
        match given.get("AggregateKeyType", "IP"):
            case "IP":
                whom = self._request.address
            case "FORWARDED_IP":
                whom = next(self._addresses(given, "ForwardedIPConfig"), "")
            case "CONSTANT":
                whom = "all"
            case _:
                return False
        window = float(given.get("EvaluationWindowSec") or DEFAULT_WINDOW)
        limit = int(given.get("Limit") or 0)
        return (
            bool(whom)
            and limit > 0
            and self._rate_exceeded(f"{self._acl.arn}/{self._rule.name}", whom, window, limit)
        )

    def _addresses(self, given: Json, key: str) -> Iterator[str]:
        forwarded: Json = given.get(key) or {}
        if not forwarded:
            yield self._request.address
            return
        header = self._request.header(str(forwarded.get("HeaderName", "")).lower())
        listed = [part.strip() for part in header.split(",") if part.strip()]
        match forwarded.get("Position", "FIRST"):
            case "LAST":
                yield from listed[-1:]
            case "ANY":
                yield from listed
            case _:
                yield from listed[:1]

    def _matches_regex(self, patterns: Iterable[str], given: Json) -> bool:
        texts = self._texts(given)
        compiled = [found for pattern in patterns if (found := _compiled(pattern)) is not None]
        return any(pattern.search(text) for pattern in compiled for text in texts)

    def _texts(self, given: Json) -> list[str]:
        """The parts of the request that a statement inspects, after its text transformations."""
        request = self._request
        where: Json = given.get("FieldToMatch") or {}
        kind = next(iter(where), "")
        detail: Json = where.get(kind) or {}
        name = str(detail.get("Name", "")).lower()
        found: list[str]
        match kind:
            case "UriPath":
                found = [request.path]
            case "QueryString":
                found = [request.query]
            case "Method":
                found = [request.method]
            case "SingleHeader":
                found = [value for key, value in request.headers if key.lower() == name]
            case "Headers":
                found = [f"{key}: {value}" for key, value in request.headers]
            case "SingleQueryArgument" | "AllQueryArguments":
                pairs = [pair.partition("=") for pair in request.query.split("&")]
                found = [
                    value
                    for key, _, value in pairs
                    if kind == "AllQueryArguments" or key.lower() == name
                ]
            case "Cookies":
                found = [value for key, value in request.headers if key.lower() == "cookie"]
            case _:
                found = []
        for change in sorted(
            given.get("TextTransformations") or (), key=lambda item: int(item.get("Priority") or 0)
        ):
            found = [_transformed(change.get("Type"), text) for text in found]
        return found


_COMPARISONS = {
    "EQ": operator.eq,
    "NE": operator.ne,
    "LT": operator.lt,
    "LE": operator.le,
    "GT": operator.gt,
}


def _supported(statement: Json) -> bool:
    """Whether every part of a statement is supported. The negation of an unsupported one would
    match everything, and a rule group cannot be nested.
    """
    return not any(not_imitated(statement)) and "ManagedRuleGroupStatement" not in statement


def _matches_text(constraint: str | None, text: str, needle: str) -> bool:
    match constraint:
        case "EXACTLY":
            return text == needle
        case "STARTS_WITH":
            return text.startswith(needle)
        case "ENDS_WITH":
            return text.endswith(needle)
        case "CONTAINS_WORD":
            return re.search(rf"(?<!\w){re.escape(needle)}(?!\w)", text) is not None
        case _:
            return needle in text


def _transformed(kind: str | None, text: str) -> str:
    match kind:
        case "LOWERCASE":
            return text.lower()
        case "URL_DECODE":
            return unquote_plus(text)
        case "COMPRESS_WHITE_SPACE":
            return re.sub(r"\s+", " ", text)
        case "HTML_ENTITY_DECODE":
            return html.unescape(text)
        case _:
            return text


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    """The compiled pattern; None if it is invalid. RE2 takes linear time for any pattern."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error:
        return None
