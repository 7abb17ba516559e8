"""docs/preflight.md lists the questions that the code asks, with the calls that the role's policy
allows.
"""

from __future__ import annotations

import json
import re

from checks.preflight import TITLES
from tests.architecture.source import PROJECT

ROW = re.compile(r"^\| (PF-[A-Z0-9-]+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
LISTED = ROW.findall((PROJECT / "docs" / "preflight.md").read_text())


def test_every_question_is_listed_once_with_its_title() -> None:
    assert len(LISTED) == len({code for code, *_ in LISTED})
    assert {code: title for code, title, *_ in LISTED} == TITLES


def test_every_call_named_is_one_that_the_policy_allows() -> None:
    statements = json.loads((PROJECT / "docs" / "iam-policy.json").read_text())["Statement"]
    actions = [
        action
        for one in statements
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    ]
    allowed = {action.split(":")[1] for action in actions}
    named = {call for *_, calls, _ in LISTED for call in calls.split(", ")} - {"nothing"}
    assert named - allowed == set()
