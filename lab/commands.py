"""The lab's command line: faults, clock, state, calls, settings, sockets and log rows, over HTTP.

Exit codes: 0 done, 1 the lab refused or cannot be reached, 2 wrong usage. Imports none of the lab's
servers.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

TIMEOUT = 60.0
_WIDE = 100


class LabError(Exception):
    """The lab refused, or cannot be reached; the message says what to do."""


class Lab:
    """A running lab over HTTP: its AWS endpoint and its edge."""

    def __init__(self, aws: str, edge: str) -> None:
        self.aws = aws.rstrip("/")
        self.edge = edge.rstrip("/")

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        """A request to /_lab of the AWS endpoint; gives the JSON of its answer.

        :raises LabError: it refused, or does not answer.
        """
        return _request(self.aws + path, method, document, {})

    def ask_edge(self, path: str) -> Any:
        """A GET of /_lab of the edge.

        :raises LabError: it refused, or does not answer.
        """
        return _request(self.edge + path, "GET", None, {"Host": "lab.localhost"})


def main(arguments: Sequence[str], program: str = "python -m lab") -> int:
    """Run one command; gives the exit code."""
    parser = build_parser(program)
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    lab = Lab(
        chosen.lab or _default("LAB_AWS_PORT", 8001), chosen.edge or _default("LAB_EDGE_PORT", 8003)
    )
    try:
        answer, text = chosen.do(lab, chosen)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        print(json.dumps(answer, indent=2) if chosen.json else text, flush=True)
    except BrokenPipeError:
        # The reader has closed the pipe. Python would fail again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def build_parser(program: str) -> argparse.ArgumentParser:
    """All commands with their help."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--lab", metavar="URL", help="the lab's AWS endpoint; http://127.0.0.1:$LAB_AWS_PORT"
    )
    shared.add_argument(
        "--edge", metavar="URL", help="the edge's plain port; http://127.0.0.1:$LAB_EDGE_PORT"
    )
    shared.add_argument("--json", action="store_true", help="print the lab's answer as JSON")
    parser = argparse.ArgumentParser(
        prog=program,
        description="Inspect the running lab, and set faults.",
        epilog="python -m lab aws, edge or apps starts one of the lab's processes.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    fault = commands.add_parser("fault", help="list, set and clear faults").add_subparsers(
        metavar="WHAT", required=True
    )
    _add(fault, "list", list_faults, "list all faults, and those that are set", shared)
    setting = _add(fault, "set", set_fault, "set one fault", shared)
    setting.add_argument("name", metavar="NAME", help="the fault, such as security-group-closed")
    setting.add_argument(
        "--distribution", metavar="ID", help="id, domain name or alias of a distribution"
    )
    setting.add_argument("--path", metavar="PATH", help="a path of the endpoint, such as /ws/chat")
    setting.add_argument(
        "--detail", metavar="TEXT", help="the result that the edge logs, such as CapacityExceeded"
    )
    setting.add_argument("--account", metavar="ID", help="only calls of this account")
    setting.add_argument(
        "--service", metavar="NAME", help="only calls of this service, such as cloudfront"
    )
    setting.add_argument(
        "--operation", metavar="NAME", help="only this operation; * matches any letters"
    )
    setting.add_argument("--nth", type=int, metavar="N", help="the first matching call that is hit")
    setting.add_argument("--times", type=int, metavar="N", help="how many matching calls are hit")
    clearing = _add(fault, "clear", clear_faults, "clear one fault, or all of them", shared)
    clearing.add_argument("id", nargs="?", metavar="ID", help="as `fault list` shows it")
    clearing.add_argument("--all", action="store_true", help="clear all that are set")

    clock = _add(
        commands, "clock", clock_command, "show or advance lab time, or change its speed", shared
    )
    clock.add_argument("step", nargs="?", metavar="STEP", help="+90s, +15m, +2h or +1d")
    clock.add_argument(
        "--scale", type=float, metavar="N", help="speed relative to real time; 0 stops the clock"
    )
    _add(commands, "state", show_state, "what the edge knows of the accounts", shared)
    _add(commands, "calls", show_calls, "number of calls of each CloudFront operation", shared)
    settings = _add(commands, "settings", settings_command, "quotas, call rates, read lag", shared)
    settings.add_argument(
        "changes", nargs="*", metavar="SECTION.NAME=VALUE", help="such as quotas.vpc_origins=2"
    )
    _add(commands, "sockets", show_sockets, "open connections through the edge", shared)
    logs = _add(commands, "logs", show_logs, "the edge's access log, newest last", shared)
    logs.add_argument("--distribution", metavar="ID", help="rows of this distribution only")
    logs.add_argument(
        "--limit", type=int, default=50, metavar="N", help="maximum number of rows (50)"
    )
    return parser


