"""Saved checks over the API: kept under a name, scheduled, run now, deleted."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject
from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from checks.models import Check, SavedCheck
from portal import json_fields as f
from portal.api.checks import (
    CHECK,
    OPTIONS,
    STARTED,
    accepted,
    check_url,
    handshake_options,
    show_check,
)
from portal.api.endpoints import OfEndpoint, api_url
from portal.api.operation import operation
from portal.endpoints.actions import (
    CHECK_REFUSALS,
    MAX_SAVED_CHECKS,
    SCHEDULES,
    check_now,
    check_refusal,
    delete_saved_check,
    save_check,
)
from portal.people.visibility import visible_endpoints
from portal.problems import unless_refused

_OPTIONS = {"path": "/ws/chat?room=1", "script": "send hello\nexpect text hello within 5"}


def saved_url(endpoint_id: uuid.UUID, saved_id: Any, below: str = "") -> str:
    return api_url(endpoint_id, f"/saved-checks/{saved_id}{below}")


def show_last(endpoint_id: uuid.UUID, last: dict[str, Any] | None) -> dict[str, Any] | None:
    return last and {"url": check_url(endpoint_id, last.pop("id")), **last}


# fmt: off
LAST_CHECK = f.Object("LastCheck", "The newest check that a saved check made.", (
    f.Field("url", f.STRING),
    f.Field("ok", f.FLAG),
    f.Field("verdict", f.STRING),
))
SAVED_CHECK_LINKS = f.Object("SavedCheckLinks", "Where to go from a saved check.", (
    f.Field("checks", f.STRING, "POST runs it now.", lambda at, pk: saved_url(at, pk, "/checks"),
            ("endpoint_id", "id")),
))
SAVED_CHECK = f.Object("SavedCheck", "A check that is kept under a name.", (
    f.Field("id", f.INTEGER),
    f.Field("url", f.STRING, "", saved_url, ("endpoint_id", "id")),
    f.Field("endpoint", f.UUID, source="endpoint_id"),
    f.Field("name", f.STRING, example="Room 1 greets"),
    f.Field("options", f.JSON, "As createCheck takes them; empty for the usual handshake.",
            example=_OPTIONS),
    f.Field("every_minutes", f.INTEGER, "0 is only by hand.", example=60),
    f.Field("after_changes", f.FLAG, example=True),
    f.Field("next_due_at", f.TIME, null=True, example="2026-11-21T10:21:00.000Z"),
    f.Field("created_by", f.STRING, example="Ana"),
    f.Field("last_check", f.of(LAST_CHECK), "", show_last, ("endpoint_id", "last"), null=True),
    f.Field("links", f.of(SAVED_CHECK_LINKS)),
))
SAVED_CHECKS = f.Object("SavedCheckList", "All saved checks of an endpoint.", (
    f.Field("saved_checks", f.array(f.of(SAVED_CHECK))),
))
NEW_SAVED_CHECK = f.Body(
    "NewSavedCheck",
    "A check to be repeated. Credentials are refused: write ${secret:NAME} for a stored secret.", (
    f.Field("name", f.one_line(SavedCheck._meta.get_field("name").max_length or 0),
            "A name to find it by.", required=True, example="Room 1 greets"),
    f.Field("every_minutes", f.choice(SCHEDULES), "How often to run it; 0 is only by hand.",
            default=0, example=60),
    f.Field("after_changes", f.FLAG, "Whether to run it after each change of the endpoint.",
            default=False, example=True),
    *OPTIONS,
))
# fmt: on


class SavedChecks(OfEndpoint):
    @operation(
        "listSavedChecks",
        SAVED_CHECKS,
        docs=f"List saved checks.\n\nAll of them, by name: there are at most {MAX_SAVED_CHECKS}.",
    )
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        saved = SavedCheck.objects.filter(endpoint=self.endpoint(endpoint_id)).order_by("name")
        return Response({"saved_checks": [*map(SAVED_CHECK.show, rows_of(saved))]})

    @operation(
        "saveCheck",
        SAVED_CHECK,
        body=NEW_SAVED_CHECK,
        statuses=(200, 201),
        refusals=(*CHECK_REFUSALS, "too_many", "credential_in_name"),
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Save a check, and schedule it.

        Stored under its name, to be run by hand, after changes, or every so many minutes; people
        are notified when its verdict changes. The same name again changes that saved check, so
        the same call again adds nothing.
        """
        said = NEW_SAVED_CHECK.read(self.sent)
        endpoint = self.endpoint(endpoint_id)
        unless_refused(check_refusal(self.person, endpoint))
        existed = SavedCheck.objects.filter(endpoint=endpoint, name=said["name"]).exists()
        saved = save_check(
            self.person,
            endpoint,
            said["name"],
            handshake_options(said, endpoint, self.person, saved=True),
            every_minutes=said["every_minutes"],
            after_changes=said["after_changes"],
            now=self.now,
        )
        shown = show_first(SavedCheck.objects.filter(pk=unless_refused(saved).pk))
        return Response(shown, status=200 if existed else 201, headers={"Location": shown["url"]})


class OneSavedCheck(OfEndpoint):
    @operation("getSavedCheck", SAVED_CHECK)
    def get(self, request: Request, endpoint_id: uuid.UUID, saved_id: int) -> Response:
        """Read a saved check.

        Its options, when it is due next, and what it found last.
        """
        visible = visible_endpoints(self.person).filter(pk=endpoint_id)
        return Response(show_first(SavedCheck.objects.filter(pk=saved_id, endpoint__in=visible)))

    @operation("deleteSavedCheck", statuses=(204,), refusals=CHECK_REFUSALS)
    def delete(self, request: Request, endpoint_id: uuid.UUID, saved_id: int) -> Response:
        """Delete a saved check.

        It no longer runs. Its past checks are kept.
        """
        saved = self.one_of(SavedCheck, endpoint_id, saved_id)
        unless_refused(delete_saved_check(self.person, saved, now=self.now))
        return Response(status=204)


class ChecksOfSaved(OfEndpoint):
    @operation(
        "runSavedCheck", CHECK, example=STARTED, statuses=(202,), refusals=(*CHECK_REFUSALS, "busy")
    )
    def post(self, request: Request, endpoint_id: uuid.UUID, saved_id: int) -> Response:
        """Run a saved check now.

        Like createCheck, with the saved options.
        """
        f.NO_BODY.read(self.sent)
        saved = self.one_of(SavedCheck, endpoint_id, saved_id)
        return accepted(
            check_now(self.person, saved.endpoint, now=self.now, saved=saved), show_check
        )


def rows_of(saved: QuerySet[SavedCheck]) -> QuerySet[SavedCheck, dict[str, Any]]:
    """The columns of SAVED_CHECK; `last` is what the newest finished check of each found, in the
    same query.
    """
    newest = Check.objects.filter(saved=OuterRef("pk"), finished_at__isnull=False)
    found = JSONObject(id="pk", ok="ok", verdict="verdict")
    last = Subquery(newest.order_by("-requested_at").values(found=found)[:1])
    rows: QuerySet[SavedCheck, dict[str, Any]]
    rows = saved.annotate(last=last).values(*SAVED_CHECK.columns)
    return rows


def show_first(saved: QuerySet[SavedCheck]) -> dict[str, Any]:
    """The first of a set. One query. Raises Http404."""
    row = rows_of(saved).first()
    if row is None:
        raise Http404
    return SAVED_CHECK.show(row)
