"""An endpoint request as the API shows it: in lists and in full, each read with values() in one
query, which starts from what the caller may see.
"""

from __future__ import annotations

import uuid
from operator import itemgetter
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.http import Http404

from checks.preflight import Level
from portal import json_fields as f
from portal.api.checks import FIX
from portal.api.endpoint_settings import ENDPOINT_SPEC
from portal.api.endpoints import api_url, client_url
from portal.api.lists import page_of
from portal.people.models import Membership, Person
from portal.requests.lifecycle import (
    NEXT_STEPS,
    SETTLED,
    TITLES,
    State,
    after,
    next_step_of,
    title_of,
)
from portal.requests.models import EndpointRequest, EndpointRequestQuerySet
from portal.requests.ticket_values import JiraValues, ServiceNowValues, ticket_values
from portal.requests.verbs import EXAMPLE_DIGEST, VERBS, RequestVerb, usable_verbs
from portal.timestamps import format_timestamp
from provisioning.facts.step_times import ACCOUNT, DOCUMENTED, INSTALLATION, REGION
from provisioning.models import Endpoint, EventStream, Run
from provisioning.plan.items import PlanItem
from provisioning.plan.plan import CREATE

_ID = uuid.UUID(f.EXAMPLE_ID)


def _api(pk: uuid.UUID) -> str:
    return f"{settings.PORTAL_URL}/api/v1/requests/{pk}"


def _page(pk: uuid.UUID) -> str:
    return f"{settings.PORTAL_URL}/requests/{pk}/"


def _title(state: str, action: str) -> str:
    return title_of(State(state), action)


def _next_step(state: str, action: str) -> str:
    return next_step_of(State(state), action)


def _ticket(
    pk: uuid.UUID,
    state: str,
    action: str,
    reason: str,
    domain_name: str,
    spec: Any,
    endpoint_state: str,
) -> dict[str, Any]:
    return ticket_values(
        State(state),
        title=_title(state, action),
        next_step=_next_step(state, action),
        reason=reason,
        url=_page(pk),
        endpoint_url=client_url(domain_name, spec, endpoint_state),
    )


def _links(
    pk: uuid.UUID,
    caller: Person,
    member: bool,
    state: str,
    action: str,
    requester: int,
    beneficiary: int,
    last_editor: int,
    editors: list[int],
) -> dict[str, str]:
    """Its page, its events, and the verbs that the caller can use now."""
    me, admin = caller.pk, caller.role == Person.Role.PLATFORM_ADMIN
    edited = me == last_editor or me in editors
    mine = (me == requester, me == beneficiary, edited)
    url = _api(pk)
    return {
        "portal": _page(pk),
        "console": f"{settings.PORTAL_URL.replace('http', 'ws', 1)}/ws/requests/{pk}/",
        "events": f"{url}/events",
        **{
            verb: f"{url}/{verb}"
            for verb in usable_verbs(state, action, member, caller.decides, admin, *mine)
        },
    }


def _example_links(state: State) -> dict[str, str]:
    """For a member of the team who requested it."""
    member = 1
    return _links(_ID, Person(pk=member), True, state, CREATE, member, member, member, [])


def _own_url(
    domain_name: str | None, spec: Any, endpoint_state: str | None, owner: str | None, team: str
) -> str:
    """Where clients connect; "" for a team that has given the endpoint away since."""
    return client_url(domain_name, spec, endpoint_state) if owner == team else ""


def _plan(stored: dict[str, Any], digest: str, planned_at: Any) -> dict[str, Any] | None:
    if not stored:
        return None
    names = ("expected_seconds", "grace_seconds", "items", "relies_on")
    shown = {name: stored[name] for name in names}
    time = stored.get("time")
    return {"digest": digest, "planned_at": format_timestamp(planned_at), "time": time, **shown}


