"""Which request fixes the problem behind a verdict, and the answers that prefill its form (PURE).

Follows `checks.diagnosis.verdicts.BY_REQUEST` and the path that was checked. Suggests only what a
request for a new endpoint can do: a path that already belongs to an endpoint keeps its behavior.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from checks.diagnosis.verdicts import BY_REQUEST, VERDICTS, VerdictCode
from portal.requests.answers import parse_settings
from provisioning.facts.path_patterns import ANY_RUN, matches
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import SpecError

LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class SuggestedRequest:
    """`solves` says what the request fixes, `answers` are fields of its form, `path` is "" if the
    path is not known yet.
    """

    solves: str
    path: str
    answers: tuple[tuple[str, str], ...]

    @property
    def query(self) -> str:
        """The answers as the query of the form's URL."""
        return urlencode(self.answers)


def suggest_request(
    code: VerdictCode, spec: EndpointSpec, *, team: str, path: str, taken: Sequence[str]
) -> SuggestedRequest | None:
    """The request that fixes what a check of `path` found at this endpoint's distribution, if:

    1. a new behavior or origin fixes this verdict,
    2. no endpoint has the path (`taken` are the path patterns of the distribution's endpoints),
    3. and the answers are valid.
    """
    if (
        code not in BY_REQUEST
        or ANY_RUN in path
        or any(matches(pattern, path) for pattern in taken)
    ):
        return None
    answers = {
        "account_id": spec.account_id,
        "target_arn": spec.target_arn,
        "distribution_id": spec.distribution_id,
        "name": _name(spec.name, path),
        "path_patterns": path,
        "max_silence_seconds": str(spec.max_silence_seconds),
        "subprotocols": ", ".join(spec.subprotocols),
    }
    try:
        parse_settings(answers)
    except SpecError:
        return None
    why = f"{code} ({VERDICTS[code].title}): found by a check of {spec.name} at {path}."
    fields = {"team": team, **answers, "justification": f"{why} {BY_REQUEST[code]}"[:500]}
    return SuggestedRequest(
        BY_REQUEST[code], path, tuple((field, value) for field, value in fields.items() if value)
    )


def suggest_request_anywhere(code: VerdictCode) -> SuggestedRequest | None:
    """The request for a verdict alone, without a check: server and path are left to the person."""
    if code not in BY_REQUEST:
        return None
    why = f"{code} ({VERDICTS[code].title}). {BY_REQUEST[code]}"
    return SuggestedRequest(BY_REQUEST[code], "", (("justification", why),))


def _name(name: str, path: str) -> str:
    """A name made of the endpoint's name and the path."""
    words = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")
    return f"{name}-{words}"[:LONGEST_NAME].rstrip("-")
