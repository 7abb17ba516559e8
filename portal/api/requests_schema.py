"""What the OpenAPI document says about requests: stable ids, parameters, bodies, answers, one
example each.

These serializers only describe. Bodies are read by portal.api.create_request, answers are made by
portal.api.output; tests compare the fields here with those there.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers as s

from portal.api.schema import (
    APPROVE,
    PAGING,
    READ,
    REQUEST_ID,
    UNREAD,
    WRITE,
    Body,
    header,
    operation,
    parameter,
    whole,
)
from portal.requests.lifecycle import State
from provisioning.spec.fields import METHODS, ORIGIN_PROTOCOL, VIEWER_PROTOCOL


class NewRequest(Body):
    """A wish, flat. Numbers and booleans may be strings; "" means absent; lists may be
    comma-separated strings.
    """

    team = s.CharField(help_text="Short name of one of your teams.")
    name = s.CharField(help_text="1 to 40 lower-case letters, digits and hyphens.")
    account_id = s.CharField(help_text="Twelve digits.")
    distribution_id = s.CharField(help_text="The CloudFront distribution to extend.")
    target_arn = s.CharField(
        help_text="ARN of a load balancer or an EC2 instance. Also accepted as: target."
    )
    path_patterns = s.CharField(
        help_text="One to five, separated by commas, or a list. Also accepted as: ws_path."
    )
    action = s.ChoiceField(
        ["create"], required=False, help_text="create, which is also the default."
    )
    justification = s.CharField(required=False, help_text="What it is for; the approver reads it.")
    requested_for = s.CharField(
        required=False,
        help_text="Username or e-mail of the person it is for. They cannot approve it.",
    )
    opened_by = s.CharField(
        required=False,
        help_text="Username or e-mail of the person who opened the ticket. They cannot approve it.",
    )
    max_silence_seconds = s.IntegerField(
        required=False, help_text="Longest time without a message; default 30."
    )
    subprotocols = s.CharField(
        required=False,
        help_text="WebSocket subprotocols the app speaks, comma-separated or a list.",
    )
    carries_http_api = s.BooleanField(
        required=False, help_text="Whether the same path also carries an HTTP API."
    )
    origin_protocol = s.ChoiceField(
        ORIGIN_PROTOCOL.choices,
        required=False,
        help_text="Derived from the target's listeners if absent.",
    )
    http_port = s.IntegerField(required=False, help_text="Port of the target's HTTP listener.")
    https_port = s.IntegerField(required=False, help_text="Port of the target's HTTPS listener.")
    forward_host = s.BooleanField(
        required=False, help_text="Whether the app sees the viewer's Host header."
    )
    origin_domain = s.CharField(
        required=False, help_text="Host name of the origin; the target's own if absent."
    )
    viewer_protocol_policy = s.ChoiceField(
        VIEWER_PROTOCOL.choices, required=False, help_text="What happens to ws:// viewers."
    )
    allowed_methods = s.ChoiceField(
        METHODS.choices, required=False, help_text="A handshake needs GET only."
    )
    read_timeout = s.IntegerField(
        required=False, help_text="Seconds CloudFront waits for the 101; default 30."
    )
    keepalive_timeout = s.IntegerField(
        required=False, help_text="Seconds idle HTTP connections stay open; default 5."
    )
    open_security_group = s.BooleanField(
        required=False, help_text="Whether the plan may admit CloudFront to the target."
    )
    external_system = s.CharField(
        required=False,
        help_text="servicenow, jira, … Together with external_id it makes the call idempotent.",
    )
    external_id = s.CharField(required=False, help_text="The ticket's number.")
    external_url = s.CharField(required=False, help_text="The ticket's address.")


class ServiceNowTicket(Body):
    state = s.CharField()
    stage = s.CharField()
    approval = s.CharField()
    work_notes = s.CharField()
    close_notes = s.CharField()


class JiraTicket(Body):
    status = s.CharField()
    transition = s.CharField()
    comment = s.CharField()
    resolution = s.CharField()


class Ticket(Body):
    """Values ready for the ticket's fields; empty means: leave it as it is."""

    servicenow = ServiceNowTicket()
    jira = JiraTicket()


class EndpointOfRequest(Body):
    id = s.UUIDField()
    state = s.CharField()
    url = s.CharField(help_text="Where viewers connect, wss://…")
    link = s.CharField()


