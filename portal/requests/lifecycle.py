"""The life of an endpoint request: its states, who may move it where, and what each state means to
people.

PURE. The table TRANSITIONS is the state machine; docs/lifecycle.md shows its diagram and a test
compares them. A refusal is a value with a reason that the person sees.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from portal.people.actor import Actor


class State(enum.StrEnum):
    """States of an endpoint request."""

    PLANNING = "planning"
    BLOCKED = "blocked"
    AWAITING_APPROVAL = "awaiting_approval"
    PROVISIONING = "provisioning"
    VERIFYING = "verifying"
    LIVE = "live"
    UNANSWERED = "unanswered"
    FAILED = "failed"
    STUCK = "stuck"
    CLOSED = "closed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class Verb(enum.StrEnum):
    """What moves a request: verbs that people use (see PERMISSIONS), then things that happen."""

    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"
    EDIT = "edit"
    REPLAN = "replan"
    RETRY_UNDO = "retry undo"
    CLOSE = "close"
    PLANNED = "planned"
    FOUND_BLOCKED = "found blocked"
    VOIDED = "voided"
    DEPLOYED = "deployed"
    GAVE_UP = "gave up"
    GOT_STUCK = "got stuck"
    CANCELLED_CLEAN = "cancelled clean"
    ANSWERED = "answered"
    DID_NOT_ANSWER = "did not answer"


S, V = State, Verb

TRANSITIONS: dict[tuple[State, Verb], State] = {
    (S.PLANNING, V.PLANNED): S.AWAITING_APPROVAL,
    (S.PLANNING, V.FOUND_BLOCKED): S.BLOCKED,
    (S.PLANNING, V.CANCEL): S.CANCELLED,
    (S.BLOCKED, V.EDIT): S.PLANNING,
    (S.BLOCKED, V.REPLAN): S.PLANNING,
    (S.BLOCKED, V.CANCEL): S.CANCELLED,
    (S.AWAITING_APPROVAL, V.EDIT): S.PLANNING,
    (S.AWAITING_APPROVAL, V.REPLAN): S.PLANNING,
    (S.AWAITING_APPROVAL, V.APPROVE): S.PROVISIONING,
    (S.AWAITING_APPROVAL, V.REJECT): S.REJECTED,
    (S.AWAITING_APPROVAL, V.CANCEL): S.CANCELLED,
    (S.PROVISIONING, V.CANCEL): S.PROVISIONING,
    (S.PROVISIONING, V.VOIDED): S.PLANNING,
    (S.PROVISIONING, V.DEPLOYED): S.VERIFYING,
    (S.PROVISIONING, V.GAVE_UP): S.FAILED,
    (S.PROVISIONING, V.GOT_STUCK): S.STUCK,
    (S.PROVISIONING, V.CANCELLED_CLEAN): S.CANCELLED,
    (S.STUCK, V.RETRY_UNDO): S.PROVISIONING,
    (S.STUCK, V.CLOSE): S.CLOSED,
    (S.VERIFYING, V.ANSWERED): S.LIVE,
    (S.VERIFYING, V.DID_NOT_ANSWER): S.UNANSWERED,
    (S.UNANSWERED, V.ANSWERED): S.LIVE,
    (S.LIVE, V.DID_NOT_ANSWER): S.UNANSWERED,
}

FINAL = frozenset({S.FAILED, S.CLOSED, S.REJECTED, S.CANCELLED})
SETTLED = FINAL | {S.LIVE, S.UNANSWERED, S.STUCK, S.BLOCKED}

TITLES: dict[State, str] = {
    S.PLANNING: "Planning",
    S.BLOCKED: "Not ready to build",
    S.AWAITING_APPROVAL: "Waiting for approval",
    S.PROVISIONING: "Building",
    S.VERIFYING: "Checking the handshake",
    S.LIVE: "Live",
    S.UNANSWERED: "Built, but the handshake fails",
    S.FAILED: "Failed; changes rolled back",
    S.STUCK: "Stuck: the rollback failed",
    S.CLOSED: "Closed, with resources left in AWS",
    S.REJECTED: "Rejected",
    S.CANCELLED: "Cancelled",
}

NEXT_STEPS: dict[State, str] = {
    S.PLANNING: "The portal is asking AWS what would change. This takes a few seconds.",
    S.BLOCKED: "Fix what the preflight found, then replan, or change the request.",
    S.AWAITING_APPROVAL: "Waiting for the platform team to approve the plan.",
    S.PROVISIONING: "AWS takes about 15 minutes.",
    S.VERIFYING: "The portal is making a real WebSocket handshake through CloudFront.",
    S.LIVE: "Clients can connect.",
    S.UNANSWERED: "The verdict names the likely cause and the fix. Nothing was removed.",
    S.FAILED: "Everything this request created in AWS was removed. See the reason.",
    S.STUCK: "A platform admin must fix the cause, then retry the rollback.",
    S.CLOSED: "The rollback failed and a platform admin gave it up. The events list what may be "
    "left in AWS.",
    S.REJECTED: "See the reason. You can submit a new request that addresses it.",
    S.CANCELLED: "Nothing is left in AWS.",
}


@dataclass(frozen=True)
class Allowed:
    """The verb may be used; the request then is in `state`."""

    state: State


@dataclass(frozen=True)
class Denied:
    """The verb may not be used now; `reason` says why, to the person."""

    code: str
    reason: str


@dataclass(frozen=True)
class Standing:
    """A request, as far as the rules care. `editor_ids`: who opened its ticket, and everyone who
    ever edited it.
    """

    state: State
    requester_id: int
    beneficiary_id: int
    last_editor_id: int
    plan_digest: str
    editor_ids: frozenset[int] = frozenset()


def after(state: State, verb: Verb) -> State | None:
    """The state after `verb`, or None when the verb does not exist in this state."""
    return TRANSITIONS.get((state, verb))


class Party(enum.Enum):
    """Who may use a verb."""

    TEAM = "a member of the team that asked"
    APPROVER = "an approver who neither asked, opened, edited nor benefits"
    PLATFORM_ADMIN = "a platform admin"


PARTY_REFUSALS: dict[Party, tuple[str, ...]] = {
    Party.TEAM: ("not_your_team",),
    Party.APPROVER: ("not_approver", "own_request", "beneficiary", "editor"),
    Party.PLATFORM_ADMIN: ("not_platform_admin",),
}
"""The codes with which `may` refuses those who do not belong to a party."""


@dataclass(frozen=True)
class Permission:
    """Who may use a verb. `action` completes "Only ... can {action}."; `wrong_state` opens the
    sentence that ends with the state the request is in.
    """

    party: Party
    action: str
    wrong_state: str


PERMISSIONS: dict[Verb, Permission] = {
    V.APPROVE: Permission(
        Party.APPROVER, "approve this request", "This request cannot be approved"
    ),
    V.REJECT: Permission(Party.APPROVER, "reject this request", "This request cannot be rejected"),
    V.CANCEL: Permission(Party.TEAM, "cancel this request", "This request cannot be cancelled"),
    V.EDIT: Permission(Party.TEAM, "change this request", "This request cannot be changed"),
    V.REPLAN: Permission(Party.TEAM, "replan this request", "This request cannot be replanned"),
    V.RETRY_UNDO: Permission(
        Party.PLATFORM_ADMIN, "retry a rollback", "There is no rollback to retry"
    ),
    V.CLOSE: Permission(
        Party.PLATFORM_ADMIN,
        "close a request that has left resources in AWS",
        "Only a stuck request can be closed",
    ),
}
"""The verbs that people use. All others happen, and the portal reads them from the event log."""


def may(
    verb: Verb, actor: Actor, standing: Standing, *, digest: str | None = None
) -> Allowed | Denied:
    """Whether `actor` may use `verb` on a request now.

    1. The actor belongs to the party that the verb is for; for a decision, four eyes.
    2. The verb exists in the request's state.
    3. An approval names the plan's present digest.
    """
    permission = PERMISSIONS[verb]
    refusal = _refuse_actor(permission, actor, standing)
    if refusal:
        return refusal
    state = after(standing.state, verb)
    if state is None:
        title = TITLES[standing.state].lower()
        return Denied("wrong_state", f"{permission.wrong_state}: it is “{title}”.")
    if verb is V.APPROVE and digest != standing.plan_digest:
        return Denied(
            "stale_plan", "The plan has changed since you opened it. Review it again, then decide."
        )
    return Allowed(state)


def _refuse_actor(permission: Permission, actor: Actor, standing: Standing) -> Denied | None:
    action = permission.action
    if permission.party is Party.TEAM:
        if not (actor.is_active and actor.is_team_member):
            return Denied("not_your_team", f"Only members of the requesting team can {action}.")
        return None
    if permission.party is Party.PLATFORM_ADMIN:
        if not (actor.is_active and actor.is_admin):
            return Denied("not_platform_admin", f"Only a platform admin can {action}.")
        return None
    if not (actor.is_active and actor.is_approver):
        return Denied("not_approver", f"Only an approver of the platform team can {action}.")
    other = f"Another approver must {action}."
    if actor.id == standing.requester_id:
        return Denied("own_request", f"You submitted this request. {other}")
    if actor.id == standing.beneficiary_id:
        return Denied("beneficiary", f"This endpoint is for you. {other}")
    if actor.id == standing.last_editor_id or actor.id in standing.editor_ids:
        return Denied("editor", f"You opened or edited this request. {other}")
    return None


def diagram() -> str:
    """The state machine as a Mermaid diagram: what docs/lifecycle.md shows."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.PLANNING}"]
    lines += [f"    {state} --> {to}: {verb}" for (state, verb), to in TRANSITIONS.items()]
    lines += [f"    {state} --> [*]" for state in State if state in FINAL]
    return "\n".join(lines)
