"""PURE. Changes single members of a stored DistributionConfig, as CloudFront does when a
configuration is copied.

It decides which bytes to replace. It must never touch any other byte: what nobody here knows is
copied too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from lab.aws.cloudfront.protocol.xml_document import parse


def with_members(raw: bytes, members: Mapping[str, str]) -> bytes:
    """The configuration with its top-level members of these names replaced by these elements, or
    given them.
    """
    document = parse(raw)
    present = {child.name: child for child in document.root.children}
    changed = document.with_elements(
        [(present[name], text) for name, text in members.items() if name in present]
    )
    added = "".join(text for name, text in members.items() if name not in present)
    if not added:
        return changed
    again = parse(changed)
    return again.with_insertions([(again.root, added)])


def text_member(name: str, text: str) -> str:
    """A member that holds text."""
    return f"<{name}>{escape(text)}</{name}>"


def flag_member(name: str, value: bool) -> str:
    """A member that is true or false."""
    return text_member(name, "true" if value else "false")


def aliases_member(names: Sequence[str]) -> str:
    """Aliases as an element."""
    items = "".join(text_member("CNAME", name) for name in names)
    listed = f"<Items>{items}</Items>" if names else ""
    return f"<Aliases><Quantity>{len(names)}</Quantity>{listed}</Aliases>"