class RunOfRequest(Body):
    id = s.IntegerField()
    state = s.CharField()
    started_at = s.DateTimeField()
    finished_at = s.DateTimeField(allow_null=True)


class External(Body):
    system = s.CharField()
    id = s.CharField()
    url = s.CharField()


class Links(Body):
    portal = s.CharField()
    console = s.CharField(help_text="WebSocket that tells every event as it happens.")
    events = s.CharField()
    approve = s.CharField()
    reject = s.CharField()
    cancel = s.CharField()
    replan = s.CharField()


class RequestSummary(Body):
    """An endpoint request."""

    id = s.UUIDField()
    url = s.CharField()
    action = s.CharField()
    name = s.CharField()
    state = s.ChoiceField([state.value for state in State])
    state_title = s.CharField(help_text="The state in words.")
    next_step = s.CharField(help_text="What happens next, in words.")
    settled = s.BooleanField(help_text="Whether nothing is going on at present.")
    reason = s.CharField()
    team = s.CharField()
    requester = s.CharField()
    requested_for = s.CharField()
    revision = s.IntegerField()
    plan_digest = s.CharField(
        help_text="What an approval has to name. Empty while there is no plan."
    )
    endpoint = EndpointOfRequest(allow_null=True)
    run = RunOfRequest(allow_null=True)
    external = External()
    correlation_id = s.CharField()
    ticket = Ticket()
    links = Links()
    created_at = s.DateTimeField()
    updated_at = s.DateTimeField()
    last_seq = s.IntegerField(help_text="Number of the newest event.")


class PlanItem(Body):
    """One AWS resource: what happens to it, how it is, how it will be."""

    resource = s.CharField()
    action = s.CharField()
    title = s.CharField()
    before = s.DictField(allow_null=True)
    after = s.DictField()
    note = s.CharField()
    shared = s.BooleanField()


class Plan(Body):
    digest = s.CharField()
    planned_at = s.DateTimeField()
    expected_seconds = s.IntegerField()
    items = s.ListField(child=PlanItem())
    relies_on = s.DictField()


class EndpointRequest(RequestSummary):
    """An endpoint request in full."""

    justification = s.CharField()
    spec = s.DictField(help_text="Every setting, given or derived.")
    plan = Plan(allow_null=True)
    plan_changes = s.ListField(
        child=s.CharField(), help_text="What differs from the plan shown before, in sentences."
    )
    preflight = s.ListField(
        child=s.DictField(),
        help_text="What was found out about the target: code, level, seen, why, fix, and where the "
        "request itself can "
        "put it right an amendment (see amendRequest).",
    )


class RequestPage(Body):
    requests = s.ListField(child=RequestSummary())
    next_cursor = s.CharField(allow_null=True)


class EventLine(Body):
    seq = s.IntegerField()
    at = s.DateTimeField()
    kind = s.CharField()
    level = s.ChoiceField(["info", "good", "warning", "error"])
    step = s.CharField()
    text = s.CharField()
    data = s.DictField()  # type: ignore[assignment]
    html = s.CharField(required=False)


class EventPage(Body):
    events = s.ListField(child=EventLine())
    next_after = s.IntegerField()
    more = s.BooleanField()
    state = s.CharField()
    settled = s.BooleanField()


class Approval(Body):
    plan_digest = s.CharField(help_text="plan_digest of the request as you read it.")
    reason = s.CharField(required=False)


class Refusal(Body):
    reason = s.CharField(help_text="What the team should know.")


class Amendment(Body):
    code = s.CharField(help_text="The code of the result, as PF-PATH-BARE.")
    amendment_label = s.CharField(
        required=False,
        help_text="The amendment's own words, where one code proposes several; else the first is "
        "meant.",
    )


class Withdrawal(Body):
    reason = s.CharField(required=False)


DIGEST = "6f1d" + "0" * 60

