"""What we build, step by step: one module per kind of run, registered here by the name stored in
the run.
"""

from typing import Any

from provisioning.engine.step import Step
from provisioning.runner import Saga
from provisioning.sagas import create_endpoint

SAGAS: dict[str, Saga[Any]] = {create_endpoint.SAGA.name: create_endpoint.SAGA}


def saga_steps(name: str) -> tuple[Step[Any], ...]:
    """The steps of a saga, in the order in which they are done."""
    return SAGAS[name].steps
