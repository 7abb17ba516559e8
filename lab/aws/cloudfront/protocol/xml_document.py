"""An XML body as a tree that knows the byte offsets of its elements.

It cuts and completes a document without changing any other byte, so unknown elements survive a get
and an update. Document types and entities are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from lab.aws.cloudfront.protocol.errors import CloudFrontError
from lab.aws.cloudfront.protocol.service_model import NAMESPACE

MAX_DEPTH = 48
# Twice the elements of a distribution with every origin, header and behavior that quotas allow.
MAX_ELEMENTS = 50_000
_OPENING_NAME = re.compile(rb"<[^\s/>]+")
_PREFIX = re.compile(rb"[^\s/>:]+:")
_TAG = re.compile(rb"""[^>"']*(?:(?:"[^"]*"|'[^']*')[^>"']*)*>""")
_DEFAULT_NAMESPACE = re.compile(rb"\sxmlns\s*=")


@dataclass(slots=True)
class Element:
    """One element. `start` and `end` are byte offsets around it, `inner_end` the offset of its
    closing tag.

    `name` is the local name; elements of another namespace are named "{uri}local", which matches
    nothing.
    """

    name: str
    start: int
    end: int = -1
    inner_end: int = -1
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def child(self, name: str) -> Element | None:
        """The first child with that name."""
        for child in self.children:
            if child.name == name:
                return child
        return None


@dataclass(frozen=True)
class Document:
    """A parsed body."""

    raw: bytes
    root: Element

    def cut(self, element: Element) -> bytes:
        """The bytes of one element as a document of its own, with the namespace declared."""
        piece = self.raw[element.start : element.end]
        opening = _opening_end(piece, 0)
        return piece if _DEFAULT_NAMESPACE.search(piece, 0, opening) else _with_namespace(piece, 0)

    def with_insertions(self, insertions: list[tuple[Element, str]]) -> bytes:
        """The bytes with each text inserted at the end of its element."""
        pieces: list[bytes] = []
        position = 0
        for element, text in sorted(insertions, key=lambda pair: pair[0].inner_end):
            pieces += [self.raw[position : element.inner_end], text.encode()]
            position = element.inner_end
        pieces.append(self.raw[position:])
        return b"".join(pieces)

    def with_elements(self, replacements: list[tuple[Element, str]]) -> bytes:
        """The bytes with each element replaced by a text; no element may be inside another."""
        pieces: list[bytes] = []
        position = 0
        for element, text in sorted(replacements, key=lambda pair: pair[0].start):
            pieces += [self.raw[position : element.start], text.encode()]
            position = element.end
        pieces.append(self.raw[position:])
        return b"".join(pieces)


def malformed(reason: str) -> CloudFrontError:
    """The error for a body that is not XML, or not the expected XML."""
    return CloudFrontError("MalformedInput", f"Could not parse the request body: {reason}")


def parse(raw: bytes) -> Document:
    """Parse a request body.

    :raises CloudFrontError: MissingBody, or MalformedInput for anything but plain UTF-8 XML.
    """
    if not raw.strip():
        raise CloudFrontError(
            "MissingBody", "This operation requires a body. Ensure that the body is present."
        )
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("it is not UTF-8") from None
    builder = _built(raw)
    if builder.prefixes:
        # Clients look for names without a prefix in the answer.
        raw = _without(raw, builder.prefixes)
        root = builder.root.start
        if not _DEFAULT_NAMESPACE.search(raw, root, _opening_end(raw, root)):
            raw = _with_namespace(raw, root)
        builder = _built(raw)
    return Document(raw, builder.root)


def _built(raw: bytes) -> _Builder:
    builder = _Builder(raw)
    try:
        builder.parser.Parse(raw, True)
    except expat.ExpatError as error:
        raise malformed(str(error)) from None
    return builder


class _Builder:
    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.root = Element("", 0)
        self.prefixes: list[tuple[int, int]] = []
        self._elements = 0
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self.parser = expat.ParserCreate("utf-8", namespace_separator="}")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data
        self.parser.StartDoctypeDeclHandler = self._doctype

    def _doctype(self, *_: object) -> None:
        raise malformed("a document type declaration is not allowed")

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise malformed("it is nested too deeply")
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise malformed(f"it has more than {MAX_ELEMENTS} elements")
        uri, _, local = name.rpartition("}")
        self._note_prefix(uri, self.parser.CurrentByteIndex + 1)
        element = Element(
            local if uri in ("", NAMESPACE) else f"{{{name}", self.parser.CurrentByteIndex
        )
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])

    def _note_prefix(self, uri: str, at: int) -> None:
        """Record a prefix that stands for CloudFront's namespace."""
        found = _PREFIX.match(self.raw, at) if uri == NAMESPACE else None
        if found:
            self.prefixes.append(found.span())

    def _end(self, name: str) -> None:
        element = self._open.pop()
        element.text = "".join(self._texts.pop())
        at = self.parser.CurrentByteIndex
        if self.raw[at : at + 2] == b"</":
            element.inner_end = at
            self._note_prefix(name.rpartition("}")[0], at + 2)
            element.end = self.raw.find(b">", at) + 1
            if not element.end:
                # expat reports the end before it notices that the tag is incomplete.
                raise malformed("a tag is not closed")
        else:
            # An empty-element tag has no content to insert into.
            element.end = _opening_end(self.raw, element.start)

    def _data(self, text: str) -> None:
        self._texts[-1].append(text)


def _without(raw: bytes, spans: list[tuple[int, int]]) -> bytes:
    pieces, position = [], 0
    for start, end in spans:
        pieces.append(raw[position:start])
        position = end
    return b"".join([*pieces, raw[position:]])


def _with_namespace(raw: bytes, at: int) -> bytes:
    """With CloudFront's namespace declared as the default one in the tag at this offset."""
    name = _OPENING_NAME.match(raw, at)
    if name is None:
        raise malformed("an element without a name")
    return raw[: name.end()] + f' xmlns="{NAMESPACE}"'.encode() + raw[name.end() :]


def _opening_end(raw: bytes, start: int) -> int:
    """Offset after the tag that starts at `start`; a ">" in quotes does not end it."""
    tag = _TAG.match(raw, start)
    if tag is None:
        raise malformed("a tag is not closed")
    return tag.end()
