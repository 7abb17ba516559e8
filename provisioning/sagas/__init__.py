"""The kinds of run, one module each, registered here by the name that a run stores."""

from typing import Any

from provisioning.engine.step import Step
from provisioning.runner import Saga
from provisioning.sagas import create_endpoint

SAGAS: dict[str, Saga[Any]] = {create_endpoint.SAGA.name: create_endpoint.SAGA}


def steps_of(name: str) -> tuple[Step[Any], ...]:
    """The steps of a saga, in order."""
    return SAGAS[name].steps
