"""Whether an endpoint's name is free: names are unique in an account."""

from __future__ import annotations

from provisioning import actions as provisioning
from provisioning.models import Endpoint
from provisioning.spec.parsing import FieldError


def name_fault(account_id: str, name: str, *, besides: Endpoint | None = None) -> FieldError | None:
    """What is wrong with the name, if an endpoint other than `besides` has it."""
    if not provisioning.name_taken(account_id, name, besides=besides):
        return None
    message = f"This account already has an endpoint named {name}. Choose another name."
    return FieldError("name", "name_taken", message)
