"""From a person's answers to the spec of an endpoint, or to every fault in them: the settings by
`provisioning.spec`, the usual check's messages by `checks` (PURE).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checks.usual_check import usual_check_faults
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import FieldError, SpecError, complete_answers, parse_spec


def parse_settings(answers: Mapping[str, Any]) -> EndpointSpec:
    """The spec that the answers lead to before AWS is asked. Raises SpecError."""
    spec = parse_spec(complete_answers(answers))
    if faults := usual_check_faults(spec):
        raise SpecError([FieldError(name, "invalid", fault) for name, fault in faults.items()])
    return spec
