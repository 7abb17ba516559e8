"""What the OpenAPI document says about checks, further probes and saved checks.

As in portal.api.requests_schema these serializers only describe; tests compare them with what
portal.api.checks_representation shows.
"""

from __future__ import annotations

from rest_framework import serializers as s

from checks.diagnosis.probe_kinds import ProbeKind
from checks.models import SavedCheck
from checks.probe.probe_request import BOUNDS, REQUESTABLE
from portal.api.schema import PAGING, READ, REQUEST_ID, UNREAD, WRITE, Body, operation
from portal.endpoints.actions import MOST_SAVED_CHECKS, SCHEDULES

PROBE_KINDS = [kind.value for kind in REQUESTABLE if kind is not ProbeKind.LOG_ROWS]
_BOUNDED = "; ".join(f"{kind} {least} to {most}" for kind, (least, most) in BOUNDS.items())
_STATES = ["running", "finished"]


class Verdict(Body):
    """A coded conclusion."""

    code = s.CharField()
    title = s.CharField()
    plain = s.CharField()
    cause = s.CharField()
    fix = s.CharField()
    page = s.CharField()
    request_url = s.CharField(
        allow_null=True,
        help_text="Opens the form of the request that puts it right, filled in; null where none does.",
    )


class Fix(Body):
    """How it is put right in this very account, by console, command line and Terraform; empty where
    there is no way.
    """

    console = s.CharField()
    cli = s.CharField()
    terraform = s.CharField()


class Finding(Body):
    code = s.CharField()
    certainty = s.ChoiceField(["low", "medium", "high"])
    evidence = s.ListField(child=s.CharField())
    here = Fix(
        allow_null=True,
        help_text="Null where AWS's own answers do not tell; the verdict's fix is for any account.",
    )
    request_url = s.CharField(allow_null=True)


class CheckShown(Body):
    """A recorded handshake check."""

    id = s.UUIDField()
    url = s.CharField()
    endpoint = s.UUIDField()
    state = s.ChoiceField(_STATES)
    ok = s.BooleanField(allow_null=True)
    verdict = Verdict(allow_null=True)
    findings = s.ListField(
        child=Finding(), help_text="Every verdict with its evidence, most certain first."
    )
    next_probe = s.CharField(
        help_text="What would tell more about a failure; empty when a cause was shown."
    )
    probes = s.ListField(
        child=s.DictField(),
        help_text="What was tried to explain a failure: kind, transcript and, of other ways, which.",
    )
    options = s.DictField(help_text="The options of this handshake; empty for the usual one.")
    total_ms = s.FloatField(allow_null=True)
    requested_by = s.CharField()
    requested_at = s.DateTimeField()
    finished_at = s.DateTimeField(allow_null=True)
    transcript = s.DictField(
        allow_null=True, help_text="Every header line as sent and received, and the timings."
    )


class CheckWanted(Body):
    """A handshake of one's own; every field may be left out."""

    path = s.CharField(
        required=False, help_text="Another path at the endpoint's own host, with a query."
    )
    unencrypted = s.CharField(required=False, help_text="true asks over ws://.")
    origin = s.CharField(required=False, help_text="The Origin line; none sends none.")
    subprotocols = s.CharField(required=False, help_text="Best first, separated by commas.")
    headers = s.CharField(
        required=False, help_text="One a line; tokens and cookies are used once and not kept."
    )
    compress = s.CharField(required=False, help_text="true offers permessage-deflate.")
    script = s.CharField(
        required=False, help_text="What to say and what must come back, one step a line."
    )


class LogRowsGiven(Body):
    rows = s.CharField(
        help_text="Rows of CloudFront's log: JSON lines, a JSON array, or tab-separated."
    )


