"""The life of an endpoint request: its states, who may move it where, and what each state means to
people.

PURE. The table TRANSITIONS is the state machine; docs/lifecycle.md shows its diagram and a test
compares them. A refusal is a value with a reason that the person sees.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from portal.people.actor import Actor
from provisioning.plan.plan import ACCEPT, ADOPT, CHANGE, CREATE, REMOVE
from provisioning.spec.parsing import FieldError

TRANSFER = "transfer"
"""The action of a request by which a team took an endpoint over: nothing is planned or built."""


class State(enum.StrEnum):
    """States of an endpoint request."""

    PLANNING = "planning"
    BLOCKED = "blocked"
    AWAITING_APPROVAL = "awaiting_approval"
    PROVISIONING = "provisioning"
    VERIFYING = "verifying"
    LIVE = "live"
    UNANSWERED = "unanswered"
    FAILING = "failing"
    FAILED = "failed"
    STUCK = "stuck"
    QUARANTINED = "quarantined"
    OUT_OF_SERVICE = "out_of_service"
    RESTORED = "restored"
    REMOVED = "removed"
    SUPERSEDED = "superseded"
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
    RETRY = "retry"
    RETRY_STUCK = "retry stuck"
    RESUME = "resume"
    RESTORE = "restore"
    CLOSE = "close"
    PLANNED = "planned"
    FOUND_BLOCKED = "found blocked"
    VOIDED = "voided"
    DEPLOYED = "deployed"
    GAVE_UP = "gave up"
    GOT_STUCK = "got stuck"
    WAS_QUARANTINED = "was quarantined"
    WENT_OUT_OF_SERVICE = "went out of service"
    GRACE_ENDED = "grace ended"
    WAS_RESTORED = "was restored"
    WAS_REMOVED = "was removed"
    WAS_SUPERSEDED = "was superseded"
    WAS_FORGOTTEN = "was forgotten"
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
    (S.PROVISIONING, V.WAS_QUARANTINED): S.QUARANTINED,
    (S.PROVISIONING, V.CANCELLED_CLEAN): S.CANCELLED,
    (S.PROVISIONING, V.WENT_OUT_OF_SERVICE): S.OUT_OF_SERVICE,
    (S.PROVISIONING, V.WAS_RESTORED): S.RESTORED,
    (S.PROVISIONING, V.WAS_REMOVED): S.REMOVED,
    (S.OUT_OF_SERVICE, V.RESTORE): S.PROVISIONING,
    (S.OUT_OF_SERVICE, V.GRACE_ENDED): S.PROVISIONING,
    (S.OUT_OF_SERVICE, V.GAVE_UP): S.FAILED,
    (S.OUT_OF_SERVICE, V.GOT_STUCK): S.STUCK,
    (S.OUT_OF_SERVICE, V.WAS_QUARANTINED): S.QUARANTINED,
    (S.FAILED, V.RETRY): S.PROVISIONING,
    (S.STUCK, V.RETRY_STUCK): S.PROVISIONING,
    (S.STUCK, V.CLOSE): S.CLOSED,
    (S.QUARANTINED, V.RESUME): S.PROVISIONING,
    (S.QUARANTINED, V.CLOSE): S.CLOSED,
    (S.VERIFYING, V.ANSWERED): S.LIVE,
    (S.VERIFYING, V.DID_NOT_ANSWER): S.UNANSWERED,
    (S.UNANSWERED, V.ANSWERED): S.LIVE,
    (S.LIVE, V.DID_NOT_ANSWER): S.FAILING,
    (S.FAILING, V.ANSWERED): S.LIVE,
    (S.VERIFYING, V.WAS_SUPERSEDED): S.SUPERSEDED,
    (S.LIVE, V.WAS_SUPERSEDED): S.SUPERSEDED,
    (S.UNANSWERED, V.WAS_SUPERSEDED): S.SUPERSEDED,
    (S.FAILING, V.WAS_SUPERSEDED): S.SUPERSEDED,
    (S.VERIFYING, V.WAS_FORGOTTEN): S.CLOSED,
    (S.LIVE, V.WAS_FORGOTTEN): S.CLOSED,
    (S.UNANSWERED, V.WAS_FORGOTTEN): S.CLOSED,
    (S.FAILING, V.WAS_FORGOTTEN): S.CLOSED,
}

FINAL = frozenset({S.RESTORED, S.REMOVED, S.SUPERSEDED, S.CLOSED, S.REJECTED, S.CANCELLED})
CHECKED = frozenset({S.LIVE, S.UNANSWERED, S.FAILING})
"""States after the first check: the endpoint is as the request asked, and each later check moves
it among them. `unanswered` has never been live; `failing` has, so what fails now is no result of
the request.
"""
FOLLOWED = CHECKED | {S.PROVISIONING, S.VERIFYING, S.OUT_OF_SERVICE}
"""States in which events of a run or a check can move the request."""
SETTLED = FINAL | CHECKED | {S.FAILED, S.STUCK, S.QUARANTINED, S.BLOCKED, S.OUT_OF_SERVICE}
UNDER_WAY = frozenset(State) - FINAL - CHECKED - {S.FAILED}
"""States in which a change or a removal keeps others of the same endpoint waiting."""

TITLES: dict[State, str] = {
    S.PLANNING: "Planning",
    S.BLOCKED: "Not ready to build",
    S.AWAITING_APPROVAL: "Waiting for approval",
    S.PROVISIONING: "Building",
    S.VERIFYING: "Checking the handshake",
    S.LIVE: "Live",
    S.UNANSWERED: "Built, but the handshake fails",
    S.FAILING: "Live, now failing",
    S.FAILED: "Failed; changes rolled back",
    S.STUCK: "Stuck: the rollback failed",
    S.QUARANTINED: "Quarantined: its workers stopped",
    S.OUT_OF_SERVICE: "Out of service",
    S.RESTORED: "Restored",
    S.REMOVED: "Removed",
    S.SUPERSEDED: "Done, no longer current",
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
    S.FAILING: "Clients could connect once it was done; the last check failed. The verdict names "
    "the likely cause and the fix.",
    S.FAILED: "Everything this request created in AWS was removed. Fix the reason, then retry.",
    S.STUCK: "A platform admin must fix the cause, then retry.",
    S.QUARANTINED: "A platform admin must find out why the workers stopped, then resume it. Until "
    "then nothing of it is done; other requests go on.",
    S.OUT_OF_SERVICE: "Clients cannot connect. Restore the endpoint if it is still needed; "
    "otherwise everything is deleted when the grace period ends.",
    S.RESTORED: "The endpoint is back in service, as it was.",
    S.REMOVED: "Nothing of the endpoint is left in AWS. Its name and path are free.",
    S.SUPERSEDED: "A later request changed, removed or took over the endpoint.",
    S.CLOSED: "A platform admin gave it up. The events list what may be left in AWS.",
    S.REJECTED: "See the reason. You can submit a new request that addresses it.",
    S.CANCELLED: "Nothing is left in AWS.",
}


_OF_CHANGE: Mapping[State, tuple[str, str]] = {
    S.BLOCKED: ("Not ready to change", NEXT_STEPS[S.BLOCKED]),
    S.PROVISIONING: ("Changing", "The endpoint keeps its present settings until the switch."),
    S.UNANSWERED: ("Changed, but the handshake fails", NEXT_STEPS[S.UNANSWERED]),
    S.FAILED: (
        "Failed; the endpoint is as it was",
        "The change was rolled back. Fix the reason, then retry.",
    ),
    S.STUCK: ("Stuck: a step of the change failed", NEXT_STEPS[S.STUCK]),
    S.CANCELLED: ("Cancelled", "The endpoint is as it was."),
}
_OF_REMOVAL: Mapping[State, tuple[str, str]] = {
    S.BLOCKED: ("Not ready to remove", "Fix the reason, then replan."),
    S.PROVISIONING: ("Removing", "AWS takes about 10 minutes."),
    S.FAILED: (
        "Failed; the endpoint is back in service",
        "The removal was rolled back. Fix the reason, then retry.",
    ),
    S.STUCK: ("Stuck: a step of the removal failed", NEXT_STEPS[S.STUCK]),
    S.CANCELLED: ("Cancelled", "The endpoint stays in service."),
}
_OF_ACCEPTANCE: Mapping[State, tuple[str, str]] = {
    S.BLOCKED: ("Cannot be accepted", "Fix the reason, then replan; or cancel it."),
    S.PROVISIONING: ("Accepting", "The portal compares AWS with the plan. Nothing is written."),
    S.UNANSWERED: ("Accepted, but the handshake fails", NEXT_STEPS[S.UNANSWERED]),
    S.FAILED: ("Failed; nothing was accepted", "AWS was not changed. Fix the reason, then retry."),
    S.STUCK: ("Stuck", NEXT_STEPS[S.STUCK]),
    S.CANCELLED: ("Cancelled", "What was approved before still counts."),
}
_OF_ADOPTION: Mapping[State, tuple[str, str]] = {
    S.BLOCKED: ("Cannot be adopted", "Fix the reason, then replan; or cancel it."),
    S.PROVISIONING: ("Adopting", "The portal compares AWS with the plan. Nothing is written."),
    S.UNANSWERED: ("Adopted, but the handshake fails", NEXT_STEPS[S.UNANSWERED]),
    S.FAILED: ("Failed; nothing was adopted", "AWS was not changed. Fix the reason, then retry."),
    S.STUCK: ("Stuck: a step of the adoption failed", NEXT_STEPS[S.STUCK]),
    S.CLOSED: ("Closed", "The adoption failed and a platform admin gave it up. AWS is as it was."),
    S.CANCELLED: ("Cancelled", "AWS is as it was, and the endpoint is not the portal's."),
}
_OF_ACTION = {
    CHANGE: _OF_CHANGE,
    REMOVE: _OF_REMOVAL,
    ACCEPT: _OF_ACCEPTANCE,
    ADOPT: _OF_ADOPTION,
}
_NOT_EDITED = {
    REMOVE: "A removal has no settings. Cancel it, and request it again with another grace period.",
    ACCEPT: "It accepts what AWS has. Cancel it, and request a change instead.",
    ADOPT: "It takes over what AWS has. Cancel it, and adopt the endpoint again.",
}


def title_of(state: State, action: str) -> str:
    """The state of a request in words. `action` is what it asks for."""
    return _OF_ACTION.get(action, {}).get(state, (TITLES[state], ""))[0]


def next_step_of(state: State, action: str) -> str:
    """What happens next, in words."""
    return _OF_ACTION.get(action, {}).get(state, ("", NEXT_STEPS[state]))[1]


@dataclass(frozen=True)
class Allowed:
    """The verb may be used; the request then is in `state`."""

    state: State


@dataclass(frozen=True)
class Denied:
    """The verb may not be used now; `reason` says why, to the person. `errors` are its parts, where
    there are several.
    """

    code: str
    reason: str
    errors: tuple[FieldError, ...] = ()


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
    action: str = CREATE


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
    V.RETRY: Permission(Party.TEAM, "retry this request", "This request cannot be retried"),
    V.RETRY_STUCK: Permission(
        Party.PLATFORM_ADMIN, "retry a stuck request", "Only a stuck request can be retried"
    ),
    V.RESUME: Permission(
        Party.PLATFORM_ADMIN,
        "resume a quarantined request",
        "Only a quarantined request can be resumed",
    ),
    V.RESTORE: Permission(
        Party.TEAM, "restore this endpoint", "There is no removed endpoint to restore"
    ),
    V.CLOSE: Permission(
        Party.PLATFORM_ADMIN,
        "close a request that has left resources in AWS",
        "Only a stuck or quarantined request can be closed",
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
    if verb is V.EDIT and standing.action in _NOT_EDITED:
        return Denied("wrong_state", _NOT_EDITED[standing.action])
    if state is None:
        title = title_of(standing.state, standing.action).lower()
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
