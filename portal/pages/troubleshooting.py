"""The usual questions of people whose app works at the custom origin but fails through CloudFront
(DATA).

Decides the words and which verdicts answer them. It must never name a verdict that does not exist.
Sources: CloudFront Developer Guide (troubleshooting error responses, origin request policies), AWS
re:Post Knowledge Center, field reports.
"""

from __future__ import annotations

from dataclasses import dataclass

from checks.diagnosis.verdicts import VERDICTS, Verdict, VerdictCode


@dataclass(frozen=True, slots=True)
class Question:
    """`asked` is what people see, `why` the difference to the origin, `what` what to do; `codes`
    are the verdicts.
    """

    slug: str
    asked: str
    why: str
    what: str
    codes: tuple[VerdictCode, ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What a test of this portal calls it."""
        return tuple(VERDICTS[code] for code in self.codes)


QUESTIONS = (
    Question(
        "502-tls",
        "CloudFront answers 502, and a browser opens the origin without complaint",
        "CloudFront speaks TLS to the origin by stricter rules than a person who clicks a "
        "warning away. The "
        "certificate must name the origin's domain, or the Host that is forwarded, be "
        "signed by a public authority and "
        "be valid. Nothing may listen on the port, too, or the origin's name may not resolve.",
        "Compare the certificate's names with the origin domain and the forwarded Host. "
        "Install the whole chain. Check "
        "that the load balancer listens on the very port that the origin names.",
        (
            "WSE-502-TLS",
            "WSE-502-PORT",
            "WSE-502-DNS",
            "WSE-502-ORIGIN",
            "WSE-502-VPCORIGIN",
            "WSE-502-2025",
        ),
    ),
    Question(
        "504-network",
        "CloudFront answers 504 after half a minute, and the origin answers me at once",
        "You reach the origin from another network than CloudFront does. Its security "
        "group, a network ACL or VPC "
        "Block Public Access drops CloudFront's packets, so three attempts of ten seconds "
        "end in 504. An app that "
        "needs longer than the read timeout looks alike.",
        "Let the security group of the load balancer accept CloudFront's service group or "
        "its managed prefix list on "
        "the listener's port, and let the network ACL send answers to ports 1024 to 65535.",
        ("WSE-504-SG", "WSE-504-NACL", "WSE-504-BPA", "WSE-504-SLOW", "WSE-504-ALB"),
    ),
    Question(
        "headers",
        "The app misses header lines, or answers 400 or 426 to the handshake",
        "CloudFront passes on only what the cache policy and the origin request policy "
        "name. Without an origin request "
        "policy Sec-WebSocket-Key, Authorization, Origin and your own lines stay behind.",
        "Attach the managed policy AllViewer, or AllViewerExceptHostHeader where the origin "
        "must see its own name. The "
        "probe “The way of each header line” shows which lines arrive.",
        ("WSE-400-NOKEY", "WSE-NOT-FORWARDED", "WSE-101-POLICY", "WSE-400-HOST", "WSE-426-VERSION"),
    ),
    Question(
        "cookies-queries",
        "People are signed out, or the room in the query string is lost",
        "Cookies and query strings stay behind by the same rule as header lines, so that "
        "the app takes everybody for a "
        "stranger. Neither belongs into a cache key of a WebSocket path.",
        "Forward all cookies and query strings in the origin request policy (AllViewer "
        "does), and switch caching off "
        "for the path with the managed policy CachingDisabled.",
        ("WSE-NOT-FORWARDED", "WSE-401-AUTH", "WSE-403-APP", "WSE-404-PATH"),
    ),
    Question(
        "method",
        "CloudFront answers 403 to POST, PUT or DELETE",
        "A behavior allows GET and HEAD unless it says more. The WebSocket handshake is a "
        "GET, but the fallback of "
        "Socket.IO posts.",
        "Allow all seven methods in the behavior that gets the path, and leave caching of "
        "OPTIONS off.",
        ("WSE-403-METHOD", "WSE-405-METHOD"),
    ),
    Question(
        "viewer-https",
        "ws:// or http:// is refused or sent elsewhere",
        "The behavior's viewer protocol policy demands HTTPS: it redirects or answers 403. "
        "WebSocket clients do not "
        "follow redirects.",
        "Use wss:// in the client. Do not weaken the policy.",
        ("WSE-301-REDIRECT", "WSE-403-VIEWER"),
    ),
    Question(
        "redirect-loop",
        "It redirects for ever to the address it came from",
        "CloudFront comes to the load balancer over HTTP, whose listener redirects to "
        "HTTPS, which leads back to "
        "CloudFront. At the origin you typed https:// yourself.",
        "Set the origin to HTTPS only, or let the HTTP listener forward instead of "
        "redirecting. An app that redirects "
        "by itself must read CloudFront-Forwarded-Proto or X-Forwarded-Proto.",
        ("WSE-301-LOOP", "WSE-3XX-APP"),
    ),
    Question(
        "403",
        "CloudFront answers 403 and the origin does not",
        "Something before the app refuses, or the app sees another Origin: a web ACL, "
        "countries, signed cookies, a "
        "name that the distribution does not list, or the app's list of allowed origins.",
        "Test the endpoint: it compares the answer with and without Origin and reads the "
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
    Question(
        "wrong-page",
        "An HTML page or 404 comes instead of the WebSocket",
        "Another behavior gets the path: /ws/* does not match /ws. Or a custom error "
        "response replaces the answer by "
        "the start page with status 200.",
        "List both /ws and /ws/* as path patterns, above the more general ones, and take "
        "the error page off.",
        ("WSE-PATH", "WSE-200-SPA", "WSE-200-NOUPGRADE", "WSE-404-PATH"),
    ),
    Question(
        "cut",
        "It opens, and is cut after a minute of silence",
        "Each hop has an idle clock: 60 seconds for an Application Load Balancer, 350 for a "
        "Network Load Balancer, 600 "
        "for CloudFront, which counts only bytes from the origin.",
        "Send a heartbeat from the server every 20 to 30 seconds. The idle meter names the clock.",
        ("WSE-IDLE-ALB", "WSE-IDLE-NLB", "WSE-IDLE-CLOUDFRONT", "WSE-IDLE-APP", "WSE-1006"),
    ),
)
