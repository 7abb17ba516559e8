"""The person who acts, as the rules of the lifecycle see them (PURE)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Who wants to do something, as far as the rules care."""

    id: int
    is_team_member: bool = False
    is_approver: bool = False
    is_active: bool = True
    is_admin: bool = False