class ProbeWanted(Body):
    """A further probe, with what its kind takes."""

    kind = s.ChoiceField(PROBE_KINDS)
    number = s.IntegerField(
        required=False,
        help_text=f"Times, clients or seconds: {_BOUNDED}. The usual number if absent; no other kind "
        "has one.",
    )
    path = s.CharField(
        required=False,
        help_text="Another path at the endpoint's own host, for kinds without number.",
    )


class ProbeSummary(Body):
    """A further probe."""

    id = s.UUIDField()
    url = s.CharField()
    endpoint = s.UUIDField()
    kind = s.ChoiceField([kind.value for kind in REQUESTABLE])
    number = s.IntegerField()
    path = s.CharField()
    check = s.CharField(
        allow_null=True, help_text="The check that log rows weigh again; null for other kinds."
    )
    state = s.ChoiceField(_STATES)
    ok = s.BooleanField(allow_null=True)
    headline = s.CharField(help_text="What was found, in one sentence; empty until it has ended.")
    code = s.CharField(help_text="The verdict that it leads to, or empty.")
    requested_by = s.CharField()
    requested_at = s.DateTimeField()
    finished_at = s.DateTimeField(allow_null=True)


class Cell(Body):
    state = s.ChoiceField(["good", "bad", "info", "not reached"])
    text = s.CharField()


class ReportRow(Body):
    title = s.CharField()
    cells = s.ListField(child=Cell(), help_text="One for each of columns.")


class ProbeShown(ProbeSummary):
    """A further probe in full."""

    lines = s.ListField(child=s.CharField(), help_text="What speaks for the headline.")
    columns = s.ListField(child=s.CharField())
    rows = s.ListField(child=ReportRow())
    verdict = Verdict(allow_null=True)


class ProbePage(Body):
    probes = s.ListField(child=ProbeSummary())
    next_cursor = s.CharField(allow_null=True)


class LastCheck(Body):
    url = s.CharField()
    ok = s.BooleanField()
    verdict = s.CharField()


class SavedLinks(Body):
    checks = s.CharField(help_text="POST makes it now.")


class SavedCheckShown(Body):
    """A check that is kept under a name."""

    id = s.IntegerField()
    url = s.CharField()
    endpoint = s.UUIDField()
    name = s.CharField()
    options = s.DictField(help_text="As createCheck takes it; empty for the usual handshake.")
    every_minutes = s.IntegerField(help_text="0 is only by hand.")
    after_changes = s.BooleanField()
    next_due_at = s.DateTimeField(allow_null=True)
    created_by = s.CharField()
    last_check = LastCheck(allow_null=True)
    links = SavedLinks()


class SavedChecksShown(Body):
    saved_checks = s.ListField(child=SavedCheckShown())


class CheckToSave(CheckWanted):
    """A handshake to be made again. Tokens and cookies would be stored, and are refused."""

    name = s.CharField(max_length=SavedCheck._meta.get_field("name").max_length)
    every_minutes = s.ChoiceField(
        list(SCHEDULES), required=False, help_text="0, if absent, is only by hand."
    )
    after_changes = s.BooleanField(
        required=False, help_text="Whether to make it after each change of the endpoint."
    )


