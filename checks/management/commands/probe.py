"""`manage.py probe wss://…`: one handshake from the command line, explained.

Decides what is printed and the exit code. It needs no database. What may be contacted is what the operator's settings
allow (PROBE_ALLOWED_NETWORKS, PROBE_CONNECT_TO, PROBE_CA_FILE), widened by this command's own options: whoever may run
it operates the portal.
"""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from checks.actions import probe_network
from checks.address_guard import IPNetwork, parse_networks
from checks.comparison import Comparison, compare
from checks.connect_to import ConnectRule, ConnectToError, parse_connect_to
from checks.deflate import OFFER
from checks.diagnose import Diagnosis, diagnose
from checks.prober import Limits, ProbeNetwork, Script, probe
from checks.script import ScriptError, Step, parse_script
from checks.target import ProbeTarget
from checks.transcript import Phase, Reason, Transcript

LIVE, NOT_LIVE, UNUSABLE = 0, 1, 2
MOST_WAYS = 6
EPILOG = "Exit code: 0 live, 1 not live, 2 the probe could not be made as asked (a wrong option, a refused address)."


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
        """Django's parser, with the exit codes under it."""
        return super().create_parser(prog_name, subcommand, epilog=EPILOG, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        """What can be said."""
        parser.add_argument("url", help="wss://host/path or ws://host/path")
        parser.add_argument("--header", action="append", default=[], type=_header, metavar="'NAME: VALUE'")
        parser.add_argument("--subprotocol", action="append", default=[], metavar="NAME")
        parser.add_argument("--origin", metavar="ORIGIN", help="the page a browser would have open")
        parser.add_argument("--compress", action="store_true", help="offer permessage-deflate, as browsers do")
        parser.add_argument("--plain", action="store_true", help="a plain GET of the same address, no upgrade")
        parser.add_argument("--script", type=_script, metavar="FILE", help="what to say and expect; - reads it here")
        parser.add_argument("--handshake-only", action="store_true", help="close right after the 101")
        parser.add_argument(
            "--compare",
            action="append",
            default=[],
            metavar="[NAME=]URL",
            help="another way to the same app; may repeat",
        )
        parser.add_argument("--connect-to", action="append", default=[], type=_rules, metavar="HOST:PORT:TO:PORT")
        parser.add_argument("--ca", metavar="FILE", help="trust this CA file as well")
        parser.add_argument("--allow", action="append", default=[], type=_networks, metavar="NETWORK", help="CIDR")
        parser.add_argument("--any-port", action="store_true", help="not only 80 and 443")
        parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="for everything together")
        parser.add_argument("--json", action="store_true", help="one JSON document on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Probe every way at once, print, and end with the exit code."""
        steps: tuple[Step, ...] = options["script"] or ()
        script = Script.of_steps(steps) if steps or options["handshake_only"] else Script()
        usual = Limits()
        total = options["timeout"] or usual.total_s + sum(step.seconds for step in steps)
        ways = _ways(options)
        seen = asyncio.run(_probe_all(ways, _network(options), script, replace(usual, total_s=total)))
        judged = [(way.name, transcript, diagnose(transcript)) for way, transcript in zip(ways, seen, strict=True)]
        if options["json"]:
            self.stdout.write(json.dumps(_document(judged), indent=2))
        else:
            for name, transcript, diagnoses in judged:
                self.stdout.write("\n".join(_told(name if len(judged) > 1 else "", transcript, diagnoses)))
            if len(judged) > 1:
                self.stdout.write("\n".join(_table(compare([(name, shown) for name, shown, _ in judged]))))
        sys.exit(max(_exit_code(transcript) for transcript in seen))


async def _probe_all(ways: Sequence[_Way], network: ProbeNetwork, script: Script, limits: Limits) -> list[Transcript]:
    return await asyncio.gather(*(probe(way.target, network=network, script=script, limits=limits) for way in ways))


def _ways(options: dict[str, Any]) -> list[_Way]:
    first = ProbeTarget(
        url=options["url"],
        headers=tuple(options["header"]),
        subprotocols=tuple(options["subprotocol"]),
        extensions=(OFFER,) if options["compress"] else (),
        origin=options["origin"],
        upgrade=not options["plain"],
    )
    ways = [_Way("first", first)]
    for number, text in enumerate(options["compare"][: MOST_WAYS - 1], 2):
        name, separator, url = text.partition("=")
        named = separator and "/" not in name
        ways.append(_Way(name if named else f"way {number}", replace(first, url=url if named else text)))
    return ways


def _network(options: dict[str, Any]) -> ProbeNetwork:
    usual = probe_network()
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
    if seen.live or (seen.request is not None and not seen.request.upgrade and seen.response is not None):
        return LIVE
    refused = (Reason.BAD_URL, Reason.BAD_REQUEST, Reason.ADDRESS_REFUSED, Reason.PROBE_ERROR)
    return UNUSABLE if seen.failure is not None and seen.failure.reason in refused else NOT_LIVE


def _document(judged: Sequence[tuple[str, Transcript, tuple[Diagnosis, ...]]]) -> dict[str, Any]:
    return {
        "live": all(seen.live for _, seen, _ in judged),
        "ways": [
            {
                "name": name,
                "url": seen.url,
                "live": seen.live,
                "verdicts": [
                    {**found.to_dict(), "title": found.verdict.title, "fix": found.verdict.fix} for found in diagnoses
                ],
                "transcript": seen.to_dict(),
            }
            for name, seen, diagnoses in judged
        ],
    }


def _told(name: str, seen: Transcript, diagnoses: Sequence[Diagnosis]) -> list[str]:
    """Plain words first, the evidence under them, the transcript last."""
    first = diagnoses[0]
    lines = [f"=== {name}: {seen.url}"] if name else []
    lines += [f"{first.verdict.title} ({first.code}, {first.certainty} certainty)", f"  {first.verdict.plain}"]
    if not seen.live:
        lines += [f"  Fix: {first.verdict.fix}", f"  Make sure: {first.verdict.confirm}"]
        lines += [f"  Seen: {line}" for line in first.evidence]
        lines += [f"  Or: {other.verdict.title} ({other.code}, {other.certainty})" for other in diagnoses[1:]]
    shown = seen.redacted()
    if shown.request is not None:
        lines += ["", f"> {shown.request.request_line}"]
        lines += [f"> {line.raw}" for line in shown.request.headers]
    if shown.response is not None:
        lines += ["", f"< {shown.response.status_line}"]
        lines += [f"< {line.raw}{f'    ({line.note})' if line.note else ''}" for line in shown.response.headers]
    lines += [
        f"  {frame.direction:8} {frame.opcode:12} {frame.size:6} B {frame.at_ms:9.1f} ms  {frame.preview}"
        for frame in shown.frames
    ]
    lines += [
        f"  {'ok' if step.ok else 'NO':3} {step.text}  ({step.took_ms:.0f} ms) {step.detail}" for step in seen.steps
    ]
    times = [(phase, getattr(seen.timing, phase, None)) for phase in (*(phase.value for phase in Phase), "total")]
    lines += ["", "  ".join(f"{phase} {ms:.1f} ms" for phase, ms in times if ms is not None), ""]
    return lines


def _table(table: Comparison) -> list[str]:
    width = max(18, *(len(way) for way in table.ways))
    lines = [f"{'':20}" + "".join(f"{way:<{width + 2}}" for way in table.ways)]
    for title, cells in table.rows:
        shown = (f"{'NO ' if cell.state == 'bad' else ''}{cell.text or cell.state}" for cell in cells)
        lines.append(f"{title:20}" + "".join(f"{text[:width]:<{width + 2}}" for text in shown))
    if table.first_bad is not None:
        way, row, text = table.first_bad
        lines.append(f"First difference: {way}, {row}: {text}")
    return lines


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ArgumentTypeError(f"{text!r} is no header; write 'Name: value'")
    return name.strip(), value.strip()


def _script(name: str) -> tuple[Step, ...]:
    try:
        return parse_script(sys.stdin.read() if name == "-" else Path(name).read_text())
    except ScriptError as error:
        raise ArgumentTypeError(f"{name}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentTypeError(f"{name} cannot be read: {error}") from error


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
