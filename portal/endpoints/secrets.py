"""What people can do with a team's secrets: add, replace, delete, refer to them in a check.

Members use them; who sees everything sees their names; a platform admin can delete them. Nobody
reads a value.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from checks.protocol.handshake_options import HandshakeOptions
from checks.stored_secrets.actions import references_to
from portal.people.models import Person, Team
from portal.people.visibility import visible_teams
from portal.requests.lifecycle import Denied
from provisioning.models import Endpoint, Secret
from provisioning.secrets import store as stored

MAX_SECRETS = 50
"""Of one team."""


def visible_secrets(person: Person) -> QuerySet[Secret]:
    """The secrets whose names this person may see."""
    if person.sees_everything:
        return Secret.objects.all()
    return Secret.objects.filter(owner__in=visible_teams(person).values("slug"))


def usable_secrets(person: Person, endpoint: Endpoint) -> frozenset[str]:
    """The names that this person's checks of the endpoint may refer to."""
    if not person.belongs_to(endpoint.owner):
        return frozenset()
    return stored.names_of(endpoint.owner)


def use_refusal(person: Person, endpoint: Endpoint, options: HandshakeOptions) -> Denied | None:
    """Why this person cannot have the endpoint's team's secrets sent, or None."""
    if options.secret_names and not person.belongs_to(endpoint.owner):
        return Denied("not_your_team", "Only members of the team can use its secrets.")
    return None


def endpoints_sending(secret: Secret) -> list[Endpoint]:
    """The endpoints whose origin gets the secret in a header, as it was when they were built or
    last changed.
    """
    users = references_to(secret.owner).get(secret.name, ())
    return list(dict.fromkeys(one.endpoint for one in users if one.origin_header))


def add_secret(
    person: Person, team: Team, name: str, value: str, *, now: datetime
) -> Secret | Denied:
    """Add a secret to one's team."""
    if not _is_member(person, team.slug):
        return Denied("not_your_team", "Only members of the team can add secrets.")
    if Secret.objects.filter(owner=team.slug).count() >= MAX_SECRETS:
        return Denied("too_many", f"A team has at most {MAX_SECRETS} secrets. Delete one first.")
    made = stored.create_secret(team.slug, name, value, by=str(person), now=now)
    if made is None:
        return Denied("name_taken", f"{team.name} already has a secret named {name}. Replace it.")
    return made


def replace_secret(person: Person, secret: Secret, value: str, *, now: datetime) -> Denied | None:
    """Replace the value of a secret of one's team. Checks use the new one from then on; origins
    get it with a change of each of `endpoints_sending` it.
    """
    if not _is_member(person, secret.owner):
        return Denied("not_your_team", "Only members of the team can replace its secrets.")
    if not stored.replace_secret(secret, value, by=str(person), now=now):
        return _GONE
    return None


def delete_secret(person: Person, secret: Secret, *, now: datetime) -> Denied | None:
    """Delete a secret of one's team, or, as a platform admin, of any. One that an origin gets is
    needed to change or restore the endpoint.
    """
    admin = person.is_active and person.role == Person.Role.PLATFORM_ADMIN
    if not (admin or _is_member(person, secret.owner)):
        return Denied(
            "not_your_team", "Only members of the team and platform admins can delete its secrets."
        )
    if sending := endpoints_sending(secret):
        return Denied(
            "secret_in_use",
            f"CloudFront sends it to the target of {', '.join(map(str, sending))}. Change or "
            "remove the endpoint first, or replace the value.",
        )
    if not stored.delete_secret(secret, by=str(person), now=now):
        return _GONE
    return None


_GONE = Denied("not_found", "This secret has been deleted.")


def _is_member(person: Person, slug: str) -> bool:
    return person.is_active and person.belongs_to(slug)
