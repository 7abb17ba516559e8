"""What `manage.py probe` prints: words first, evidence under them, the transcript last; or one JSON
document (PURE).

Decides layout only. It must never judge: verdicts and reports come finished, and secret header
values are masked. Nor may it let the other side's words reach the terminal as anything but words,
each on its own line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from checks.diagnosis.transcript_rules import Diagnosis
from checks.diagnosis.verdicts import VerdictCode
from checks.output.comparison import Cell, Comparison
from checks.output.reports import Report
from checks.protocol.transcript import Phase, Transcript


def document(
    live: bool, judged: Sequence[tuple[str, Transcript, tuple[Diagnosis, ...]]]
) -> dict[str, Any]:
    """For machines: every way with its verdicts and its whole transcript. A plain GET that was
    answered has no verdict, here as in words, and counts as live, as it does for the exit code.
    """
    return {
        "live": live,
        "ways": [
            {
                "name": name,
                "url": seen.url,
                "live": seen.live or _answered_plainly(seen),
                "verdicts": [
                    {**found.to_dict(), "title": found.verdict.title, "fix": found.verdict.fix}
                    for found in (() if _answered_plainly(seen) else diagnoses)
                ],
                "transcript": seen.to_dict(),
            }
            for name, seen, diagnoses in judged
        ],
    }


BODY_LINES, BODY_WIDTH = 12, 160
_HINTS: dict[VerdictCode, str] = {
    "WSE-GUARD": "to try an address of your own network all the same, add --allow and the network, as in "
    "--allow 10.0.0.0/8; for this machine, --allow 127.0.0.0/8.",
    "WSE-URL": "another port than 443 and 80 needs --any-port.",
}
"""What only the command line can do about a verdict."""


def way_lines(name: str, seen: Transcript, diagnoses: Sequence[Diagnosis]) -> list[str]:
    """Plain words first, the evidence under them, the transcript last."""
    first = diagnoses[0]
    lines = [f"=== {name}: {seen.url}"] if name else []
    plain = _answered_plainly(seen)
    if plain and seen.response is not None:
        lines.append(f"A plain GET is answered with {seen.response.status_line}")
    else:
        lines += [
            f"{first.verdict.title} ({first.code}, {first.certainty} certainty)",
            f"  {first.verdict.plain}",
        ]
    if not seen.live and not plain:
        lines += [f"  Fix: {first.verdict.fix}", f"  Make sure: {first.verdict.confirm}"]
        lines += [f"  Here: {_HINTS[first.code]}"] if first.code in _HINTS else []
        lines += [f"  Seen: {line}" for line in first.evidence]
        lines += [
            f"  Or: {other.verdict.title} ({other.code}, {other.certainty})"
            for other in diagnoses[1:]
        ]
    shown = seen.redacted()
    if shown.request is not None:
        lines += ["", f"> {shown.request.request_line}"]
        lines += [f"> {line.raw}" for line in shown.request.headers]
    if shown.response is not None:
        lines += ["", f"< {shown.response.status_line}"]
        lines += [
            f"< {line.raw}{f'    ({line.note})' if line.note else ''}"
            for line in shown.response.headers
        ]
    lines += _body_lines(shown)
    lines += [
        f"  {frame.direction:8} {frame.opcode:12} {frame.size:6} B {frame.at_ms:9.1f} ms  "
        f"{frame.preview}"
        for frame in shown.frames
    ]
    lines += [
        f"  {'ok' if step.ok else 'NO':3} {step.text}  ({step.took_ms:.0f} ms) {step.detail}"
        for step in seen.steps
    ]
    times = [
        (phase, getattr(seen.timing, phase, None))
        for phase in (*(phase.value for phase in Phase), "total")
    ]
    lines += ["", "  ".join(f"{phase} {ms:.1f} ms" for phase, ms in times if ms is not None), ""]
    return _legible(lines)


def _answered_plainly(seen: Transcript) -> bool:
    """A plain GET that got an answer: no WebSocket was asked for, so that no status is a fault."""
    return seen.request is not None and not seen.request.upgrade and seen.response is not None


def _body_lines(seen: Transcript) -> list[str]:
    """The start of a refusal's body, where its author often says why."""
    lines = [line.rstrip() for line in seen.body.splitlines() if line.strip()]
    kept = [line[:BODY_WIDTH] for line in lines[:BODY_LINES]]
    if lines and (seen.body_truncated or kept != lines):
        kept.append("…")
    return ["", *(f"  | {line}" for line in kept)] if kept else []


def comparison_lines(table: Comparison) -> list[str]:
    """The ways side by side, and where they first differ."""
    width = max(18, *(len(way) for way in table.ways))
    lines = [f"{'':20}" + "".join(f"{way:<{width + 2}}" for way in table.ways)]
    for title, cells in table.rows:
        shown = (
            f"{'NO ' if cell.state == 'bad' else ''}{cell.text or cell.state}" for cell in cells
        )
        lines.append(f"{title:20}" + "".join(f"{text[:width]:<{width + 2}}" for text in shown))
    if table.first_bad is not None:
        way, row, text = table.first_bad
        lines.append(f"First difference: {way}, {row}: {text}")
    return _legible(lines)


def report_lines(told: Report) -> list[str]:
    """The sentence, what else to know, the table."""
    lines = [f"{told.headline} ({told.code})" if told.code else told.headline]
    lines += [f"  {line}" for line in told.lines]
    if told.rows:
        first = max(len(title) for title, _ in told.rows) + 2
        lines += ["", " " * first + "".join(f"{column:<34}" for column in told.columns)]
    for title, cells in told.rows:
        lines.append(
            f"{title:<{first}}" + "".join(f"{_cell_text(cell):<34}" for cell in cells).rstrip()
        )
    return _legible([*lines, ""])


def _cell_text(cell: Cell) -> str:
    return f"NO {cell.text}" if cell.state == "bad" else cell.text or cell.state


def _legible(lines: Sequence[str]) -> list[str]:
    """Every sign that is not plainly visible as an escape: a message could move the cursor or forge
    a verdict.
    """
    return [line if line.isprintable() else "".join(map(_visible, line)) for line in lines]


def _visible(sign: str) -> str:
    return sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii")
