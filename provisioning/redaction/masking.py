"""Text without credentials: what carries one is masked, the rest stays for the diagnosis (PURE).

A mask keeps the length and nothing of the value. It has no space, comma, semicolon or quote, so
that a masked header, URL or list is still read as one. Masking twice changes nothing.

Every function takes `found`, a list that receives the values that were masked, for KnownSecrets.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

from provisioning.redaction.carriers import (
    ATTRIBUTES,
    KNOWN_SHAPES,
    PUBLIC_HEADERS,
    RANDOM_BY_NATURE,
    SCHEMES,
    SUBPROTOCOL_PREFIXES,
    SUBPROTOCOL_WORDS,
    URL_HEADERS,
    has_secret_shape,
    header_name,
    is_secret_header,
    is_secret_key,
    is_secret_parameter,
    looks_random,
)
from provisioning.redaction.references import references, without_references

Found = list[str]
_MASK = re.compile(r"<masked-\d+-characters>")
_PART = re.compile(r"""[^\s,;=&"'<>]+""")


def mask_of(value: str, found: Found | None = None) -> str:
    """What stands in a value's place: `<masked-212-characters>`. An empty value, a mask, and a
    reference to a stored secret stay as they are.
    """
    bare = _MASK.sub("", value)
    if not bare.strip() or (references(bare) and without_references(bare) in ("x", '"x"')):
        return value
    if found is not None:
        found.append(value)
    return f"<masked-{len(value)}-characters>"


def mask_header(name: str, value: str, found: Found | None = None, *, guess: bool = True) -> str:
    """A header's value by its name, then by its shape; `guess` masks random values, too."""
    known = header_name(name)
    if known in RANDOM_BY_NATURE:
        return value
    if known in PUBLIC_HEADERS:
        return KNOWN_SHAPES.sub(lambda shape: mask_of(shape[0], found), value)
    if known == "sec-websocket-protocol":
        offered = re.split(r"\s*,\s*", value)
        return ", ".join(mask_subprotocols(offered, found))
    if known in URL_HEADERS:
        return mask_url(value, found)
    if known in ("cookie", "set-cookie"):
        return _mask_cookies(known, value, found)
    if is_secret_header(name):
        scheme, space, rest = value.strip().partition(" ")
        if space and scheme.lower() in SCHEMES:
            return f"{scheme} {mask_of(rest.strip(), found)}"
        return mask_of(value, found)
    if guess and has_secret_shape(without_references(value)):
        return mask_of(value, found)
    masked = mask_text(value, found)
    if not guess:
        return masked
    # `client=web; proof=K7f...`: each part by its own shape.
    return _PART.sub(
        lambda part: (
            mask_of(part[0], found) if has_secret_shape(without_references(part[0])) else part[0]
        ),
        masked,
    )


def _mask_cookies(header: str, value: str, found: Found | None) -> str:
    """Cookies keep their names, since policies forward or drop them by name, and attributes of
    Set-Cookie.
    """
    pairs = [pair for pair in value.split(";") if pair.strip()]
    # A quote still open at the end of a pair means that the semicolon belonged to a value.
    if any(pair.count('"') % 2 for pair in pairs):
        return mask_of(value, found)
    shown = []
    for number, pair in enumerate(pairs):
        name, equals, text = (part.strip() for part in pair.partition("="))
        if header == "set-cookie" and number and name.lower() in ATTRIBUTES:
            shown.append(pair.strip())
        elif text.strip(" ="):
            shown.append(f"{name}={mask_of(text, found)}")
        else:
            # Without a value, what comes before may itself be a value without a name.
            shown.append(mask_of(name, found) + equals)
    return "; ".join(shown)


