"""`manage.py probe wss://…`: one handshake or measurement from the command line, explained.

It needs no database. The operator's settings (PROBE_ALLOWED_NETWORKS, PROBE_CONNECT_TO,
PROBE_CA_FILE) say what may be contacted; options widen that, since anyone who can run this command
operates the portal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import sys
import textwrap
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
    OutputWrapper,
)

from checks.actions import probe_network
from checks.diagnosis.idle_timeout import ALB_SECONDS, NLB_SECONDS, identify_timeout, usual_timeouts
from checks.diagnosis.transcript_rules import diagnose
from checks.output.cli_output import comparison_lines, document, report_lines, way_lines
from checks.output.comparison import compare
from checks.output.reports import (
    Report,
    broadcast_report,
    crowd_report,
    idle_report,
    reconnect_report,
)
from checks.probe.limits import Limits
from checks.probe.multi_socket import (
    MAX_CLIENTS,
    MAX_IDLE_SECONDS,
    MAX_RECONNECTS,
    gather_broadcast,
    gather_crowd,
    measure_idle,
    reconnect,
)
from checks.probe.prober import ProbeNetwork, probe
from checks.protocol.address_guard import IPNetwork, parse_networks
from checks.protocol.connect_to import ConnectRule, ConnectToError, parse_connect_to
from checks.protocol.deflate import OFFER
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script, ScriptError, Step, parse_script
from checks.protocol.transcript import Reason, Transcript
from provisioning.redaction.masking import mask_text, mask_url
from provisioning.spec.client_profiles import CLIENTS

LIVE, NOT_LIVE, UNUSABLE = 0, 1, 2
MAX_ROUTES = 6
EXAMPLES = """examples:
  python manage.py probe wss://chat.example.com/ws
  python manage.py probe wss://chat.example.com/ws --origin https://app.example.com --without-origin
  python manage.py probe wss://chat.example.com/ws --compare direct=wss://direct.example.com/ws
  python manage.py probe wss://chat.example.com/ws --header 'Cookie: id=…' --handshake-only
  python manage.py probe ws://localhost:8080/ws --allow 127.0.0.0/8 --any-port
  python manage.py probe wss://chat.example.com/ws --json
"""
EPILOG = (
    "Exit code: 0 live (the idle socket stayed open, every client received every message, "
    "every reconnect succeeded); 1 not live; 2 the probe was not made (a wrong option, a refused "
    "address); 130 interrupted."
)
LONGEST_FILE = 256 * 1024
INTERRUPTED = 130
"""The shell's exit code after Ctrl-C."""
METERS = ("idle", "crowd", "broadcast", "reconnect")
BEATS = 12
"""How many messages the talking sockets of --idle send, without --every."""


class UnusableError(CommandError):
    """Options that cannot be combined."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, returncode=UNUSABLE)


class _Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the examples."""


@dataclass(frozen=True, slots=True)
class _Route:
    """One route to the app: its name in the comparison, and its target."""

    name: str
    target: ProbeTarget


