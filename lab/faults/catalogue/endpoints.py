"""Faults between the viewer and the app: distribution, network, load balancer, edge (DATA)."""

from __future__ import annotations

from lab.faults.catalogue.fault import ENDPOINT, ClientAction, Fault, FaultKind, Signature

EDGE = "CloudFront"
BALANCER = "awselb/2.0"


def _account(
    name: str,
    description: str,
    signature: Signature,
    verdict: str,
    takes: tuple[str, ...] = ENDPOINT,
) -> Fault:
    return Fault(name, description, FaultKind.ACCOUNT, signature, verdict, takes, ("distribution",))


def _edge(
    name: str,
    description: str,
    signature: Signature,
    verdict: str,
    takes: tuple[str, ...] = ENDPOINT,
) -> Fault:
    return Fault(
        name, description, FaultKind.DATA_PLANE, signature, verdict, takes, ("distribution",)
    )


FAULTS: tuple[Fault, ...] = (
    # The distribution.
    _account(
        "headers-not-forwarded",
        "The behavior has no origin request policy, so CloudFront removes Sec-WebSocket-Key "
        "and -Version.",
        Signature("400 or 426 from the app; a normal GET of the path works", (400, 426)),
        "WSE-400-NOKEY",
    ),
    _account(
        "subprotocol-not-forwarded",
        "The behavior's origin request policy forwards every handshake header but "
        "Sec-WebSocket-Protocol.",
        Signature(
            "101 without Sec-WebSocket-Protocol, although one was offered",
            (101,),
            action=ClientAction.SUBPROTOCOL,
        ),
        "WSE-101-POLICY",
    ),
    _account(
        "path-not-matched",
        "The behavior's path pattern no longer matches the path, so another behavior answers.",
        Signature(
            "200 with a page, or 403, 404, 426, depending on the other behavior's origin",
            (200, 403, 404, 426),
        ),
        "WSE-PATH",
    ),
    _account(
        "spa-error-page",
        "The listener answers 404 for the path, and the distribution turns every 403 and "
        "404 into 200 and /index.html.",
        Signature("200 text/html instead of 101", (200,)),
        "WSE-200-SPA",
    ),
    _account(
        "viewer-https-only",
        "The behavior's viewer protocol policy is https-only, and the client uses ws://.",
        Signature("403 to ws://; wss:// opens", (403,), EDGE, action=ClientAction.PLAIN),
        "WSE-403-VIEWER",
    ),
    _account(
        "viewer-redirect",
        "The behavior's viewer protocol policy is redirect-to-https, and the client uses ws://.",
        Signature("301 to ws://; wss:// opens", (301,), EDGE, action=ClientAction.PLAIN),
        "WSE-301-REDIRECT",
    ),
    _account(
        "methods-too-few",
        "The behavior allows GET and HEAD only, so Socket.IO's polling, which uses POST, fails.",
        Signature("403 to POST; a handshake opens", (403,), EDGE, action=ClientAction.POST),
        "WSE-403-METHOD",
    ),
    _account(
        "waf-block",
        "A web ACL's rule blocks paths that start with this one.",
        Signature("403 from the edge", (403,), EDGE),
        "WSE-403-WAF",
    ),
    _account(
        "geo-block",
        "The distribution's geographic restriction allows viewers in Antarctica only.",
        Signature("403 from the edge", (403,), EDGE),
        "WSE-403-GEO",
        ("distribution",),
    ),
    _account(
        "signed-cookies-required",
        "The behavior requires signed URLs or signed cookies of a key group.",
        Signature("403 from the edge, with MissingKey", (403,), EDGE),
        "WSE-403-SIGNED",
    ),
    _account(
        "distribution-disabled",
        "The distribution is disabled.",
        Signature("403 from the edge", (403,), EDGE),
        "WSE-403-DISABLED",
        ("distribution",),
    ),
    _account(
        "alias-absent",
        "The distribution's alternate domain names are removed.",
        Signature(
            "403 from the edge to an alias; the distribution's own name works",
            (403,),
            EDGE,
            action=ClientAction.ALIAS,
        ),
        "WSE-403-ALIAS",
        ("distribution",),
    ),
    _account(
        "apigateway-host-forwarded",
        "The behavior forwards the viewer's Host to API Gateway (policy AllViewer), which "
        "accepts only its own name.",
        Signature("403 from API Gateway, with x-amzn-errortype", (403,)),
        "WSE-403-APIGW",
    ),
    # The network.
    _account(
        "security-group-closed",
        "The load balancer's security groups no longer allow CloudFront on the origin's port.",
        Signature(
            "504 after the connection timeout; the load balancer sees no request", (504,), EDGE
        ),
        "WSE-504-SG",
    ),
    _account(
        "block-public-access",
        "VPC Block Public Access blocks both directions in the target's account and Region.",
        Signature("504 after the connection timeout", (504,), EDGE),
        "WSE-504-BPA",
    ),
    _account(
        "network-acl-egress",
        "The network ACLs of the target's subnets deny outbound TCP 1024-65535, so replies are "
        "dropped.",
        Signature("504 after the connection timeout", (504,), EDGE),
        "WSE-504-NACL",
    ),
    # The VPC origin.
    _account(
        "vpc-origin-deploying",
        "The VPC origin stays Deploying.",
        Signature("502 from the edge", (502,), EDGE),
        "WSE-502-VPCORIGIN",
    ),
    _account(
        "vpc-origin-deleted",
        "The VPC origin has been deleted, but the distribution still uses it.",
        Signature("502 from the edge", (502,), EDGE),
        "WSE-502-VPCORIGIN",
    ),
    _edge(
        "era-2025",
        "CloudFront does not carry WebSockets over VPC origins, as before May 2026.",
        Signature("502 from the edge to the handshake; a normal GET works", (502,), EDGE),
        "WSE-502-2025",
        ENDPOINT,
    ),
    # The load balancer.
    _account(
        "listener-missing",
        "The load balancer's listener on the origin's port is deleted.",
        Signature("502 from the edge", (502,), EDGE),
        "WSE-502-PORT",
    ),
    _account(
        "port-mismatch",
        "The load balancer's listener moves to a port other than the VPC origin's.",
        Signature("502 from the edge", (502,), EDGE),
        "WSE-502-PORT",
    ),
    _account(
        "listener-redirect",
        "The listener redirects HTTP to HTTPS, but CloudFront always connects over HTTP.",
        Signature("301 to the same URL, endlessly", (301,)),
        "WSE-301-LOOP",
    ),
    _edge(
        "origin-certificate-wrong-name",
        "The HTTPS listener has a certificate for another name.",
        Signature("502 from the edge, quickly", (502,), EDGE),
        "WSE-502-TLS",
    ),
    _edge(
        "origin-certificate-expired",
        "The HTTPS listener's certificate has expired.",
        Signature("502 from the edge, quickly", (502,), EDGE),
        "WSE-502-TLS",
    ),
    _edge(
        "origin-certificate-self-signed",
        "The HTTPS listener's certificate is self-signed.",
        Signature("502 from the edge, quickly", (502,), EDGE),
        "WSE-502-TLS",
    ),
    _edge(
        "origin-certificate-incomplete",
        "The HTTPS listener does not send the intermediate certificate.",
        Signature("502 from the edge, quickly", (502,), EDGE),
        "WSE-502-TLS",
    ),
    _edge(
        "origin-certificate-unknown-authority",
        "The HTTPS listener's certificate comes from an unknown authority.",
        Signature("502 from the edge, quickly", (502,), EDGE),
        "WSE-502-TLS",
    ),
    _account(
        "idle-cut",
        "The load balancer's idle timeout is 6 seconds (a Network Load Balancer's 60).",
        Signature(
            "101, then 1006 after a short silence",
            (101,),
            close=(1006,),
            action=ClientAction.SILENCE,
        ),
        "WSE-IDLE-ALB",
    ),
    _edge(
        "target-cut",
        "Targets are replaced constantly: each connection is cut shortly after it opens.",
        Signature("101, then 1006", (101,), close=(1006,), action=ClientAction.SILENCE),
        "WSE-1006",
    ),
    _account(
        "no-targets",
        "The target group has no registered targets.",
        Signature("503 from the load balancer", (503,), BALANCER),
        "WSE-503-NOTARGET",
    ),
    Fault(
        "targets-unhealthy",
        "Nothing listens at the targets, so health checks fail; the load balancer still tries "
        "them.",
        FaultKind.APP,
        Signature("502 from the load balancer", (502,), BALANCER),
        "WSE-502-ALB",
        ENDPOINT,
        ("distribution",),
    ),
    # The edge.
    _edge(
        "edge-stale",
        "Some edge locations still serve the configuration from before the last change.",
        Signature("old and new answers alternate", action=ClientAction.REPEATED),
        "WSE-MIXED",
        ("distribution",),
    ),
    _edge(
        "edge-capacity",
        "The edge is out of capacity; detail is the result in CloudFront's log, such as "
        "CapacityExceeded or LambdaLimitExceeded.",
        Signature("503 from the edge", (503,), EDGE),
        "WSE-503-EDGE",
        ("distribution", "detail"),
    ),
    _edge(
        "wrong-accept",
        "The 101 has a Sec-WebSocket-Accept for another key.",
        Signature("101 with a wrong Sec-WebSocket-Accept; every client disconnects", (101,)),
        "WSE-101-BADACCEPT",
        ("distribution",),
    ),
)
