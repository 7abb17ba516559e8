"""What every page shows: the portal's version, and how many requests wait for this person."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from portal import __version__
from portal.people.models import Person
from portal.requests.models import EndpointRequest


def navigation(request: HttpRequest) -> dict[str, Any]:
    """For the navigation bar and the footer."""
    person = getattr(request, "user", None)
    context: dict[str, Any] = {"portal_version": __version__}
    if isinstance(person, Person) and person.decides:
        context["waiting_for_me"] = EndpointRequest.objects.to_decide(person).count()
    return context
