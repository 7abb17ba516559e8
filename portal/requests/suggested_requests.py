"""The request that puts a verdict right: whether there is one, and what fills in its form (PURE).

Decides from `checks.diagnosis.verdicts.BY_REQUEST` and from the path that was tested. It must never
offer what a request for a new endpoint cannot do: a path that an endpoint has already keeps its
behavior, and no second one can have it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from checks.diagnosis.verdicts import BY_REQUEST, VERDICTS, VerdictCode
from provisioning.facts.path_patterns import ANY_RUN, matches
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import SpecError, complete_answers, parse_spec

LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class SuggestedRequest:
    """A request to ask for: `solves` says what it puts right, `answers` are fields of its form,
    `path` is "" where nobody knows yet which one is meant.
    """

    solves: str
    path: str
    answers: tuple[tuple[str, str], ...]

    @property
    def query(self) -> str:
        """The answers as the query of the form's address."""
        return urlencode(self.answers)


def suggest_request(
    code: VerdictCode, spec: EndpointSpec, *, team: str, path: str, taken: Sequence[str]
) -> SuggestedRequest | None:
    """The request that puts right what a test of `path` found at this endpoint's distribution.

    1. The verdict is one that a new behavior or origin puts right.
    2. No endpoint has the path: `taken` are the path patterns of all that the distribution carries.
    3. The answers make a request that is well formed.
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
        parse_spec(complete_answers(answers))
    except SpecError:
        return None
    why = f"{code} ({VERDICTS[code].title}): found by a test of {spec.name} at {path}."
    fields = {"team": team, **answers, "justification": f"{why} {BY_REQUEST[code]}"[:500]}
    return SuggestedRequest(
        BY_REQUEST[code], path, tuple((field, value) for field, value in fields.items() if value)
    )


def suggest_request_anywhere(code: VerdictCode) -> SuggestedRequest | None:
    """The same for somebody who has no test, only the verdict: which server and which path is
    theirs to say.
    """
    if code not in BY_REQUEST:
        return None
    why = f"{code} ({VERDICTS[code].title}). {BY_REQUEST[code]}"
    return SuggestedRequest(BY_REQUEST[code], "", (("justification", why),))


def _name(name: str, path: str) -> str:
    """The endpoint's name and the path, as a name."""
    words = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")
    return f"{name}-{words}"[:LONGEST_NAME].rstrip("-")
