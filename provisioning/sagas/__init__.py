"""The kinds of run, one module each, registered here by the name that a run stores."""

from typing import Any

from provisioning.engine.step import Step
from provisioning.runner import Saga
from provisioning.sagas import change_endpoint, create_endpoint, remove_endpoint

SAGAS: dict[str, Saga[Any]] = {
    one.SAGA.name: one.SAGA for one in (create_endpoint, change_endpoint, remove_endpoint)
}


def steps_of(name: str) -> tuple[Step[Any], ...]:
    """The steps of a saga, in order."""
    return SAGAS[name].steps
