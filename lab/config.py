"""The LAB_* variables: where the lab's processes listen, and how fast its clock runs.

The lab never reads the product's settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"

# CloudFront's quotas page. "names_per_policy" applies to cookies and to query strings, "page_size"
# is the maximum number of items that a list operation returns.
DEFAULT_QUOTAS: Mapping[str, int] = {
    "vpc_origins": 25,
    "distributions_per_vpc_origin": 50,
    "distributions": 500,
    "staging_distributions": 20,
    "continuous_deployment_policies": 20,
    "distributions_per_web_acl": 100,
    "distributions_per_policy": 100,
    "invalidation_paths_in_progress": 3000,
    "invalidation_wildcards_in_progress": 15,
    "cache_behaviors": 75,
    "origins": 100,
    "origin_groups": 10,
    "custom_headers": 30,
    "aliases": 100,
    "cache_policies": 20,
    "origin_request_policies": 20,
    "response_headers_policies": 20,
    "headers_per_cache_policy": 10,
    "headers_per_origin_request_policy": 10,
    "headers_per_response_headers_policy": 10,
    "names_per_policy": 10,
    "public_keys": 10,
    "public_keys_per_key_group": 5,
    "key_groups": 10,
    "key_groups_per_behavior": 4,
    "page_size": 100,
}


class ConfigError(Exception):
    """A LAB_* variable with an invalid value; carries its name and the reason."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(variable, reason)
        self.variable = variable
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.variable}: {self.reason}"


@dataclass(frozen=True)
class LabConfig:
    """Settings of one lab, the same for its three processes."""

    state_dir: Path
    aws_port: int
    edge_tls_port: int
    edge_port: int
    app_port: int
    time_scale: float
    quotas: Mapping[str, int]
    external_id: str = ""
    """What the seeded roles demand of whoever assumes them; empty: nothing."""

    @property
    def aws_url(self) -> str:
        """Base URL of the AWS endpoint, without a trailing slash."""
        return f"http://{LOOPBACK}:{self.aws_port}"

    @property
    def app_address(self) -> str:
        """host:port where the chat app listens."""
        return f"{LOOPBACK}:{self.app_port}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> LabConfig:
        """Read the LAB_* variables.

        :raises ConfigError: an invalid value.
        """
        return cls(
            state_dir=Path(environment.get("LAB_STATE_DIR") or ".state/lab"),
            aws_port=_port(environment, "LAB_AWS_PORT", 8001),
            edge_tls_port=_port(environment, "LAB_EDGE_TLS_PORT", 8002),
            edge_port=_port(environment, "LAB_EDGE_PORT", 8003),
            app_port=_port(environment, "LAB_APP_PORT", 8004),
            time_scale=_scale(environment),
            quotas=_quotas(environment),
            external_id=environment.get("LAB_EXTERNAL_ID") or "",
        )


def _port(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ConfigError(variable, f"{text!r} is not a port number")
    return int(text)


def _scale(environment: Mapping[str, str]) -> float:
    text = environment.get("LAB_TIME_SCALE") or "45"
    try:
        scale = float(text)
    except ValueError:
        raise ConfigError("LAB_TIME_SCALE", f"{text!r} is not a number") from None
    if not 0 <= scale <= 1_000_000:
        raise ConfigError("LAB_TIME_SCALE", f"{text} is not between 0 (stopped) and 1000000")
    return scale


def _quotas(environment: Mapping[str, str]) -> Mapping[str, int]:
    text = environment.get("LAB_QUOTAS") or "{}"
    try:
        given = json.loads(text)
    except ValueError:
        raise ConfigError("LAB_QUOTAS", "is not JSON") from None
    if not isinstance(given, dict):
        raise ConfigError("LAB_QUOTAS", "is not a JSON object")
    for name, value in given.items():
        if name not in DEFAULT_QUOTAS:
            raise ConfigError("LAB_QUOTAS", f"{name!r} is not one of {', '.join(DEFAULT_QUOTAS)}")
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError("LAB_QUOTAS", f"{name} must be a positive whole number")
    return {**DEFAULT_QUOTAS, **given}
