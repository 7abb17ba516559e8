"""Who serves a request, if anybody: everything that CloudFront decides before it asks an origin
(PURE).

It decides which distribution and behavior answer, and whether they let the request in. What chance,
clocks and earlier requests contribute is an argument. It must never do I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.edge.account.distributions import Behavior, Distribution
from lab.edge.account.lab_settings import EDGE_CAPACITY, EDGE_STALE, find_fault
from lab.edge.account.state import State
from lab.edge.cdn.continuous_deployment import ServedDistribution, choose
from lab.edge.cdn.routing import find_behavior, find_distribution
from lab.edge.cdn.signed_requests import refuse_unsigned
from lab.edge.cdn.viewer_rules import (
    refuse_by_behavior,
    refuse_country,
    refuse_disabled,
    refuse_host,
    refuse_malformed,
    refuse_misdirected,
    refuse_nesting,
)
from lab.edge.cdn.waf import RateCheck, refuse_by_web_acl
from lab.edge.http.messages import Refusal, ViewerRequest

DEFAULT_RESULT = "CapacityExceeded"
# What an edge without capacity logs: detailed result and result (standard logs reference).
CAPACITY_RESULTS = {
    "CapacityExceeded": "CapacityExceeded",
    "LimitExceeded": "LimitExceeded",
    "LambdaExecutionError": "LambdaExecutionError",
    "LambdaLimitExceeded": "Error",
}


@dataclass(frozen=True, slots=True)
class EdgePorts:
    """The lab's own viewer ports; only redirects need them."""

    plain: int
    tls: int


@dataclass(frozen=True, slots=True)
class PipelineContext:
    """What a decision depends on besides request and state.

    `now` is Unix time, `dice` in [0, 1); `counts` is the firewall's memory; `former` holds the
    configuration that was served before, by distribution id, and `takes_former` says whether this
    request meets an edge that still has it.
    """

    now: float
    draw: float
    rate_exceeded: RateCheck
    former: Mapping[str, Distribution]
    takes_former: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """Who answers, and `refusal` if the edge does so by itself. `cookie` is a Set-Cookie value for
    the viewer.
    """

    distribution: Distribution | None
    behavior: Behavior | None
    refusal: Refusal | None
    cookie: str = ""


def process_request(
    state: State,
    request: ViewerRequest,
    has_body: bool,
    ports: EdgePorts,
    context: PipelineContext,
) -> PipelineResult:
    """One request at the edge.

    1. Form, then host: a distribution that is enabled and may be called by that name.
    2. TLS and Host must belong to one account, and not more than two distributions may stand in a
       row.
    3. Continuous deployment may hand the request to the staging distribution; an edge that lags
       behind takes the former configuration, which may have been disabled.
    4. An edge without capacity answers nobody.
    5. Country, then web ACL (a blocked country never reaches AWS WAF), then the behavior's own
       rules.
    6. Whoever is left needs a signature if the behavior asks for one.
    """
    distribution = find_distribution(state.distributions, request.header("host"))
    refusal = refuse_malformed(request) or refuse_host(distribution)
    if refusal is not None or distribution is None:
        return PipelineResult(None, None, refusal or refuse_host(None))
    named = (
        find_distribution(state.distributions, request.server_name) if request.server_name else None
    )
    refusal = refuse_misdirected(distribution, named, request) or refuse_nesting(request)
    if refusal is not None:
        return PipelineResult(distribution, None, refusal)
    choice = _configuration(state, distribution, request, context)
    behavior = find_behavior(choice.distribution, request.path)
    refusal = (
        refuse_disabled(choice.distribution)
        or _capacity(state, choice.distribution)
        or refuse_country(choice.distribution, request.country)
        or refuse_by_web_acl(
            state.web_acls.get(choice.distribution.web_acl), request, context.rate_exceeded
        )
        or refuse_by_behavior(request, behavior, has_body, ports.plain, ports.tls)
    )
    if refusal is None and behavior.signed_by is not None:
        keys = [key for group in behavior.signed_by for key in state.key_groups.get(group, ())]
        refusal = refuse_unsigned(request, keys, context.now)
    return PipelineResult(choice.distribution, behavior, refusal, choice.cookie)


def _configuration(
    state: State, primary: Distribution, request: ViewerRequest, context: PipelineContext
) -> ServedDistribution:
    choice = choose(
        primary,
        state.distributions,
        state.continuous_deployment_policies,
        request,
        context.draw,
        context.now,
        state.socket_scale,
    )
    former = context.former.get(choice.distribution.id)
    stale = find_fault(state.faults, EDGE_STALE, choice.distribution.id)
    if stale and former is not None and context.takes_former(former.id):
        return ServedDistribution(former, choice.cookie)
    return choice


def _capacity(state: State, distribution: Distribution) -> Refusal | None:
    fault = find_fault(state.faults, EDGE_CAPACITY, distribution.id)
    if fault is None:
        return None
    detail = fault.detail if fault.detail in CAPACITY_RESULTS else DEFAULT_RESULT
    why = "CloudFront has no capacity for this request at the moment."
    return Refusal(503, detail, why, result_type=CAPACITY_RESULTS[detail])
