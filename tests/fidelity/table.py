"""The fidelity table of lab/README.md: each rule, its status in the lab, and the tests that prove
it (PURE).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.fidelity.rule import GROUPS, Known, Rule

BEGIN = "<!-- fidelity: made by `python -m tests.fidelity`, do not edit -->"
END = "<!-- /fidelity -->"

TITLES: Mapping[str, str] = {
    "vpc-origin": "VPC origins",
    "distribution": "Distributions",
    "policy": "Policies",
    "websocket": "WebSockets",
    "timeout": "Timeouts",
    "balancer": "Load balancers and targets",
    "answer": "Answers",
    "log": "Access logs",
    "api": "The API",
    "continuous-deployment": "Continuous deployment",
    "sharing": "Sharing between accounts",
    "quota": "Quotas",
}


def standing(rule: Rule, tests: Sequence[str]) -> str:
    """A rule's status in the lab, in a few words."""
    if rule.left_out:
        return f"left out: {rule.left_out}"
    if not tests:
        return "**no test**" if rule.must_be_proven else "not imitated"
    return "unverified" if rule.known is Known.UNVERIFIED else "implemented"


def table(rules: Iterable[Rule], proven: Mapping[str, Sequence[str]]) -> str:
    """The whole section between the markers, one table per group."""
    rules = list(rules)
    parts = [summary(rules, proven)]
    for group in GROUPS:
        parts += [
            "",
            f"#### {TITLES[group]}",
            "",
            "| rule | AWS | says who | here |",
            "|---|---|---|---|",
        ]
        parts += [_row(rule, proven.get(rule.id, ())) for rule in rules if rule.group == group]
    return "\n".join(parts)


def summary(rules: Sequence[Rule], proven: Mapping[str, Sequence[str]]) -> str:
    """How many rules have which status."""
    words = [standing(rule, proven.get(rule.id, ())).partition(":")[0] for rule in rules]
    counts = [
        f"{words.count(word)} {word.strip('*')}"
        for word in ("implemented", "unverified", "left out", "not imitated", "**no test**")
        if word in words
    ]
    return f"{len(rules)} rules: {', '.join(counts)}."


def put(readme: str, made: str) -> str:
    """The README with this table between its markers.

    :raises ValueError: a marker is missing.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN if not begin else END}")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def _row(rule: Rule, tests: Sequence[str]) -> str:
    said = f"{rule.source} ({rule.known.value})"
    if rule.source.startswith(("nobody", rule.known.value)):
        said = rule.source
    here = standing(rule, tests)
    if tests:
        here += ": " + ", ".join(f"`{test}`" for test in tests)
    return f"| `{rule.id}` | {rule.says} | {said} | {here} |"
