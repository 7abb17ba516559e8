"""What a further probe found, in plain words, as a table and as JSON (PURE).

Each report says whether all is well, in one sentence first, then what supports it. A measurement
that did not take place is never called good.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from checks.diagnosis.idle_timeout import MEANS, IdleTimeout, Reading, identify_timeout
from checks.diagnosis.transcript_rules import diagnose
from checks.diagnosis.verdicts import VerdictCode, verdict_of
from checks.output.comparison import Cell, CellState, compare
from checks.preflight.behavior_match import BehaviorMatch
from checks.protocol.transcript import HeaderLine, Transcript, storable
from provisioning.redaction.masking import KnownSecrets, mask_header, mask_text

MAX_LINES = 40
MAX_TEXT = 300
_STATES: frozenset[CellState] = frozenset({"good", "bad", "not reached", "info"})

Row = tuple[str, tuple[Cell, ...]]


@dataclass(frozen=True, slots=True)
class Report:
    """`headline` is what a person reads first, `code` the verdict it leads to, if any, `lines` the
    rest.

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

    def masked(self, known: KnownSecrets) -> Report:
        """The same without credentials: by place and shape, and `known` values anywhere."""

        def clean(text: str) -> str:
            return known.mask(mask_text(text))

        return replace(
            self,
            headline=clean(self.headline),
            lines=tuple(map(clean, self.lines)),
            columns=tuple(map(clean, self.columns)),
            rows=tuple(
                (clean(title), tuple(replace(cell, text=clean(cell.text)) for cell in cells))
                for title, cells in self.rows
            ),
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
                raise ValueError(f"unknown verdict: {code!r}")
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
            raise ValueError(f"not a report: {error}") from error


def _cell(state: CellState, text: str) -> Cell:
    if state not in _STATES:
        raise ValueError(f"unknown state of a cell: {state!r}")
    return Cell(state, str(text))


@dataclass(frozen=True, slots=True)
class Broadcast:
    """The outcome of `clients` simultaneous sockets: how many opened, and how many received
    every other client's message.
    """

    clients: int
    opened: int
    heard_all: int
    missing: tuple[str, ...]
    """Messages that did not arrive: `client 2 did not hear client 3`."""
    seen: tuple[Transcript, ...] = ()

    @property
    def ok(self) -> bool:
        """Every client received every other client's message."""
        return self.heard_all == self.clients


def idle_report(
    readings: Sequence[Reading],
    idle_timeouts: Sequence[IdleTimeout],
    seen: Sequence[Transcript] = (),
) -> Report:
    """The idle timeout that ended the silent socket, and the heartbeat that it requires. Only a
    socket that stayed open is good.
    """
    found = identify_timeout(readings, idle_timeouts)
    silent = next((reading for reading in readings if reading.variant == "silent"), None)
    if seen and (silent is None or silent.ended == "broken"):
        first = diagnose(seen[0])[0]
        fix = f"{first.verdict.title}: {first.verdict.advice}"
        return Report(False, found.text, (fix,), first.code)
    lines = []
    if found.heartbeat is not None:
        lines.append(
            f"Send a heartbeat every {found.heartbeat:g} s, from the server: only bytes from the "
            "origin reset CloudFront's idle timeout, and they reset every other one too."
        )
    still_open = silent is not None and silent.ended == "open"
    if silent is not None and still_open:
        lines += [
            f"The idle timeout of {one.name} is longer than this test: {one.seconds:g} s."
            for one in idle_timeouts
            if one.seconds > silent.seconds
        ]
    rows = []
    for reading in readings:
        after = f"after {reading.seconds:.1f} s"
        match reading.ended:
            case "open":
                ending = Cell("good", f"open {after}")
            case "closed":
                ending = Cell("bad", f"closed by the app with {reading.close_code} {after}")
            case "broken":
                ending = Cell("bad", f"ended by the probe {after}, for what the server sent")
            case "cut":
                ending = Cell("bad", f"cut {after}, without a close frame (1006)")
        rows.append((MEANS[reading.variant], (ending, Cell("info", str(reading.heard)))))
    columns = ("How it ended", "Frames the server sent by itself")
    return Report(still_open, found.text, tuple(lines), found.code, columns, tuple(rows))


def crowd_report(seen: Sequence[Transcript]) -> Report:
    """Whether several clients can be connected side by side."""
    failed = [(number, one) for number, one in enumerate(seen, 1) if not one.live]
    if not failed:
        return Report(True, f"All {len(seen)} clients connected and stayed connected.")
    lines = [f"client {number}: {_outcome(one)}" for number, one in failed[:MAX_LINES]]
    told = f"{len(seen) - len(failed)} of {len(seen)} clients connected and stayed connected."
    return Report(False, told, tuple(lines), diagnose(failed[0][1])[0].code)


def broadcast_report(sent: Broadcast) -> Report:
    """Which client's message did not reach which other client."""
    if sent.ok:
        return Report(True, f"All {sent.clients} clients heard each other.")
    lines = list(sent.missing[:MAX_LINES])
    if len(sent.missing) > MAX_LINES:
        lines.append(f"… and {len(sent.missing) - MAX_LINES} more.")
    shut = [
        (number, transcript)
        for number, transcript in enumerate(sent.seen, 1)
        if not transcript.upgraded and not transcript.live
    ]
    lines += [
        f"client {number} could not connect: {_outcome(transcript)}"
        for number, transcript in shut[:MAX_LINES]
    ]
    if sent.opened < sent.clients:
        code = diagnose(shut[0][1])[0].code if shut else None
        told = f"{sent.opened} of {sent.clients} clients connected."
        return Report(False, told, tuple(lines), code)
    if len(sent.missing) == sent.clients * (sent.clients - 1):
        reason = (
            "Normal for an app that answers only the client that sent a message; a chat that does "
            "this is broken."
        )
        return Report(False, "No client heard any other.", (reason, *lines))
    told = f"{sent.heard_all} of {sent.clients} clients heard all others."
    lines.append(
        "If clients hear some but not all others, they are often connected to different processes "
        "of the app that do not exchange messages."
    )
    return Report(False, told, tuple(lines))


def reconnect_report(seen: Sequence[Transcript]) -> Report:
    """The times of the connections that opened, and why the others did not."""
    times = [one.timing.total for one in seen if one.live and one.timing.total is not None]
    took = f" Median {statistics.median(times):.0f} ms, max {max(times):.0f} ms." if times else ""
    columns = ("Outcome", "Time")
    rows = tuple(
        (
            f"Connect {number}",
            (
                Cell("good", "opened") if one.live else Cell("bad", _outcome(one)),
                Cell("info", "" if one.timing.total is None else f"{one.timing.total:.0f} ms"),
            ),
        )
        for number, one in enumerate(seen, 1)
    )
    failed = [one for one in seen if not one.live]
    if not failed:
        told = f"{len(seen)} of {len(seen)} reconnects succeeded.{took}"
        return Report(bool(seen), told, columns=columns, rows=rows)
    first = diagnose(failed[0])[0]
    lines = [
        f"{first.verdict.title}: {first.verdict.plain}",
        f"How to fix: {first.verdict.advice}",
    ]
    if len(failed) < len(seen):
        lines.append(
            "Some of the same handshakes opened: edges or targets differ, or the app refuses quick "
            "reconnects."
        )
    told = f"{len(failed)} of {len(seen)} reconnects failed.{took}"
    return Report(False, told, tuple(lines), first.code, columns, rows)


# --- routes, negotiation


def routes_report(routes: Sequence[tuple[str, Transcript]]) -> Report:
    """The routes side by side; names the first cell that is bad."""
    table = compare(routes)
    if table.first_bad is None:
        return Report(True, "Every route works.", (), None, table.routes, table.rows)
    opened = [name for name, seen in routes if seen.upgraded]
    asked = [name for name, seen in routes if seen.request is None or seen.request.upgrade]
    lines = [f"{name}: {_told(seen)}" for name, seen in routes]
    if opened and len(opened) < len(asked):
        lines.append(
            f"The cause is what differs between {' and '.join(opened)} and the other routes."
        )
    route, row, text = table.first_bad
    code = next((diagnose(seen)[0].code for name, seen in routes if name == route), None)
    told = f"First failure: {route}, {row}: {text}"
    return Report(False, told, tuple(lines), code, table.routes, table.rows)


def plain_get_report(handshake: Transcript, plain: Transcript) -> Report:
    """Whether only the upgrade fails, or every request to this address."""
    pair = (("handshake", handshake), ("plain GET", plain))
    table = compare(pair)
    get = plain.response.status if plain.response else 0
    upgrade = handshake.response.status if handshake.response else 0
    if handshake.live:
        said = f"is answered with {get}" if get else "gets no response"
        told = f"The WebSocket opens; a plain GET of the same address {said}."
    elif not get and upgrade:
        told = f"The upgrade is answered with {upgrade}, a plain GET gets no response."
    elif not get:
        told = "Neither is answered: the fault is in front of the app, not in the upgrade."
    elif upgrade == get:
        told = f"Both are answered with {get}: not only the upgrade is refused."
    else:
        told = f"A plain GET is answered with {get}, the upgrade is not: {_outcome(handshake)}"
    code = None if handshake.live else diagnose(handshake)[0].code
    lines = tuple(f"{name}: {_told(seen)}" for name, seen in pair)
    if get == 400 and plain.request is not None and plain.request.websocket_only:
        lines += (
            "Engine.IO refuses every plain GET that says transport=websocket. Run this probe with "
            "transport=polling in the path instead.",
        )
    return Report(handshake.live, told, lines, code, table.routes, table.rows)


def negotiation_report(offers: Sequence[tuple[str, Transcript]]) -> Report:
    """Which subprotocol and which compression were offered and agreed, offer by offer.

    An app may require one of its subprotocols: that it refuses a client without one is reported,
    but is not a fault.
    """
    columns = tuple(name for name, _ in offers)
    cells = [_negotiated(seen) for _, seen in offers]
    rows = tuple((title, tuple(cell[title] for cell in cells)) for title in (cells or [{}])[0])
    naming = [(name, seen) for name, seen in offers if _asked(seen, "subprotocols")]
    bad = [(name, seen) for name, seen in naming or offers if not seen.live]
    nameless = [
        name
        for name, seen in offers
        if naming and not _asked(seen, "subprotocols") and not seen.upgraded
    ]
    ignored = any(seen.upgraded and not _agreed(seen, "protocol") for _, seen in naming)
    lines = [f"{name}: {_told(seen)}" for name, seen in bad]
    if nameless and not bad:
        lines.append(
            f"The app requires a subprotocol: it refuses without one ({', '.join(nameless)})."
        )
    if ignored:
        lines.append(
            "A subprotocol was offered but none was agreed: the app knows none of them, or "
            "Sec-WebSocket-Protocol does not reach it. A browser closes such a socket immediately."
        )
    if bad:
        told = f"{len(bad)} of {len(naming or offers)} offers failed, first: {bad[0][0]}."
        return Report(False, told, tuple(lines), diagnose(bad[0][1])[0].code, columns, rows)
    if ignored:
        told = "Every offer opens, but no subprotocol is agreed."
        return Report(False, told, tuple(lines), "WSE-101-NOSUBPROTOCOL", columns, rows)
    told = "Every offer opens, and what was agreed had been offered."
    return Report(True, told, tuple(lines), None, columns, rows)


def _negotiated(seen: Transcript) -> dict[str, Cell]:
    """One offer's column, by row title."""
    subprotocols, extensions = _asked(seen, "subprotocols"), _asked(seen, "extensions")
    named, extended = _agreed(seen, "protocol"), _agreed(seen, "extensions")
    not_reached = Cell("not reached")
    if not seen.upgraded:
        echo = protocol = compression = not_reached
    else:
        echo = Cell("bad", _outcome(seen))
        protocol = Cell("good" if named else "bad", named or "none")
        if not subprotocols:
            protocol = Cell("info", "none")
        compression = Cell("good" if extended else "info", extended or "none")
    if seen.live:
        echo = Cell("good", "" if seen.timing.echo is None else f"{seen.timing.echo:.0f} ms")
    return {
        "Opened": Cell("good", "101") if seen.upgraded else Cell("bad", _outcome(seen)),
        "Subprotocol offered": Cell("info", subprotocols or "none"),
        "Subprotocol agreed": protocol,
        "Compression offered": Cell("info", extensions or "none"),
        "Compression agreed": compression,
        "Message came back": echo,
    }


def _agreed(seen: Transcript, what: str) -> str:
    return seen.response.get(f"sec-websocket-{what}") if seen.response else ""


def _asked(seen: Transcript, what: str) -> str:
    return ", ".join(getattr(seen.request, what)) if seen.request else ""


# --- header trace

MAX_HEADERS = 100
_ALWAYS = frozenset({"upgrade", "connection"})
_NEEDED = frozenset({"sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"})


def arrived_headers(message: str) -> tuple[tuple[str, str], ...] | None:
    """The headers that a message reports: JSON with `headers`, a list of pairs or an object; None
    for any other message.
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
        tuple((str(name)[:MAX_TEXT], str(value)[: 8 * 1024]) for name, value in fit[:MAX_HEADERS])
        or None
    )


def journey_report(
    seen: Transcript,
    behavior: BehaviorMatch | None,
    arrived: Sequence[tuple[str, str]] | None,
    *,
    asked: bool = False,
) -> Report:
    """What happens to each header: by the policies (`behavior`, None if AWS did not show them), and
    as the app received it (`arrived`, None where it did not report, `asked` or not: then all is
    simulated from the policy).
    """
    sent = seen.request.headers if seen.request else ()
    if not sent:
        told = f"Nothing was sent: {_outcome(seen)}"
        return Report(False, told, (), diagnose(seen)[0].code)
    got = {name.lower(): value for name, value in arrived} if arrived is not None else None
    rows = [_header_row(line, behavior, got) for line in sent]
    lost = [title for title, cells in rows if any(cell.state == "bad" for cell in cells)]
    unknown = any(cells[1].state == "not reached" for _, cells in rows)
    names = {line.name.lower() for line in sent}
    added = [(name, value) for name, value in arrived or () if name.lower() not in names]
    rows += [
        (name, (Cell("info", "–"), Cell("info", "added"), Cell("info", _short(name, value))))
        for name, value in added
    ]
    lines = [f"{title}: the app needs it and does not receive it." for title in lost]
    if arrived is None:
        why = (
            f"the path did not report which headers arrived ({_outcome(seen)})"
            if asked
            else "the app was not asked"
        )
        lines.append(f"Simulated from the policy: {why}.")
    if behavior is None:
        lines.append("AWS did not show the distribution's policies.")
    else:
        own = "" if behavior.own else ", not one of the endpoint's own"
        lines.append(f"The behavior {behavior.path_pattern} matches this path{own}.")
    if added:
        lines.append(
            f"The edge and the load balancer added {len(added)} "
            f"header{'' if len(added) == 1 else 's'}."
        )
    code: VerdictCode | None = None
    ok = False
    if behavior is None and arrived is None:
        told = "Neither AWS nor the app shows what arrives."
    elif lost:
        told = f"Lost on the way: {', '.join(lost)}."
        # What the policies forward was lost behind CloudFront.
        forwarded = {behavior.forwards(name) if behavior is not None else None for name in lost}
        if lost == ["Sec-WebSocket-Protocol"]:
            code = "WSE-101-POLICY" if forwarded == {False} else "WSE-101-NOSUBPROTOCOL"
        else:
            code = "WSE-426-VERSION" if forwarded == {True} else "WSE-400-NOKEY"
    elif asked and arrived is None:
        told, code = "The path did not report which headers arrived.", diagnose(seen)[0].code
    elif behavior is not None and not behavior.own and arrived is None:
        told, code = "Another behavior than the endpoint's own matches this path.", "WSE-PATH"
    elif got is None and unknown:
        told = "A custom policy decides about some headers, and its content is not known here."
    elif got is None:
        ok, told = True, "The policy forwards every header that a WebSocket needs."
    else:
        ok, told = True, "All required headers reach the app."
    columns = ("Sent", "By the policy", "As the app received it")
    return Report(ok, told, tuple(lines), code, columns, tuple(rows))


def _header_row(
    line: HeaderLine, behavior: BehaviorMatch | None, got: Mapping[str, str] | None
) -> Row:
    name = line.name.lower()
    needed = name in _NEEDED
    policy, forwarded = _by_policy(name, behavior)
    if got is None:
        app = Cell("not reached", "not measured")
    elif name in got:
        same = mask_header(name, got[name], guess=False) == line.value
        app = Cell(
            "good" if same else "info", "as sent" if same else f"changed: {_short(name, got[name])}"
        )
    else:
        app = Cell("bad" if needed else "info", "did not arrive")
    if forwarded is False and needed and (got is None or name not in got):
        policy = Cell("bad", policy.text)
    return line.name, (Cell("info", _short(name, line.value)), policy, app)


def _by_policy(name: str, behavior: BehaviorMatch | None) -> tuple[Cell, bool | None]:
    if behavior is None:
        return Cell("not reached", "not known"), None
    if name in _ALWAYS:
        return Cell("good", "kept: CloudFront forwards it for every WebSocket"), True
    part = next(
        (one for one in behavior.parts if (one.part, one.name.lower()) == ("header", name)), None
    )
    if part is None or part.forwarded is None:
        return Cell("not reached", part.why if part else "not known"), None
    if part.forwarded:
        return Cell("good", f"kept: {part.why}"), True
    return Cell("info", f"dropped: {part.why}"), False


# --- words


def _short(name: str, value: str) -> str:
    return mask_header(name, value, guess=False)[:MAX_TEXT]


def _outcome(seen: Transcript) -> str:
    if seen.failure is not None:
        return (seen.failure.detail or seen.failure.reason.value)[:MAX_TEXT]
    return seen.response.status_line[:MAX_TEXT] if seen.response else "no response"


def _told(seen: Transcript) -> str:
    if seen.request is not None and not seen.request.upgrade and seen.response is not None:
        return seen.response.status_line[:MAX_TEXT]
    first = diagnose(seen)[0]
    return first.verdict.title if seen.live else f"{first.verdict.title} ({_outcome(seen)})"
