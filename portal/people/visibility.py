"""What a person may know of: one rule for teams, requests and endpoints.

Members see what belongs to their teams; the platform team and auditors see everything. What a
person may not know of is answered like what does not exist.
"""

from __future__ import annotations

from django.db.models import QuerySet

from portal.newest import OneOf
from portal.people.models import Person, Team
from provisioning.models import Endpoint


def own_teams(person: Person, column: str, key: str = "pk") -> OneOf | None:
    """For long lists: only rows with one of the person's own teams, by its `key`, in `column`; None
    for those who see everything.
    """
    if person.sees_everything:
        return None
    return OneOf(column, Team.objects.of(person).values(key))


def visible_teams(person: Person) -> QuerySet[Team]:
    """The teams whose requests and endpoints this person may see."""
    return Team.objects.all() if person.sees_everything else Team.objects.of(person)


def visible_endpoints(person: Person) -> QuerySet[Endpoint]:
    """The endpoints this person may see."""
    if person.sees_everything:
        return Endpoint.objects.all()
    return Endpoint.objects.filter(owner__in=Team.objects.of(person).values("slug"))
