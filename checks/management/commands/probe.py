"""`manage.py probe wss://…`: one handshake, or a meter, from the command line, explained.

Decides what is printed and the exit code. It needs no database. What may be contacted is what the
operator's settings allow (PROBE_ALLOWED_NETWORKS, PROBE_CONNECT_TO, PROBE_CA_FILE), widened by this
command's own options: whoever may run it operates the portal.
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
from checks.output.reports import Report, crowd_report, idle_report, reconnect_report
from checks.probe.limits import Limits
from checks.probe.multi_socket import (
    MOST_CLIENTS,
    MOST_IDLE_SECONDS,
    MOST_RECONNECTS,
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

LIVE, NOT_LIVE, UNUSABLE = 0, 1, 2
MOST_WAYS = 6
EXAMPLES = """examples:
  python manage.py probe wss://chat.example.com/ws
  python manage.py probe wss://chat.example.com/ws --origin https://app.example.com --without-origin
  python manage.py probe wss://chat.example.com/ws --compare direct=wss://direct.example.com/ws
  python manage.py probe wss://chat.example.com/ws --header 'Authorization: Bearer …' --handshake-only
  python manage.py probe ws://localhost:8080/ws --allow 127.0.0.0/8 --any-port
  python manage.py probe wss://chat.example.com/ws --json
"""
EPILOG = (
    "Exit code: 0 live (the silent socket stayed open, everybody heard everybody, every "
    "reconnect came back), 1 not, "
    "2 the probe could not be made as asked (a wrong option, a refused address), 130 interrupted."
)
LONGEST_FILE = 256 * 1024
INTERRUPTED = 130
"""As shells count a process that Ctrl-C ended."""
METERS = ("idle", "crowd", "reconnect")
BEATS = 12
"""Without --every, the talking sockets of the idle meter say something this often."""


class UnusableError(CommandError):
    """Options that do not go together; the exit code says so too."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, returncode=UNUSABLE)


class _Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the examples."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to the app: its name in the comparison, and what is asked there."""

    name: str
    target: ProbeTarget


