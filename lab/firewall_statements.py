"""Which statements of AWS WAF the lab imitates (PURE). The edge evaluates these; a web ACL with any
other cannot be attached to a distribution, so that no guard is there in name only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
COMMON_RULE_SET = "AWSManagedRulesCommonRuleSet"
IMITATED = frozenset(
    {
        "AndStatement",
        "OrStatement",
        "NotStatement",
        "IPSetReferenceStatement",
        "GeoMatchStatement",
        "ByteMatchStatement",
        "RegexMatchStatement",
        "RegexPatternSetReferenceStatement",
        "SizeConstraintStatement",
        "RateBasedStatement",
        "LabelMatchStatement",
        "ManagedRuleGroupStatement",
    }
)


def not_imitated(statement: Json) -> Iterator[str]:
    """The names of the statements and managed rule groups in `statement` that nothing evaluates."""
    kind = next(iter(statement), "") if isinstance(statement, Mapping) else ""
    given: Json = (statement.get(kind) or {}) if kind else {}
    if kind not in IMITATED or not isinstance(given, Mapping):
        yield kind or "an empty statement"
        return
    if kind == "ManagedRuleGroupStatement" and not is_common_rule_set(given):
        yield f"{given.get('VendorName')}/{given.get('Name')}"
    parts = [
        *(given.get("Statements") or ()),
        *(given[name] for name in ("Statement", "ScopeDownStatement") if given.get(name)),
    ]
    for part in parts:
        yield from not_imitated(part)


def is_common_rule_set(given: Json) -> bool:
    """Whether a ManagedRuleGroupStatement names the core rule set."""
    return given.get("VendorName") == "AWS" and given.get("Name") == COMMON_RULE_SET
