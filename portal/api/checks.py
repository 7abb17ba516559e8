"""Checks and probes over the API: asked for, read, saved and dropped, as on the pages of an
endpoint.

Each view parses, calls one action or reads one set, and shows the result. Who may test is decided
in portal.requests.actions, what may be tested in checks.protocol.handshake_options and checks.probe.probe_request. Another team's endpoint
answers like one that does not exist.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checks.diagnosis.access_log import LogRowError
from checks.diagnosis.probe_kinds import ProbeKind
from checks.models import Check, Probe, SavedCheck
from checks.probe.probe_request import ProbeRequestError, parse_probe_request
from checks.probe_actions import LONGEST_LOG_ROWS, read_log_rows
from checks.protocol.handshake_options import (
    FIELDS,
    MAX_SCRIPT,
    HandshakeOptions,
    HandshakeOptionsError,
    parse_handshake_options,
)
from portal.api import checks_schema as schema
from portal.api.base import ApiView
from portal.api.checks_representation import (
    get_saved_check,
    list_probes,
    list_saved_checks,
    show_check,
    show_probe,
)
from portal.api.endpoints import visible_endpoints
from portal.api.output import LARGEST_PAGE
from portal.api.requests import read_texts, whole_number
from portal.endpoints.actions import (
    SCHEDULES,
    analyze_log_rows,
    check_now,
    check_refusal,
    delete_saved_check,
    probe_now,
    save_check,
)
from portal.people.models import ApiToken
from portal.problems import refused
from portal.requests.lifecycle import Denied
from portal.requests.prefilled_requests import (
    prefilled_requests_after_check,
    prefilled_requests_after_probe,
)
from provisioning.models import Endpoint
from provisioning.spec.parsing import FieldError, SpecError

READ, WRITE = ApiToken.Scope.READ, ApiToken.Scope.WRITE
LOOK_AGAIN = {"Retry-After": "1"}
LARGEST_NUMBER = 10**6
LONGEST_PATH = 2000


class ChecksView(ApiView):
    """What the views of one endpoint's checks share."""

    def endpoint(self, endpoint_id: uuid.UUID) -> Endpoint:
        """The endpoint, if the caller may know of it."""
        found = visible_endpoints(self.person).filter(pk=endpoint_id).first()
        if found is None:
            raise Http404
        return found

    def check(self, endpoint_id: uuid.UUID, check_id: uuid.UUID) -> Check:
        """One of its checks, with the endpoint."""
        visible = visible_endpoints(self.person).filter(pk=endpoint_id)
        found: Check | None = (
            Check.objects.select_related("endpoint")
            .filter(pk=check_id, endpoint__in=visible)
            .first()
        )
        if found is None:
            raise Http404
        return found

    def saved(self, endpoint_id: uuid.UUID, saved_id: int) -> SavedCheck:
        """One of its saved checks, with the endpoint."""
        visible = visible_endpoints(self.person).filter(pk=endpoint_id)
        found = (
            SavedCheck.objects.select_related("endpoint")
            .filter(pk=saved_id, endpoint__in=visible)
            .first()
        )
        if found is None:
            raise Http404
        return found

    def begun(self, check: Check | Denied) -> Response:
        """A check that was asked for, or why not."""
        if isinstance(check, Denied):
            raise refused(check)
        shown = show_check(check)
        return Response(shown, status=202, headers={"Location": shown["url"], **LOOK_AGAIN})

    def probing(self, probe: Probe | Denied) -> Response:
        """A probe that was asked for, or why not."""
        if isinstance(probe, Denied):
            raise refused(probe)
        shown = show_probe(probe)
        return Response(shown, status=202, headers={"Location": shown["url"], **LOOK_AGAIN})


class Checks(ChecksView):
    """Testing the handshake now: the endpoint's usual one, or one of one's own."""

    scopes: ClassVar[Mapping[str, str]] = {"POST": WRITE}

    @extend_schema(**schema.CREATE_CHECK)
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        said = read_texts(self.body, frozenset(FIELDS), longest=MAX_SCRIPT)
        endpoint = self.endpoint(endpoint_id)
        # What is not deployed has no address yet, and is refused for that.
        wanted = _wanted(said, endpoint) if any(said.values()) and endpoint.url else None
        return self.begun(check_now(self.person, endpoint, now=self.now, options=wanted))