# fmt: off
TICKET = f.Object("Ticket", "Values ready for the ticket's fields; leave a field if it is empty.", (
    f.Field("servicenow", f.of(f.object_of(ServiceNowValues))),
    f.Field("jira", f.of(f.object_of(JiraValues))),
))
ENDPOINT_OF_REQUEST = f.Object("EndpointOfRequest", "The endpoint that the request is about.", (
    f.Field("id", f.UUID, source="endpoint_id"),
    f.Field("state", f.choice(Endpoint.State), source="endpoint__state"),
    f.Field("url", f.STRING, "Where clients connect, wss://…; empty once it is removed, or is "
            "another team's.", _own_url,
            ("endpoint__domain_name", "endpoint__spec_data", "endpoint__state", "endpoint__owner",
             "team__slug")),
    f.Field("link", f.STRING, "Where it is in the API.", api_url, ("endpoint_id",)),
))
RUN_OF_REQUEST = f.Object("RunOfRequest", "The run that carries out the plan.", (
    f.Field("id", f.INTEGER, source="run_id"),
    f.Field("state", f.choice(Run.State), source="run__state"),
    f.Field("started_at", f.TIME, source="run__created_at"),
    f.Field("finished_at", f.TIME, source="run__finished_at", null=True),
))
EXTERNAL = f.Object("External", "The ticket that the request came from.", (
    f.Field("system", f.STRING, source="external_system", example="servicenow"),
    f.Field("id", f.STRING, source="external_id", example="RITM0012345"),
    f.Field("url", f.STRING, source="external_url", example="https://acme.service-now.com/1"),
))
LINKS = f.Object("RequestLinks", "Where to go; a verb is there if the caller can use it now.", (
    f.Field("portal", f.STRING, "Its page."),
    f.Field("console", f.STRING, "WebSocket that sends every event as it happens."),
    f.Field("events", f.STRING, "Its events."),
    *(f.Field(verb.name, f.STRING, f"POST: {verb.summary}.", required=False) for verb in VERBS),
))
REQUEST_SUMMARY = f.Object("RequestSummary", "An endpoint request, as lists show it.", (
    f.Field("id", f.UUID),
    f.Field("url", f.STRING, "", _api, ("id",)),
    f.Field("action", f.choice(EndpointRequest.Action)),
    f.Field("name", f.STRING, "", itemgetter("name"), ("spec_data",), "team-chat"),
    f.Field("state", f.choice(State), example=State.AWAITING_APPROVAL.value),
    f.Field("state_title", f.STRING, "The state in words.", _title,
            ("state", "action"), TITLES[State.AWAITING_APPROVAL]),
    f.Field("next_step", f.STRING, "What happens next.", _next_step,
            ("state", "action"), NEXT_STEPS[State.AWAITING_APPROVAL]),
    f.Field("settled", f.FLAG, "Whether the portal is done with it for now.",
            SETTLED.__contains__, ("state",)),
    f.Field("reason", f.STRING),
    f.Field("team", f.STRING, source="team__slug", example="chat"),
    f.Field("requester", f.STRING, source="requester__username", example="servicenow"),
    f.Field("requested_for", f.STRING, source="beneficiary__username", example="ana"),
    f.Field("revision", f.INTEGER),
    f.Field("plan_digest", f.STRING, "What an approval has to name. Empty if there is no plan.",
            example=EXAMPLE_DIGEST),
    f.Field("endpoint", f.of(ENDPOINT_OF_REQUEST), null=True, of="endpoint_id"),
    f.Field("run", f.of(RUN_OF_REQUEST), null=True, of="run_id"),
    f.Field("external", f.of(EXTERNAL)),
    f.Field("correlation_id", f.STRING, example="RITM0012345"),
    f.Field("ticket", f.of(TICKET), "", _ticket,
            ("id", "state", "action", "reason", "endpoint__domain_name", "endpoint__spec_data",
             "endpoint__state"),
            _ticket(_ID, State.AWAITING_APPROVAL, CREATE, "", "", None, "")),
    f.Field("links", f.of(LINKS), "", _links,
            ("id", "@caller", "is_team_member", "state", "action", "requester_id", "beneficiary_id",
             "last_editor_id", "editor_ids"), _example_links(State.AWAITING_APPROVAL)),
    f.Field("created_at", f.TIME),
    f.Field("updated_at", f.TIME),
    f.Field("last_seq", f.INTEGER, "Number of the newest event.", lambda seq: seq or 0,
            ("last_seq",)),
))
PLAN_ITEM = f.object_of(PlanItem)
RUN_TIME = f.Object("RunTime", "What the run of a plan usually takes, in seconds.", (
    f.Field("typical_seconds", f.NUMBER, "Half of the runs took no longer.", example=870.0),
    f.Field("late_seconds", f.NUMBER, "Nine of ten took no longer; null where that is not known.",
            null=True, example=1140.0),
    f.Field("runs", f.INTEGER, "How many runs that is from.", example=23),
    f.Field("basis", f.choice((ACCOUNT, REGION, INSTALLATION, DOCUMENTED)),
            "Whose runs: of this account and Region, of the Region, of the installation; or "
            "documented: what AWS documents, until there are enough.", example=ACCOUNT),
))
PLAN = f.Object("Plan", "What would change in AWS.", (
    f.Field("digest", f.STRING, example=EXAMPLE_DIGEST),
    f.Field("planned_at", f.TIME),
    f.Field("expected_seconds", f.INTEGER, "What AWS documents.", example=900),
    f.Field("grace_seconds", f.INTEGER, "How long a removed endpoint can be restored.", example=0),
    f.Field("time", f.of(RUN_TIME), "", "time", example=RUN_TIME.example, null=True),
    f.Field("items", f.array(f.of(PLAN_ITEM)), example=[PLAN_ITEM.example | {
        "resource": "behavior", "action": "create", "title": "Behavior /ws/chat"}]),
    f.Field("relies_on", f.of(f.FreeObject(
        "PlanFacts", "Facts about AWS; if one changes, an approval is void.",
        {"distribution_domain": "d111111abcdef8.cloudfront.net"}))),
))
AMENDMENT = f.Object("Amendment", "Other answers, with which the plan solves the problem.", (
    f.Field("label", f.STRING, example="Add /ws/chat to the paths"),
    f.Field("changes", f.of(f.FreeObject(
        "AmendedAnswers", "The fields of the request that change, with their new values.",
        {"path_patterns": ["/ws/chat/*", "/ws/chat"]}))),
))
PREFLIGHT_RESULT = f.Object("PreflightResult", "What was found out about the target.", (
    f.Field("code", f.STRING, example="PF-PATH-BARE"),
    f.Field("level", f.choice(Level), "fixable: the plan fixes it. block: fix it first."),
    f.Field("title", f.STRING),
    f.Field("seen", f.STRING, "What AWS said."),
    f.Field("why", f.STRING, "What follows from it."),
    f.Field("fix", f.of(FIX), null=True),
    f.Field("in_plan", f.FLAG, "Whether the plan fixes it."),
    f.Field("amendment", f.of(AMENDMENT), null=True),
    f.Field("exposes", f.array(f.STRING), "What gets past CloudFront. Whoever approves the plan "
            "accepts it.", example=[]),
))
REQUEST = f.Object("EndpointRequest", "An endpoint request in full.", (
    *REQUEST_SUMMARY.fields,
    f.Field("justification", f.STRING, example="Chat for the support desk"),
    f.Field("spec", f.of(ENDPOINT_SPEC), source="spec_data"),
    f.Field("plan", f.of(PLAN), "", _plan, ("plan_data", "plan_digest", "planned_at"),
            PLAN.example, null=True),
    f.Field("plan_changes", f.array(f.STRING), "What differs from the previous plan."),
    f.Field("preflight", f.array(f.of(PREFLIGHT_RESULT)), source="preflight_data", example=[]),
))
REQUEST_PAGE = page_of("RequestPage", "requests", REQUEST_SUMMARY)
# fmt: on


