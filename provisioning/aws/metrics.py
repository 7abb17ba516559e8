"""Counts this process's calls to AWS, for Prometheus."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import Counter, Histogram

CALLS = Counter(
    "portal_aws_calls",
    "Calls to AWS that were answered or failed, by outcome: ok, AWS's error code, or no_answer.",
    ["account", "service", "operation", "outcome"],
)
SECONDS = Histogram(
    "portal_aws_call_seconds",
    "How long AWS took to answer.",
    ["service"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
OVER_BUDGET_CALLS = Counter(
    "portal_aws_budget_refusals",
    "CloudFront calls that had to wait for the portal's own call budget.",
    ["account"],
)


def count_calls(events: Any, account_id: str) -> None:
    """Count every call of the clients that share these botocore events."""

    def begun(context: dict[str, Any], **_: Any) -> None:
        context["portal_began"] = time.perf_counter()

    def answered(
        event_name: str, context: dict[str, Any], parsed: Any, http_response: Any, **_: Any
    ) -> None:
        service, operation = event_name.split(".")[1:]
        error = parsed.get("Error", {}).get("Code") or str(http_response.status_code)
        outcome = "ok" if http_response.status_code < 300 else error
        CALLS.labels(account_id, service, operation, outcome).inc()
        SECONDS.labels(service).observe(time.perf_counter() - context["portal_began"])

    def unanswered(event_name: str, **_: Any) -> None:
        service, operation = event_name.split(".")[1:]
        CALLS.labels(account_id, service, operation, "no_answer").inc()

    events.register("before-call", begun)
    events.register("after-call", answered)
    events.register("after-call-error", unanswered)
