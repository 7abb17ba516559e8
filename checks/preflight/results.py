"""What a preflight question is about, and how it is answered: subject, level, fix, result (PURE).

A code is stable: pages, tickets and tests refer to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from checks.ordered import OrderedStrEnum
from provisioning.facts.exposures import ExposureKind
from provisioning.plan.path_ownership import PathRights
from provisioning.spec.endpoint_spec import EndpointSpec


class Level(OrderedStrEnum):
    """What a result means for the request, from best to worst.

    `fixable`: the plan fixes it. `block`: a person must fix it first.
    """

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    UNKNOWN = "unknown"
    FIXABLE = "fixable"
    BLOCK = "block"


TITLES = {
    "PF-NAME": "No other endpoint in the account has this name",
    "PF-TARGET": "The target exists",
    "PF-KIND": "CloudFront supports this kind of target",
    "PF-STATE": "The target is active",
    "PF-SCHEME": "The target is internal",
    "PF-GROUP": "The target has a security group",
    "PF-TLS": "No TLS listener on the Network Load Balancer",
    "PF-LISTENER": "A listener exists on the port",
    "PF-ACTION": "The listener forwards handshakes",
    "PF-RULES": "No listener rule diverts the handshake",
    "PF-HEADER": "The target gets the headers that it requires",
    "PF-CERTIFICATE": "The target's certificate covers the Host that CloudFront sends",
    "PF-IP-TYPE": "The target supports IPv4",
    "PF-IPV6": "No IPv6 traffic from the internet, and the subnets have IPv4",
    "PF-GATEWAY": "The VPC has an internet gateway attached",
    "PF-BPA": "VPC Block Public Access allows CloudFront",
    "PF-SUBNET": "The subnets are private",
    "PF-NACL": "The network ACLs allow responses out",
    "PF-ADDRESS": "The subnets have free addresses",
    "PF-ZONE": "VPC origins exist in this Region and zone",
    "PF-INGRESS": "The security group allows CloudFront",
    "PF-GROUP-ROOM": "The security group has room for the rule",
    "PF-GROUP-MANAGED": "No controller removes the security group's rule",
    "PF-PUBLIC": "The security group allows nothing public",
    "PF-ONLY-CLOUDFRONT": "The security group allows only CloudFront on the endpoint's ports",
    "PF-PUBLIC-ADDRESS": "The target has no public address",
    "PF-OTHER-ROUTE": "No other public route to the target",
    "PF-HEALTH": "The target's own targets are healthy",
    "PF-TARGET-GROUP": "The target groups support the upgrade",
    "PF-STICKY": "Clients reach the same target again where they must",
    "PF-ATTRIBUTES": "The load balancer's header handling",
    "PF-IDLE": "Idle connections stay open",
    "PF-DISTRIBUTION": "The distribution exists and is enabled",
    "PF-STAGING": "The distribution is not part of a continuous deployment",
    "PF-UNKNOWN-SETTINGS": "The portal knows all of the distribution's settings",
    "PF-SETTINGS": "The settings are those that the portal would choose",
    "PF-PATH-TAKEN": "The paths are free",
    "PF-PATH-OWNER": "No other team owns the paths",
    "PF-PATH-BROAD": "The paths are specific to your app",
    "PF-PATH-CHECK": "Checks request a path that the endpoint serves",
    "PF-PATH-ORDER": "No other behavior matches first",
    "PF-PATH-BARE": "The path without a slash is covered",
    "PF-GUARD": "The paths keep their current protections",
    "PF-WEB-ACL": "No rule of the web ACL depends on these paths",
    "PF-OTHER-ORIGIN": "CloudFront accepts the distribution's other origins",
    "PF-VPC-ORIGIN": "A VPC origin can be reused or created",
    "PF-BEHAVIORS": "The distribution has room for behaviors",
    "PF-VIEWER-CERTIFICATE": "The viewer certificate covers the distribution's names",
    "PF-ALIAS": "No other distribution claims the distribution's names",
    "PF-ROLE": "The account has CloudFront's role for VPC origins",
    "PF-PERMISSION": "The portal's role has the permissions the plan needs",
    "PF-ORIGIN-HEADERS": "The behavior forwards the handshake's headers",
    "PF-ORIGIN-CACHE": "The behavior caches nothing",
    "PF-ORIGIN-VIEWERS": "The behavior does not redirect handshakes",
    "PF-ORIGIN-PROTOCOL": "API Gateway is accessed over HTTPS",
    "PF-ORIGIN-PATH": "The origin path is API Gateway's stage",
    "PF-ORIGIN-HOST": "API Gateway receives its own name as Host",
    "PF-ORIGIN-PUBLIC": "The origin needs no public address",
}


EXPOSED_BY: dict[str, ExposureKind] = {
    "PF-SCHEME": ExposureKind.SCHEME,
    "PF-SUBNET": ExposureKind.SUBNET,
    "PF-PUBLIC": ExposureKind.PUBLIC_RULE,
    "PF-ONLY-CLOUDFRONT": ExposureKind.OTHER_RULE,
    "PF-PUBLIC-ADDRESS": ExposureKind.ADDRESS,
    "PF-OTHER-ROUTE": ExposureKind.ROUTE,
    "PF-IPV6": ExposureKind.IPV6,
}
"""The questions about what besides CloudFront reaches the target. An approver can accept what they
warn of.
"""
PRIVACY = ("PF-TARGET", "PF-GROUP", *EXPOSED_BY)
"""The questions that the privacy audit of a live endpoint asks again."""


@dataclass(frozen=True)
class Fix:
    """How a person fixes it: in the console, by command line, in Terraform. Empty where there is no
    way.

    Where one of the three lets more requests or people through, or turns a check off, `opens` says
    what guard that opens and for whom, and `narrower` the way that opens least; both are shown
    first. A test knows every verb that opens something.
    """

    console: str
    cli: str = ""
    terraform: str = ""
    opens: str = ""
    narrower: str = ""

    @property
    def advice(self) -> str:
        """The way in the console in one text, after what it opens."""
        if not self.opens:
            return self.console
        return f"{self.narrower} {self.opens} {self.console}"

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any] | None) -> Fix | None:
        """What `asdict` gave, if anything."""
        return (
            cls(**{way.name: str(stored.get(way.name, "")) for way in fields(cls)})
            if stored
            else None
        )


@dataclass(frozen=True)
class Amendment:
    """What the request could ask for instead, so that the plan fixes it: a label, and the fields
    with new values.
    """

    label: str
    changes: tuple[tuple[str, str | bool | int | tuple[str, ...]], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        listed = {
            field: list(value) if isinstance(value, tuple) else value
            for field, value in self.changes
        }
        return {"label": self.label, "changes": listed}


@dataclass(frozen=True)
class PreflightResult:
    """One answer. `seen` is what AWS said, `why` what follows from it; `in_plan`: the plan fixes
    it; `amendment`: the plan would fix it if the request were changed like this. `exposes` are the
    ways past CloudFront that a warning is about, as provisioning.facts.exposures words them.
    """

    code: str
    level: Level
    seen: str
    why: str = ""
    fix: Fix | None = None
    in_plan: bool = False
    amendment: Amendment | None = None
    exposes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The question, as the statement that holds when it passes."""
        return TITLES[self.code]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {
            "level": self.level.value,
            "title": self.title,
            "amendment": self.amendment.to_dict() if self.amendment else None,
            "exposes": list(self.exposes),
        }