NEW_EXAMPLE = {
    "team": "chat",
    "name": "team-chat",
    "account_id": "111122223333",
    "distribution_id": "E1A2B3C4D5E6F7",
    "target_arn": "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/int-chat/50dc6c495c0c9188",
    "path_patterns": "/ws/chat",
    "max_silence_seconds": 45,
    "justification": "Chat for the support desk",
    "requested_for": "ana@example.com",
    "opened_by": "ben@example.com",
    "external_system": "servicenow",
    "external_id": "RITM0012345",
    "external_url": "https://acme.service-now.com/RITM0012345",
}
SUMMARY_EXAMPLE = {
    "id": REQUEST_ID,
    "url": f"https://portal.example/api/v1/requests/{REQUEST_ID}",
    "action": "create",
    "name": "team-chat",
    "state": "awaiting_approval",
    "state_title": "Waiting for approval",
    "next_step": "Somebody of the platform team decides on exactly this plan.",
    "settled": False,
    "reason": "",
    "team": "chat",
    "requester": "servicenow",
    "requested_for": "ana",
    "revision": 1,
    "plan_digest": DIGEST,
    "endpoint": None,
    "run": None,
    "external": {
        "system": "servicenow",
        "id": "RITM0012345",
        "url": "https://acme.service-now.com/RITM0012345",
    },
    "correlation_id": "RITM0012345",
    "ticket": {
        "servicenow": {
            "state": "-5",
            "stage": "waiting_for_approval",
            "approval": "requested",
            "work_notes": "Waiting for approval. …",
            "close_notes": "",
        },
        "jira": {
            "status": "Waiting for approval",
            "transition": "Request approval",
            "comment": "Waiting for approval. …",
            "resolution": "",
        },
    },
    "links": {
        "portal": f"https://portal.example/requests/{REQUEST_ID}/",
        "console": f"wss://portal.example/ws/requests/{REQUEST_ID}/",
        **{
            verb: f"https://portal.example/api/v1/requests/{REQUEST_ID}/{verb}"
            for verb in ("events", "approve", "reject", "cancel", "replan")
        },
    },
    "created_at": "2026-11-21T09:00:00.000Z",
    "updated_at": "2026-11-21T09:00:02.000Z",
    "last_seq": 2,
}
FULL_EXAMPLE = SUMMARY_EXAMPLE | {
    "justification": "Chat for the support desk",
    "spec": {"name": "team-chat", "path_patterns": ["/ws/chat"], "origin_protocol": "http-only"},
    "plan": {
        "digest": DIGEST,
        "planned_at": "2026-11-21T09:00:02.000Z",
        "expected_seconds": 900,
        "items": [
            {
                "resource": "behavior",
                "action": "create",
                "title": "Behavior /ws/chat of E1A2B3C4D5E6F7",
                "before": None,
                "after": {"path_pattern": "/ws/chat"},
                "note": "",
                "shared": False,
            }
        ],
        "relies_on": {"distribution_domain": "d111111abcdef8.cloudfront.net"},
    },
    "plan_changes": [],
    "preflight": [],
}
EVENT_EXAMPLE = {
    "seq": 1,
    "at": "2026-11-21T09:00:00.000Z",
    "kind": "request.submitted",
    "level": "info",
    "step": "",
    "text": "Ana asked for team-chat for Chat.",
    "data": {"by": "ana", "state": "planning"},
}

_UNCHANGED = {304: OpenApiResponse(description="Unchanged since the ETag in If-None-Match.")}
_IF_NONE_MATCH = header("If-None-Match", "ETag of the answer that you have.")

