"""Plan for an account: ask AWS what a plan of some action needs to know, and make the plan.

The portal plans a request with it, and a run plans again with it before its first write.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from provisioning.aws.snapshot import distribution_snapshot, with_vpc_origin
from provisioning.facts.snapshot import Snapshot
from provisioning.models import AwsAccount, Endpoint
from provisioning.plan.acceptance import make_acceptance_plan
from provisioning.plan.adoption import make_adoption_plan
from provisioning.plan.items import Unplannable
from provisioning.plan.plan import ACCEPT, ADOPT, CREATE, REMOVE, Plan
from provisioning.plan.planner import make_change_plan, make_plan
from provisioning.plan.read_back import Candidate, candidates
from provisioning.plan.removal import make_removal_plan
from provisioning.redaction.references import UnknownSecretError
from provisioning.secrets.encryption import fingerprint
from provisioning.secrets.header_values import header_values
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.origin_headers import too_long


def snapshot_for_plan(
    account: AwsAccount, action: str, spec: EndpointSpec, *, permissions: bool = False
) -> Snapshot:
    """What AWS says about everything that the plan concerns. A removal does not ask about the
    target, which may be gone.
    """
    aws = account.client()
    if action == REMOVE:
        taken = distribution_snapshot(aws, spec.distribution_id)
    else:
        taken = account.snapshot_for(spec.target_arn, spec.distribution_id, permissions=permissions)
    if not spec.vpc_origin_id:
        return taken
    return with_vpc_origin(aws, taken, spec.vpc_origin_id)


def plan_from(
    snapshot: Snapshot,
    account: AwsAccount,
    action: str,
    spec: EndpointSpec,
    *,
    team: str,
    endpoint_id: uuid.UUID,
    grace_seconds: int = 0,
) -> Plan:
    """The plan of an action (create, change, accept, adopt, remove). `team` is the slug of the
    endpoint's team. Raises Unplannable.
    """
    key, owner = endpoint_id.hex[:12], settings.PROVISIONING_OWNER
    headers = {} if action in (REMOVE, ACCEPT) else _header_fingerprints(spec, team)
    if action == CREATE:
        return make_plan(
            spec,
            snapshot,
            endpoint_key=key,
            owner=owner,
            rights=account.path_rights(spec.distribution_id, team),
            headers=headers,
        )
    if action == ADOPT:
        return _adoption(snapshot, account, spec, team, endpoint_id, headers)
    endpoint = Endpoint.objects.get(pk=endpoint_id)
    applied = endpoint.applied_plan()
    if applied is None:
        raise Unplannable(
            "never_built", f"{endpoint.name} was never built, so there is nothing to {action}."
        )
    holdings = endpoint.holdings()
    if action == REMOVE:
        return make_removal_plan(
            applied,
            snapshot,
            endpoint_key=key,
            owner=owner,
            holdings=holdings,
            grace_seconds=grace_seconds,
        )
    rights = account.path_rights(spec.distribution_id, team)
    if action == ACCEPT:
        return make_acceptance_plan(
            spec, snapshot, endpoint_key=key, owner=owner, rights=rights, applied=applied
        )
    return make_change_plan(
        spec,
        snapshot,
        endpoint_key=key,
        owner=owner,
        rights=rights,
        applied=applied,
        holdings=holdings,
        headers=headers,
    )


def candidates_in(
    snapshot: Snapshot, account: AwsAccount, *, besides: uuid.UUID | None = None
) -> tuple[Candidate, ...]:
    """What of the snapshot's distribution can be adopted, and why the rest cannot. Endpoints of the
    portal are not, but for the one with the ID `besides`.
    """
    distribution = snapshot.distribution
    if distribution is None:
        return ()
    held = account.endpoints.exclude(state=Endpoint.State.ABSENT)
    target = snapshot.target
    return candidates(
        distribution,
        snapshot.distribution_config or {},
        snapshot.vpc_origin_configs,
        account_id=account.account_id,
        holders={
            one.origin_id: one.name
            for one in held.filter(spec_data__distribution_id=distribution.id)
            if one.pk != besides
        },
        domain_names={target.arn: target.dns_name} if target else {},
        policies=dict(snapshot.request_policies),
    )


def _adoption(
    snapshot: Snapshot,
    account: AwsAccount,
    spec: EndpointSpec,
    team: str,
    endpoint_id: uuid.UUID,
    headers: Mapping[str, str],
) -> Plan:
    if gap := snapshot.gap("vpc_origins"):
        raise Unplannable.unseen(
            "vpc_origins_unknown", "The account's VPC origins could not be read.", gap
        )
    found = candidates_in(snapshot, account, besides=endpoint_id)
    origins = ((snapshot.distribution_config or {}).get("Origins") or {}).get("Items") or ()
    own: Mapping[str, Any] = next((one for one in origins if one["Id"] == spec.origin_id), {})
    return make_adoption_plan(
        spec,
        snapshot,
        next((one for one in found if one.origin_id == spec.origin_id), None),
        endpoint_key=endpoint_id.hex[:12],
        owner=settings.PROVISIONING_OWNER,
        rights=account.path_rights(spec.distribution_id, team),
        headers=headers,
        present_headers={
            one["HeaderName"]: fingerprint(one["HeaderName"], one["HeaderValue"])
            for one in (own.get("CustomHeaders") or {}).get("Items") or ()
        },
    )


def _header_fingerprints(spec: EndpointSpec, team: str) -> dict[str, str]:
    """Of the headers that CloudFront shall add, by name. Raises Unplannable."""
    try:
        values = header_values(spec, team)
    except UnknownSecretError as error:
        raise Unplannable(
            "secret_unknown", f"{error} Headers to the target refer to it: add it under Secrets."
        ) from error
    if fault := too_long(values):
        raise Unplannable("header_too_long", fault)
    return {name: fingerprint(name, value) for name, value in values.items()}