@dataclass(frozen=True)
class PreflightSubject:
    """As much of a request as is filled in. What is empty is not evaluated.

    `vpc_origin_key` is the spec's. `origin_id` is the endpoint's own origin in the distribution, if
    it has one; behaviors leading to it are ours. `forward_host` is None while it is not decided;
    `carries_api` means that the paths carry an HTTP API besides. The ports of match-viewer are
    HTTP's, then HTTPS's. `rights` are the team's on the distribution; checks ask
    `handshake_path`, as clients of `app_kind` do. `name_free` says whether `name` is, None where
    that is not asked. `vpc_origin_id` is an adopted one; `adopts` asks how what AWS has differs
    from what the portal would build.
    """

    target_arn: str = ""
    distribution_id: str = ""
    origin_protocol: str = ""
    origin_ports: tuple[int, ...] = ()
    path_patterns: tuple[str, ...] = ()
    open_security_group: bool = True
    max_silence_seconds: int | None = None
    vpc_origin_key: str = ""
    origin_id: str = ""
    forward_host: bool | None = None
    origin_domain: str = ""
    carries_api: bool = False
    carry_over: tuple[str, ...] = ()
    origin_headers: str = ""
    rights: PathRights | None = None
    handshake_path: str = ""
    app_kind: str = ""
    name: str = ""
    name_free: bool | None = None
    vpc_origin_id: str = ""
    adopts: bool = False

    @classmethod
    def of(
        cls,
        spec: EndpointSpec,
        *,
        origin_id: str = "",
        rights: PathRights | None = None,
        name_free: bool | None = None,
        adopts: bool = False,
    ) -> PreflightSubject:
        """The subject of a complete spec; with `origin_id` when the endpoint exists already, and
        `adopts` when it is to be adopted.
        """
        return cls(
            target_arn=spec.target_arn,
            distribution_id=spec.distribution_id,
            origin_protocol=spec.origin_protocol,
            origin_ports=spec.origin_ports,
            path_patterns=spec.path_patterns,
            open_security_group=spec.open_security_group,
            max_silence_seconds=spec.max_silence_seconds,
            vpc_origin_key=spec.vpc_origin_key,
            origin_id=origin_id,
            forward_host=spec.forward_host,
            origin_domain=spec.origin_domain,
            carries_api="POST" in spec.allowed_methods.split(","),
            carry_over=spec.carry_over,
            origin_headers=spec.origin_headers,
            rights=rights,
            handshake_path=spec.handshake_path,
            app_kind=spec.app_kind,
            name=spec.name,
            name_free=name_free,
            vpc_origin_id=spec.vpc_origin_id,
            adopts=adopts,
        )

    @property
    def handshake_ports(self) -> tuple[int, ...]:
        """Those of `origin_ports` that handshakes come to. With match-viewer CloudFront goes on as
        the viewer came, and no spec lets anybody come over ws://.
        """
        return (
            self.origin_ports[-1:] if self.origin_protocol == "match-viewer" else self.origin_ports
        )


def unknown(code: str, reason: str) -> PreflightResult:
    """The question could not be answered, for this reason."""
    return PreflightResult(code, Level.UNKNOWN, "Not visible.", reason)


def join_ports(ports: Iterable[int]) -> str:
    """`80 and 443`."""
    return " and ".join(map(str, ports))
