"""What AWS says about an endpoint: for the diagnosis of a handshake that fails, and whether one
that opens reached the endpoint.

Never raises for what AWS refuses or does not answer: less is then known.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings

from checks import preflight
from checks.diagnosis.idle_timeout import ALB_SECONDS, NLB_SECONDS, IdleTimeout, usual_timeouts
from checks.distribution_reads import read_routes
from checks.preflight import PreflightResult, PreflightSubject
from checks.preflight.behavior_match import BehaviorMatch, match_behavior
from checks.preflight.serving import Serving, serving_of
from provisioning.aws import distributions
from provisioning.aws.errors import AwsError
from provisioning.aws.session import Aws
from provisioning.facts.forwarding import MANAGED_REQUEST_POLICIES, Forwarding
from provisioning.facts.snapshot import VpcOriginFacts
from provisioning.facts.target import TargetFacts
from provisioning.models import Endpoint, VpcOrigin

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AwsView:
    """AWS's side; `vpc_origin_status` is "" when AWS knows none, None when it did not say. Where
    another behavior matches the path, it is that of the endpoint's own VPC origin.
    """

    behavior: BehaviorMatch | None = None
    preflight: tuple[PreflightResult, ...] = ()
    vpc_origin_status: str | None = None
    idle_timeouts: tuple[IdleTimeout, ...] = ()


def fetch_aws_view(
    endpoint: Endpoint, url: str, headers: Sequence[tuple[str, str]] = ()
) -> AwsView:
    """Read the distribution, the target's facts and the account's VPC origins, for a handshake at
    `url` with these `headers` besides its own.
    """
    account = endpoint.account
    spec = endpoint.spec
    taken = account.snapshot_for(spec.target_arn, spec.distribution_id)
    served = _serving(account.client(), endpoint, url, headers, dict(taken.request_policies))
    subject = PreflightSubject.of(
        spec,
        origin_id=endpoint.origin_id,
        rights=account.path_rights(spec.distribution_id, endpoint.owner),
    )
    origins = taken.vpc_origins if taken.gap("vpc_origins") is None else None
    own = spec.vpc_origin_name(settings.PROVISIONING_OWNER)
    return AwsView(
        behavior=served,
        preflight=preflight.evaluate(subject, taken),
        idle_timeouts=_idle_timeouts(taken.target),
        vpc_origin_status=status_of_origin(
            served, origins, own_name=own, account_id=account.account_id
        ),
    )


def fetch_serving(
    endpoint: Endpoint, url: str, *, since: datetime, now: datetime
) -> Serving | None:
    """What the distribution's configuration does with `url` and the endpoint's other paths, read at
    `since` or later. None if AWS did not answer, or for none of the endpoint's paths.
    """
    spec, own_origin = endpoint.spec, endpoint.origin_id
    read = read_routes(endpoint.account, spec.distribution_id, since=since, now=now)
    if read is None or read.routes is None:
        return None
    neighbors = Endpoint.objects.filter(account=endpoint.account_id).exclude(
        state=Endpoint.State.ABSENT
    )
    applied = endpoint.applied_plan()
    agreed = applied["relies_on"]["overlapping_behaviors"] if applied else ()
    row = VpcOrigin.objects.filter(account=endpoint.account_id, key=spec.vpc_origin_key).first()
    found = serving_of(
        read.routes,
        path=urlsplit(url).path or "/",
        own_patterns=spec.path_patterns,
        own_origin=own_origin,
        vpc_origin=row.aws_id if row else "",
        expected={*agreed, *(one.origin_id for one in neighbors)},
    )
    return replace(found, etag=read.etag) if found else None


def status_of_origin(
    served: BehaviorMatch | None,
    origins: Sequence[VpcOriginFacts] | None,
    *,
    own_name: str,
    account_id: str,
) -> str | None:
    """The status of the VPC origin that the path leads to, or of the endpoint's own, by its name
    (an adopted one by its ID), where another behavior matches the path. "" for one that the account
    does not have; None where that is not known.
    """
    if served is None or origins is None:
        return None
    if not served.own:
        named = (one.status for one in origins if own_name in (one.name, one.id))
        return next(named, None)
    if not served.vpc_origin_id:
        return None
    # Another account may share it: that ours does not list it says nothing then.
    absent = "" if served.vpc_origin_owner in ("", account_id) else None
    return next((origin.status for origin in origins if origin.id == served.vpc_origin_id), absent)


def _idle_timeouts(target: TargetFacts | None) -> tuple[IdleTimeout, ...]:
    """The idle timeouts on the path to this target; a Network Load Balancer has one for each
    listener.
    """
    if target is None:
        return usual_timeouts(pace=settings.PROBE_IDLE_PACE)
    by_listener = [
        listener.idle_timeout_seconds
        for listener in target.listeners
        if listener.idle_timeout_seconds
    ]
    return usual_timeouts(
        alb=(target.idle_timeout_seconds or ALB_SECONDS) if target.kind == "application" else None,
        nlb=min(by_listener, default=NLB_SECONDS) if target.kind == "network" else None,
        pace=settings.PROBE_IDLE_PACE,
    )


def _serving(
    aws: Aws,
    endpoint: Endpoint,
    url: str,
    headers: Sequence[tuple[str, str]],
    custom: Mapping[str, Forwarding],
) -> BehaviorMatch | None:
    spec = endpoint.spec
    try:
        record = distributions.read(aws, spec.distribution_id)
    except AwsError as error:
        log.info("endpoint %s: the distribution was not read: %s", endpoint.pk, error)
        return None
    if record is None:
        return None
    asked = urlsplit(url)
    return match_behavior(
        record.config,
        request_policies={**MANAGED_REQUEST_POLICIES, **custom},
        domain_name=record.domain_name,
        status=record.status,
        host=endpoint.domain_name,
        path=asked.path or "/",
        query=asked.query,
        own_patterns=spec.path_patterns,
        headers=headers,
    )