class OneCheck(ChecksView):
    """A check by its id."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": READ}

    @extend_schema(**schema.GET_CHECK)
    def get(self, request: Request, endpoint_id: uuid.UUID, check_id: uuid.UUID) -> Response:
        check = self.check(endpoint_id, check_id)
        shown = show_check(check, prefilled_requests_after_check(self.person, check))
        return Response(shown, headers={} if check.finished_at else LOOK_AGAIN)


class LogRows(ChecksView):
    """Weighing a check again with rows of CloudFront's log."""

    scopes: ClassVar[Mapping[str, str]] = {"POST": WRITE}

    @extend_schema(**schema.CREATE_LOG_ROWS)
    def post(self, request: Request, endpoint_id: uuid.UUID, check_id: uuid.UUID) -> Response:
        said = read_texts(self.body, frozenset({"rows"}), longest=LONGEST_LOG_ROWS)
        check = self.check(endpoint_id, check_id)
        if check.finished_at is None:
            raise refused(
                Denied("busy", "This test has not ended yet. Read it again, then send its rows.")
            )
        if not said.get("rows"):
            raise SpecError(
                [FieldError("rows", "required", "Needed. At least one row of CloudFront's log.")]
            )
        try:
            rows = read_log_rows(check, said["rows"])
        except LogRowError as error:
            raise SpecError([FieldError("rows", "invalid", str(error))]) from error
        return self.probing(analyze_log_rows(self.person, check, rows, now=self.now))


class Probes(ChecksView):
    """Further probes: those made so far, and asking for one."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": READ, "POST": WRITE}

    @property
    def parameters(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset() if self.request.method == "POST" else frozenset({"cursor", "limit"})

    @extend_schema(**schema.LIST_PROBES)
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        said = request.query_params
        limit = whole_number(said.get("limit", "50"), "limit", 1, LARGEST_PAGE)
        made = Probe.objects.filter(endpoint=self.endpoint(endpoint_id))
        return Response(list_probes(made, said.get("cursor", ""), limit))

    @extend_schema(**schema.CREATE_PROBE)
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        body = dict(self.body)
        number, faults = _number(body.pop("number", None))
        said, more = _texts(body, frozenset({"kind", "path"}), longest=LONGEST_PATH)
        faults += more
        kind = next(
            (ProbeKind(name) for name in schema.PROBE_KINDS if name == said.get("kind")), None
        )
        if kind is None and not any(fault.field == "kind" for fault in faults):
            advice = f"Choose one of: {', '.join(schema.PROBE_KINDS)}."
            faults.append(FieldError("kind", "invalid" if said.get("kind") else "required", advice))
        endpoint = self.endpoint(endpoint_id)
        if faults or kind is None:
            raise SpecError(faults)
        if refusal := check_refusal(self.person, endpoint):
            raise refused(refusal)
        path, pace = said.get("path", ""), settings.PROBE_IDLE_PACE
        try:
            asked = parse_probe_request(kind, number, path, url=endpoint.url, idle_pace=pace)
        except ProbeRequestError as error:
            raise SpecError(
                [FieldError(field, "invalid", fault) for field, fault in error.faults.items()]
            ) from error
        return self.probing(probe_now(self.person, endpoint, asked, now=self.now))


class OneProbe(ChecksView):
    """A further probe by its id."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": READ}

    @extend_schema(**schema.GET_PROBE)
    def get(self, request: Request, endpoint_id: uuid.UUID, probe_id: uuid.UUID) -> Response:
        visible = visible_endpoints(self.person).filter(pk=endpoint_id)
        probe = (
            Probe.objects.select_related("endpoint")
            .filter(pk=probe_id, endpoint__in=visible)
            .first()
        )
        if probe is None:
            raise Http404
        shown = show_probe(probe, prefilled_requests_after_probe(self.person, probe))
        return Response(shown, headers={} if probe.finished_at else LOOK_AGAIN)


