"""Who may see an endpoint."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.people.models import Person, Team
from provisioning.models import Endpoint


def visible_endpoints(person: Person) -> QuerySet[Endpoint]:
    """The endpoints of the person's teams; every endpoint for the platform team and auditors."""
    if person.sees_everything:
        return Endpoint.objects.all()
    teams = Team.objects.filter(memberships__person=person)
    return Endpoint.objects.filter(owner__in=teams.values("slug"))