def list_faults(lab: Lab, chosen: argparse.Namespace) -> tuple[Any, str]:
    """All faults, then those that are set."""
    answer = lab.ask("GET", "/_lab/faults")
    lines, kind = [], ""
    for fault in answer["faults"]:
        if fault["kind"] != kind:
            kind = fault["kind"]
            lines += ["", f"{kind}:"]
        lines.append(f"  {fault['name']:32} {fault['verdict'] or '-':22} {fault['description']}")
    lines += ["", "set:"]
    lines += [_set_line(fault) for fault in answer["set"]] or ["  none"]
    return answer, "\n".join(lines[1:])


def set_fault(lab: Lab, chosen: argparse.Namespace) -> tuple[Any, str]:
    """Set a fault; says what it hits and what a client will see."""
    names = (
        "name",
        "distribution",
        "path",
        "detail",
        "account",
        "service",
        "operation",
        "nth",
        "times",
    )
    given = {name: getattr(chosen, name) for name in names if getattr(chosen, name) is not None}
    answer = lab.ask("POST", "/_lab/faults", given)
    verdict = f", verdict {answer['verdict']}" if answer["verdict"] else ""
    lines = [
        f"{answer['id']}  {answer['name']} is set.",
        f"  clients see: {answer['signature']}{verdict}",
    ]
    lines += [f"  changed: {change}" for change in answer["changed"]]
    if answer["hit"] and not answer["edge_knows"]:
        lines.append("  The edge does not know it yet, or is not running.")
    return answer, "\n".join([*lines, f"  undo with: fault clear {answer['id']}"])


def clear_faults(lab: Lab, chosen: argparse.Namespace) -> tuple[Any, str]:
    """Clear one fault, or all."""
    if bool(chosen.id) == chosen.all:
        raise LabError("Use: fault clear ID, or fault clear --all")
    answer = lab.ask(
        "DELETE", f"/_lab/faults/{quote(chosen.id, safe='')}" if chosen.id else "/_lab/faults"
    )
    return answer, "\n".join(
        f"{item['id']}  {item['name']} is cleared." for item in answer["cleared"]
    ) or "No fault was set."


def clock_command(lab: Lab, chosen: argparse.Namespace) -> tuple[Any, str]:
    """Show, advance or speed up the clock."""
    change = {"advance": chosen.step} if chosen.step else {}
    if chosen.scale is not None:
        change["scale"] = chosen.scale
    answer = lab.ask("POST", "/_lab/clock", change) if change else lab.ask("GET", "/_lab/clock")
    pace = f"{answer['scale']:g} times as fast as real time" if answer["scale"] else "stopped"
    return (
        answer,
        f"lab time {answer['now']}, {pace}, advanced by {answer['offset_seconds']:g} s so far",
    )


def show_state(lab: Lab, chosen: argparse.Namespace) -> tuple[Any, str]:
    """One line per item; --json prints the whole document."""
    answer = lab.ask("GET", "/_lab/state")
    lines = [f"version {answer['version']}"]
    for item in answer["distributions"]:
        lines.append(
            f"distribution   {item['id']}  {item['domain']}  {item['status']}  account "
            f"{item['account']}"
        )
    for item in answer["vpc_origins"]:
        lines.append(f"VPC origin     {item['id']}  {item['status']}  {item['endpoint_arn']}")
    for item in answer["load_balancers"]:
        ports = ", ".join(
            f"{listener['protocol']} {listener['port']}" for listener in item["listeners"]
        )
        lines.append(f"load balancer  {item['name']}  {item['scheme']}  {item['state']}  {ports}")
    lines += [f"fault          {item['id']}  {item['name']}" for item in answer.get("faults", [])]
    return answer, "\n".join(lines)


