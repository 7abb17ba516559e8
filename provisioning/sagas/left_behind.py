"""What a stuck run or a forgotten endpoint may have left in AWS, for the person who cleans up.

It reads the run's journal and does not ask AWS, since the portal may have lost access to the
account. So it says what may be there, not what is.
"""

from __future__ import annotations

from django.conf import settings

from provisioning.engine.decide import not_done, not_undone, past_pivot
from provisioning.models import Endpoint, IngressRule, Run, VpcOrigin
from provisioning.sagas import steps_of
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import read_spec


def left_behind(run: Run) -> list[str]:
    """One phrase for each resource, in the order of creation."""
    steps, journal = steps_of(run.saga), run.journal()
    forward = past_pivot(steps, journal)
    named = set(not_done(steps, journal) if forward else not_undone(steps, journal))
    if run.removes and not forward:
        # Nothing was deleted yet, and what left the distribution may be back in part.
        named = {"vpc-origin", "ingress", "behaviors"}
    left = []
    if "vpc-origin" in named:
        left += _vpc_origin(run.endpoint, run.spec)
    if "old-vpc-origin" in named and run.applied:
        left += _vpc_origin(run.endpoint, read_spec(run.applied["spec"]))
    if named & {"ingress", "old-ingress"}:
        left += _rules(run.endpoint)
    if "behaviors" in named:
        left += _behaviors(run.endpoint, run.spec)
    return left


def everything_of(endpoint: Endpoint) -> list[str]:
    """The same of a whole endpoint, as it was built or last changed."""
    applied = endpoint.applied_plan()
    spec = read_spec(applied["spec"]) if applied else endpoint.spec
    return [*_vpc_origin(endpoint, spec), *_rules(endpoint), *_behaviors(endpoint, spec)]


def _vpc_origin(endpoint: Endpoint, spec: EndpointSpec) -> list[str]:
    key, account = spec.vpc_origin_key, endpoint.account_id
    name = spec.vpc_origin_name(settings.PROVISIONING_OWNER)
    row = VpcOrigin.objects.filter(account=account, key=key).first()
    others = row.users.exclude(pk=endpoint.pk).count() if row else 0
    aws_id = f" ({row.aws_id})" if row and row.aws_id else ""
    return [f"VPC origin {name}{aws_id}{_used_by(others)}"]


def _rules(endpoint: Endpoint) -> list[str]:
    left = []
    for row in IngressRule.objects.filter(users=endpoint).order_by("pk"):
        rule = f"security group rule {row.rule_id}".strip()
        others = row.users.exclude(pk=endpoint.pk).count()
        left.append(
            f"{rule} of {row.group_id}, TCP {row.port} from {row.source_group_id}{_used_by(others)}"
        )
    return left


def _behaviors(endpoint: Endpoint, spec: EndpointSpec) -> list[str]:
    paths = ", ".join(spec.path_patterns)
    origin = endpoint.origin_id
    return [f"origin {origin} and the behaviors for {paths} in distribution {spec.distribution_id}"]


def _used_by(others: int) -> str:
    return f", used by {others} other endpoint(s)" if others else ""
