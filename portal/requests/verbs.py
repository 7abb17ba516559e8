"""The verbs that people and ticket systems can use on a request: one row each.

A row names the action, the scope that an API token needs, the fields of the body, and the words
that pages and the API's document show. Who may use a verb, and when, is in `lifecycle.PERMISSIONS`;
what it does, in actions.py. Pages, API routes, links and OpenAPI follow from these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from portal.json_fields import Field, text
from portal.people.actor import Actor
from portal.people.models import ApiToken, Person
from portal.people.rate_counter import rate_counter
from portal.requests import actions, preflight_amendments
from portal.requests.accepted_exceptions import UNTIL_HELP
from portal.requests.lifecycle import (
    PARTY_REFUSALS,
    PERMISSIONS,
    Allowed,
    Denied,
    Standing,
    State,
    Verb,
    may,
)
from portal.requests.models import EndpointRequest
from provisioning.redaction.masking import mask_prose

LONGEST_REASON = 400
EXAMPLE_DIGEST = "6f1d" + "0" * 60


@dataclass(frozen=True, eq=False, kw_only=True)
class VerbField(Field):
    """A text in a verb's body, of at most `longest` characters. What people write is `prose`, which
    is kept without credentials.
    """

    longest: int
    prose: bool

    def read(self, given: Mapping[str, str]) -> str:
        """The text as the action gets it."""
        said = given.get(self.name, "")
        return mask_prose(said, self.longest) if self.prose else said


def _field(
    name: str,
    help_text: str,
    example: str,
    *,
    required: bool = False,
    longest: int = LONGEST_REASON,
    prose: bool = False,
) -> VerbField:
    return VerbField(
        name=name,
        kind=text(longest),
        help=help_text,
        example=example,
        required=required,
        default="",
        missing="reason_required" if name == "reason" else "required",
        longest=longest,
        prose=prose,
    )


@dataclass(frozen=True)
class RequestVerb:
    """A verb as pages and the API offer it.

    `name` is the verb in URLs and in the API's `links`. `permission` is its row in
    `lifecycle.PERMISSIONS`. `done` is what the page says afterwards, `done_in` where the state
    before makes it another sentence. `per_minute` is how often one person may use it, 0 for any:
    planning reads much from AWS. `own_refusals` are the codes with which only this action refuses.
    """

    name: str
    permission: Verb
    scope: ApiToken.Scope
    action: Callable[..., Allowed | Denied]
    summary: str
    description: str
    done: str
    fields: tuple[VerbField, ...] = ()
    done_in: Mapping[State, str] = field(default_factory=dict)
    per_minute: int = 0
    own_refusals: tuple[str, ...] = ()

    @property
    def refusals(self) -> tuple[str, ...]:
        """The codes with which it can refuse: the permission's, the limit's, and its action's."""
        party = PARTY_REFUSALS[PERMISSIONS[self.permission].party]
        limit = ("too_often",) if self.per_minute else ()
        return (*party, "wrong_state", *limit, *self.own_refusals)

    def use(
        self, person: Person, request: EndpointRequest, given: Mapping[str, str], now: datetime
    ) -> Allowed | Denied:
        """Use the verb with the texts `given` for its fields; each is a keyword of the action."""
        if self.per_minute:
            count, _ = rate_counter().add(f"verb:{self.name}:{person.pk}", 60)
            if count > self.per_minute:
                return Denied("too_often", f"At most {self.per_minute} a minute. Wait a little.")
        texts = {one.name: one.read(given) for one in self.fields}
        return self.action(person, request, now=now, **texts)

    def done_after(self, state: State) -> str:
        """What to tell the person who used it on a request in `state`."""
        return self.done_in.get(state, self.done)


def _reason(help_text: str, example: str, *, required: bool = False) -> VerbField:
    return _field("reason", help_text, example, required=required, prose=True)


