"""Every error of the API: one table of codes, and the answer in application/problem+json (RFC
9457).

A code never changes its meaning; its page under /api/v1/problems/ says what to do. Refusals of the
lifecycle keep their own code.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions

from checks.probe.probe_request import ProbeRequestError
from checks.protocol.handshake_options import HandshakeOptionsError
from portal.requests.lifecycle import Denied
from provisioning.spec.parsing import FieldError, SpecError

log = logging.getLogger(__name__)
T = TypeVar("T")

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """An error: HTTP status, title, and what the caller can do."""

    status: int
    title: str
    advice: str


PROBLEMS: Mapping[str, Problem] = {
    "bad_json": Problem(
        400, "The body cannot be read", "Send one JSON object in UTF-8 with each key once."
    ),
    "bad_parameter": Problem(
        400,
        "A query parameter is not valid",
        "errors names it. Correct or remove it.",
    ),
    "bad_cursor": Problem(
        400, "The cursor is not valid", "Use next_cursor of the previous page, unchanged."
    ),
    "bad_header": Problem(400, "A header is not valid", "Use 1 to 120 visible ASCII characters."),
    "bad_request": Problem(
        400,
        "The request cannot be read",
        "It is not valid HTTP. Compare it with the documentation.",
    ),
    "not_authenticated": Problem(
        401, "Not authenticated", "Send Authorization: Bearer with a token, or sign in."
    ),
    "invalid_token": Problem(
        401, "The token is not valid", "It is wrong, expired or revoked. Create a new one."
    ),
    "missing_scope": Problem(
        403, "The token lacks a scope", "Use a token with the scope named in detail."
    ),
    "csrf": Problem(
        403,
        "The CSRF token is missing",
        "In a browser session, send X-CSRFToken. Scripts use an API token.",
    ),
    "forbidden": Problem(403, "Not allowed", "Ask the platform team for the role that this needs."),
    "not_approver": Problem(
        403, "Only approvers can decide", "Ask an approver of the platform team."
    ),
    "own_request": Problem(403, "You cannot decide on your own request", "Ask another approver."),
    "beneficiary": Problem(
        403, "You cannot decide on a request that is for you", "Ask another approver."
    ),
    "editor": Problem(
        403, "You cannot decide on a request that you opened or edited", "Ask another approver."
    ),
    "own_team": Problem(
        403, "You cannot decide for your own team's endpoint", "Ask another approver."
    ),
    "not_platform_admin": Problem(
        403, "Only a platform admin can do this", "Ask an admin of the platform team."
    ),
    "not_your_team": Problem(403, "Only the team can do this", "Ask a member of the team."),
    "not_found": Problem(
        404, "Not found", "Check the id. What belongs to other teams is not shown."
    ),
    "method_not_allowed": Problem(
        405, "Method not allowed", "The Allow header lists the methods that are."
    ),
    "not_acceptable": Problem(406, "Not acceptable", "Accept application/json."),
    "wrong_state": Problem(
        409, "Not possible in this state", "Read the request again; its links say what you can do."
    ),
    "request_under_way": Problem(
        409,
        "Another request for this endpoint is not over",
        "Wait until it is, or cancel it.",
    ),
    "not_acceptable_drift": Problem(
        409,
        "The difference cannot be accepted",
        "detail says why. Restore what was approved, or ignore the difference until a date.",
    ),
    "already_held": Problem(
        409, "The portal has it already", "Use the endpoint that detail names."
    ),
    "not_adoptable": Problem(
        409, "It cannot be adopted", "detail says why, and what to do first in AWS."
    ),
    "busy": Problem(409, "Another one is running", "Try again when it is finished."),
    "secret_in_use": Problem(
        409, "An endpoint's target gets the secret", "Change or remove the endpoint, or replace it."
    ),
    "too_many": Problem(409, "Too many of these", "Delete one first."),
    "nothing_proposed": Problem(
        409,
        "The preflight suggests no such change",
        "Read the request again; its preflight has the suggestions.",
    ),
    "stale_plan": Problem(
        409, "The plan has changed", "Read the request again and decide on its current plan."
    ),
    "ticket_taken": Problem(
        409, "The ticket has a request", "Read it by /requests/by-external; change or cancel it."
    ),
    "name_taken": Problem(409, "The name is taken", "Choose another name."),
    "too_often": Problem(429, "Too often", "Wait a minute, then try again."),
    "path_contested": Problem(
        409, "Others have some of the paths", "Replan; the preflight says whom to ask."
    ),
    "requester_left": Problem(
        409, "The requester has left", "A member of the team requests the endpoint again."
    ),
    "account_lost": Problem(
        409, "The team has lost the account", "A platform admin gives the team the account again."
    ),
    "idempotency_conflict": Problem(
        409,
        "The key was used with another body",
        "errors names the fields that differ. Use another key.",
    ),
    "not_transferable": Problem(
        409,
        "The endpoint cannot be transferred now",
        "errors has every reason, and what to do about each.",
    ),
    "offer_open": Problem(
        409, "The endpoint is offered to another team", "Withdraw that offer first."
    ),
    "account_reachable": Problem(
        409, "The account can be reached", "Request the removal, which leaves nothing in AWS."
    ),
    "nothing_to_export": Problem(
        409, "There is nothing to export", "detail says what is not in AWS, or not any more."
    ),
    "too_slow": Problem(
        408, "The body did not arrive in time", "Send the request again, with its whole body."
    ),
    "too_large": Problem(413, "The body is too large", "Send less."),
    "unsupported_media_type": Problem(
        415, "Unsupported media type", "Send Content-Type: application/json."
    ),
    "invalid_fields": Problem(
        422, "Some fields are not valid", "errors names each, with what to do."
    ),
    "unknown_person": Problem(
        422,
        "Unknown person",
        "requested_for and opened_by take usernames or e-mail addresses known here.",
    ),
    "unknown_team": Problem(
        422, "Unknown team", "Send the other team's short name, as in its requests."
    ),
    "credential_in_name": Problem(
        422, "The name holds a credential", "Choose a name without one; names are shown to others."
    ),
    "bad_date": Problem(
        422, "The date is not valid", "Send a day such as 2027-02-28, within the allowed time."
    ),
    "not_confirmed": Problem(
        422, "The name does not match", "Send the endpoint's name, to confirm which one is meant."
    ),
    "reason_required": Problem(
        422, "A reason is required", "Say why, so that the team knows what to change."
    ),
    "too_many_requests": Problem(429, "Too many requests", "Wait as long as Retry-After says."),
    "internal_error": Problem(
        500,
        "Internal error",
        "Try again. If it happens again, tell the portal's operators when it happened.",
    ),
    "aws_failed": Problem(
        502, "AWS refused or did not answer", "detail has its reason, and what to do about it."
    ),
    "aws_busy": Problem(
        503, "No calls to AWS are left for now", "Try again in a minute, or export less at once."
    ),
    "unavailable": Problem(
        503, "The database is not available", "Try again after the time in Retry-After."
    ),
}


class ApiProblem(Exception):
    """An error for the caller. Carries the code; the table knows the rest."""

    def __init__(self, code: str, detail: str = "", errors: Sequence[FieldError] = ()) -> None:
        self.code = code
        self.detail = detail or PROBLEMS[code].advice
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


def refused(denied: Denied) -> ApiProblem:
    """A refusal as the API's answer."""
    return ApiProblem(denied.code, denied.reason, denied.errors)


