"""The desired state of one endpoint: validated, complete and frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from provisioning.facts.names import (
    ALL_VIEWER,
    ALL_VIEWER_EXCEPT_HOST,
    AccountId,
    Arn,
    DistributionId,
    PolicyId,
    adopted_vpc_origin_key,
    origin_id,
    vpc_origin_key,
    vpc_origin_name,
)
from provisioning.spec.digest import digest_of


@dataclass(frozen=True)
class EndpointSpec:
    """The settings, each a row of `provisioning.spec.fields`. Ports are TCP ports; timeouts are
    seconds.
    """

    name: str
    account_id: AccountId
    distribution_id: DistributionId
    target_arn: Arn
    path_patterns: tuple[str, ...]
    origin_protocol: str
    http_port: int
    https_port: int
    forward_host: bool
    origin_domain: str
    viewer_protocol_policy: str
    allowed_methods: str
    read_timeout: int
    keepalive_timeout: int
    open_security_group: bool
    origin_headers: str
    carry_over: tuple[str, ...]
    max_silence_seconds: int
    app_kind: str
    check_path: str
    check_client: str
    subprotocols: tuple[str, ...]
    check_headers: str
    check_script: str
    stay_open_seconds: int
    origin_id: str
    vpc_origin_id: str

    @property
    def region(self) -> str:
        """The Region of the target, from its ARN."""
        return self.target_arn.split(":")[3]

    @property
    def origin_port(self) -> int:
        """The port on the target that wss:// traffic reaches."""
        return self.http_port if self.origin_protocol == "http-only" else self.https_port

    @property
    def origin_ports(self) -> tuple[int, ...]:
        """Every port CloudFront may use on the target."""
        if self.origin_protocol == "match-viewer":
            return (self.http_port, self.https_port)
        return (self.origin_port,)

    @property
    def origin_request_policy_id(self) -> PolicyId:
        """AllViewer forwards the Host header; with AllViewerExceptHostHeader, Host is the origin's
        domain.
        """
        return ALL_VIEWER if self.forward_host else ALL_VIEWER_EXCEPT_HOST

    @property
    def vpc_origin_key(self) -> str:
        """Endpoints with the same key share one VPC origin."""
        if self.vpc_origin_id:
            return adopted_vpc_origin_key(self.vpc_origin_id)
        return vpc_origin_key(
            self.target_arn, self.origin_protocol, self.http_port, self.https_port
        )

    def own_origin_id(self, owner: str, endpoint_key: str) -> str:
        """The ID of its origin in the distribution: the portal's own, or the one it had before."""
        return self.origin_id or origin_id(owner, endpoint_key)

    def vpc_origin_name(self, owner: str) -> str:
        """What its VPC origin is called: the portal's name for it, or an adopted one's ID."""
        return self.vpc_origin_id or vpc_origin_name(owner, self.vpc_origin_key)

    @property
    def handshake_path(self) -> str:
        """The path that the usual check asks for, without its query."""
        return self.check_path.partition("?")[0]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `read_spec` reads it back."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        }

    def digest(self) -> str:
        """SHA-256 over the RFC 8785 form, hex."""
        return digest_of(self.to_dict())