_ENDPOINT = f"https://portal.example/api/v1/endpoints/{REQUEST_ID}"
_CHECK, _PROBE = "5f0e2a44-8f2e-4c55-9d0b-0f6a6d4a1c22", "2c9b7c0e-4a54-4f0c-8a5e-6a3a3c1f2b77"
CHECK_EXAMPLE = {
    "id": _CHECK,
    "url": f"{_ENDPOINT}/checks/{_CHECK}",
    "endpoint": REQUEST_ID,
    "state": "finished",
    "ok": True,
    "verdict": {
        "code": "WSE-LIVE",
        "title": "The endpoint is live",
        "plain": "A WebSocket opened at this address and answered. Clients can connect.",
        "cause": "The 101 and its Sec-WebSocket-Accept prove that a WebSocket server read this very "
        "request.",
        "fix": "Nothing to change.",
        "page": "https://portal.example/help/verdicts/WSE-LIVE/",
        "request_url": None,
    },
    "findings": [
        {
            "code": "WSE-LIVE",
            "certainty": "high",
            "evidence": ["HTTP/1.1 101 Switching Protocols"],
            "here": None,
            "request_url": None,
        }
    ],
    "next_probe": "",
    "probes": [],
    "options": {},
    "total_ms": 61.4,
    "requested_by": "Ana",
    "requested_at": "2026-11-21T09:21:00.000Z",
    "finished_at": "2026-11-21T09:21:01.000Z",
    "transcript": {},
}
CHECK_BEGUN = CHECK_EXAMPLE | {
    "state": "running",
    "ok": None,
    "verdict": None,
    "findings": [],
    "total_ms": None,
    "finished_at": None,
    "transcript": None,
}
PROBE_SUMMARY_EXAMPLE = {
    "id": _PROBE,
    "url": f"{_ENDPOINT}/probes/{_PROBE}",
    "endpoint": REQUEST_ID,
    "kind": "crowd",
    "number": 3,
    "path": "",
    "check": None,
    "state": "finished",
    "ok": True,
    "headline": "All 3 clients heard each other.",
    "code": "",
    "requested_by": "Ana",
    "requested_at": "2026-11-21T09:21:00.000Z",
    "finished_at": "2026-11-21T09:21:03.000Z",
}
PROBE_EXAMPLE = PROBE_SUMMARY_EXAMPLE | {"lines": [], "columns": [], "rows": [], "verdict": None}
PROBE_BEGUN = PROBE_EXAMPLE | {"state": "running", "ok": None, "headline": "", "finished_at": None}
SAVED_EXAMPLE = {
    "id": 7,
    "url": f"{_ENDPOINT}/saved-checks/7",
    "endpoint": REQUEST_ID,
    "name": "Room 1 greets",
    "options": {"path": "/ws/chat?room=1", "script": "expect text hello within 5"},
    "every_minutes": 60,
    "after_changes": True,
    "next_due_at": "2026-11-21T10:21:00.000Z",
    "created_by": "Ana",
    "last_check": {"url": f"{_ENDPOINT}/checks/{_CHECK}", "ok": True, "verdict": "WSE-LIVE"},
    "links": {"checks": f"{_ENDPOINT}/saved-checks/7/checks"},
}
TO_SAVE_EXAMPLE = {
    "name": "Room 1 greets",
    "path": "/ws/chat?room=1",
    "script": "expect text hello within 5",
    "every_minutes": 60,
    "after_changes": True,
}

