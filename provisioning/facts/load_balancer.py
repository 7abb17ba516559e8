"""What Elastic Load Balancing says: listeners and target groups."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.facts.certificate import Certificate


@dataclass(frozen=True)
class ListenerRule:
    """A rule of a listener, in the order in which they are asked. Empty `hosts` and `paths` mean
    any.

    `narrow`: it has conditions besides, which not every handshake meets. `action` is the type of
    what comes first, `target_groups` are the ARNs of those that it forwards to, without those of
    weight 0. `headers` are the names of the header lines that it requires besides those of every
    handshake; their values are not kept, since they may be secrets.
    """

    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    narrow: bool
    action: str
    target_groups: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listener:
    """A listener of a load balancer. `default_action` is AWS's Type: forward, redirect,
    fixed-response, …

    `certificates` and `rules` are None if they were not read. `target_groups` are those of
    the default action.
    """

    port: int
    protocol: str
    default_action: str
    redirect_protocol: str = ""
    idle_timeout_seconds: int | None = None
    arn: str = ""
    certificates: tuple[Certificate, ...] | None = None
    rules: tuple[ListenerRule, ...] | None = None
    target_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class RegisteredTarget:
    """A target of a target group; `state` and `reason` are AWS's words."""

    id: str
    state: str
    reason: str = ""

    @property
    def well(self) -> bool:
        """Healthy, or not asked: the health check of a Lambda function may be switched off."""
        return self.state == "healthy" or self.reason == "Target.HealthCheckDisabled"


@dataclass(frozen=True)
class TargetGroup:
    """A target group of a load balancer. `protocol_version` is "" where there is none (TCP);
    seconds. `health_check_codes` are those that the health check accepts, in AWS's words.
    """

    arn: str
    name: str
    protocol: str
    protocol_version: str
    target_type: str
    health_check_path: str
    targets: tuple[RegisteredTarget, ...] = ()
    sticky: bool | None = None
    deregistration_seconds: int | None = None
    health_check_codes: str = ""
