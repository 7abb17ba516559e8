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
    """What moves a request. The lower half are things that happen, not things that people do."""

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
    S.PLANNING: "Working out the plan",
    S.BLOCKED: "Cannot be built yet",
    S.AWAITING_APPROVAL: "Waiting for approval",
    S.PROVISIONING: "Being built",
    S.VERIFYING: "Testing the handshake",
    S.LIVE: "Live",
    S.UNANSWERED: "Built, but the handshake fails",
    S.FAILED: "Failed and cleaned up",
    S.STUCK: "Stuck: a person is needed",
    S.CLOSED: "Closed, with things left in AWS",
    S.REJECTED: "Rejected",
    S.CANCELLED: "Cancelled",
}

NEXT_STEPS: dict[State, str] = {
    S.PLANNING: "The portal asks AWS what would change. This takes a few seconds.",
    S.BLOCKED: "Fix what is listed, then plan again, or change the request.",
    S.AWAITING_APPROVAL: "Somebody of the platform team decides on exactly this plan.",
    S.PROVISIONING: "AWS needs about a quarter of an hour. You can close this page.",
    S.VERIFYING: "A real WebSocket handshake goes through the edge.",
    S.LIVE: "Clients can connect.",
    S.UNANSWERED: "The verdict names the likely cause and the fix. Nothing was torn down.",
    S.FAILED: "Everything this request had made in AWS is gone again. The reason is below.",
    S.STUCK: "An undo failed. A platform admin has to put right what the reason names, then have it "
    "tried again.",
    S.CLOSED: "Its undo had failed and a platform admin gave that up. The events list what may be "
    "left in AWS.",
    S.REJECTED: "The reason is below. A new request can take it into account.",
    S.CANCELLED: "Nothing of it is left in AWS.",
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
    """A request, as far as the rules care. `editor_ids`: who opened its ticket, and everybody who
    ever changed it.
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


def may_approve(actor: Actor, standing: Standing, *, digest: str) -> Allowed | Denied:
    """Four eyes: an approver who neither asked, opened, edited nor benefits, agreeing to the plan
    as it is now.
    """
    refusal = _decider(actor, standing, "approve")
    if refusal:
        return refusal
    if digest != standing.plan_digest:
        return Denied(
            "stale_plan", "The plan has changed since you looked at it. Read it again, then decide."
        )
    return Allowed(S.PROVISIONING)


def may_reject(actor: Actor, standing: Standing) -> Allowed | Denied:
    """The same people who may approve may reject."""
    return _decider(actor, standing, "reject") or Allowed(S.REJECTED)


def may_cancel(actor: Actor, standing: Standing) -> Allowed | Denied:
    """The team may cancel its request until it is over; one that is being built is undone first."""
    if not (actor.is_active and actor.is_team_member):
        return Denied("not_your_team", "Only a member of the team that asked may cancel this.")
    to = after(standing.state, V.CANCEL)
    if to is None:
        return Denied(
            "wrong_state", f"This request cannot be cancelled any more: {_is(standing.state)}."
        )
    return Allowed(to)


def may_edit(actor: Actor, standing: Standing) -> Allowed | Denied:
    """The team may change or re-plan its request until it is decided. That voids the plan shown so
    far.
    """
    if not (actor.is_active and actor.is_team_member):
        return Denied("not_your_team", "Only a member of the team that asked may change this.")
    to = after(standing.state, V.EDIT)
    if to is None:
        return Denied(
            "wrong_state", f"This request cannot be changed any more: {_is(standing.state)}."
        )
    return Allowed(to)


def may_retry_undo(actor: Actor, standing: Standing) -> Allowed | Denied:
    """A platform admin may have a failed undo tried again, whoever asked: it only removes what the
    portal made.
    """
    if not (actor.is_active and actor.is_admin):
        return Denied("not_platform_admin", "Only a platform admin may have an undo tried again.")
    to = after(standing.state, V.RETRY_UNDO)
    if to is None:
        return Denied("wrong_state", f"There is no undo to try again: {_is(standing.state)}.")
    return Allowed(to)


def may_close(actor: Actor, standing: Standing) -> Allowed | Denied:
    """A platform admin may give up an undo that can never succeed, as in an account that is
    lost.
    """
    if not (actor.is_active and actor.is_admin):
        return Denied(
            "not_platform_admin",
            "Only a platform admin may close a request with things left in AWS.",
        )
    to = after(standing.state, V.CLOSE)
    if to is None:
        return Denied(
            "wrong_state", f"Only a stuck request is closed like this: {_is(standing.state)}."
        )
    return Allowed(to)


def _decider(actor: Actor, standing: Standing, verb: str) -> Denied | None:
    if not (actor.is_active and actor.is_approver):
        return Denied("not_approver", f"Only an approver of the platform team may {verb} this.")
    if actor.id == standing.requester_id:
        return Denied(
            "own_request", f"You asked for this yourself; somebody else has to {verb} it."
        )
    if actor.id == standing.beneficiary_id:
        return Denied("beneficiary", f"This is made for you; somebody else has to {verb} it.")
    if actor.id == standing.last_editor_id or actor.id in standing.editor_ids:
        return Denied(
            "editor", f"You opened or edited this request; somebody else has to {verb} it."
        )
    if standing.state is not S.AWAITING_APPROVAL:
        return Denied("wrong_state", f"There is nothing to {verb}: {_is(standing.state)}.")
    return None


def _is(state: State) -> str:
    return f"it is “{TITLES[state].lower()}”"


def diagram() -> str:
    """The state machine as a Mermaid diagram: what docs/lifecycle.md shows."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.PLANNING}"]
    lines += [f"    {state} --> {to}: {verb}" for (state, verb), to in TRANSITIONS.items()]
    lines += [f"    {state} --> [*]" for state in State if state in FINAL]
    return "\n".join(lines)
