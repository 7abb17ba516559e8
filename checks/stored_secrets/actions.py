"""What refers to a team's secrets, and credentials that nothing sent in time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from checks.models import Check, Probe, SavedCheck
from checks.protocol.handshake_options import HandshakeOptions
from checks.stored_secrets.sealed_options import EXPIRED, KEPT
from checks.usual_check import usual_options
from provisioning.models import Endpoint
from provisioning.redaction.references import references
from provisioning.spec.origin_headers import origin_headers


@dataclass(frozen=True)
class Reference:
    """What refers to a secret: a check that is repeated (a saved one, or else the endpoint's usual
    one), or the `origin_header` of this name, which CloudFront adds for the endpoint's origin.
    """

    endpoint: Endpoint
    saved: SavedCheck | None
    origin_header: str = ""


def references_to(owner: str) -> dict[str, list[Reference]]:
    """By a secret's name, the checks and origins of the team's endpoints that refer to it."""
    found: dict[str, list[Reference]] = {}
    endpoints = Endpoint.objects.filter(owner=owner).order_by("name")
    for endpoint in endpoints.prefetch_related("saved_checks"):
        if endpoint.state != Endpoint.State.ABSENT:
            for header, value in origin_headers(endpoint.spec.origin_headers):
                for name in references(value):
                    found.setdefault(name, []).append(Reference(endpoint, None, header))
        asked: list[tuple[SavedCheck | None, HandshakeOptions]] = [
            (None, usual_options(endpoint.spec))
        ]
        asked += [
            (saved, HandshakeOptions.from_dict(saved.options))
            for saved in endpoint.saved_checks.all()
        ]
        for saved, options in asked:
            for name in options.secret_names:
                found.setdefault(name, []).append(Reference(endpoint, saved))
    return found


def delete_expired_options(now: datetime) -> int:
    """Delete the credentials of checks and probes that nothing sent in time."""
    expired = 0
    for rows in (Check.objects.under_way(), Probe.objects.under_way()):
        late: QuerySet[Check] | QuerySet[Probe] = rows.filter(requested_at__lt=now - KEPT)
        expired += late.exclude(sealed__in=("", EXPIRED)).update(sealed=EXPIRED)
    return expired
