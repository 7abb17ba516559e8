"""Everything that CloudFront decides about a request before it goes to an origin (PURE).

Which distribution and behavior answer, and whether they let the request in. Clock, chance and
earlier requests are arguments.
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
# What an edge without capacity logs: detailed result to result (standard logs reference).
CAPACITY_RESULTS = {
    "CapacityExceeded": "CapacityExceeded",
    "LimitExceeded": "LimitExceeded",
    "LambdaExecutionError": "LambdaExecutionError",
    "LambdaLimitExceeded": "Error",
}


@dataclass(frozen=True, slots=True)
class EdgePorts:
    """The ports on which the lab listens for viewers."""

    plain: int
    tls: int


@dataclass(frozen=True, slots=True)
class PipelineContext:
    """What a decision depends on besides request and state.

    `now` is Unix time, `draw` a random number in [0, 1), `rate_exceeded` AWS WAF's rate counter.
    `former` holds the previous configuration by distribution id; `takes_former` says whether this
    request reaches an edge that still serves it.
    """

    now: float
    draw: float
    rate_exceeded: RateCheck
    former: Mapping[str, Distribution]
    takes_former: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """Which distribution and behavior answer; `refusal` if the edge answers itself. `cookie` is a
    Set-Cookie value for the viewer.
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
    """Decide about one request.

    1. Size and syntax, then the host: an enabled distribution that viewers may call by that name.
    2. SNI and Host must belong to the same account, and at most two distributions may be nested.
    3. Continuous deployment may choose the staging distribution. An edge that lags behind serves
       the previous configuration, in which the distribution may have been disabled.
    4. An edge without capacity refuses everything.
    5. Country, then web ACL (AWS WAF never sees a blocked country), then the behavior's rules.
    6. A signature, if the behavior requires one.
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
        or refuse_without_capacity(state, choice.distribution)
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


def refuse_without_capacity(state: State, distribution: Distribution) -> Refusal | None:
    """503 under the fault `edge-capacity`, which names the detailed result."""
    fault = find_fault(state.faults, EDGE_CAPACITY, distribution.id)
    if fault is None:
        return None
    detail = fault.detail if fault.detail in CAPACITY_RESULTS else DEFAULT_RESULT
    why = "CloudFront has no capacity for this request at the moment."
    return Refusal(503, detail, why, result_type=CAPACITY_RESULTS[detail])