class Command(BaseCommand):
    """Parses, probes, prints."""

    help = "Try a WebSocket handshake and explain the result."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        """Django's parser, with examples and exit codes in its help."""
        told = f"{EXAMPLES}\n{textwrap.fill(EPILOG, 100)}"
        parser = super().create_parser(prog_name, subcommand, epilog=told, **options)
        parser.formatter_class = _Formatter
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        """Every outcome ends with a message and an exit code; with --json, as one JSON document."""
        as_json = "--json" in argv
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal may not know every character, and an argument may not be text.
                stream.reconfigure(errors="backslashreplace")
        if not argv[2:]:
            self.stderr.write(
                f"Give a URL to probe.\n\n{EXAMPLES}\nAll options: python manage.py probe --help"
            )
            sys.exit(UNUSABLE)
        said = io.StringIO()
        if as_json:
            self.stderr = OutputWrapper(said)
        try:
            with contextlib.redirect_stderr(said) if as_json else contextlib.nullcontext():
                super().run_from_argv(argv)
        except SystemExit as end:
            if as_json and end.code == UNUSABLE and said.getvalue():
                self._as_json(said.getvalue(), "error: ")
            self._print()
            sys.exit(end.code)
        except KeyboardInterrupt:
            if as_json:
                self._as_json("interrupted")
            sys.stderr.write("Interrupted: nothing is known of the endpoint.\n")
            sys.exit(INTERRUPTED)

    def _as_json(self, text: str, after: str = "") -> None:
        """One document on standard output, the same words on standard error."""
        told = (
            (text.rpartition(after)[2] if after else text).strip().removeprefix("UnusableError: ")
        )
        sys.stderr.write(text if text.endswith("\n") else f"{text}\n")
        self._print(json.dumps({"live": False, "error": told}, indent=2))

    def _print(self, *texts: str) -> None:
        """All of it, or as much as is read: who had enough, such as head, changes nothing about the
        exit code.
        """
        try:
            for text in texts:
                self.stdout.write(text)
            self.stdout.flush()
        except OSError as error:
            # Python would complain once more when it closes the stream.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            if not isinstance(error, BrokenPipeError):
                sys.stderr.write(f"error: the answer cannot be written: {error}\n")
                sys.exit(UNUSABLE)

    def add_arguments(self, parser: CommandParser) -> None:
        """What can be said."""
        parser.add_argument("url", help="wss://host/path or ws://host/path")
        parser.add_argument(
            "--header",
            action="append",
            default=[],
            type=_header,
            metavar="'NAME: VALUE'",
            help="add a header; can be repeated",
        )
        parser.add_argument(
            "--subprotocol",
            action="append",
            default=[],
            metavar="NAME",
            help="offer a subprotocol; can be repeated",
        )
        parser.add_argument(
            "--origin", metavar="ORIGIN", help="the Origin header, such as https://app.example.com"
        )
        parser.add_argument(
            "--client",
            choices=CLIENTS,
            default="browser",
            help="whose header lines are sent, User-Agent among them; default: browser",
        )
        parser.add_argument(
            "--compress", action="store_true", help="offer permessage-deflate, as browsers do"
        )
        parser.add_argument(
            "--plain", action="store_true", help="compare with a plain GET of the same URL"
        )
        parser.add_argument(
            "--without-origin",
            action="store_true",
            help="compare with the same handshake without Origin",
        )
        meters = parser.add_mutually_exclusive_group()
        meters.add_argument(
            "--idle",
            type=_seconds,
            metavar="SECONDS",
            help="hold silent sockets and name the timeout that closes them; at most "
            f"{MAX_IDLE_SECONDS:g}",
        )
        meters.add_argument(
            "--crowd",
            type=_from(2, MAX_CLIENTS),
            metavar="N",
            help="N clients at the same time, which send nothing",
        )
        meters.add_argument(
            "--broadcast",
            type=_from(2, MAX_CLIENTS),
            metavar="N",
            help="N clients at the same time; each sends a line and must receive every other's",
        )
        meters.add_argument(
            "--reconnect",
            type=_from(1, MAX_RECONNECTS),
            metavar="N",
            help="connect and close N times",
        )
        parser.add_argument(
            "--every",
            type=_seconds,
            metavar="SECONDS",
            help="with --idle: how often the other sockets send a message",
        )
        parser.add_argument(
            "--script",
            type=_script,
            metavar="FILE",
            help="what to send and expect; - reads standard input",
        )
        parser.add_argument(
            "--handshake-only", action="store_true", help="close right after the 101"
        )
        parser.add_argument(
            "--echo",
            action="store_true",
            help="send one line, which must come back; without it nothing is sent but a ping",
        )
        parser.add_argument(
            "--compare",
            action="append",
            default=[],
            metavar="[NAME=]URL",
            help="compare with another route to the app; can be repeated",
        )
        parser.add_argument(
            "--connect-to",
            action="append",
            default=[],
            type=_rules,
            metavar="HOST:PORT:TO:PORT",
            help="connect elsewhere, like curl's option; Host and TLS name stay",
        )
        parser.add_argument("--ca", metavar="FILE", help="trust this CA file too")
        parser.add_argument(
            "--allow",
            action="append",
            default=[],
            type=_networks,
            metavar="NETWORK",
            help="allow a network that is not public, such as 10.0.0.0/8",
        )
        parser.add_argument(
            "--any-port", action="store_true", help="allow ports other than 80 and 443"
        )
        parser.add_argument(
            "--timeout",
            type=_seconds,
            metavar="SECONDS",
            help="limit for the whole probe; with --broadcast for each message, with --reconnect "
            "for each connection",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Probe all routes at the same time, or measure one; print, and exit with the code."""
        if any(options[name] is not None for name in METERS):
            self._measure(options)
        if options["every"] is not None:
            raise UnusableError("--every needs --idle.")
        steps: tuple[Step, ...] = options["script"] or ()
        script = _script_of(options)
        usual = Limits()
        total = options["timeout"] or usual.total_s + sum(step.seconds for step in steps)
        routes = _routes(options)
        network, limits = _network(options), replace(usual, total_s=total)

        async def probe_all() -> list[Transcript]:
            return await asyncio.gather(
                *(
                    probe(route.target, network=network, script=script, limits=limits)
                    for route in routes
                )
            )

        seen = asyncio.run(probe_all())
        judged = [
            (route.name, transcript, diagnose(transcript))
            for route, transcript in zip(routes, seen, strict=True)
        ]
        if options["json"]:
            live = all(_exit_code(transcript) == LIVE for transcript in seen)
            self._print(json.dumps(document(live, judged), indent=2))
        else:
            told = [
                way_lines(name if len(judged) > 1 else "", shown, found)
                for name, shown, found in judged
            ]
            if len(judged) > 1:
                told.append(comparison_lines(compare([(name, shown) for name, shown, _ in judged])))
            self._print(*("\n".join(lines) for lines in told))
        sys.exit(max(_exit_code(transcript) for transcript in seen))

    def _measure(self, options: dict[str, Any]) -> None:
        """Make one measurement, and exit with the code."""
        beside = [f"--{name.replace('_', '-')}" for name in _ONE_HANDSHAKE if options[name]]
        if beside:
            raise UnusableError(
                f"{' and '.join(beside)} cannot be combined with --idle, --crowd, --broadcast or "
                "--reconnect."
            )
        if options["every"] is not None and options["idle"] is None:
            raise UnusableError("--every needs --idle.")
        if options["timeout"] is not None and options["idle"] is not None:
            raise UnusableError(
                "--timeout cannot be combined with --idle, which sets the time itself."
            )
        told, seen, measured = asyncio.run(_meter(options, _target(options), _network(options)))
        code = (
            max(_exit_code(one) for one in seen if one.failure is not None)
            if _refused(seen)
            else int(not told.ok)
        )
        if options["json"]:
            self._print(
                json.dumps(
                    {"url": mask_url(options["url"]), **told.to_dict(), **measured}, indent=2
                )
            )
        else:
            self._print("\n".join(report_lines(told)))
        sys.exit(code)


_ONE_HANDSHAKE = ("plain", "without_origin", "compare", "script", "echo", "handshake_only")


async def _meter(
    options: dict[str, Any], target: ProbeTarget, network: ProbeNetwork
) -> tuple[Report, Sequence[Transcript], dict[str, Any]]:
    """The report, the transcripts, and the figures for --json."""
    if options["idle"] is not None:
        every = options["every"] or options["idle"] / BEATS
        clocks = usual_timeouts(alb=ALB_SECONDS, nlb=NLB_SECONDS, pace=settings.PROBE_IDLE_PACE)
        silence = await measure_idle(target, network=network, seconds=options["idle"], every=every)
        figures: dict[str, Any] = {
            "heartbeat_seconds": identify_timeout(silence.readings, clocks).heartbeat,
            "readings": [asdict(reading) for reading in silence.readings],
        }
        return idle_report(silence.readings, clocks, silence.seen), silence.seen, figures
    if options["crowd"] is not None:
        seen = await gather_crowd(target, network=network, clients=options["crowd"])
        live = sum(transcript.live for transcript in seen)
        return crowd_report(seen), seen, {"clients": len(seen), "stayed": live}
    if options["broadcast"] is not None:
        sent = await gather_broadcast(
            target,
            network=network,
            clients=options["broadcast"],
            within_s=options["timeout"] or 5.0,
        )
        figures = {"clients": sent.clients, "opened": sent.opened, "missing": list(sent.missing)}
        return broadcast_report(sent), sent.seen, figures
    seen = await reconnect(
        target,
        network=network,
        times=options["reconnect"],
        limits=replace(Limits(), total_s=options["timeout"] or Limits().total_s),
    )
    times = [transcript.timing.total for transcript in seen]
    return reconnect_report(seen), seen, {"times": len(seen), "total_ms": times}


def _script_of(options: dict[str, Any]) -> Script:
    if options["script"]:
        return Script.of_steps(options["script"])
    if options["handshake_only"]:
        return Script.handshake_only()
    return Script.echo() if options["echo"] else Script()


def _target(options: dict[str, Any]) -> ProbeTarget:
    return ProbeTarget(
        url=options["url"],
        headers=tuple(options["header"]),
        subprotocols=tuple(options["subprotocol"]),
        extensions=(OFFER,) if options["compress"] else (),
        client=options["client"],
        origin=options["origin"],
    )


def _routes(options: dict[str, Any]) -> list[_Route]:
    first = _target(options)
    routes = [_Route("first", first)]
    if options["plain"]:
        routes.append(_Route("plain GET", replace(first, upgrade=False)))
    if options["without_origin"]:
        if first.origin is None:
            raise UnusableError(
                "--without-origin needs --origin: without it no Origin header is sent."
            )
        routes.append(_Route("without Origin", replace(first, origin=None)))
    if len(routes) + len(options["compare"]) > MAX_ROUTES:
        raise UnusableError(f"At most {MAX_ROUTES} routes can be compared, including the first.")
    for number, text in enumerate(options["compare"], len(routes) + 1):
        name, separator, url = text.partition("=")
        named = bool(separator) and "/" not in name
        routes.append(
            _Route(
                (named and name.strip()) or f"route {number}",
                replace(first, url=url if named else text),
            )
        )
    return routes


def _network(options: dict[str, Any]) -> ProbeNetwork:
    try:
        usual = probe_network()
    except ValueError as error:
        raise UnusableError(
            f"PROBE_CONNECT_TO or PROBE_ALLOWED_NETWORKS cannot be read: {error}"
        ) from error
    rules = tuple(rule for given in options["connect_to"] for rule in given)
    networks = tuple(network for given in options["allow"] for network in given)
    return replace(
        usual,
        connect_to=(*rules, *usual.connect_to),
        ca_file=options["ca"] or usual.ca_file,
        allowed_networks=(*usual.allowed_networks, *networks),
        allowed_ports=range(1, 65536) if options["any_port"] else usual.allowed_ports,
    )


def _exit_code(seen: Transcript) -> int:
    if seen.live or (
        seen.request is not None and not seen.request.upgrade and seen.response is not None
    ):
        return LIVE
    return UNUSABLE if _refused((seen,)) else NOT_LIVE


def _refused(seen: Sequence[Transcript]) -> bool:
    """Something was not tried, because it must not be."""
    refused = (Reason.BAD_URL, Reason.BAD_REQUEST, Reason.ADDRESS_REFUSED, Reason.PROBE_ERROR)
    return any(one.failure is not None and one.failure.reason in refused for one in seen)


def _from(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if (
            not (text.isascii() and text.isdigit() and len(text) < 10)
            or not least <= int(text) <= most
        ):
            raise ArgumentTypeError(f"{text[:20]!r} is not a whole number from {least} to {most}")
        return int(text)

    return number


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        told = mask_text(text, guess=True)
        raise ArgumentTypeError(f"{told!r} is not a header; write 'Name: value'")
    return name.strip(), value.strip()


def _script(name: str) -> tuple[Step, ...]:
    # sys.stdin is None if the caller closed it.
    here = sys.stdin or io.StringIO()
    try:
        with (
            contextlib.nullcontext(here)
            if name == "-"
            else Path(name).open(encoding="utf-8") as file
        ):
            text = file.read(LONGEST_FILE + 1)
        if len(text) > LONGEST_FILE:
            raise ArgumentTypeError(
                f"{name} is longer than {LONGEST_FILE // 1024} KiB, too long for a script."
            )
        steps = parse_script(text)
    except ScriptError as error:
        raise ArgumentTypeError(f"{name}: {error}") from error
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"{name!r} cannot be read: {error}") from error
    if not steps:
        raise ArgumentTypeError(
            f"{name} has no steps; write for example send hello, then expect text hello."
        )
    return steps


def _rules(text: str) -> tuple[ConnectRule, ...]:
    try:
        return parse_connect_to(text)
    except ConnectToError as error:
        raise ArgumentTypeError(str(error)) from error


def _networks(text: str) -> tuple[IPNetwork, ...]:
    try:
        return parse_networks(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a network: {error}") from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 900:
        raise ArgumentTypeError(f"{text!r} is not between 0 and 900 seconds")
    return seconds
