"""What every page knows: how many requests wait for this person's decision."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from portal.people.models import Person
from portal.requests.models import EndpointRequest


def navigation(request: HttpRequest) -> dict[str, Any]:
    """For the navigation bar. Anonymous visitors get nothing."""
    person = getattr(request, "user", None)
    if not isinstance(person, Person) or not person.decides:
        return {}
    return {"waiting_for_me": EndpointRequest.objects.to_decide(person).count()}