def example_in(state: State) -> f.Row:
    """What an example of REQUEST shows differently in a state."""
    shown: dict[str, Any] = {"state": state.value, "settled": state in SETTLED}
    shown |= {"state_title": TITLES[state], "next_step": NEXT_STEPS[state]}
    shown["ticket"] = _ticket(_ID, state, CREATE, "", "", None, "")
    shown["links"] = _example_links(state)
    if state is State.PLANNING:
        shown |= {"plan": None, "plan_digest": ""}
    if state in (State.PROVISIONING, State.CLOSED):
        shown["run"] = RUN_OF_REQUEST.example | {"finished_at": None}
    return shown


def example_after(verb: RequestVerb) -> f.Row:
    """The same after a verb was used on a request that waits for it."""
    waiting = (
        State.AWAITING_APPROVAL,
        State.BLOCKED,
        State.STUCK,
        State.QUARANTINED,
        State.FAILED,
        State.OUT_OF_SERVICE,
    )
    states = (after(state, verb.permission) for state in waiting)
    return example_in(next(state for state in states if state))


def with_context(requests: EndpointRequestQuerySet, caller: Person) -> QuerySet[EndpointRequest]:
    """Each with `last_seq`, where its event stream stands; and for those who see every team's,
    `is_team_member`, whether they belong to the request's team.
    """
    stream = EventStream.objects.filter(name=OuterRef("stream"))
    added = {"last_seq": Subquery(stream.values("last_seq")[:1])}
    if caller.sees_everything:
        of_team = Membership.objects.filter(person=caller, team=OuterRef("team"))
        added["is_team_member"] = Exists(of_team)
    return requests.annotate(**added)


def added_columns(caller: Person) -> dict[str, Any]:
    """What `REQUEST` shows beside the columns of `with_context`. Others see only the requests of
    their own teams, so that the query need not ask.
    """
    return {"@caller": caller} | ({} if caller.sees_everything else {"is_team_member": True})


def show_one(
    requests: EndpointRequestQuerySet, caller: Person, *, newest: bool = False
) -> dict[str, Any]:
    """The one request of a set that the caller may see, or its newest, in full. One query. Raises
    Http404.
    """
    visible = with_context(requests.visible_to(caller), caller)
    added = added_columns(caller)
    visible = visible.order_by("-created_at", "-id")[:1] if newest else visible.order_by()
    columns = [column for column in REQUEST.columns if column not in added]
    row = next(iter(visible.values(*columns)), None)
    if row is None:
        raise Http404
    return REQUEST.show(row | added)
