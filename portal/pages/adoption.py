"""Adopt an existing endpoint: choose a distribution and one of its behaviors, read what AWS has and
what is wrong with it, and ask for the adoption. Each step is a GET with the choices so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from checks.preflight import Level, PreflightResult
from portal.pages.auth import SignedIn, signed_in, teams_of
from portal.pages.forms import PageForm, SettingField
from portal.people.models import Team
from portal.requests.adoption import (
    GIVEN,
    Adoptable,
    find_candidate,
    findings_of,
    list_candidates,
    submit_adoption,
)
from portal.requests.inventory import inventory_of
from portal.requests.lifecycle import Denied
from provisioning.aws.distributions import DistributionSummary
from provisioning.models import AwsAccount
from provisioning.plan.read_back import Candidate
from provisioning.redaction.printable import on_one_line
from provisioning.spec.fields import FIELD
from provisioning.spec.parsing import SpecError

CHOICES = ("team", "account_id", "distribution_id", "origin")
NOT_ASKED = ("PF-NAME", "PF-PERMISSION", "PF-ROLE")
"""Preflight questions about what a request would write, and about answers still to come."""
READ_BACK = (
    "target_arn",
    "path_patterns",
    "origin_protocol",
    "http_port",
    "https_port",
    "forward_host",
    "origin_domain",
    "viewer_protocol_policy",
    "allowed_methods",
    "read_timeout",
    "keepalive_timeout",
    "carry_over",
    "origin_id",
    "vpc_origin_id",
)


class AdoptionForm(PageForm):
    """What AWS does not know of an endpoint, and why it is adopted."""

    justification = forms.CharField(
        label="Purpose",
        help_text="One or two sentences for the approver.",
        max_length=500,
        widget=forms.Textarea({"rows": 2, "cols": False}),
        error_messages={"required": "Required. Describe the purpose in a sentence."},
    )

    def __init__(self, data: Mapping[str, Any] | None) -> None:
        super().__init__(data)
        for row in GIVEN:
            self.fields[row.name] = SettingField(row)

    def answers(self) -> dict[str, Any]:
        """Those that were given."""
        given = {row.name: self.cleaned_data.get(row.name) for row in GIVEN}
        return {name: value for name, value in given.items() if value not in ("", (), None)}

    def add_spec_errors(self, error: SpecError) -> None:
        """Add the spec's errors to their fields; those of what AWS has, to the form."""
        for one in error.errors:
            self.add_error(one.field if one.field in self.fields else None, one.message)


@dataclass(frozen=True)
class Chosen:
    """The choices so far: each is None, or "", until it is made and valid."""

    team: Team | None
    account: AwsAccount | None
    distribution_id: str
    origin: str

    @classmethod
    def of(cls, said: Mapping[str, Any], teams: Sequence[Team]) -> Chosen:
        """What a query or a form says; the only one of a kind needs no choosing."""
        named = {name: on_one_line(str(said.get(name, "")))[:200].strip() for name in CHOICES}
        team = next((one for one in teams if one.slug == named["team"]), None)
        if team is None and len(teams) == 1:
            team = teams[0]
        accounts = list(team.accounts.order_by("name")) if team else []
        account = next((one for one in accounts if one.pk == named["account_id"]), None)
        if account is None and len(accounts) == 1:
            account = accounts[0]
        # What is chosen below belongs to what is chosen above.
        distribution_id = named["distribution_id"] if account else ""
        if not FIELD["distribution_id"].pattern.fullmatch(distribution_id):  # type: ignore[attr-defined]
            distribution_id = ""
        return cls(team, account, distribution_id, named["origin"] if distribution_id else "")

    def url(self, **changes: str) -> str:
        """This page, with these choices."""
        said = {
            "team": self.team.slug if self.team else "",
            "account_id": self.account.pk if self.account else "",
            "distribution_id": self.distribution_id,
            "origin": self.origin,
        } | changes
        query = urlencode({name: value for name, value in said.items() if value})
        return f"{reverse('adopt')}?{query}" if query else reverse("adopt")