class Command(BaseCommand):
    """Parses, probes, prints."""

    help = "Tries a WebSocket handshake and explains what happened."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        """Django's parser, with examples and the exit codes under it."""
        told = f"{EXAMPLES}\n{textwrap.fill(EPILOG, 100)}"
        parser = super().create_parser(prog_name, subcommand, epilog=told, **options)
        parser.formatter_class = _Formatter
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        """Whatever happens ends in words and an exit code: with --json, in one JSON document
        too.
        """
        as_json = "--json" in argv
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal may not know every sign, and a name from the command line may be no
                # text.
                stream.reconfigure(errors="backslashreplace")
        if not argv[2:]:
            self.stderr.write(
                f"Say which address to try.\n\n{EXAMPLES}\nAll options: python manage.py "
                "probe --help"
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
            help="a header line besides the usual ones; may repeat",
        )
        parser.add_argument(
            "--subprotocol",
            action="append",
            default=[],
            metavar="NAME",
            help="offer this subprotocol; may repeat",
        )
        parser.add_argument("--origin", metavar="ORIGIN", help="the page a browser would have open")
        parser.add_argument(
            "--compress", action="store_true", help="offer permessage-deflate, as browsers do"
        )
        parser.add_argument(
            "--plain", action="store_true", help="beside it, a plain GET of the same address"
        )
        parser.add_argument(
            "--without-origin",
            action="store_true",
            help="beside it, the same without an Origin line",
        )
        meters = parser.add_mutually_exclusive_group()
        meters.add_argument(
            "--idle",
            type=_seconds,
            metavar="SECONDS",
            help="hold silent sockets and name the clock that ends them; at most "
            f"{MOST_IDLE_SECONDS:g}",
        )
        meters.add_argument(
            "--crowd",
            type=_from(2, MOST_CLIENTS),
            metavar="N",
            help="so many clients at once, each must hear every other (a chat)",
        )
        meters.add_argument(
            "--reconnect",
            type=_from(1, MOST_RECONNECTS),
            metavar="N",
            help="connect, close and come back, N times",
        )
        parser.add_argument(
            "--every",
            type=_seconds,
            metavar="SECONDS",
            help="with --idle: how often the sockets beside it talk",
        )
        parser.add_argument(
            "--script", type=_script, metavar="FILE", help="what to say and expect; - reads it here"
        )
        parser.add_argument(
            "--handshake-only", action="store_true", help="close right after the 101"
        )
        parser.add_argument(
            "--compare",
            action="append",
            default=[],
            metavar="[NAME=]URL",
            help="another way to the same app; may repeat",
        )
        parser.add_argument(
            "--connect-to",
            action="append",
            default=[],
            type=_rules,
            metavar="HOST:PORT:TO:PORT",
            help="where to connect instead, as curl does; Host and TLS name stay",
        )
        parser.add_argument("--ca", metavar="FILE", help="trust this CA file as well")
        parser.add_argument(
            "--allow",
            action="append",
            default=[],
            type=_networks,
            metavar="NETWORK",
            help="addresses that are not public and may be contacted all the same, such as "
            "10.0.0.0/8",
        )
        parser.add_argument("--any-port", action="store_true", help="not only 80 and 443")
        parser.add_argument(
            "--timeout",
            type=_seconds,
            metavar="SECONDS",
            help="for everything together; of a crowd for each line that must be heard, of "
            "reconnects for each",
        )
        parser.add_argument(
            "--json", action="store_true", help="one JSON document on standard output"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Probe every way at once, or measure one, print, and end with the exit code."""
        if any(options[name] is not None for name in METERS):
            self._measure(options)
        if options["every"] is not None:
            raise UnusableError("--every goes with --idle.")
        steps: tuple[Step, ...] = options["script"] or ()
        script = Script.of_steps(steps) if steps or options["handshake_only"] else Script()
        usual = Limits()
        total = options["timeout"] or usual.total_s + sum(step.seconds for step in steps)
        ways = _ways(options)
        seen = asyncio.run(
            _probe_all(ways, _network(options), script, replace(usual, total_s=total))
        )
        judged = [
            (way.name, transcript, diagnose(transcript))
            for way, transcript in zip(ways, seen, strict=True)
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
        """One meter at one address; ends with the exit code."""
        beside = [f"--{name.replace('_', '-')}" for name in _ONE_HANDSHAKE if options[name]]
        if beside:
            raise UnusableError(
                f"{' and '.join(beside)} cannot be combined with --idle, --crowd or --reconnect."
            )
        if options["every"] is not None and options["idle"] is None:
            raise UnusableError("--every goes with --idle.")
        if options["timeout"] is not None and options["idle"] is not None:
            raise UnusableError("--timeout does not go with --idle, which says how long by itself.")
        told, seen, measured = asyncio.run(_meter(options, _target(options), _network(options)))
        code = (
            max(_exit_code(one) for one in seen if one.failure is not None)
            if _refused(seen)
            else int(not told.ok)
        )
        if options["json"]:
            self._print(json.dumps({"url": options["url"], **told.to_dict(), **measured}, indent=2))
        else:
            self._print("\n".join(report_lines(told)))
        sys.exit(code)


_ONE_HANDSHAKE = ("plain", "without_origin", "compare", "script", "handshake_only")


async def _meter(
    options: dict[str, Any], target: ProbeTarget, network: ProbeNetwork
) -> tuple[Report, Sequence[Transcript], dict[str, Any]]:
    """What is told, what was seen, and the figures behind it for machines."""
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
        crowd = await gather_crowd(
            target, network=network, clients=options["crowd"], within_s=options["timeout"] or 5.0
        )
        figures = {"clients": crowd.clients, "opened": crowd.opened, "missing": list(crowd.missing)}
        return crowd_report(crowd), crowd.seen, figures
    seen = await reconnect(
        target,
        network=network,
        times=options["reconnect"],
        limits=replace(Limits(), total_s=options["timeout"] or Limits().total_s),
    )
    times = [transcript.timing.total for transcript in seen]
    return reconnect_report(seen), seen, {"times": len(seen), "total_ms": times}


async def _probe_all(
    ways: Sequence[_Way], network: ProbeNetwork, script: Script, limits: Limits
) -> list[Transcript]:
    return await asyncio.gather(
        *(probe(way.target, network=network, script=script, limits=limits) for way in ways)
    )


def _target(options: dict[str, Any]) -> ProbeTarget:
    return ProbeTarget(
        url=options["url"],
        headers=tuple(options["header"]),
        subprotocols=tuple(options["subprotocol"]),
        extensions=(OFFER,) if options["compress"] else (),
        origin=options["origin"],
    )


def _ways(options: dict[str, Any]) -> list[_Way]:
    first = _target(options)
    ways = [_Way("first", first)]
    if options["plain"]:
        ways.append(_Way("plain GET", replace(first, upgrade=False)))
    if options["without_origin"]:
        if first.origin is None:
            raise UnusableError(
                "--without-origin needs --origin: without it no Origin line is sent anyway."
            )
        ways.append(_Way("without Origin", replace(first, origin=None)))
    if len(ways) + len(options["compare"]) > MOST_WAYS:
        raise UnusableError(
            f"At most {MOST_WAYS} ways can be compared at once, the first address among them."
        )
    for number, text in enumerate(options["compare"], len(ways) + 1):
        name, separator, url = text.partition("=")
        named = bool(separator) and "/" not in name
        ways.append(
            _Way(
                (named and name.strip()) or f"way {number}",
                replace(first, url=url if named else text),
            )
        )
    return ways


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
    """Was something not tried at all, because it must not be?"""
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
        raise ArgumentTypeError(f"{text!r} is no header; write 'Name: value'")
    return name.strip(), value.strip()


def _script(name: str) -> tuple[Step, ...]:
    # Python has no standard input where the caller closed it.
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
                f"{name} is longer than {LONGEST_FILE // 1024} KiB; that is no script."
            )
        steps = parse_script(text)
    except ScriptError as error:
        raise ArgumentTypeError(f"{name}: {error}") from error
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"{name!r} cannot be read: {error}") from error
    if not steps:
        raise ArgumentTypeError(
            f"{name} has no step; write for example send hello, then expect text hello."
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
        raise ArgumentTypeError(f"{text!r} is no network: {error}") from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 900:
        raise ArgumentTypeError(f"{text!r} is not between 0 and 900 seconds")
    return seconds