CREATE_CHECK = operation(
    "createCheck",
    "Test the handshake now",
    "A real WebSocket handshake through the edge. Answers at once; read the check until it "
    "is finished. "
    "One at a time: while one is under way, that one is returned, and another kind of test "
    "is refused. "
    "Without a body it is the endpoint's usual handshake.",
    "endpoints",
    CheckShown,
    CHECK_BEGUN,
    scope=WRITE,
    statuses=(202,),
    refusals=(400, 404, 409, *UNREAD, 422),
    body=CheckWanted,
    body_example={"path": "/ws/chat?room=1", "script": "send hello\nexpect text hello within 5"},
)
GET_CHECK = operation(
    "getCheck",
    "Read a check",
    "Every header line sent and received, the timings, and the verdict with cause and fix. "
    "Where a request for an "
    "endpoint puts a verdict right, and the caller may ask for it, request_url opens its "
    "form, filled in.",
    "endpoints",
    CheckShown,
    CHECK_EXAMPLE,
    scope=READ,
    refusals=(400, 404),
)
CREATE_LOG_ROWS = operation(
    "createLogRows",
    "Weigh a check again with log rows",
    "What CloudFront's log says of this very handshake stands beside what was seen, and the "
    "check's verdict may become "
    "another. Answers with the probe that does it; read the check when the probe is finished.",
    "endpoints",
    ProbeShown,
    PROBE_BEGUN | {"kind": "log rows", "number": 0, "check": f"{_ENDPOINT}/checks/{_CHECK}"},
    scope=WRITE,
    statuses=(202,),
    refusals=(400, 404, 409, *UNREAD, 422),
    body=LogRowsGiven,
    body_example={
        "rows": '{"x-edge-request-id": "abc", "sc-status": "502", "x-edge-detailed-result-type": '
        '"OriginDnsError"}'
    },
)
LIST_PROBES = operation(
    "listProbes",
    "List further probes",
    "Newest first, without their details. Pages by an opaque cursor.",
    "endpoints",
    ProbePage,
    {"probes": [PROBE_SUMMARY_EXAMPLE], "next_cursor": None},
    scope=READ,
    parameters=PAGING,
    refusals=(400, 404),
)
CREATE_PROBE = operation(
    "createProbe",
    "Make a further probe",
    "plain get: a plain GET beside the upgrade. ways: this way beside others. journey: the "
    "way of each header line. "
    "negotiation: subprotocol and compression. reconnect: connects, closes and comes back. "
    "crowd: several clients that "
    "must hear each other. idle: holds a silent socket and names the clock that ends it. "
    "Answers at once; read the "
    "probe until it is finished. One at a time: while the same is under way, that one is "
    "returned, another is refused.",
    "endpoints",
    ProbeShown,
    PROBE_BEGUN,
    scope=WRITE,
    statuses=(202,),
    refusals=(400, 404, 409, *UNREAD, 422),
    body=ProbeWanted,
    body_example={"kind": "crowd", "number": 3},
)
GET_PROBE = operation(
    "getProbe",
    "Read a further probe",
    "What it found: one sentence, what speaks for it, a table, and the verdict that it leads to.",
    "endpoints",
    ProbeShown,
    PROBE_EXAMPLE,
    scope=READ,
    refusals=(400, 404),
)
LIST_SAVED_CHECKS = operation(
    "listSavedChecks",
    "List saved checks",
    f"All of the endpoint, by name, on one page: there are at most {MOST_SAVED_CHECKS}.",
    "endpoints",
    SavedChecksShown,
    {"saved_checks": [SAVED_EXAMPLE]},
    scope=READ,
    refusals=(400, 404),
)
SAVE_CHECK = operation(
    "saveCheck",
    "Save a check, and schedule it",
    "Kept under its name, to be made by hand, after changes, or every so many minutes; "
    "people are told when its "
    "verdict changes. The same name again changes the check that has it, so the same call "
    "again adds nothing.",
    "endpoints",
    SavedCheckShown,
    SAVED_EXAMPLE | {"last_check": None},
    scope=WRITE,
    statuses=(200, 201),
    refusals=(400, 404, 409, *UNREAD, 422),
    body=CheckToSave,
    body_example=TO_SAVE_EXAMPLE,
)
GET_SAVED_CHECK = operation(
    "getSavedCheck",
    "Read a saved check",
    "What it asks for, when it is due next, and what it found last.",
    "endpoints",
    SavedCheckShown,
    SAVED_EXAMPLE,
    scope=READ,
    refusals=(400, 404),
)
DROP_SAVED_CHECK = operation(
    "dropSavedCheck",
    "Drop a saved check",
    "It is made no more; what it has found stays.",
    "endpoints",
    None,
    None,
    scope=WRITE,
    statuses=(204,),
    refusals=(400, 404, 409),
)
RUN_SAVED_CHECK = operation(
    "runSavedCheck",
    "Make a saved check now",
    "As createCheck, with what was saved.",
    "endpoints",
    CheckShown,
    CHECK_BEGUN,
    scope=WRITE,
    statuses=(202,),
    refusals=(400, 404, 409, *UNREAD, 422),
)