class SavedChecks(ChecksView):
    """Checks that are kept under a name: all of them, and keeping one."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": READ, "POST": WRITE}

    @extend_schema(**schema.LIST_SAVED_CHECKS)
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        return Response(
            list_saved_checks(SavedCheck.objects.filter(endpoint=self.endpoint(endpoint_id)))
        )

    @extend_schema(**schema.SAVE_CHECK)
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        body = dict(self.body)
        every, faults = _schedule(body.pop("every_minutes", None))
        after, more = _flag(body.pop("after_changes", None))
        said, others = _texts(body, frozenset({"name", *FIELDS}), longest=MAX_SCRIPT)
        faults += [*more, *others, *_name_faults(said)]
        endpoint = self.endpoint(endpoint_id)
        if faults:
            raise SpecError(faults)
        if refusal := check_refusal(self.person, endpoint):
            raise refused(refusal)
        name = said.pop("name").strip()
        before = SavedCheck.objects.filter(endpoint=endpoint, name=name).exists()
        wanted = _wanted(said, endpoint, saved=True)
        kept = save_check(
            self.person,
            endpoint,
            name,
            wanted,
            every_minutes=every,
            after_changes=after,
            now=self.now,
        )
        if isinstance(kept, Denied):
            raise refused(kept)
        shown = get_saved_check(SavedCheck.objects.filter(pk=kept.pk))
        if shown is None:  # dropped by somebody else at this very moment
            raise Http404
        return Response(shown, status=200 if before else 201, headers={"Location": shown["url"]})


class OneSavedCheck(ChecksView):
    """A saved check by its id."""

    scopes: ClassVar[Mapping[str, str]] = {"GET": READ, "DELETE": WRITE}

    @extend_schema(**schema.GET_SAVED_CHECK)
    def get(self, request: Request, endpoint_id: uuid.UUID, saved_id: int) -> Response:
        kept = SavedCheck.objects.filter(
            pk=saved_id, endpoint__in=visible_endpoints(self.person).filter(pk=endpoint_id)
        )
        shown = get_saved_check(kept)
        if shown is None:
            raise Http404
        return Response(shown)

    @extend_schema(**schema.DROP_SAVED_CHECK)
    def delete(self, request: Request, endpoint_id: uuid.UUID, saved_id: int) -> Response:
        refusal = delete_saved_check(self.person, self.saved(endpoint_id, saved_id))
        if refusal:
            raise refused(refusal)
        return Response(status=204)


class ChecksOfSaved(ChecksView):
    """Making a saved check now."""

    scopes: ClassVar[Mapping[str, str]] = {"POST": WRITE}

    @extend_schema(**schema.RUN_SAVED_CHECK)
    def post(self, request: Request, endpoint_id: uuid.UUID, saved_id: int) -> Response:
        read_texts(self.body, frozenset())
        saved = self.saved(endpoint_id, saved_id)
        return self.begun(check_now(self.person, saved.endpoint, now=self.now, saved=saved))


def _wanted(
    said: Mapping[str, str], endpoint: Endpoint, *, saved: bool = False
) -> HandshakeOptions:
    try:
        return parse_handshake_options(said, url=endpoint.url, saved=saved)
    except HandshakeOptionsError as error:
        raise SpecError(
            [FieldError(field, "invalid", fault) for field, fault in error.faults.items()]
        ) from error


Faults = list[FieldError]


def _texts(
    body: Mapping[str, Any], known: frozenset[str], *, longest: int
) -> tuple[dict[str, str], Faults]:
    """The texts, and every fault instead of the first."""
    try:
        return read_texts(body, known, longest=longest), []
    except SpecError as error:
        return {}, list(error.errors)


def _whole(value: Any) -> int | None:
    """A whole number, or its digits as ticket systems send them; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 7:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> tuple[int | None, Faults]:
    if value is None or value == "":
        return None, []
    number = _whole(value)
    if number is None or not 0 <= number <= LARGEST_NUMBER:
        return None, [FieldError("number", "invalid", "A whole number.")]
    return number, []


def _schedule(value: Any) -> tuple[int, Faults]:
    every = 0 if value is None or value == "" else _whole(value)
    if every not in SCHEDULES:
        return 0, [
            FieldError(
                "every_minutes", "invalid", f"Choose one of: {', '.join(map(str, SCHEDULES))}."
            )
        ]
    return every or 0, []


def _flag(value: Any) -> tuple[bool, Faults]:
    known = {"": False, "none": False, "false": False, "true": True}
    answer = (
        known.get(str(value).lower()) if value is None or isinstance(value, bool | str) else None
    )
    if answer is None:
        return False, [FieldError("after_changes", "invalid", "Say true or false.")]
    return answer, []


def _name_faults(said: Mapping[str, str]) -> Faults:
    name, longest = said.get("name", "").strip(), SavedCheck._meta.get_field("name").max_length or 0
    if not name:
        return [FieldError("name", "required", "Needed. Give it a name to find it by.")]
    if len(name) > longest or not name.isprintable():
        return [FieldError("name", "invalid", f"A text of one line, at most {longest} characters.")]
    return []
