"""Adopt an endpoint that was there before the portal: what can be adopted, and the request for it.

What AWS has is read on demand, and again when the request is planned and carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from checks.preflight import PreflightResult, PreflightSubject, evaluate
from portal.people.models import Person, Team
from portal.requests.actions import (
    ONLY_THE_CALLER,
    Provenance,
    parse_answers,
    store_request,
)
from portal.requests.answers import parse_settings
from portal.requests.lifecycle import Denied
from portal.requests.models import EndpointRequest
from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.aws.snapshot import adoption_snapshot, with_vpc_origin
from provisioning.facts.path_patterns import same_paths
from provisioning.facts.snapshot import Snapshot
from provisioning.models import AwsAccount
from provisioning.plan.path_ownership import contests, whom_to_ask
from provisioning.plan.plan import ADOPT
from provisioning.plan.read_back import Candidate
from provisioning.planning import candidates_in
from provisioning.spec.field_kinds import Field
from provisioning.spec.fields import (
    ACCOUNT_ID,
    ASKED,
    CARRIES_HTTP_API,
    DISTRIBUTION,
    OPEN_SECURITY_GROUP,
    ORIGIN_HEADERS,
)
from provisioning.spec.parsing import FieldError, SpecError

GIVEN: tuple[Field, ...] = tuple(
    row
    for row in ASKED
    if row in (ORIGIN_HEADERS, OPEN_SECURITY_GROUP)
    or (row.place is None and row not in (ACCOUNT_ID, DISTRIBUTION, CARRIES_HTTP_API))
)
"""What a team answers about an endpoint that is adopted; everything else is read back from AWS."""
Value = TypeVar("Value")


@dataclass(frozen=True)
class Adoptable:
    """A candidate that can be adopted, with everything that AWS says about it."""

    candidate: Candidate
    snapshot: Snapshot


def list_candidates(account: AwsAccount, distribution_id: str) -> tuple[Candidate, ...] | Denied:
    """The origins of a distribution that behaviors lead to, and which of them can be adopted.
    Raises SpecError if the account has no such distribution.
    """
    taken = _asking(lambda: adoption_snapshot(account.client(), distribution_id))
    if isinstance(taken, Denied):
        return taken
    if taken.distribution is None:
        message = f"The account has no distribution {distribution_id}. Choose another."
        raise SpecError([FieldError("distribution_id", "unknown_distribution", message)])
    return candidates_in(taken, account)


def find_candidate(
    account: AwsAccount, distribution_id: str, chosen: Callable[[Candidate], bool]
) -> Adoptable | Denied:
    """The first candidate that is chosen, with the facts of its target. Raises SpecError."""
    listed = list_candidates(account, distribution_id)
    if isinstance(listed, Denied):
        return listed
    found = next((one for one in listed if chosen(one)), None)
    if found is None:
        return Denied(
            "not_adoptable",
            f"{distribution_id} has no such behavior. List them again.",
        )
    if found.held_by:
        return Denied("already_held", found.obstacle)
    if found.obstacle:
        return Denied("not_adoptable", found.obstacle)

    def detail() -> Snapshot:
        taken = account.snapshot_for(found.target_arn, distribution_id)
        return with_vpc_origin(account.client(), taken, found.vpc_origin_id)

    taken = _asking(detail)
    if isinstance(taken, Denied):
        return taken
    if held := taken.held_back:
        return Denied("aws_busy", held.reason)
    again = candidates_in(taken, account)
    same = next((one for one in again if one.origin_id == found.origin_id), None)
    if same is None or same.obstacle:
        reason = same.obstacle if same else "It has just changed in AWS. List them again."
        return Denied("not_adoptable", reason)
    return Adoptable(same, taken)


def leads_to(patterns: list[str]) -> Callable[[Candidate], bool]:
    """Chooses the candidate that has a behavior for the paths of one of these patterns."""

    def chosen(one: Candidate) -> bool:
        return any(same_paths(own, asked) for own in one.path_patterns for asked in patterns)

    return chosen


def findings_of(
    adoptable: Adoptable, account: AwsAccount, team: Team, answers: Mapping[str, Any]
) -> tuple[PreflightResult, ...]:
    """What the preflight says about it, before it is asked for. `answers` may be incomplete."""
    complete = {"name": "adopted", **answers, **adoptable.candidate.settings}
    spec = parse_settings(complete)
    subject = PreflightSubject.of(
        spec,
        origin_id=spec.origin_id,
        rights=account.path_rights(spec.distribution_id, team.slug),
        adopts=True,
    )
    return tuple(evaluate(subject, adoptable.snapshot))


def submit_adoption(
    person: Person,
    team: Team,
    account_id: str,
    distribution_id: str,
    chosen: Callable[[Candidate], bool],
    answers: Mapping[str, Any],
    *,
    now: datetime,
    justification: str = "",
    provenance: Provenance = ONLY_THE_CALLER,
) -> EndpointRequest | Denied:
    """Ask for an adoption. `answers` are those of GIVEN. Refused where it cannot be adopted, or
    others have some of its paths. Raises SpecError with every error in the answers.
    """
    account = team.accounts.filter(pk=account_id).first()
    if account is None:
        message = f"{team.name} cannot use this account. Choose another."
        raise SpecError([FieldError("account_id", "not_your_account", message)])
    found = find_candidate(account, distribution_id, chosen)
    if isinstance(found, Denied):
        return found
    # An empty setting of AWS is an answer too: nothing is derived in its place.
    complete = dict(answers) | dict(found.candidate.settings)
    spec = parse_answers(complete, team)
    read_back: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.candidate.settings.items()
    }
    spec = replace(spec, **read_back)
    distribution = found.snapshot.distribution
    assert distribution is not None  # noqa: S101 -- a candidate was found in it
    rights = account.path_rights(distribution_id, team.slug)
    contested = contests(spec.path_patterns, distribution, rights, origin_id=spec.origin_id)
    if refused := next((one for one in contested if not one.permitted), None):
        return Denied("path_contested", f"{refused}. {whom_to_ask(refused)}")
    return store_request(
        person,
        team,
        ADOPT,
        complete,
        spec,
        now=now,
        justification=justification,
        provenance=provenance,
    )


def _asking(ask: Callable[[], Value]) -> Value | Denied:
    try:
        return ask()
    except AwsError as error:
        if error.code == OVER_BUDGET:
            return Denied(
                "aws_busy",
                "The portal has used up its calls to AWS for this account for now. Try again in a "
                "minute.",
            )
        return Denied("aws_failed", f"{error} {error.fix}".strip())
