"""Which names of other distributions overlap with those of one distribution, in whatever account.
It judges nothing.

AWS hides most of the others' ids and accounts; they are passed on as they come.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioning.aws.errors import calling
from provisioning.aws.session import Aws
from provisioning.facts.distribution import DomainConflict


def of_names(aws: Aws, distribution_id: str, names: Sequence[str]) -> tuple[DomainConflict, ...]:
    """What overlaps with the names, the distribution itself left out; one call for each name."""
    found: dict[DomainConflict, None] = {}
    for name in names:
        with calling("ListDomainConflicts"):
            pages = aws.cloudfront_read.get_paginator("list_domain_conflicts").paginate(
                Domain=name, DomainControlValidationResource={"DistributionId": distribution_id}
            )
            for page in pages:
                for one in page.get("DomainConflicts", ()):
                    if not _is_itself(one["ResourceId"], distribution_id):
                        found[
                            DomainConflict(one["Domain"], one["ResourceId"], one["AccountId"])
                        ] = None
    return tuple(found)


def _is_itself(hidden_id: str, distribution_id: str) -> bool:
    """Stars stand for what AWS hides; what it shows of an id is taken as enough."""
    shown = hidden_id.lstrip("*")
    return len(hidden_id) == len(distribution_id) and distribution_id.endswith(shown)
