"""docs/app-kinds.md, made from the table of app kinds (PURE)."""

from __future__ import annotations

from itertools import groupby

from checks.usual_check import heartbeat_of, sent_and_awaited
from provisioning.spec.app_kinds import APP_KINDS, AppKind

HEAD = """<!-- made by `python -m tests.app_kinds`, do not edit -->

# Kinds of app

What the usual check of an endpoint requests and sends, by the kind of app behind it, and how such
an app behaves. A check opens the connection, sends a WebSocket ping, follows the steps below, keeps
the connection open for `stay_open_seconds` with the kind's own heartbeat, and closes it. The path
is below the endpoint's own. Everything can be changed per endpoint. The portal shows the same under
`/help/app-kinds/`."""
COLUMNS = ("kind", "path", "sends", "expects", "heartbeat", "closes", "refuses", "source")


def document() -> str:
    """The whole document."""
    parts = [HEAD]
    for group, kinds in groupby(APP_KINDS.values(), key=lambda kind: kind.group):
        rows = (_line(COLUMNS), _line(["---"] * len(COLUMNS)), *map(_row, kinds))
        parts += ["", f"## {group}", "", *rows]
    return "\n".join(parts) + "\n"


def _row(kind: AppKind) -> str:
    sends, awaits = sent_and_awaited(kind.script)
    beat = heartbeat_of(kind)
    offers = f"offers {_code(', '.join(kind.subprotocols))}" if kind.subprotocols else ""
    return _line(
        (
            f"{kind.title} ({_code(kind.key)}). {kind.about} {kind.path_note}".rstrip(),
            " ".join(filter(None, (_code(kind.path) if kind.path else "", offers))),
            "<br>".join(map(_code, sends)) or "no message",
            "<br>".join(map(_code, awaits)),
            " ".join((kind.heartbeat, f"The check: {_code(str(beat))}." if beat else "")).rstrip(),
            kind.closes,
            " ".join(filter(None, (kind.refuses, kind.origin))),
            f"<{kind.source}>",
        )
    )


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _code(text: str) -> str:
    return f"`{text}`"
