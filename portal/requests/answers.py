"""From a person's answers to the spec of an endpoint, or to every fault in them: the settings by
`provisioning.spec`, the usual check's messages by `checks` (PURE).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checks.usual_check import usual_check_faults
from provisioning.redaction.masking import (
    mask_header,
    mask_subprotocols,
    mask_text,
    mask_url,
)
from provisioning.redaction.references import references
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.fields import (
    CHECK_HEADERS,
    CHECK_PATH,
    CHECK_SCRIPT,
    ORIGIN_HEADERS,
    SUBPROTOCOLS,
)
from provisioning.spec.parsing import FieldError, SpecError, complete_answers, parse_spec


def parse_settings(
    answers: Mapping[str, Any], stored_secrets: frozenset[str] | None = None
) -> EndpointSpec:
    """The spec that the answers lead to before AWS is asked. The usual check and the headers to the
    target may refer to `stored_secrets` (None: to any name). Raises SpecError.
    """
    spec = parse_spec(complete_answers(answers))
    faults = dict(usual_check_faults(spec, stored_secrets))
    unknown = references(spec.origin_headers) - (stored_secrets or frozenset())
    if stored_secrets is not None and unknown:
        # What does not exist and what belongs to another team are worded alike.
        faults[ORIGIN_HEADERS.name] = (
            f"You have no secret named {' or '.join(sorted(unknown))} here. Add it under Secrets "
            "of the endpoint's team, or check the spelling."
        )
    if faults:
        raise SpecError([FieldError(name, "invalid", fault) for name, fault in faults.items()])
    return spec


def holds_credential(name: str, text: str) -> bool:
    """Whether the answer to a question, valid or not, may be a credential or contain one. Questions
    about AWS cannot take one.
    """
    if name == CHECK_PATH.name:
        return mask_url(text) != text
    if name == SUBPROTOCOLS.name:
        words = text.replace(",", " ").split()
        return list(mask_subprotocols(words)) != words
    if name in (CHECK_HEADERS.name, ORIGIN_HEADERS.name):
        headers = (line.partition(":") for line in text.splitlines())
        return any(mask_header(key, value.strip()) != value.strip() for key, _, value in headers)
    return name in ("justification", CHECK_SCRIPT.name) and mask_text(text, guess=True) != text
