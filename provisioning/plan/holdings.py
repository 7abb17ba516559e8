"""What an endpoint holds in AWS by the portal's own rows, and who else uses it (PURE)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HeldRule:
    """An ingress rule that the portal added and the endpoint uses. `id` is its row, `rule_id` AWS's
    ID, `others` how many other endpoints use it.
    """

    id: int
    group_id: str
    port: int
    source_group_id: str
    rule_id: str
    others: int


@dataclass(frozen=True)
class Holdings:
    """The endpoint's VPC origin, how many other endpoints use that, and its ingress rules."""

    vpc_origin_id: str = ""
    vpc_origin_others: int = 0
    rules: tuple[HeldRule, ...] = ()