VERBS: tuple[RequestVerb, ...] = (
    RequestVerb(
        "approve",
        Verb.APPROVE,
        ApiToken.Scope.APPROVE,
        actions.approve_request,
        "Approve a plan",
        "Approves exactly the plan with this digest. Nobody can approve a request that they "
        "submitted, edited, opened the ticket for or benefit from.",
        "Approved. Building starts now.",
        (
            _field(
                "plan_digest",
                "The digest of the plan that you read.",
                EXAMPLE_DIGEST,
                required=True,
            ),
            _reason(
                "Recorded with the approval. Required if the plan leaves ways past CloudFront, "
                "which the approval accepts.",
                "Checked with the network team",
            ),
            _field(
                "accept_until",
                f"How long these ways past CloudFront are accepted. {UNTIL_HELP} Default: as long "
                "as the platform team allows.",
                "2027-02-28",
                longest=10,
            ),
        ),
        own_refusals=(
            "stale_plan",
            "requester_left",
            "account_lost",
            "name_taken",
            "path_contested",
            "reason_required",
            "bad_date",
        ),
    ),
    RequestVerb(
        "reject",
        Verb.REJECT,
        ApiToken.Scope.APPROVE,
        actions.reject_request,
        "Reject a request",
        "Rejects the request with a reason that the team sees.",
        "Rejected. The team sees your reason.",
        (_reason("The team sees it.", "Use the shared chat endpoint instead", required=True),),
    ),
    RequestVerb(
        "cancel",
        Verb.CANCEL,
        ApiToken.Scope.WRITE,
        actions.cancel_request,
        "Cancel a request",
        "Cancels the request. If it is being built, everything it created in AWS is removed first.",
        "Cancelled.",
        (_reason("Recorded with the request.", "Not needed any more"),),
        {State.PROVISIONING: "Rolling back. This page shows the progress."},
    ),
    RequestVerb(
        "restore",
        Verb.RESTORE,
        ApiToken.Scope.WRITE,
        actions.restore_request,
        "Restore a removed endpoint",
        "While a removal is in its grace period: puts the endpoint back in service as it was, and "
        "cancels the removal.",
        "Restoring. This page shows the progress.",
        (_reason("Why it is still needed.", "A client still connects"),),
    ),
    RequestVerb(
        "retry",
        Verb.RETRY,
        ApiToken.Scope.WRITE,
        actions.retry_request,
        "Retry a failed request",
        "Carries out the approved plan again, without another approval. If AWS has changed since "
        "the approval, nothing is written and the request is planned again.",
        "Retrying. This page shows the progress.",
        (_reason("What you fixed.", "The role may create VPC origins now"),),
        own_refusals=("requester_left", "account_lost", "name_taken", "path_contested"),
    ),
    RequestVerb(
        "retry-stuck",
        Verb.RETRY_STUCK,
        ApiToken.Scope.APPROVE,
        actions.retry_stuck,
        "Retry a stuck request",
        "For platform admins. Continues from the step that failed. Fix the cause that its reason "
        "names first. Anything already deleted, by anyone, is skipped.",
        "Retrying. This page shows the progress.",
        (_reason("What you fixed.", "The role may delete VPC origins again"),),
    ),
    RequestVerb(
        "resume",
        Verb.RESUME,
        ApiToken.Scope.APPROVE,
        actions.resume_request,
        "Resume a quarantined request",
        "For platform admins. A run whose workers stopped again and again at one step is put "
        "aside; the event `run.quarantined` says at which and how often. This continues from that "
        "step, and counts from 0 again.",
        "Resumed. This page shows the progress.",
        (
            _reason(
                "What stopped the workers, or what you changed.",
                "The workers have more memory",
                required=True,
            ),
        ),
        own_refusals=("reason_required",),
    ),
    RequestVerb(
        "close",
        Verb.CLOSE,
        ApiToken.Scope.APPROVE,
        actions.close_request,
        "Give up a stuck request",
        "For platform admins, on a stuck or quarantined request that can never succeed, for "
        "example because the AWS account is lost. The event `request.closed` lists what may be "
        "left in AWS, as `data.left`. The portal no longer manages any of it; the endpoint counts "
        "as absent, unless it was being changed.",
        "Closed. The events below list what may be left in AWS.",
        (_reason("Why it can never succeed.", "The account was closed", required=True),),
    ),
    RequestVerb(
        "replan",
        Verb.REPLAN,
        ApiToken.Scope.WRITE,
        actions.replan_request,
        "Replan a request",
        "Asks AWS again, without changing the answers.",
        "Replanning.",
        per_minute=10,
    ),
    RequestVerb(
        "amend",
        Verb.EDIT,
        ApiToken.Scope.WRITE,
        preflight_amendments.amend_request,
        "Apply a preflight suggestion",
        "A preflight result may carry an `amendment`: fields of the request with other values, "
        "with which the plan solves the problem. This applies it and replans.",
        "Request changed. Replanning.",
        (
            _field("code", "The code of the preflight result.", "PF-PATH-BARE", required=True),
            _field(
                "amendment_label",
                "Which suggestion to apply, if there are several. Default: the first.",
                "Add /ws/chat to the paths",
            ),
        ),
        own_refusals=("nothing_proposed", "name_taken"),
    ),
)
VERBS_BY_NAME: Mapping[str, RequestVerb] = {verb.name: verb for verb in VERBS}


@cache
def usable_verbs(
    state: str,
    action: str,
    member: bool,
    approver: bool,
    admin: bool,
    requested: bool,
    gets: bool,
    edited: bool,
) -> list[str]:
    """Their names, for a caller with these roles, who requested, gets or edited the endpoint."""
    me, other = 1, 0
    actor = Actor(me, is_team_member=member, is_approver=approver, is_admin=admin)
    asker, getter, editor = (me if is_me else other for is_me in (requested, gets, edited))
    standing = Standing(State(state), asker, getter, editor, plan_digest="", action=action)
    given = [may(one.permission, actor, standing, digest="") for one in VERBS]
    return [one.name for one, can in zip(VERBS, given, strict=True) if isinstance(can, Allowed)]