CREATE_REQUEST = operation(
    "createRequest",
    "Ask for an endpoint",
    "Answers at once; planning, approval and provisioning follow. Idempotent by "
    "Idempotency-Key, or else by "
    "external_system, external_id and action: the same call again answers 200 with the "
    "original and the header "
    "Idempotent-Replayed: true.",
    "requests",
    EndpointRequest,
    FULL_EXAMPLE,
    scope=WRITE,
    body=NewRequest,
    body_example=NEW_EXAMPLE,
    parameters=(header("Idempotency-Key", "Any text of up to 120 characters, new for each wish."),),
    statuses=(200, 201),
    refusals=(400, 409, *UNREAD, 422),
)
LIST_REQUESTS = operation(
    "listRequests",
    "List requests",
    "Newest first. Pages by an opaque cursor.",
    "requests",
    RequestPage,
    {"requests": [SUMMARY_EXAMPLE], "next_cursor": None},
    scope=READ,
    parameters=(
        parameter("state", OpenApiTypes.STR, f"Some of {', '.join(State)}, separated by commas."),
        parameter("team", OpenApiTypes.STR, "A team's short name."),
        parameter("external_system", OpenApiTypes.STR, "servicenow, jira, …"),
        parameter(
            "external_id__in", OpenApiTypes.STR, "Up to 100 ticket numbers, separated by commas."
        ),
        parameter(
            "updated_since", OpenApiTypes.DATETIME, "Only those changed at or after this time."
        ),
        *PAGING,
    ),
    refusals=(400,),
)
GET_REQUEST = operation(
    "getRequest",
    "Read a request",
    "Carries Retry-After while something is going on, and an ETag.",
    "requests",
    EndpointRequest,
    FULL_EXAMPLE,
    scope=READ,
    parameters=(_IF_NONE_MATCH,),
    refusals=(400, 404),
    also=_UNCHANGED,
)
GET_REQUEST_BY_TICKET = GET_REQUEST | {
    "operation_id": "getRequestByTicket",
    "summary": "Read the newest request of a ticket",
}
LIST_EVENTS = operation(
    "listRequestEvents",
    "Read events after a cursor",
    "Events are numbered from 1 without gaps. With Accept: application/x-ndjson one event "
    "per line.",
    "requests",
    EventPage,
    {
        "events": [EVENT_EXAMPLE],
        "next_after": 1,
        "more": False,
        "state": "planning",
        "settled": False,
    },
    scope=READ,
    parameters=(
        parameter(
            "after", whole(0, 2**63 - 1), "Number of the last event that you have; 0 for all."
        ),
        parameter("limit", whole(1, 1000), "200 if absent."),
        parameter("html", OpenApiTypes.BOOL, "true adds each event as a fragment of HTML."),
    ),
    refusals=(400, 404),
    also={
        (200, "application/x-ndjson"): OpenApiResponse(
            OpenApiTypes.STR, description="One JSON object per line."
        )
    },
)


def _verb(
    operation_id: str, summary: str, description: str, scope: str, body: Any, example: Any
) -> dict[str, Any]:
    return operation(
        operation_id,
        summary,
        description,
        "requests",
        EndpointRequest,
        FULL_EXAMPLE,
        scope=scope,
        body=body,
        body_example=example,
        refusals=(400, 404, 409, *UNREAD, 422),
    )


APPROVE_REQUEST = _verb(
    "approveRequest",
    "Approve a plan",
    "Agrees to exactly the plan with this digest. Nobody approves what they asked for, "
    "opened the ticket of, "
    "edited or benefit from.",
    APPROVE,
    Approval,
    {"plan_digest": DIGEST, "reason": "Checked with the network team"},
)
REJECT_REQUEST = _verb(
    "rejectRequest", "Reject a request", "With a reason that the team sees.", APPROVE, Refusal,
    {"reason": "Use the shared chat endpoint instead"},
)  # fmt: skip
CANCEL_REQUEST = _verb(
    "cancelRequest", "Cancel a request", "What is being built is undone first.", WRITE, Withdrawal,
    {"reason": "Not needed any more"},
)  # fmt: skip
RETRY_UNDO = _verb(
    "undoRequestAgain",
    "Try a failed undo again",
    "For a platform admin, of a request that is stuck. Put right first what its reason "
    "names; what is gone by then, by "
    "whatever hand, counts as undone.",
    APPROVE,
    Withdrawal,
    {"reason": "The role may delete VPC origins again"},
)
CLOSE_REQUEST = _verb(
    "closeRequest",
    "Close a stuck request without its undo",
    "For a platform admin, of a request that is stuck and whose undo can never succeed, as "
    "in an AWS account that is "
    "lost. What may be left in AWS is listed in the event `request.closed`, as `data.left`. "
    "The portal looks after "
    "none of it any more, and the endpoint counts as absent.",
    APPROVE,
    Refusal,
    {"reason": "The AWS account was closed"},
)
REPLAN_REQUEST = _verb(
    "replanRequest", "Plan again", "Asks AWS anew, without changing the wish.", WRITE, None, None,
)  # fmt: skip
AMEND_REQUEST = _verb(
    "amendRequest",
    "Take up what the preflight proposes",
    "A result of the preflight may carry an `amendment`: fields of the request with other "
    "values, with which the plan "
    "puts the matter right. This changes the request so, and plans it anew.",
    WRITE,
    Amendment,
    {"code": "PF-PATH-BARE", "amendment_label": "Add /ws/chat to the paths"},
)