def show_calls(lab: Lab, chosen: argparse.Namespace) -> tuple[Any, str]:
    """Number of calls, the most frequent operation first."""
    answer = lab.ask("GET", "/_lab/calls")
    counts = sorted(answer["cloudfront"].items(), key=lambda pair: (-pair[1], pair[0]))
    return answer, "\n".join(
        [*(f"{count:8}  {name}" for name, count in counts), f"{answer['total']:8}  total"]
    )


def settings_command(lab: Lab, chosen: argparse.Namespace) -> tuple[Any, str]:
    """Show settings, or change some."""
    change: dict[str, dict[str, Any]] = {}
    for text in chosen.changes:
        where, equals, value = text.partition("=")
        section, dot, name = where.partition(".")
        if not equals or not dot:
            raise LabError(
                f"{text!r} is not SECTION.NAME=VALUE, such as quotas.vpc_origins=2. An empty "
                "value restores the default."
            )
        change.setdefault(section, {})[name] = _value(value)
    answer = (
        lab.ask("POST", "/_lab/settings", change) if change else lab.ask("GET", "/_lab/settings")
    )
    lines = [
        f"{section}.{name}={value}"
        for section, values in answer.items()
        for name, value in values.items()
    ]
    return answer, "\n".join(lines)


def show_sockets(lab: Lab, chosen: argparse.Namespace) -> tuple[Any, str]:
    """Open connections, oldest first."""
    answer = lab.ask_edge("/_lab/sockets")
    lines = [
        f"{item['hop']:12} {item['from']} -> {item['to']}  open {item['open_seconds']} s"
        for item in answer["sockets"]
    ]
    return answer, "\n".join(lines) or "No open connections."


def show_logs(lab: Lab, chosen: argparse.Namespace) -> tuple[Any, str]:
    """Log rows, oldest first."""
    asked = {
        "limit": chosen.limit,
        **({"distribution": chosen.distribution} if chosen.distribution else {}),
    }
    answer = lab.ask_edge(f"/_lab/logs?{urlencode(asked)}")
    names = (
        "date",
        "time",
        "sc-status",
        "cs-protocol",
        "cs-method",
        "cs-uri-stem",
        "x-edge-detailed-result-type",
    )
    lines = ["  ".join(str(row.get(name, "-")) for name in names)[:_WIDE] for row in answer["rows"]]
    return answer, "\n".join(lines) or "No log rows yet."


def _add(
    commands: Any,
    name: str,
    do: Callable[[Lab, argparse.Namespace], tuple[Any, str]],
    words: str,
    shared: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=words, description=words, parents=[shared]
    )
    made.set_defaults(do=do)
    return made


def _set_line(fault: Mapping[str, Any]) -> str:
    given = " ".join(f"{name}={value}" for name, value in fault["given"].items())
    hit = f"  hit {fault['calls_hit']} calls" if "calls_hit" in fault else ""
    return f"  {fault['id']}  {fault['name']}  {given}{hit}"


def _value(text: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _default(variable: str, port: int) -> str:
    return f"http://127.0.0.1:{os.environ.get(variable) or port}"


def _request(url: str, method: str, document: Any, headers: Mapping[str, str]) -> Any:
    data = None if document is None else json.dumps(document).encode()
    try:
        request = urllib.request.Request(url, data=data, method=method, headers=dict(headers))  # noqa: S310
        # A company's proxy cannot reach this machine's loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=TIMEOUT) as reply:
            return json.loads(reply.read() or b"null")
    except urllib.error.HTTPError as refused:
        raise LabError(_why(refused)) from None
    except (OSError, ValueError) as error:
        raise LabError(
            f"The lab does not answer at {url}: {error}. Is it running? Give its address with "
            "--lab or --edge."
        ) from None


def _why(refused: urllib.error.HTTPError) -> str:
    body = refused.read()
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"{refused.url}: {refused.code} {body[:200]!r}"