def mask_subprotocols(names: Sequence[str], found: Found | None = None) -> tuple[str, ...]:
    """A list of subprotocols: the one after a word such as `bearer`, what follows a prefix such as
    `base64url.bearer.authorization.k8s.io.`, and what looks like a credential.
    """
    shown, announced = [], False
    for name in names:
        prefix = next((one for one in SUBPROTOCOL_PREFIXES if name.lower().startswith(one)), "")
        if prefix and len(name) > len(prefix) and name.lower() not in SUBPROTOCOL_WORDS:
            rest = name[len(prefix) :]
            shown.append(name[: len(prefix)] + mask_of(rest, found))
        elif announced or has_secret_shape(without_references(name)):
            shown.append(mask_of(name, found))
        else:
            shown.append(name)
        announced = name.lower() in SUBPROTOCOL_WORDS
    return tuple(shown)


_USERINFO = re.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)([^/?#@]*(?:@[^/?#@]*)*)@")


def mask_url(url: str, found: Found | None = None) -> str:
    """A URL, or a path with a query: userinfo, values of the query and of the fragment by name and
    by shape, and random segments of the path.
    """
    text = _USERINFO.sub(lambda match: f"{match[1]}{mask_of(match[2], found)}@", url, count=1)
    rest, hash_, fragment = text.partition("#")
    address, mark, query = rest.partition("?")
    scheme, slashes, place = address.partition("://")
    authority, slash, path = place.partition("/") if slashes else ("", "", address)
    segments = [_mask_segment(one, found) for one in path.split("/")]
    shown = f"{scheme}{slashes}{authority}{slash}" if slashes else ""
    shown += "/".join(segments)
    shown += mark + mask_query(query, found)
    return shown + hash_ + (mask_query(fragment, found) if fragment else "")


def _mask_segment(segment: str, found: Found | None) -> str:
    plain = without_references(unquote_plus(segment))
    return mask_of(segment, found) if has_secret_shape(plain) else segment


def mask_query(query: str, found: Found | None = None) -> str:
    """A query without its question mark: names are kept."""
    shown = []
    for part in re.split(r"([&;])", query):
        name, equals, value = part.partition("=")
        plain = unquote_plus(value)
        if part in ("&", ";"):
            shown.append(part)
        elif not equals:
            bare = has_secret_shape(without_references(unquote_plus(name)))
            shown.append(mask_of(name, found) if bare else name)
        elif is_secret_parameter(unquote_plus(name)) or _carries(plain):
            shown.append(f"{name}={mask_of(value, found)}")
            if found is not None and plain != value:
                found.append(plain)
        else:
            shown.append(part)
    return "".join(shown)


def _carries(value: str) -> bool:
    plain = without_references(value)
    return has_secret_shape(plain) or mask_text(plain) != plain


_Q = r"""\\{0,6}["']"""
_PEM = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.S
)
_HEADER_LINE = re.compile(
    r"""(?ix) \b( (?:proxy-)?authorization | (?:set-)?cookie ) (["']?\s*[=:]\s*)
    ( "[^"\r\n]*"? | '[^'\r\n]*'? | [^"'\s][^\r\n]* )"""
)
_PAIR = re.compile(
    rf"""(?x)
    (?<!\$\{{) (?<![A-Za-z_]) (?P<name> [A-Za-z][\w.-]{{1,60}} )
    (?P<mid> (?:{_Q})? \s*(?:=|:|==)\s* )
    (?: (?P<quote>{_Q}) (?P<quoted> (?: \\\\ | \\[^\\"'] | [^"'\\\r\n] ){{0,8192}} )
      | (?P<bare> [^\s"',;&<>(){{}}\[\]\\=]+=* ) )"""
)
_SCHEME = re.compile(r"(?i)\b(bearer|basic|dpop)(\s+)([A-Za-z0-9._~+/=-]{6,})")
_URL = re.compile(r"""(?:\b[A-Za-z][A-Za-z0-9+.-]{1,12}://|(?<![\w/])/[^\s?"'<>]*\?)[^\s"'<>\\]+""")
_RUN = re.compile(r"[A-Za-z0-9+/_=~.-]{20,}")
_PROSE_WORDS = frozenset(
    {"missing", "required", "invalid", "expired", "none", "null", "true", "false"}
)


def mask_text(text: str, found: Found | None = None, *, guess: bool = False) -> str:
    """Prose, a message, a body, an error: header lines, `name: value` pairs, URLs, schemes and
    known shapes. With `guess` random base64 is masked, too; not for what AWS writes, whose request
    ids are random.
    """
    if len(text) < 6:
        return text
    text = _PEM.sub(lambda match: mask_of(match[0], found), text)
    if ":" in text or "=" in text:
        text = _HEADER_LINE.sub(lambda match: _masked_line(match, found), text)
        text = _PAIR.sub(lambda match: _masked_pair(match, found), text)
    if "/" in text:
        text = _URL.sub(lambda match: mask_url(match[0], found), text)
    text = _SCHEME.sub(
        lambda match: (
            match[0]
            if match[3].lower() in _PROSE_WORDS or match[3].isalpha()
            else f"{match[1]}{match[2]}{mask_of(match[3], found)}"
        ),
        text,
    )
    text = KNOWN_SHAPES.sub(lambda match: mask_of(match[0], found), text)
    if guess:
        text = _RUN.sub(
            lambda match: mask_of(match[0], found) if looks_random(match[0]) else match[0], text
        )
    return text


def mask_prose(text: str, longest: int) -> str:
    """What a person wrote, of at most `longest` characters although masks can be longer."""
    return mask_text(text, guess=True)[:longest]


def _masked_line(match: re.Match[str], found: Found | None) -> str:
    name, mid, value = match[1], match[2], match[3]
    quote_ = value[0] if value[0] in "\"'" else ""
    inner = value.strip(quote_) if quote_ else value.rstrip()
    if not quote_ and mid.strip()[0] in "\"'":
        # The start of a JSON object or list: its own keys decide.
        return match[0]
    end = value[len(quote_) + len(inner) :]
    return f"{name}{mid}{quote_}{mask_header(name, inner, found)}{end}"


def _masked_pair(match: re.Match[str], found: Found | None) -> str:
    if not is_secret_key(match["name"]):
        return match[0]
    quote_, value = match["quote"] or "", match["quoted"] or match["bare"] or ""
    scheme, space, rest = value.partition(" ")
    if value.lower() in _PROSE_WORDS or (not quote_ and value.lower() in SCHEMES):
        return match[0]
    if not quote_ and len(value) < 4 and value.isdigit():
        return match[0]
    if space and scheme.lower() in SCHEMES:
        shown = f"{scheme} {mask_of(rest, found)}"
    else:
        shown = mask_of(value, found)
    return f"{match['name']}{match['mid']}{quote_}{shown}"


def mask_data(value: Any, found: Found | None = None) -> Any:
    """JSON-ready data: texts as `mask_text` masks them, and all that stands under a secret key."""
    if isinstance(value, str):
        return mask_text(value, found)
    if isinstance(value, dict):
        return {
            mask_text(str(key), found): _masked_member(str(key), inner, found)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [mask_data(inner, found) for inner in value]
    return value


def _masked_member(key: str, value: Any, found: Found | None) -> Any:
    if not is_secret_key(key) or value is None or isinstance(value, bool):
        return mask_data(value, found)
    if isinstance(value, str):
        return mask_header("authorization", value, found)
    if isinstance(value, int | float):
        return mask_of(str(value), found)
    if isinstance(value, dict):
        return {str(inner): _masked_member("password", one, found) for inner, one in value.items()}
    return [_masked_member("password", one, found) for one in value]


SHORTEST_KNOWN = 6
"""A shorter value is masked in its place only: elsewhere it may be any word."""
LONG_VALUE = 24
GRAM, LONG_GRAM = 8, 12
"""How many characters of a known value in a row give it away, for short values and for long."""


class KnownSecrets:
    """Values known to be secret, found again wherever they come back: whole or in part, in percent
    encoding, base64, hexadecimal, or escaped for JSON and HTML; also spread over several texts.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._exact: set[str] = set()
        self._grams: dict[int, set[str]] = {}
        for value in {one.strip() for one in values}:
            if len(value) >= SHORTEST_KNOWN and not _MASK.fullmatch(value):
                self._learn(value)

    def __bool__(self) -> bool:
        return bool(self._exact or self._grams)

    def with_all(self, other: KnownSecrets | None) -> KnownSecrets:
        """These and the other's."""
        if not other:
            return self
        both = KnownSecrets(())
        both._exact = self._exact | other._exact
        for size in {*self._grams, *other._grams}:
            both._grams[size] = self._grams.get(size, set()) | other._grams.get(size, set())
        return both

    def _learn(self, value: str) -> None:
        size = LONG_GRAM if len(value) >= LONG_VALUE else GRAM
        for form in _forms(value):
            if len(form) < size:
                self._exact.add(form)
            else:
                self._learn_grams(form, size)
        raw = value.encode("utf-8", "replace")
        for spaced in (raw.hex(" "), raw.hex(" ").upper()):
            self._learn_grams(spaced, min(len(spaced), 3 * size))
        for plain in (raw.hex(), raw.hex().upper()):
            self._learn_grams(plain, min(len(plain), 2 * size))

    def _learn_grams(self, form: str, size: int) -> None:
        grams = self._grams.setdefault(size, set())
        grams.update(form[at : at + size] for at in range(len(form) - size + 1))

    def mask(self, text: str) -> str:
        """The text without them."""
        return self.mask_all([text])[0]

    def mask_all(self, texts: Sequence[str]) -> list[str]:
        """Texts that followed each other, without the values that begin in one and end in
        another.
        """
        if not self:
            return list(texts)
        joined = "".join(texts)
        spans = self._spans(joined)
        if not spans:
            return list(texts)
        shown, at = [], 0
        for text in texts:
            shown.append(_cut(text, at, spans))
            at += len(text)
        return shown

    def _spans(self, text: str) -> list[tuple[int, int]]:
        found = [
            (match.start(), match.end())
            for form in self._exact
            for match in re.finditer(re.escape(form), text)
        ]
        for size, grams in self._grams.items():
            found += [
                (at, at + size)
                for at in range(len(text) - size + 1)
                if text[at : at + size] in grams
            ]
        kept = [(match.start(), match.end()) for match in _MASK.finditer(text)]
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if any(first <= start and end <= last for first, last in kept):
                continue
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged


def _cut(text: str, at: int, spans: Sequence[tuple[int, int]]) -> str:
    shown, place = "", 0
    for start, end in spans:
        first, last = max(start - at, 0), min(end - at, len(text))
        if first < last:
            shown += text[place:first] + f"<masked-{last - first}-characters>"
            place = last
    return shown + text[place:]


def _forms(value: str) -> frozenset[str]:
    """A value as it may come back, beside hexadecimal."""
    raw = value.encode("utf-8", "replace")
    percent = quote(value, safe="", errors="replace")
    forms = {value, percent, quote_plus(value, errors="replace"), percent.lower()}
    forms |= {quote(value, errors="replace"), json.dumps(value)[1:-1], html.escape(value)}
    forms |= {json.dumps(value, ensure_ascii=False)[1:-1]}
    for shift in range(3):
        # Within a longer text, base64 of the value begins at one of three places of a byte.
        coded = base64.b64encode(bytes(shift) + raw).decode("ascii").rstrip("=")
        inner = coded[(shift * 8 + 5) // 6 : len(coded) - (1 if (shift + len(raw)) % 3 else 0)]
        if len(inner) >= SHORTEST_KNOWN:
            forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    return frozenset(forms)