def unless_refused(outcome: T | Denied) -> T:
    """What an action made or found. Raises ApiProblem if it refused."""
    if isinstance(outcome, Denied):
        raise refused(outcome)
    return outcome


def problem_of(error: Exception) -> tuple[ApiProblem, dict[str, str]] | None:
    """The answer to an exception and its extra headers, or None for one that is our own fault."""
    match error:
        case ApiProblem():
            return error, {}
        case SpecError():
            codes = {fault.code for fault in error.errors}
            # Errors that all have the code of a problem are that problem.
            code = codes.pop() if len(codes) == 1 and codes <= PROBLEMS.keys() else "invalid_fields"
            return ApiProblem(code, str(error), error.errors), {}
        case HandshakeOptionsError() | ProbeRequestError():
            faults = [FieldError(name, "invalid", said) for name, said in error.faults.items()]
            return problem_of(SpecError(faults))
        case Http404() | exceptions.NotFound():
            return ApiProblem("not_found"), {}
        case exceptions.AuthenticationFailed():
            return ApiProblem("invalid_token"), {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        case exceptions.NotAuthenticated():
            return ApiProblem("not_authenticated"), {"WWW-Authenticate": "Bearer"}
        case exceptions.PermissionDenied():
            detail = str(error.detail)
            return ApiProblem("csrf" if detail.startswith("CSRF") else "forbidden", detail), {}
        case DjangoPermissionDenied():
            return ApiProblem("forbidden"), {}
        case exceptions.Throttled():
            wait = max(1, int(getattr(error, "wait", None) or 1))
            return ApiProblem("too_many_requests", f"Try again in {wait} s."), {
                "Retry-After": str(wait)
            }
        case exceptions.MethodNotAllowed():
            return ApiProblem("method_not_allowed"), {}
        case exceptions.NotAcceptable():
            return ApiProblem("not_acceptable"), {}
        case exceptions.UnsupportedMediaType():
            return ApiProblem("unsupported_media_type"), {}
        case RequestDataTooBig():
            return ApiProblem("too_large"), {}
        case (
            exceptions.ParseError() | SuspiciousOperation() | BadRequest() | MultiPartParserError()
        ):
            return ApiProblem("bad_request"), {}
        case OperationalError() | InterfaceError():
            log.warning("the database is not available: %s", error)
            return ApiProblem("unavailable"), {"Retry-After": "5"}
        case _:
            return None


def problem_body(problem: ApiProblem, correlation_id: str) -> dict[str, Any]:
    """The members of the answer. `message` is one line that a flow can paste into a ticket."""
    known = PROBLEMS[problem.code]
    return {
        "type": f"{settings.PORTAL_URL}/api/v1/problems/{problem.code}",
        "title": known.title,
        "status": known.status,
        "code": problem.code,
        "detail": problem.detail,
        "errors": [
            {"field": e.field, "code": e.code, "message": e.message} for e in problem.errors
        ],
        "correlation_id": correlation_id,
        "message": f"{known.title}: {' '.join(problem.detail.split())}",
    }
