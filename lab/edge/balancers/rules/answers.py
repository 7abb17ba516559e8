"""What a load balancer answers itself: error pages, redirects, fixed responses (PURE)."""

from __future__ import annotations

import re

from lab.edge.account.load_balancers import Listener, ListenerAction
from lab.edge.balancers.rules.listener_rules import BalancerRequest
from lab.edge.http.hosts import split_host
from lab.edge.http.messages import Answer, Header, reason_phrase

BALANCER_SERVER = "awselb/2.0"
DEFAULT_PORTS = {"http": "80", "https": "443"}
# ALB guide, "HTTP 464": an HTTP/1.1 request for a target group that speaks HTTP/2 or gRPC.
INCOMPATIBLE_PROTOCOL = 464


def own_answer(
    action: ListenerAction | None, request: BalancerRequest, listener: Listener
) -> Answer:
    """What the balancer answers itself when the action is not to forward."""
    if action is not None and action.type == "redirect":
        return balancer_answer(
            action.status_code, location=redirect_location(action, request, listener)
        )
    if action is not None and action.type == "fixed-response":
        return balancer_answer(action.status_code, action.content_type, action.message_body)
    if action is not None and action.type.startswith("authenticate-"):
        if action.on_unauthenticated == "deny" or not action.login_url:
            return balancer_answer(401)
        return balancer_answer(302, location=action.login_url)
    # No action, or one that this lab does not know.
    return balancer_answer(500)


def balancer_answer(
    status: int, content_type: str = "", body: str = "", location: str = ""
) -> Answer:
    """What the load balancer says by itself: its plain error pages, redirects and fixed
    responses.
    """
    if not content_type and not location:
        content_type = "text/html"
        body = f"<html><head><title>{status} {reason_phrase(status)}</title></head>"
        body += (
            f"<body><h1>{status} {reason_phrase(status)}</h1><p>Answered by the load "
            "balancer.</p></body></html>\n"
        )
    content = body.encode()
    headers: list[Header] = [("Server", BALANCER_SERVER), ("Content-Length", str(len(content)))]
    if content_type:
        headers.append(("Content-Type", content_type))
    if location:
        headers.append(("Location", location))
    return Answer(status, tuple(headers), content)


def redirect_location(action: ListenerAction, request: BalancerRequest, listener: Listener) -> str:
    """The Location of a redirect action, its #{...} placeholders filled in (ALB guide, "Redirect
    actions").
    """
    name, _ = split_host(request.header("host"))
    path, _, query = request.target.partition("?")
    values = {
        "protocol": "https" if listener.protocol == "HTTPS" else "http",
        "port": str(listener.port),
        "host": name,
        "path": path.lstrip("/"),
        "query": query,
    }

    def filled(template: str) -> str:
        return re.sub(r"#\{(\w+)\}", lambda found: values.get(found[1], ""), template)

    protocol = filled(action.redirect_protocol).lower()
    port = filled(action.redirect_port)
    shown_port = "" if port == DEFAULT_PORTS.get(protocol) else f":{port}"
    to_query = filled(action.redirect_query)
    location = (
        f"{protocol}://{filled(action.redirect_host)}{shown_port}{filled(action.redirect_path)}"
    )
    return f"{location}?{to_query}" if to_query else location
