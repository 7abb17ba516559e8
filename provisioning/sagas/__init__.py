"""The kinds of run, one module each, registered here by the name that a run stores."""

from typing import Any

from provisioning.engine.step import Step
from provisioning.plan.plan import ACCEPT, ADOPT, CHANGE, CREATE, REMOVE
from provisioning.runner import Saga
from provisioning.sagas import (
    accept_drift,
    adopt_endpoint,
    change_endpoint,
    create_endpoint,
    remove_endpoint,
)

SAGA_OF: dict[str, Saga[Any]] = {
    CREATE: create_endpoint.SAGA,
    ADOPT: adopt_endpoint.SAGA,
    CHANGE: change_endpoint.SAGA,
    ACCEPT: accept_drift.SAGA,
    REMOVE: remove_endpoint.SAGA,
}
"""The kind of run of each action of a plan."""
SAGAS: dict[str, Saga[Any]] = {saga.name: saga for saga in SAGA_OF.values()}


def steps_of(name: str) -> tuple[Step[Any], ...]:
    """The steps of a saga, in order."""
    return SAGAS[name].steps
