"""Text that cannot do anything but be read (PURE).

Terminals obey escape sequences, and bidirectional controls show a text in another order than it is
stored ("Trojan Source", CVE-2021-42574). What people and apps write goes to consoles, tickets and
downloads, so such characters are shown as the replacement character.
"""

from __future__ import annotations

import re

_LINE_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROLS = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    """The text with each control character replaced, and with every line break as LF."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _LINE_BREAKS.sub("\n", text))


def on_one_line(text: str) -> str:
    """The same without line breaks and tabs, and with single spaces."""
    return " ".join(printable(text).split())
