"""Faults of the app: a misbehaving app replaces the endpoint's targets (DATA).

Other endpoints with the same targets get the same app.
"""

from __future__ import annotations

from lab.faults.catalogue.fault import ENDPOINT, ClientAction, Fault, FaultKind, Signature


def _app(name: str, app: str, description: str, signature: Signature, verdict: str) -> Fault:
    return Fault(
        name, description, FaultKind.APP, signature, verdict, ENDPOINT, ("distribution",), app=app
    )


FAULTS: tuple[Fault, ...] = (
    _app(
        "app-origin-check",
        "origin-check",
        "The app refuses every Origin but its own.",
        Signature(
            "403 from the app, unless no Origin is sent", (403,), action=ClientAction.FOREIGN_ORIGIN
        ),
        "WSE-403-ORIGIN",
    ),
    _app(
        "app-host-check",
        "host-check",
        "The app refuses every Host but its own, as Django's ALLOWED_HOSTS does.",
        Signature("400 from the app", (400,)),
        "WSE-400-HOST",
    ),
    _app(
        "app-no-subprotocol",
        "subprotocol-ignored",
        "The app opens the WebSocket, but does not choose a subprotocol.",
        Signature(
            "101 without Sec-WebSocket-Protocol, although one was offered",
            (101,),
            action=ClientAction.SUBPROTOCOL,
        ),
        "WSE-101-NOSUBPROTOCOL",
    ),
    _app(
        "app-half-deflate",
        "deflates-unasked",
        "The app sends compressed frames, although compression was not negotiated.",
        Signature(
            "101, then a protocol error on the first frame",
            (101,),
            close=(1002, 1006),
            action=ClientAction.MESSAGE,
        ),
        "WSE-FRAME",
    ),
    _app(
        "app-needs-login",
        "needs-login",
        "The app answers 401 unless the request carries its token.",
        Signature("401 from the app", (401,)),
        "WSE-401-AUTH",
    ),
    _app(
        "app-redirects-to-login",
        "sends-to-login",
        "The app redirects clients without a session to its login page.",
        Signature("302 from the app", (302,)),
        "WSE-3XX-APP",
    ),
    _app(
        "app-redirects-to-https",
        "redirects-to-https",
        "The app redirects to https, because it sees http.",
        Signature("301 to the same URL, endlessly", (301,)),
        "WSE-301-LOOP",
    ),
    _app(
        "app-not-found",
        "not-found",
        "The app has no such path.",
        Signature("404 from the app", (404,)),
        "WSE-404-PATH",
    ),
    _app(
        "app-answers-html",
        "single-page",
        "The app answers every path with its web page.",
        Signature("200 text/html from the app", (200,)),
        "WSE-200-SPA",
    ),
    _app(
        "app-ignores-upgrade",
        "ignores-upgrade",
        "The app ignores the Upgrade header.",
        Signature("200 with JSON from the app", (200,)),
        "WSE-200-NOUPGRADE",
    ),
    _app(
        "app-no-websocket",
        "no-websocket",
        "The app answers every handshake with 426.",
        Signature("426 from the app", (426,)),
        "WSE-426-VERSION",
    ),
    _app(
        "app-breaks",
        "breaks",
        "The app answers 500.",
        Signature("500 from the app", (500,)),
        "WSE-500-APP",
    ),
    _app(
        "app-overloaded",
        "overloaded",
        "The app answers 503 with Retry-After.",
        Signature("503 from the app", (503,)),
        "WSE-503-APP",
    ),
    _app(
        "app-crashes",
        "resets",
        "The app resets the connection after it has read the request.",
        Signature("502 from the load balancer", (502,), "awselb/2.0"),
        "WSE-502-ALB",
    ),
    _app(
        "app-slow",
        "slow-accept",
        "The app takes longer to answer than CloudFront waits.",
        Signature("504 from the edge", (504,), "CloudFront"),
        "WSE-504-SLOW",
    ),
    _app(
        "app-silent",
        "silent",
        "The app opens the WebSocket, then sends nothing and answers nothing.",
        Signature("101, then silence", (101,), action=ClientAction.MESSAGE),
        "WSE-NOPONG",
    ),
    _app(
        "app-closes",
        "closes",
        "The app opens the WebSocket and closes it immediately.",
        Signature("101, then 1011", (101,), close=(1011,), action=ClientAction.MESSAGE),
        "WSE-CLOSED",
    ),
    _app(
        "app-drops",
        "drops",
        "The app opens the WebSocket and ends the TCP connection without a close frame.",
        Signature("101, then 1006", (101,), close=(1006,), action=ClientAction.MESSAGE),
        "WSE-1006",
    ),
)
