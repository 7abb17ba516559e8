"""A line of the event log as HTML: on the page, over the socket and from the API alike.

Written out rather than a template: a page shows five hundred of them, and a console with many
readers thousands in a minute.
"""

from __future__ import annotations

from datetime import UTC
from html import escape

from django.utils.safestring import SafeString, mark_safe

from provisioning.models import Event

SHOWN_LEVELS: dict[str, str] = {Event.Level.INFO: "", Event.Level.GOOD: "ok"}
"""Other levels are shown by their own name."""


def event_line(event: Event) -> SafeString:
    """The `<li>` of one event."""
    at = event.at.astimezone(UTC)
    level, step = escape(event.level), escape(event.step)
    shown_level = SHOWN_LEVELS.get(event.level, level)
    level_part = f'<b class="level">{shown_level}</b>\n' if shown_level else ""
    step_part = f'<span class="step">{step}</span>\n' if step else ""
    return mark_safe(  # noqa: S308 - every value is escaped or a number
        f'<li class="event {level}" id="L{event.seq:d}" data-seq="{event.seq:d}" '
        f'data-level="{level}"\n'
        f'data-step="{step}" data-kind="{escape(event.kind)}">'
        f'<a class="seq" href="#L{event.seq:d}">{event.seq:d}</a>\n'
        f'<time datetime="{at.isoformat()}" title="{at:%Y-%m-%d %H:%M:%S} UTC">'
        f"{at:%H:%M:%S}</time>\n"
        f'{level_part}{step_part}<span class="text">{escape(event.text)}</span></li>\n'
    )
