"""A line in the log for each call to AWS: what AWS's support asks for, and how long it took."""

from __future__ import annotations

import logging
import time
from typing import Any

log = logging.getLogger(__name__)


def log_calls(events: Any, account_id: str, region: str) -> None:
    """Log every call of the clients that share these botocore events. Parameters and answers are
    left out: they may hold secrets.
    """

    def begun(context: dict[str, Any], **_: Any) -> None:
        context["portal_log_began"] = time.perf_counter()

    def answered(event_name: str, context: dict[str, Any], parsed: Any, **_: Any) -> None:
        about = parsed.get("ResponseMetadata", {})
        write(
            event_name,
            context,
            status=about.get("HTTPStatusCode", 0),
            error=parsed.get("Error", {}).get("Code", ""),
            aws_request_id=about.get("RequestId", ""),
            retries=about.get("RetryAttempts", 0),
        )

    def unanswered(event_name: str, context: dict[str, Any], exception: Any, **_: Any) -> None:
        write(event_name, context, status=0, error=type(exception).__name__)

    def write(event_name: str, context: dict[str, Any], **fields: Any) -> None:
        service, operation = event_name.split(".")[1:]
        began = context.get("portal_log_began")
        ms = round((time.perf_counter() - began) * 1000, 1) if began else None
        told = {
            "account": account_id,
            "region": region,
            "service": service,
            "operation": operation,
            "ms": ms,
        }
        log.info("aws.call", extra={"fields": told | fields})

    events.register("before-call", begun)
    events.register("after-call", answered)
    events.register("after-call-error", unanswered)