@dataclass(frozen=True)
class Row:
    """A candidate as the page offers it."""

    candidate: Candidate
    url: str


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def adopt(request: SignedIn) -> HttpResponse:
    """The page, and its submission."""
    teams = teams_of(request.user)
    if not teams:
        return render(request, "requests/no_team.html", status=403)
    chosen = Chosen.of(request.GET, teams)
    if chosen.team is None or chosen.account is None or not chosen.distribution_id:
        return _page(request, chosen, teams)
    if not chosen.origin:
        return _page(request, chosen, teams, **_candidates(chosen, chosen.account))
    try:
        found = find_candidate(
            chosen.account, chosen.distribution_id, lambda one: one.origin_id == chosen.origin
        )
    except SpecError as error:
        return _back(request, chosen, str(error.errors[0].message), origin="", distribution_id="")
    if isinstance(found, Denied):
        return _back(request, chosen, found.reason, origin="")
    posted = request.method == "POST"
    form = AdoptionForm(request.POST if posted else {"max_silence_seconds": "30"})
    if not posted:
        return _page(request, chosen, teams, form=form.without_errors(), **_found(chosen, found))
    if form.is_valid():
        try:
            outcome = submit_adoption(
                request.user,
                chosen.team,
                chosen.account.pk,
                chosen.distribution_id,
                lambda one: one.origin_id == chosen.origin,
                form.answers(),
                now=timezone.now(),
                justification=form.cleaned_data["justification"],
            )
        except SpecError as error:
            form.add_spec_errors(error)
        else:
            if not isinstance(outcome, Denied):
                return redirect(outcome)
            form.add_error(None, outcome.reason)
    return _page(request, chosen, teams, status=422, form=form, **_found(chosen, found))


def _back(request: SignedIn, chosen: Chosen, reason: str, **changes: str) -> HttpResponse:
    messages.warning(request, reason)
    return redirect(chosen.url(**changes))


def _candidates(chosen: Chosen, account: AwsAccount) -> dict[str, Any]:
    try:
        found = list_candidates(account, chosen.distribution_id)
    except SpecError as error:
        return {"refusal": error.errors[0].message}
    if isinstance(found, Denied):
        return {"refusal": found.reason}
    rows = [Row(one, chosen.url(origin=one.origin_id)) for one in found]
    return {"listed": True, "rows": sorted(rows, key=lambda row: not row.candidate.adoptable)}


def _found(chosen: Chosen, found: Adoptable) -> dict[str, Any]:
    assert chosen.team is not None  # noqa: S101 -- a candidate was found in its account
    assert chosen.account is not None  # noqa: S101
    results: tuple[PreflightResult, ...] = findings_of(found, chosen.account, chosen.team, {})
    said = [one for one in results if one.level is not Level.PASS and one.code not in NOT_ASKED]
    settings = found.candidate.settings
    return {
        "candidate": found.candidate,
        "settings": [(FIELD[name].label, settings[name]) for name in READ_BACK],
        "findings": sorted(said, key=lambda one: one.level, reverse=True),
    }


def _page(
    request: SignedIn, chosen: Chosen, teams: Sequence[Team], *, status: int = 200, **more: Any
) -> HttpResponse:
    context: dict[str, Any] = {
        "chosen": chosen,
        "teams": teams,
        "accounts": list(chosen.team.accounts.order_by("name")) if chosen.team else [],
        "other_distribution_url": chosen.url(origin="", distribution_id=""),
        "other_behavior_url": chosen.url(origin=""),
    }
    if chosen.account and not chosen.distribution_id:
        listed = inventory_of(chosen.account, timezone.now())
        known: Sequence[DistributionSummary] = listed.value.distributions if listed.value else ()
        context |= {
            "distributions": [
                (one, chosen.url(distribution_id=one.id)) for one in known if not one.staging
            ],
            "inventory": listed,
        }
    return render(request, "adoption/adopt.html", context | more, status=status)
