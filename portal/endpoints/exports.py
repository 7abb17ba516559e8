"""What a person may export: a member their team's endpoints, and whoever sees everything also a
whole distribution and the fleet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from portal.people.models import Person
from portal.requests.lifecycle import Denied
from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.export.content import Export
from provisioning.export.reading import (
    NothingToExport,
    Patience,
    deployed,
    export_distribution,
    export_endpoint,
    export_fleet,
)
from provisioning.models import AwsAccount, Endpoint

WAIT_SECONDS = 20.0
"""How long a page waits for the account's budget of calls. A worker serves nobody else meanwhile;
`manage.py export` has all the time.
"""


@dataclass(frozen=True)
class ExportableDistribution:
    """A distribution with endpoints, and how many."""

    id: str
    account: AwsAccount
    endpoints: int


def exportable_distributions() -> list[ExportableDistribution]:
    """The distributions with endpoints, by account."""
    counted: dict[tuple[AwsAccount, str], int] = {}
    for endpoint in deployed().select_related("account").order_by("account__name", "created_at"):
        key = endpoint.account, endpoint.spec_data["distribution_id"]
        counted[key] = counted.get(key, 0) + 1
    return [ExportableDistribution(one, account, n) for (account, one), n in counted.items()]


EXPORT_REFUSALS = ("nothing_to_export", "aws_busy", "aws_failed")
"""The codes with which an export can be refused; that of more than one's own endpoint besides with
forbidden.
"""


def endpoint_as_code(endpoint: Endpoint) -> Export | Denied:
    """An endpoint that the person may see."""
    return _read(lambda patience: export_endpoint(endpoint, patience))


def distribution_as_code(person: Person, distribution_id: str) -> Export | Denied:
    """A whole distribution."""
    if not person.sees_everything:
        return _NOT_ALL
    found = deployed().filter(spec_data__distribution_id=distribution_id)
    endpoint = found.select_related("account").first()
    if endpoint is None:
        return Denied(
            "nothing_to_export", f"No endpoint is deployed on a distribution {distribution_id}."
        )
    return _read(lambda patience: export_distribution(endpoint.account, distribution_id, patience))


def fleet_as_code(person: Person) -> Export | Denied:
    """Every distribution with endpoints."""
    return _read(export_fleet) if person.sees_everything else _NOT_ALL


_NOT_ALL = Denied(
    "forbidden",
    "A distribution has paths of several teams, so only the platform team and auditors can export "
    "it.",
)


def _read(export: Callable[[Patience], Export]) -> Export | Denied:
    try:
        return export(Patience(WAIT_SECONDS))
    except NothingToExport as nothing:
        return Denied("nothing_to_export", str(nothing))
    except AwsError as error:
        if error.code == OVER_BUDGET:
            return Denied(
                "aws_busy",
                "The portal has used up its calls to AWS for this account for now. Try again in a "
                "minute. For a large export, use manage.py export.",
            )
        return Denied("aws_failed", f"{error} {error.fix}".strip())
