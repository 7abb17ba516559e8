"""PURE. Changes members of a stored DistributionConfig, as CloudFront does when it copies one.

Every other byte, including unknown elements, stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from lab.aws.cloudfront.protocol.xml_document import parse


def with_members(raw: bytes, members: Mapping[str, str]) -> bytes:
    """The configuration with these top-level members replaced, or added."""
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
    """A text member."""
    return f"<{name}>{escape(text)}</{name}>"


def flag_member(name: str, value: bool) -> str:
    """A boolean member."""
    return text_member(name, "true" if value else "false")


def aliases_member(names: Sequence[str]) -> str:
    """Aliases as an element."""
    items = "".join(text_member("CNAME", name) for name in names)
    listed = f"<Items>{items}</Items>" if names else ""
    return f"<Aliases><Quantity>{len(names)}</Quantity>{listed}</Aliases>"
