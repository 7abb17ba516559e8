"""One change to one AWS resource, and why there may be no plan at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.facts.snapshot import Gap

CREATE, UPDATE, DELETE, REUSE, KEEP = "create", "update", "delete", "reuse", "keep"
ACCEPT = "accept"
"""AWS has it already: what is approved becomes that, and nothing is written."""
QUOTA_CODES = frozenset({"vpc_origin_quota", "behavior_quota"})
"""Codes of Unplannable that depend on a quota, which is AWS's default if the account's own is not
known.
"""


@dataclass(frozen=True)
class PlanItem:
    """One AWS resource: what happens to it (create, update, delete, reuse, keep, accept), how it is
    now and how it will be. A `shared` one may serve other endpoints too.
    """

    resource: str
    action: str
    title: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    note: str = ""
    shared: bool = False


def binding(item: Mapping[str, Any]) -> dict[str, Any]:
    """What an approver agrees to in an item (its dict). For a shared one, whether it exists
    already does not matter: other endpoints may create or delete it meanwhile.
    """
    members = ("resource", "after") if item["shared"] else ("resource", "after", "action", "before")
    return {name: item[name] for name in members}


class Unplannable(Exception):
    """No plan is possible. `message` says what is in the way and what to do about it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    @classmethod
    def unseen(cls, code: str, message: str, gap: Gap | None) -> Unplannable:
        """The same, with what AWS said where it was asked in vain."""
        if gap is None:
            return cls(code, message)
        end = "" if gap.reason.endswith((".", "!", "?")) else "."
        return cls(code, f"{message} AWS said: {gap.reason}{end}")

    def __str__(self) -> str:
        return self.message
