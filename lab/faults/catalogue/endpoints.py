"""FaultManager on the way from the viewer to the app: the distribution, the network, the load balancer,
the edge (DATA).
"""

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
    # --- the distribution
    # --------------------------------------------------------------------------------------------
    _account(
        "headers-not-forwarded",
        "The behavior has no origin request policy, so CloudFront removes Sec-WebSocket-Key "
        "and -Version.",
        Signature("400 or 426 from the app; an ordinary GET of the path works", (400, 426)),
        "WSE-400-NOKEY",
    ),
    _account(
        "subprotocol-not-forwarded",
        "The behavior's origin request policy forwards every handshake header but "
        "Sec-WebSocket-Protocol.",
        Signature(
            "101 without Sec-WebSocket-Protocol, though one was offered",
            (101,),
            action=ClientAction.SUBPROTOCOL,
        ),
        "WSE-101-POLICY",
    ),
    _account(
        "path-not-matched",
        "The behavior's path pattern no longer matches the path, so that another behavior answers.",
        Signature(
            "200 with a page, or 403, 404, 426: whatever the next behavior's origin says",
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
        "The behavior's viewer protocol policy is https-only, and somebody uses ws://.",
        Signature("403 to ws://, while wss:// opens", (403,), EDGE, action=ClientAction.PLAIN),
        "WSE-403-VIEWER",
    ),
    _account(
        "viewer-redirect",
        "The behavior's viewer protocol policy is redirect-to-https, and somebody uses ws://.",
        Signature("301 to ws://, while wss:// opens", (301,), EDGE, action=ClientAction.PLAIN),
        "WSE-301-REDIRECT",
    ),
    _account(
        "methods-too-few",
        "The behavior allows GET and HEAD only, so that the POST of Socket.IO's polling is "
        "refused.",
        Signature("403 to POST, while a handshake opens", (403,), EDGE, action=ClientAction.POST),
        "WSE-403-METHOD",
    ),
    _account(
        "waf-block",
        "A rule of a web ACL blocks what begins with the path.",
        Signature("403 made at the edge", (403,), EDGE),
        "WSE-403-WAF",
    ),
    _account(
        "geo-block",
        "The distribution's geographic restriction admits viewers in Antarctica only.",
        Signature("403 made at the edge", (403,), EDGE),
        "WSE-403-GEO",
        ("distribution",),
    ),
    _account(
        "signed-cookies-required",
        "The behavior restricts viewer access to requests that a key group signed.",
        Signature("403 made at the edge, with MissingKey", (403,), EDGE),
        "WSE-403-SIGNED",
    ),
    _account(
        "distribution-disabled",
        "The distribution is switched off.",
        Signature("403 made at the edge", (403,), EDGE),
        "WSE-403-DISABLED",
        ("distribution",),
    ),
    _account(
        "alias-absent",
        "The distribution loses its alternate domain names.",
        Signature(
            "403 made at the edge to an alias; the distribution's own name works",
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
        "knows its own name only.",
        Signature("403 from API Gateway, with x-amzn-errortype", (403,)),
        "WSE-403-APIGW",
    ),
    # --- the network
    # -------------------------------------------------------------------------------------------------
    _account(
        "security-group-closed",
        "The load balancer's security groups lose every rule that admits CloudFront on the "
        "origin's port.",
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
        "The network ACLs of the target's subnets deny outbound TCP 1024-65535, so that "
        "answers do not leave.",
        Signature("504 after the connection timeout", (504,), EDGE),
        "WSE-504-NACL",
    ),
    # --- the VPC origin
    # ----------------------------------------------------------------------------------------------
    _account(
        "vpc-origin-deploying",
        "The VPC origin is Deploying again, and stays so.",
        Signature("502 from the edge", (502,), EDGE),
        "WSE-502-VPCORIGIN",
    ),
    _account(
        "vpc-origin-deleted",
        "The VPC origin is gone, though the distribution still names it.",
        Signature("502 from the edge", (502,), EDGE),
        "WSE-502-VPCORIGIN",
    ),
    _edge(
        "era-2025",
        "CloudFront does not carry WebSockets over VPC origins, as before May 2026.",
        Signature("502 from the edge to the handshake; an ordinary GET works", (502,), EDGE),
        "WSE-502-2025",
        ENDPOINT,
    ),
    # --- the load balancer
    # -------------------------------------------------------------------------------------------
    _account(
        "listener-missing",
        "The load balancer loses the listener on the origin's port.",
        Signature("502 from the edge", (502,), EDGE),
        "WSE-502-PORT",
    ),
    _account(
        "port-mismatch",
        "The load balancer's listener moves to another port than the one the VPC origin names.",
        Signature("502 from the edge", (502,), EDGE),
        "WSE-502-PORT",
    ),
    _account(
        "listener-redirect",
        "The listener redirects every HTTP request to HTTPS, which comes back to it as HTTP.",
        Signature("301 to the very same address, for ever", (301,)),
        "WSE-301-LOOP",
    ),
    _edge(
        "origin-certificate-wrong-name",
        "The HTTPS listener shows a certificate for another name.",
        Signature("502 from the edge, quickly", (502,), EDGE),
        "WSE-502-TLS",
    ),
    _edge(
        "origin-certificate-expired",
        "The HTTPS listener shows a certificate that has expired.",
        Signature("502 from the edge, quickly", (502,), EDGE),
        "WSE-502-TLS",
    ),
    _edge(
        "origin-certificate-self-signed",
        "The HTTPS listener shows a certificate that nobody but itself vouches for.",
        Signature("502 from the edge, quickly", (502,), EDGE),
        "WSE-502-TLS",
    ),
    _edge(
        "origin-certificate-incomplete",
        "The HTTPS listener shows its certificate without the intermediate one.",
        Signature("502 from the edge, quickly", (502,), EDGE),
        "WSE-502-TLS",
    ),
    _edge(
        "origin-certificate-unknown-authority",
        "The HTTPS listener shows a certificate of an authority that nobody knows.",
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
        "Targets are replaced all the time: connections to them are cut a moment after they "
        "opened.",
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
        "Nothing listens at the targets, so that their health checks fail; the load "
        "balancer tries them all the same.",
        FaultKind.APP,
        Signature("502 from the load balancer", (502,), BALANCER),
        "WSE-502-ALB",
        ENDPOINT,
        ("distribution",),
    ),
    # --- the edge itself
    # ---------------------------------------------------------------------------------------------
    _edge(
        "edge-stale",
        "Some edge locations serve the configuration that was there before the last change.",
        Signature("old and new answers in turn", action=ClientAction.REPEATED),
        "WSE-MIXED",
        ("distribution",),
    ),
    _edge(
        "edge-capacity",
        "The edge has no capacity; detail CapacityExceeded, LambdaLimitExceeded or another "
        "result of CloudFront's log.",
        Signature("503 from the edge", (503,), EDGE),
        "WSE-503-EDGE",
        ("distribution", "detail"),
    ),
    _edge(
        "wrong-accept",
        "Something answers 101 with a Sec-WebSocket-Accept that belongs to another key.",
        Signature("101 with a wrong Sec-WebSocket-Accept; every client closes", (101,)),
        "WSE-101-BADACCEPT",
        ("distribution",),
    ),
)
