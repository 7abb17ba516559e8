"""Symptoms of apps that work directly but fail through CloudFront: cause, fix, verdicts (DATA).

Sources: CloudFront Developer Guide (troubleshooting error responses, origin request policies), AWS
re:Post Knowledge Center, field reports.
"""

from __future__ import annotations

from dataclasses import dataclass

from checks.diagnosis.verdicts import VERDICTS, Verdict, VerdictCode


@dataclass(frozen=True, slots=True)
class Symptom:
    """`title` is what people see, `cause` why only CloudFront shows it; `codes` are the verdicts
    that a check of such an endpoint gives.
    """

    slug: str
    title: str
    cause: str
    fix: str
    codes: tuple[VerdictCode, ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts of `codes`."""
        return tuple(VERDICTS[code] for code in self.codes)


SYMPTOMS = (
    Symptom(
        "502-tls",
        "CloudFront returns 502, but the origin works in a browser",
        "CloudFront validates the origin's TLS certificate more strictly than a browser where "
        "someone clicked through a warning. The certificate must be valid, signed by a public "
        "authority, and match the origin domain or the forwarded Host header. A port without a "
        "listener, or an origin name that does not resolve, also causes 502.",
        "Compare the names in the certificate with the origin domain and the forwarded Host "
        "header. Install the full certificate chain. Check that the load balancer listens on "
        "exactly the port that the origin uses.",
        (
            "WSE-502-TLS",
            "WSE-502-PORT",
            "WSE-502-DNS",
            "WSE-502-ORIGIN",
            "WSE-502-VPCORIGIN",
            "WSE-502-2025",
        ),
    ),
    Symptom(
        "504-network",
        "CloudFront returns 504 after 30 seconds, but the origin responds immediately",
        "You connect from a different network than CloudFront. The security group, a network ACL "
        "or VPC Block Public Access drops CloudFront's packets, so three connection attempts of "
        "ten seconds end in 504. An app that takes longer than the response timeout looks the "
        "same.",
        "Compare the load balancer's security group, the network ACL of its subnets and VPC Block "
        "Public Access with the verdicts below; each names the narrowest rule.",
        ("WSE-504-SG", "WSE-504-NACL", "WSE-504-BPA", "WSE-504-SLOW", "WSE-504-ALB"),
    ),
    Symptom(
        "headers",
        "Headers do not reach the app, or it responds to the handshake with 400 or 426",
        "CloudFront forwards only the headers in the cache policy and the origin request policy. "
        "Without an origin request policy it drops Sec-WebSocket-Key, Authorization, Origin and "
        "your own headers.",
        "Attach the managed policy AllViewer, or AllViewerExceptHostHeader if the origin needs its "
        "own host name. The probe “Header trace” shows which headers arrive.",
        ("WSE-400-NOKEY", "WSE-NOT-FORWARDED", "WSE-101-POLICY", "WSE-400-HOST", "WSE-426-VERSION"),
    ),
    Symptom(
        "cookies-queries",
        "Users are signed out, or query string parameters are lost",
        "CloudFront drops cookies and query strings in the same way as headers, so the app treats "
        "every user as anonymous. They do not belong in the cache key of a WebSocket path either.",
        "Forward all cookies and query strings with the origin request policy (AllViewer does), "
        "and disable caching for the path with the managed policy CachingDisabled.",
        ("WSE-NOT-FORWARDED", "WSE-401-AUTH", "WSE-403-APP", "WSE-404-PATH"),
    ),
    Symptom(
        "method",
        "CloudFront returns 403 for POST, PUT or DELETE",
        "By default a behavior allows only GET and HEAD. The WebSocket handshake is a GET, but "
        "Socket.IO's fallback uses POST.",
        "GET, HEAD is enough for a path that carries only WebSockets. If the app also uses POST, "
        "request the path with an HTTP API; then writing requests reach the app, too.",
        ("WSE-403-METHOD", "WSE-405-METHOD"),
    ),
    Symptom(
        "viewer-https",
        "ws:// or http:// is rejected or redirected",
        "The behavior's viewer protocol policy requires HTTPS: it redirects or returns 403. "
        "WebSocket clients do not follow redirects.",
        "Use wss:// in the client. Do not relax the policy.",
        ("WSE-301-REDIRECT", "WSE-403-VIEWER"),
    ),
    Symptom(
        "redirect-loop",
        "Endless redirects to the same address",
        "CloudFront connects to the load balancer over HTTP, and its listener redirects to HTTPS, "
        "which leads back to CloudFront. When you tested the origin, you used https://.",
        "Set the origin protocol policy to HTTPS only. An app that redirects must read "
        "CloudFront-Forwarded-Proto or X-Forwarded-Proto.",
        ("WSE-301-LOOP", "WSE-3XX-APP"),
    ),
    Symptom(
        "403",
        "CloudFront returns 403, but the origin does not",
        "Something in front of the app rejects the request, or the app sees another Origin. "
        "Candidates are a web ACL, geographic restrictions, signed cookies, a host name that the "
        "distribution does not list, or the app's own list of allowed origins.",
        "Check the endpoint: the portal compares responses with and without Origin, and reads the "
        "distribution's settings.",
        (
            "WSE-403-ORIGIN",
            "WSE-403-WAF",
            "WSE-403-GEO",
            "WSE-403-SIGNED",
            "WSE-403-ALIAS",
            "WSE-403-DISABLED",
        ),
    ),
    Symptom(
        "wrong-page",
        "An HTML page or 404 instead of the WebSocket",
        "Another behavior matches the path: /ws/* does not match /ws. Or a custom error response "
        "replaces the response with the start page and status 200.",
        "Add both /ws and /ws/* as path patterns, above more general ones. A custom error response "
        "hides the real error: look for it in the log of the app or the load balancer.",
        ("WSE-PATH", "WSE-200-SPA", "WSE-200-NOUPGRADE", "WSE-404-PATH"),
    ),
    Symptom(
        "cut",
        "Connections open, but close after a minute without messages",
        "Each hop has an idle timeout: 60 seconds for an Application Load Balancer, 350 for a "
        "Network Load Balancer, 600 for CloudFront, which counts only bytes from the origin.",
        "Send a heartbeat from the server every 20 to 30 seconds. The probe “Idle timeout” names "
        "the timeout that applies.",
        ("WSE-IDLE-ALB", "WSE-IDLE-NLB", "WSE-IDLE-CLOUDFRONT", "WSE-IDLE-APP", "WSE-1006"),
    ),
)
