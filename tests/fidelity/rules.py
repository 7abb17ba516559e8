"""Every rule that AWS documents and the lab should follow, by id."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fidelity import control_plane, data_plane
from tests.fidelity.rule import GROUPS, Rule

RULES: tuple[Rule, ...] = tuple(
    sorted((*control_plane.RULES, *data_plane.RULES), key=lambda rule: GROUPS.index(rule.group))
)
BY_ID: Mapping[str, Rule] = {rule.id: rule for rule in RULES}
