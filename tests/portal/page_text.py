"""What a response of the portal says: its text, its faults, its downloads."""

from __future__ import annotations

import re
from typing import Any


def text_of(response: Any) -> str:
    """What stands on a page, as a reader meets it: no tags, single spaces."""
    words = re.sub(
        r"<(script|style).*?</\1>|<[^>]+>", " ", response.content.decode(), flags=re.DOTALL
    )
    for entity, sign in (
        ("&amp;", "&"),
        ("&#x27;", "'"),
        ("&quot;", '"'),
        ("&lt;", "<"),
        ("&gt;", ">"),
    ):
        words = words.replace(entity, sign)
    return " ".join(words.split())


def faults_untied(response: Any) -> list[str]:
    """Errors on a page that are read out with no field, and what fields name although it is not
    there.
    """
    body = response.content.decode()
    faults = re.findall(r'(?:<div id="([\w-]+)">\s*)?<p class="field-error"', body)
    named = {one for ids in re.findall(r'aria-describedby="([^"]+)"', body) for one in ids.split()}
    there = set(re.findall(r'\sid="([\w-]+)"', body))
    return [one or "an error without id" for one in faults if one not in named] + sorted(
        named - there
    )


def streamed(response: Any) -> str:
    """All of a download."""
    return b"".join(response.streaming_content).decode()
