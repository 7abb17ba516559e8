"""Links to the form of the request that fixes a verdict, filled in, for people who may send it.

What is suggested is decided in `portal.requests.suggested_requests`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.urls import reverse

from checks.diagnosis.verdicts import BY_REQUEST
from checks.models import Check, Probe
from checks.protocol.handshake_options import HandshakeOptions
from portal.people.models import Person
from portal.requests.suggested_requests import (
    SuggestedRequest,
    suggest_request,
    suggest_request_anywhere,
)
from provisioning.models import Endpoint


@dataclass(frozen=True, slots=True)
class PrefilledLink:
    """`url` is the form's URL on this portal, `solves` what the request fixes, `path` its path."""

    url: str
    solves: str
    path: str


def prefilled_links(
    person: Person, endpoint: Endpoint, resource: str = ""
) -> Mapping[str, PrefilledLink]:
    """Verdict code → the link to its request, after a check of `resource` (a path with its query;
    "" means the endpoint's own).
    """
    if not person.belongs_to(endpoint.owner):
        return {}
    spec = endpoint.spec
    path = urlsplit(resource).path or spec.handshake_path
    others = Endpoint.objects.filter(
        account=endpoint.account_id, spec_data__distribution_id=spec.distribution_id
    )
    specs = others.exclude(state=Endpoint.State.ABSENT).values_list("spec_data", flat=True)
    taken = [pattern for one in specs for pattern in one["path_patterns"]]
    found = {
        code: suggest_request(code, spec, team=endpoint.owner, path=path, taken=taken)
        for code in BY_REQUEST
    }
    return {code: _link(suggested) for code, suggested in found.items() if suggested is not None}


def prefilled_links_after_check(person: Person, check: Check) -> Mapping[str, PrefilledLink]:
    """The same for what a check found. Findings of low certainty have no request."""
    found = {
        check.verdict,
        *(one.get("code") for one in check.findings if one.get("certainty") != "low"),
    }
    if not found & BY_REQUEST.keys():
        return {}
    known = prefilled_links(person, check.endpoint, HandshakeOptions.from_dict(check.options).path)
    return {code: prefilled for code, prefilled in known.items() if code in found}


def prefilled_links_after_probe(person: Person, probe: Probe) -> Mapping[str, PrefilledLink]:
    """The same for a probe, whose endpoint is loaded."""
    code = str((probe.report or {}).get("code", ""))
    known = prefilled_links(person, probe.endpoint, probe.path) if code in BY_REQUEST else {}
    return {code: known[code]} if code in known else {}


def prefilled_links_anywhere(person: Person) -> Mapping[str, PrefilledLink]:
    """The same without a check."""
    if not person.memberships.exists():
        return {}
    found = {code: suggest_request_anywhere(code) for code in BY_REQUEST}
    return {code: _link(suggested) for code, suggested in found.items() if suggested is not None}


def _link(suggested: SuggestedRequest) -> PrefilledLink:
    return PrefilledLink(
        f"{reverse('request-new')}?{suggested.query}", suggested.solves, suggested.path
    )
