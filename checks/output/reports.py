"""What a further probe found, in plain words, as a table and as JSON (PURE).

Decides how the readings of an idle meter, a crowd, a reconnect drill, several ways, a negotiation
and a header journey are told: whether all is well, one sentence first, then what speaks for it. It
must never probe anything, and never call a measurement good that did not take place.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from checks.diagnosis.idle_timeout import MEANS, IdleTimeout, Reading, identify_timeout
from checks.diagnosis.transcript_rules import diagnose
from checks.diagnosis.verdicts import VerdictCode, verdict_of
from checks.output.comparison import Cell, State, compare
from checks.preflight.behavior_match import BehaviorMatch
from checks.protocol.transcript import MASK, SECRET_HEADERS, HeaderLine, Transcript, storable

MOST_LINES = 40
MOST_TEXT = 300
_STATES: frozenset[State] = frozenset({"good", "bad", "not reached", "told"})

Row = tuple[str, tuple[Cell, ...]]


@dataclass(frozen=True, slots=True)
class Report:
    """`headline` is what a person reads first, `code` the verdict it leads to, if any,
    `lines` what else to know.

    `rows` are (title, cells), one cell for each of `columns`.
    """

    ok: bool
    headline: str
    lines: tuple[str, ...] = ()
    code: VerdictCode | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()

    def labelled(self) -> tuple[dict[str, Any], ...]:
        """The rows for a page: `title`, and `cells` as (column, cell)."""
        return tuple(
            {"title": title, "cells": tuple(zip(self.columns, cells, strict=False))}
            for title, cells in self.rows
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready and storable."""
        return {
            "ok": self.ok,
            "headline": storable(self.headline),
            "lines": [storable(line) for line in self.lines],
            "code": self.code or "",
            "columns": [storable(column) for column in self.columns],
            "rows": [
                [storable(title), [[cell.state, storable(cell.text)] for cell in cells]]
                for title, cells in self.rows
            ],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Report:
        """What `to_dict` gave. Raises ValueError for anything else."""
        try:
            code = str(stored["code"])
            verdict = verdict_of(code)
            if code and verdict is None:
                raise ValueError(f"{code!r} is no verdict")
            return cls(
                ok=bool(stored["ok"]),
                headline=str(stored["headline"]),
                lines=tuple(map(str, stored["lines"])),
                code=verdict.code if verdict else None,
                columns=tuple(map(str, stored["columns"])),
                rows=tuple(
                    (str(title), tuple(_cell(*cell) for cell in cells))
                    for title, cells in stored["rows"]
                ),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no report: {error}") from error


def _cell(state: State, text: str) -> Cell:
    if state not in _STATES:
        raise ValueError(f"{state!r} is no state of a cell")
    return Cell(state, str(text))


@dataclass(frozen=True, slots=True)
class Crowd:
    """What became of `clients` sockets at once: how many opened, and how many heard everybody
    else.
    """

    clients: int
    opened: int
    heard_all: int
    missing: tuple[str, ...]
    """What was not heard: `client 2 did not hear client 3`."""
    seen: tuple[Transcript, ...] = ()

    @property
    def ok(self) -> bool:
        """Did everybody hear everybody?"""
        return self.heard_all == self.clients


# --- silence, crowd, reconnects
# ---------------------------------------------------------------------------------------


def idle_report(
    readings: Sequence[Reading],
    idle_timeouts: Sequence[IdleTimeout],
    seen: Sequence[Transcript] = (),
) -> Report:
    """The clock that ended the silent socket, and the heartbeat it asks for. Good is only a socket
    that stayed open.
    """
    found = identify_timeout(readings, idle_timeouts)
    lines = []
    if found.heartbeat is not None:
        lines.append(
            f"Send a heartbeat every {found.heartbeat:g} s, from the server: only bytes "
            "from the origin reset "
            "CloudFront's clock, and they reset every other one too."
        )
    silent = next((reading for reading in readings if reading.variant == "silent"), None)
    if seen and (silent is None or silent.ended == "broken"):
        first = diagnose(seen[0])[0]
        return Report(
            False, found.text, (f"{first.verdict.title}: {first.verdict.fix}",), first.code
        )
    if silent is not None and silent.ended == "open":
        longer = [one for one in idle_timeouts if one.seconds > silent.seconds]
        lines += [
            f"The idle timeout of {one.name} is longer than this test: {one.seconds:g} s."
            for one in longer
        ]
    rows = tuple(
        (MEANS[reading.variant], (_ending(reading), Cell("told", str(reading.heard))))
        for reading in readings
    )
    code = found.code
    ok = silent is not None and silent.ended == "open"
    return Report(
        ok,
        found.text,
        tuple(lines),
        code,
        ("How it ended", "Frames the server sent by itself"),
        rows,
    )


def _ending(reading: Reading) -> Cell:
    after = f"after {reading.seconds:.1f} s"
    match reading.ended:
        case "open":
            return Cell("good", f"open {after}")
        case "closed":
            return Cell("bad", f"closed by the app with {reading.close_code} {after}")
        case "broken":
            return Cell("bad", f"ended by the probe {after}, for what the server sent")
        case _:
            return Cell("bad", f"cut {after}, without a close frame (1006)")


def crowd_report(crowd: Crowd) -> Report:
    """Who did not hear whom."""
    lines = list(_some(crowd.missing))
    shut = [
        (number, transcript)
        for number, transcript in enumerate(crowd.seen, 1)
        if not transcript.upgraded and not transcript.live
    ]
    lines += [
        f"client {number} did not get in: {_outcome(transcript)}"
        for number, transcript in shut[:MOST_LINES]
    ]
    if crowd.ok:
        return Report(True, f"All {crowd.clients} clients heard each other.")
    code = diagnose(shut[0][1])[0].code if shut else None
    if crowd.opened < crowd.clients:
        return Report(
            False, f"{crowd.opened} of {crowd.clients} clients got in.", tuple(lines), code
        )
    if len(crowd.missing) == crowd.clients * (crowd.clients - 1):
        lines.insert(
            0, "An app that answers only to whoever spoke does so; a chat that does is broken."
        )
        return Report(False, "Nobody heard anybody else.", tuple(lines))
    told = f"{crowd.heard_all} of {crowd.clients} clients heard everybody else."
    lines.append(
        "Clients that hear some but not all are often spread over several processes of the "
        "app that do not "
        "pass messages on to each other."
    )
    return Report(False, told, tuple(lines))


def reconnect_report(seen: Sequence[Transcript]) -> Report:
    """Times of those that came back, and what kept the others away."""
    back = [transcript for transcript in seen if transcript.live]
    times = [transcript.timing.total for transcript in back if transcript.timing.total is not None]
    took = (
        f" A connect took {statistics.median(times):.0f} ms in the middle, {max(times):.0f} "
        "ms at most."
        if times
        else ""
    )
    rows = tuple(
        (f"Connect {number}", (_came_back(one), _total(one))) for number, one in enumerate(seen, 1)
    )
    away = [transcript for transcript in seen if not transcript.live]
    if not away:
        told = f"Came back {len(back)} times out of {len(seen)}.{took}"
        return Report(bool(seen), told, columns=("Outcome", "Time"), rows=rows)
    first = diagnose(away[0])[0]
    lines: tuple[str, ...] = (
        f"{first.verdict.title}: {first.verdict.plain}",
        f"To put it right: {first.verdict.fix}",
    )
    if back:
        lines += (
            "Some of the same handshakes opened: edges or targets differ, or the app "
            "refuses a quick return.",
        )
    told = f"{len(away)} of {len(seen)} reconnects failed.{took}"
    return Report(False, told, lines, first.code, ("Outcome", "Time"), rows)


def _came_back(seen: Transcript) -> Cell:
    return Cell("good", "opened") if seen.live else Cell("bad", _outcome(seen))


def _total(seen: Transcript) -> Cell:
    return Cell("told", f"{seen.timing.total:.0f} ms" if seen.timing.total is not None else "")


# --- ways, negotiation
# ------------------------------------------------------------------------------------------------


def ways_report(ways: Sequence[tuple[str, Transcript]]) -> Report:
    """The ways side by side; the first cell that is bad is named."""
    table = compare(ways)
    opened = [name for name, seen in ways if seen.upgraded]
    asked = [name for name, seen in ways if seen.request is None or seen.request.upgrade]
    if table.first_bad is None:
        return Report(True, "Every way is open.", (), None, table.ways, table.rows)
    lines = [f"{name}: {_told(seen)}" for name, seen in ways]
    way, row, text = table.first_bad
    if opened and len(opened) < len(asked):
        lines.append(f"What differs between {' and '.join(opened)} and the others is the cause.")
    code = next((diagnose(seen)[0].code for name, seen in ways if name == way), None)
    return Report(
        False,
        f"The first that fails: {way}, {row}: {text}",
        tuple(lines),
        code,
        table.ways,
        table.rows,
    )


def plain_get_report(handshake: Transcript, plain: Transcript) -> Report:
    """Whether only the upgrade fails, or every request of this address."""
    table = compare((("handshake", handshake), ("plain GET", plain)))
    get = plain.response.status if plain.response else 0
    if handshake.live:
        said = (
            f"a plain GET of the same address is answered with {get}"
            if get
            else "a plain GET gets no answer"
        )
        told = f"The WebSocket opens; {said}."
    elif not get and handshake.response is not None:
        told = (
            f"The upgrade is answered with {handshake.response.status}, a plain GET gets no answer."
        )
    elif not get:
        told = "Neither is answered: the fault lies before the app, not in the upgrade."
    elif handshake.response is not None and handshake.response.status == get:
        told = f"Both are answered with {get}: it is not the upgrade that is refused."
    else:
        told = f"A plain GET is answered with {get}, the upgrade is not: {_outcome(handshake)}"
    code = None if handshake.live else diagnose(handshake)[0].code
    lines = [
        f"{name}: {_told(seen)}" for name, seen in (("handshake", handshake), ("plain GET", plain))
    ]
    return Report(handshake.live, told, tuple(lines), code, table.ways, table.rows)


def negotiation_report(offers: Sequence[tuple[str, Transcript]]) -> Report:
    """Which subprotocol and which compression were asked for and agreed on, offer by offer.

    An app may demand one of its subprotocols: that it refuses whoever names none is told, and is no
    fault.
    """
    rows = tuple(
        (title, tuple(judged(seen) for _, seen in offers))
        for title, judged in (
            ("Opened", _opened),
            (
                "Subprotocol asked for",
                lambda seen: Cell("told", _asked(seen, "subprotocols") or "none"),
            ),
            ("Subprotocol agreed on", _agreed_subprotocol),
            (
                "Compression asked for",
                lambda seen: Cell("told", _asked(seen, "extensions") or "none"),
            ),
            ("Compression agreed on", _agreed_extension),
            ("Message came back", _echoed),
        )
    )
    columns = tuple(name for name, _ in offers)
    naming = [(name, seen) for name, seen in offers if _asked(seen, "subprotocols")]
    bad = [(name, seen) for name, seen in naming or offers if not seen.live]
    nameless = [
        name
        for name, seen in offers
        if naming and not _asked(seen, "subprotocols") and not seen.upgraded
    ]
    ignored = [
        name
        for name, seen in offers
        if seen.upgraded and _asked(seen, "subprotocols") and not _named(seen)
    ]
    lines = [f"{name}: {_told(seen)}" for name, seen in bad]
    if nameless and not bad:
        lines.append(
            f"The app demands a subprotocol: without one it refuses ({', '.join(nameless)})."
        )
    if ignored:
        lines.append(
            "A subprotocol was asked for and none was agreed on: the app knows none of them, or "
            "Sec-WebSocket-Protocol does not reach it. A browser closes such a socket at once."
        )
    if bad:
        told = f"{len(bad)} of {len(naming or offers)} offers did not work, first: {bad[0][0]}."
        return Report(False, told, tuple(lines), diagnose(bad[0][1])[0].code, columns, rows)
    if ignored:
        told = "Every offer opens, but the subprotocol is not agreed on."
        return Report(False, told, tuple(lines), "WSE-101-NOSUBPROTOCOL", columns, rows)
    told = "What is offered opens, and what was agreed on is among what was asked for."
    return Report(True, told, tuple(lines), None, columns, rows)


def _opened(seen: Transcript) -> Cell:
    return Cell("good", "101") if seen.upgraded else Cell("bad", _outcome(seen))


def _echoed(seen: Transcript) -> Cell:
    if seen.live:
        return Cell("good", f"{seen.timing.echo:.0f} ms" if seen.timing.echo is not None else "")
    return Cell("bad", _outcome(seen)) if seen.upgraded else Cell("not reached")


def _agreed_subprotocol(seen: Transcript) -> Cell:
    if not seen.upgraded:
        return Cell("not reached")
    if not _asked(seen, "subprotocols"):
        return Cell("told", "none")
    return Cell("good", _named(seen)) if _named(seen) else Cell("bad", "none")


def _agreed_extension(seen: Transcript) -> Cell:
    if not seen.upgraded or seen.response is None:
        return Cell("not reached")
    agreed = seen.response.get("sec-websocket-extensions")
    return Cell("good" if agreed else "told", agreed or "none")


def _named(seen: Transcript) -> str:
    return seen.response.get("sec-websocket-protocol") if seen.response else ""


def _asked(seen: Transcript, what: str) -> str:
    return ", ".join(getattr(seen.request, what)) if seen.request else ""


# --- the journey of the header lines
# ----------------------------------------------------------------------------------

MOST_HEADERS = 100
_ALWAYS = frozenset({"upgrade", "connection"})
_NEEDED = frozenset({"sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"})


def arrived_headers(message: str) -> tuple[tuple[str, str], ...] | None:
    """The header lines that a message tells of: JSON with `headers`, a list of pairs or an object;
    None for others.
    """
    try:
        told = json.loads(message)
    except (ValueError, RecursionError):
        return None
    listed = told.get("headers") if isinstance(told, dict) else None
    pairs = list(listed.items()) if isinstance(listed, dict) else listed
    if not isinstance(pairs, list) or not pairs:
        return None
    fit = [pair for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2]
    return (
        tuple((str(name)[:MOST_TEXT], str(value)[: 8 * 1024]) for name, value in fit[:MOST_HEADERS])
        or None
    )


def journey_report(
    seen: Transcript,
    behavior: BehaviorMatch | None,
    arrived: Sequence[tuple[str, str]] | None,
    *,
    asked: bool = False,
) -> Report:
    """What becomes of each header line: by the policies (`behavior`, None if AWS did not show them),
    and as the app saw it (`arrived`, None where it did not tell, `asked` or not: then all is
    simulated from the policy).
    """
    sent = seen.request.headers if seen.request else ()
    got = {name.lower(): value for name, value in arrived} if arrived is not None else None
    rows = [_passed_row(line, behavior, got) for line in sent]
    lost = [title for title, cells in rows if any(cell.state == "bad" for cell in cells)]
    names = {line.name.lower() for line in sent}
    added = [(name, value) for name, value in arrived or () if name.lower() not in names]
    rows += [
        (name, (Cell("told", "–"), Cell("told", "added"), Cell("told", _short(name, value))))
        for name, value in added
    ]
    lines = [f"{title}: the app needs it and does not get it." for title in lost]
    if arrived is None:
        why = (
            f"the path did not tell which headers arrived ({_outcome(seen)})"
            if asked
            else "the app was not asked"
        )
        lines.append(f"Simulated from the policy: {why}.")
    if behavior is None:
        lines.append("AWS did not show the distribution's policies.")
    else:
        own = "" if behavior.own else ", which is none of the endpoint's own"
        lines.append(f"The behavior {behavior.path_pattern} gets this path{own}.")
    if added:
        lines.append(
            f"The edge and the load balancer added {len(added)} "
            f"line{'' if len(added) == 1 else 's'}."
        )
    columns = ("Sent", "By the policy", "As the app saw it")
    if not sent:
        return Report(
            False, f"Nothing was sent: {_outcome(seen)}", tuple(lines), diagnose(seen)[0].code
        )
    if behavior is None and arrived is None:
        return Report(
            False,
            "Neither AWS nor the app told what arrives.",
            tuple(lines),
            None,
            columns,
            tuple(rows),
        )
    if lost:
        code = _code_of_loss(lost, behavior)
        return Report(
            False, f"Lost on the way: {', '.join(lost)}.", tuple(lines), code, columns, tuple(rows)
        )
    if asked and arrived is None:
        told = "The path did not tell which headers arrived."
        return Report(False, told, tuple(lines), diagnose(seen)[0].code, columns, tuple(rows))
    if behavior is not None and not behavior.own and arrived is None:
        told = "Another behavior than the endpoint's own gets this path."
        return Report(False, told, tuple(lines), "WSE-PATH", columns, tuple(rows))
    by_policy = [cells[1].state for _, cells in rows]
    if got is None and "not reached" in by_policy:
        told = "A custom policy decides about some lines, and its content is not known here."
        return Report(False, told, tuple(lines), None, columns, tuple(rows))
    told = "Every line that a WebSocket needs reaches the app."
    if got is None:
        told = "The policy lets every line pass that a WebSocket needs."
    return Report(True, told, tuple(lines), None, columns, tuple(rows))


def _code_of_loss(lost: Sequence[str], behavior: BehaviorMatch | None) -> VerdictCode:
    """What the policies let through was lost behind CloudFront."""
    passed = {behavior.forwards(name) if behavior is not None else None for name in lost}
    if lost == ["Sec-WebSocket-Protocol"]:
        return "WSE-101-POLICY" if passed == {False} else "WSE-101-NOSUBPROTOCOL"
    return "WSE-426-VERSION" if passed == {True} else "WSE-400-NOKEY"


def _passed_row(
    line: HeaderLine, behavior: BehaviorMatch | None, got: Mapping[str, str] | None
) -> Row:
    name = line.name.lower()
    needed = name in _NEEDED
    policy, passes = _by_policy(name, behavior)
    if got is None:
        app = Cell("not reached", "not measured")
    elif name in got:
        same = got[name] == line.value
        app = Cell(
            "good" if same else "told", "as sent" if same else f"changed: {_short(name, got[name])}"
        )
    else:
        app = Cell("bad" if needed else "told", "did not arrive")
    if passes is False and (needed and (got is None or name not in got)):
        policy = Cell("bad", policy.text)
    return line.name, (Cell("told", _short(name, line.value)), policy, app)


def _by_policy(name: str, behavior: BehaviorMatch | None) -> tuple[Cell, bool | None]:
    if behavior is None:
        return Cell("not reached", "not known"), None
    if name in _ALWAYS:
        return Cell("good", "kept: CloudFront passes it on for every WebSocket"), True
    part = next(
        (one for one in behavior.parts if (one.part, one.name.lower()) == ("header", name)), None
    )
    if part is None or part.forwarded is None:
        return Cell("not reached", part.why if part else "not known"), None
    return Cell(
        "good" if part.forwarded else "told",
        f"{'kept' if part.forwarded else 'dropped'}: {part.why}",
    ), (part.forwarded)


# --- words
# ------------------------------------------------------------------------------------------------------------


def _short(name: str, value: str) -> str:
    return MASK if name.lower() in SECRET_HEADERS else value[:MOST_TEXT]


def _some(lines: Sequence[str]) -> tuple[str, ...]:
    more = len(lines) - MOST_LINES
    return (*lines[:MOST_LINES], f"… and {more} more.") if more > 0 else tuple(lines)


def _outcome(seen: Transcript) -> str:
    if seen.failure is not None:
        return (seen.failure.detail or seen.failure.reason.value)[:MOST_TEXT]
    return seen.response.status_line[:MOST_TEXT] if seen.response else "no answer came"


def _told(seen: Transcript) -> str:
    if seen.request is not None and not seen.request.upgrade and seen.response is not None:
        return seen.response.status_line[:MOST_TEXT]
    first = diagnose(seen)[0]
    return first.verdict.title if seen.live else f"{first.verdict.title} ({_outcome(seen)})"
