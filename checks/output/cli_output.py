"""What `manage.py probe` prints: words first, evidence under them, the transcript last; or one JSON
document (PURE).

Layout only: verdicts and reports come finished. Credentials are masked, and what the
server sends reaches the terminal only as printable characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from checks.diagnosis.transcript_rules import Diagnosis
from checks.diagnosis.verdicts import VerdictCode
from checks.output.comparison import Comparison
from checks.output.reports import Report
from checks.protocol.transcript import Phase, Transcript
from provisioning.redaction.masking import mask_url


def document(
    live: bool, judged: Sequence[tuple[str, Transcript, tuple[Diagnosis, ...]]]
) -> dict[str, Any]:
    """For machines: every route with its verdicts and its whole transcript. A plain GET that was
    answered has no verdict and counts as live, as it does for the exit code.
    """
    return {
        "live": live,
        "routes": [
            {
                "name": name,
                "url": mask_url(seen.url),
                "live": seen.live or _answered_plainly(seen),
                "verdicts": [
                    {**found.to_dict(), "title": found.verdict.title, "fix": found.fix}
                    for found in (() if _answered_plainly(seen) else diagnoses)
                ],
                "transcript": seen.to_dict(),
            }
            for name, seen, diagnoses in judged
        ],
    }


BODY_LINES, BODY_WIDTH = 12, 160
_HINTS: dict[VerdictCode, str] = {
    "WSE-GUARD": "to check an address in your own network, add --allow and the network, for "
    "example --allow 10.0.0.0/8; for this machine, --allow 127.0.0.0/8.",
    "WSE-URL": "a port other than 443 and 80 requires --any-port.",
}
"""What can be done about a verdict on the command line only."""


def way_lines(name: str, seen: Transcript, diagnoses: Sequence[Diagnosis]) -> list[str]:
    """Plain words first, the evidence under them, the transcript last."""
    first = diagnoses[0]
    lines = [f"=== {name}: {mask_url(seen.url)}"] if name else []
    plain = _answered_plainly(seen)
    if plain and seen.response is not None:
        lines.append(f"A plain GET is answered with {seen.response.status_line}")
    else:
        lines += [
            f"{first.verdict.title} ({first.code}"
            f"{'' if first.code == 'WSE-UNKNOWN' else f', {first.certainty} certainty'})",
            f"  {first.verdict.plain}",
        ]
    if not seen.live and not plain:
        lines += [f"  Fix: {first.fix}", f"  Confirm: {first.verdict.confirm}"]
        lines += [f"  Here: {_HINTS[first.code]}"] if first.code in _HINTS else []
        lines += [f"  Seen: {line}" for line in first.evidence]
        lines += [
            f"  Or: {other.verdict.title} ({other.code}, {other.certainty})"
            for other in diagnoses[1:]
        ]
    shown = seen.masked()
    if shown.request is not None:
        lines += ["", f"> {shown.request.request_line}"]
        lines += [f"> {line.raw}" for line in shown.request.headers]
    if shown.response is not None:
        lines += ["", f"< {shown.response.status_line}"]
        lines += [
            f"< {line.raw}{f'    ({line.note})' if line.note else ''}"
            for line in shown.response.headers
        ]
    if shown.late is not None:
        lines += ["", f"< {shown.late.status_line}    (after the 101, instead of a frame)"]
        lines += [f"< {line.raw}" for line in shown.late.headers]
    # The start of a refusal's body, where its author often says why.
    body = [line.rstrip() for line in shown.body.splitlines() if line.strip()]
    kept = [line[:BODY_WIDTH] for line in body[:BODY_LINES]]
    if body and (shown.body_truncated or kept != body):
        kept.append("…")
    lines += ["", *(f"  | {line}" for line in kept)] if kept else []
    lines += [
        f"  {frame.direction:8} {frame.opcode:12} {frame.size:6} B {frame.at_ms:9.1f} ms  "
        f"{frame.preview}"
        for frame in shown.frames
    ]
    lines += [
        f"  {'ok' if step.ok else 'NO':3} {step.text}  ({step.took_ms:.0f} ms) {step.detail}"
        for step in shown.steps
    ]
    times = [
        (phase, getattr(seen.timing, phase, None))
        for phase in (*(phase.value for phase in Phase), "total")
    ]
    lines += ["", "  ".join(f"{phase} {ms:.1f} ms" for phase, ms in times if ms is not None), ""]
    return _legible(lines)


def _answered_plainly(seen: Transcript) -> bool:
    """A plain GET that was answered: no WebSocket was requested, so no status is a fault."""
    return seen.request is not None and not seen.request.upgrade and seen.response is not None


def comparison_lines(table: Comparison) -> list[str]:
    """The routes side by side, and where they first differ."""
    width = max(18, *(len(route) for route in table.routes))
    lines = [f"{'':20}" + "".join(f"{route:<{width + 2}}" for route in table.routes)]
    for title, cells in table.rows:
        shown = (
            f"{'NO ' if cell.state == 'bad' else ''}{cell.text or cell.state}" for cell in cells
        )
        lines.append(f"{title:20}" + "".join(f"{text[:width]:<{width + 2}}" for text in shown))
    if table.first_bad is not None:
        route, row, text = table.first_bad
        lines.append(f"First difference: {route}, {row}: {text}")
    return _legible(lines)


def report_lines(told: Report) -> list[str]:
    """The sentence, what else to know, the table."""
    lines = [f"{told.headline} ({told.code})" if told.code else told.headline]
    lines += [f"  {line}" for line in told.lines]
    if told.rows:
        first = max(len(title) for title, _ in told.rows) + 2
        lines += ["", " " * first + "".join(f"{column:<34}" for column in told.columns)]
    for title, cells in told.rows:
        texts = (f"NO {one.text}" if one.state == "bad" else one.text or one.state for one in cells)
        lines.append(f"{title:<{first}}" + "".join(f"{text:<34}" for text in texts).rstrip())
    return _legible([*lines, ""])


def _legible(lines: Sequence[str]) -> list[str]:
    """Every character that is not printable as an escape: a message could move the cursor or forge
    a verdict.
    """
    return [
        "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
            for char in line
        )
        for line in lines
    ]
