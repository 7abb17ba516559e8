"""Which endpoint holds what of an account, and what its removal would free.

Read from the portal's rows: what others hold in the account counts against the same quotas, but is
theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from provisioning.models import AwsAccount, Endpoint, IngressRule, VpcOrigin


@dataclass(frozen=True)
class Holding:
    """What an endpoint holds. `sharers` are the names of the other endpoints with its VPC origin;
    `rules` are its ingress rules, `own_rules` how many of them nobody else uses.
    """

    endpoint: Endpoint
    vpc_origin: str
    sharers: tuple[str, ...]
    distribution_id: str
    behaviors: tuple[str, ...]
    rules: tuple[str, ...]
    own_rules: int

    @property
    def frees(self) -> dict[str, int]:
        """What a removal would free, by resource; without what others use too."""
        freed = {
            "vpc-origins": int(bool(self.vpc_origin) and not self.sharers),
            "behaviors": len(self.behaviors),
            "origins": 1,
            "rules": self.own_rules,
        }
        return {resource: number for resource, number in freed.items() if number}


def holdings_in(account: AwsAccount) -> list[Holding]:
    """Every endpoint that holds something in the account, by name. The number of queries does not
    depend on how many there are.
    """
    origins: dict[object, tuple[VpcOrigin, list[Endpoint]]] = {}
    for origin in VpcOrigin.objects.filter(account=account).prefetch_related("users"):
        users = list(origin.users.all())
        origins |= {user.pk: (origin, users) for user in users}
    rules: dict[object, list[tuple[IngressRule, int]]] = {}
    for rule in IngressRule.objects.filter(account=account).prefetch_related("users"):
        users = list(rule.users.all())
        for user in users:
            rules.setdefault(user.pk, []).append((rule, len(users)))
    found = []
    # One whose rollback was given up is absent, and may hold something all the same.
    holding = ~Q(state=Endpoint.State.ABSENT) | Q(pk__in=[*origins, *rules])
    for endpoint in account.endpoints.filter(holding).order_by("name", "pk"):
        own, users = origins.get(endpoint.pk, (None, []))
        held = rules.get(endpoint.pk, [])
        found.append(
            Holding(
                endpoint,
                str(own) if own else "",
                tuple(sorted(one.name for one in users if one.pk != endpoint.pk)),
                endpoint.spec_data["distribution_id"],
                tuple(endpoint.spec_data["path_patterns"]),
                tuple(str(rule) for rule, _ in held),
                sum(users == 1 for _, users in held),
            )
        )
    return found
