"""The kinds of app that an endpoint can lead to, and what a check of each asks (PURE, DATA).

The table is app_kinds.toml. The form's list, the derived settings of the usual check, the
recognition of an app by its answers and docs/app-kinds.md follow from it.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from provisioning.facts.path_patterns import matches

AnswerPart = Literal["body", "text", "binary", "subprotocol", "close"]
"""Where a sign of a kind is looked for: a refusal's body or reason phrase, a text message, a binary
message in hexadecimal, the subprotocol that the server chose, a close code and its reason.
"""


@dataclass(frozen=True)
class Sign:
    """A regular expression that is found in one part of an app's answer."""

    part: AnswerPart
    regex: re.Pattern[str]


@dataclass(frozen=True)
class Beat:
    """What a client sends in the app's own protocol to keep its connection: `sends` as text, or
    `sends_binary` in hexadecimal; `every` so many seconds, or whenever a text message `answers`.
    """

    sends: str = ""
    sends_binary: str = ""
    every: float = 0.0
    answers: re.Pattern[str] | None = None


@dataclass(frozen=True)
class Join:
    """A server that closes a client `within` so many seconds unless it sends something; `step` is
    that, in the words of a script.
    """

    within: int
    step: str


@dataclass(frozen=True)
class AppKind:
    """One row of the table; the file says what each member is."""

    key: str
    group: str
    title: str
    about: str
    path: str
    source: str
    heartbeat: str
    connect: str = ""
    subprotocols: tuple[str, ...] = ()
    script: str = ""
    http_api: bool = False
    usual_path: str = ""
    path_note: str = ""
    in_paths: tuple[str, ...] = ()
    origin: str = ""
    closes: str = ""
    refuses: str = ""
    answers: tuple[Sign, ...] = ()
    beat: Beat | None = None
    join: Join | None = None
    never: re.Pattern[str] | None = None
    connect_note: str = ""
    leaves_out: str = ""
    examples: tuple[tuple[str, str], ...] = ()

    def check_path(self, path_patterns: Sequence[str]) -> str:
        """The path and query that this kind's clients request, below the first pattern that leaves
        room for them. "" if no pattern does, or the kind has no path of its own.
        """
        for pattern in path_patterns:
            path = self.client_path(pattern)
            if any(matches(one, path) for one in path_patterns):
                return path + "".join(self.path.partition("?")[1:])
        return ""

    def client_path(self, pattern: str) -> str:
        """The path that this kind's clients request below a pattern's; "" if the kind has none, or
        the pattern has wildcards before its end.
        """
        base = pattern.rstrip("*").rstrip("?")
        if not self.path or set(base) & {"*", "?"}:
            return ""
        return _joined(base, self.path.partition("?")[0])

    def path_doubt(self, path_patterns: Sequence[str]) -> str:
        """The kind's note on its path, if none of the patterns is its servers' usual path; else
        "".
        """
        usual = self.usual_path.rstrip("/*")
        return "" if any(usual in one for one in path_patterns) else self.path_note

    def client_code(self, host: str, check_path: str) -> str:
        """How the kind's own client connects to the endpoint; "" if it has none."""
        path = check_path.partition("?")[0]
        base = path.removesuffix(self.path.partition("?")[0].rstrip("/"))
        return self.connect.format(host=host, path=path, base=base.rstrip("/"))


def _joined(base: str, below: str) -> str:
    """The path `below` a base, which can name a part of it already, as /socket/websocket and
    /_stcore/ do.
    """
    stem, segments = base.rstrip("/"), below.split("/")
    for count in range(len(segments), 1, -1):
        named = "/".join(segments[:count])
        if stem.endswith(named):
            return stem.removesuffix(named) + below
    return stem + below if below else base


PLAIN = "plain"
"""The kind of an app of which nothing is known."""


def _read() -> Mapping[str, AppKind]:
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    kinds = {}
    for key, row in rows.items():
        signs = row.pop("answers", ())
        for name in ("subprotocols", "in_paths"):
            row[name] = tuple(row.get(name, ()))
        row["examples"] = tuple((line, meaning) for line, meaning in row.get("examples", ()))
        row["script"] = row.get("script", "").strip()
        row["answers"] = tuple(_sign(sign) for sign in signs)
        if "beat" in row:
            answers = row["beat"].pop("answers", None)
            row["beat"] = Beat(**row["beat"], answers=answers and re.compile(answers))
        row["join"] = Join(**row["join"]) if "join" in row else None
        row["never"] = re.compile(row["never"]) if "never" in row else None
        kinds[key] = AppKind(key, **row)
    return MappingProxyType(kinds)


def _sign(row: Mapping[str, str]) -> Sign:
    part = next(one for one in get_args(AnswerPart) if one == row["in"])
    return Sign(part, re.compile(row["regex"]))


APP_KINDS: Mapping[str, AppKind] = _read()
"""The rows by key, in the order of the form."""


@functools.lru_cache(maxsize=256)
def kind_of_paths(patterns: tuple[str, ...]) -> AppKind:
    """The kind whose usual path is among the patterns, the longest path first; else plain."""
    found = [
        (len(part), kind)
        for kind in APP_KINDS.values()
        for part in kind.in_paths
        if any(part in pattern for pattern in patterns)
    ]
    return max(found, key=lambda one: one[0])[1] if found else APP_KINDS[PLAIN]


def kinds_of_answer(said: Iterable[tuple[AnswerPart, str]]) -> tuple[AppKind, ...]:
    """The kinds that an app's answer can be of, in the order of the table; none if it gives nothing
    away.
    """
    seen = tuple(said)
    return tuple(
        kind
        for kind in APP_KINDS.values()
        if any(
            sign.part == part and sign.regex.search(text)
            for sign in kind.answers
            for part, text in seen
        )
    )
