"""Scripts: what a check sends on an open WebSocket and what it expects to receive (PURE).

No pattern or message costs more than its length: regular expressions are RE2's, which take linear
time, and a JSON path names one place, without filters.

    send {"type": "hello", "id": "{nonce}"}      one text message; {nonce} differs in every check
    send {"token": "${secret:API_TOKEN}"}        ... with the value of a stored secret
    send {"type": 6}{0x1e}                       {0x1e} is the character with this code
    send-binary 10 0c 00 04                      one binary message, in hexadecimal
    expect text hello within 5                   a message that contains this, within 5 seconds
    expect binary 20 02                          binary messages that begin with these bytes
    expect json $.type == "welcome"              a JSON message with this value at this place
    expect json $.clients                        ... or with any value there
    expect regex ^echo: .+                       a message in which this is found (RE2 syntax)
    ping within 5                                a ping, and its pong
    pong                                         an unsolicited pong, which gets no answer
    hold 30                                      30 silent seconds; the socket must stay open
    close 1000 done                              a close frame, and its answer
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jsonpath
import re2

from provisioning.redaction.references import references, resolve_each

MAX_STEPS = 40
MAX_LINE = 4096
MAX_SECONDS = 120.0
"""The longest that all steps of a script together may wait."""
DEFAULT_WITHIN = 5.0
NONCE = "{nonce}"
SAMPLE = "0a1b2c3d4e5f6071"
"""Stands in for the nonce while a script is parsed: sixteen hexadecimal digits, like the nonce."""
MAX_PATH = 500
MAX_QUOTED = 80

_RE2_OPTIONS = re2.Options()
_RE2_OPTIONS.log_errors = False
_RE2_OPTIONS.max_mem = 1 << 20
_CHARACTER = re.compile(r"\{0x([0-9A-Fa-f]{2})\}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
_WITHIN = re.compile(r"[ \t]+within[ \t]+([0-9]+(?:\.[0-9]+)?)[ \t]*(?:s|seconds?)?$")


class ScriptError(ValueError):
    """A line that is not a step: its number (from 1), and what to write instead."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(line, problem)
        self.line, self.problem = line, problem

    def __str__(self) -> str:
        return f"Line {self.line}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text message; `{nonce}` and `{0xNN}` in it are filled in."""

    text: str

    @property
    def seconds(self) -> float:
        """The longest that this step waits."""
        return 0.0

    def filled(self, nonce: str) -> str:
        """The message as it is sent."""
        return _filled(self.text, nonce)

    def __str__(self) -> str:
        return f"send {self.text}"


@dataclass(frozen=True, slots=True)
class SendBinary:
    """Send one binary message."""

    data: bytes

    @property
    def seconds(self) -> float:
        """The longest that this step waits."""
        return 0.0

    def __str__(self) -> str:
        return f"send-binary {self.data.hex(' ')}"


@dataclass(frozen=True, slots=True)
class ExpectText:
    """Wait for a message that contains `text`."""

    text: str
    seconds: float = DEFAULT_WITHIN

    def matches(self, message: str, nonce: str) -> bool:
        """This is the expected message."""
        return _filled(self.text, nonce) in message

    def __str__(self) -> str:
        return f"expect text {self.text} within {self.seconds:g}"


@dataclass(frozen=True, slots=True)
class ExpectBinary:
    """Wait for binary messages that begin with `data`: one, or several that follow each other."""

    data: bytes
    seconds: float = DEFAULT_WITHIN

    def __str__(self) -> str:
        return f"expect binary {self.data.hex(' ')} within {self.seconds:g}"


class BytesExpected:
    """How much of the expected bytes has come, in binary messages that follow each other: a packet
    of a protocol over WebSockets need not be one message (MQTT 3.1.1, 6.0.0-2).
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._begun: list[bytes] = []

    def complete_with(self, message: bytes) -> bool:
        """Take the next message, and return whether the bytes are complete."""
        candidates = [begun + message for begun in (*self._begun, b"")]
        if any(candidate.startswith(self._data) for candidate in candidates):
            return True
        self._begun = [one for one in candidates if one and self._data.startswith(one)]
        return False


@dataclass(frozen=True, slots=True)
class ExpectJson:
    """Wait for a JSON message with something at `path`; with this `value` (JSON text) unless it is
    empty.
    """

    path: str
    value: str = ""
    seconds: float = DEFAULT_WITHIN

    def matches(self, message: str, nonce: str) -> bool:
        """This is the expected message."""
        try:
            found = _compiled(self.path).match(json.loads(message))
            wanted = json.loads(self.value.replace(NONCE, nonce)) if self.value else None
            return found is not None and (not self.value or _same(found.obj, wanted))
        except (ValueError, RecursionError, jsonpath.JSONPathError):
            return False

    def __str__(self) -> str:
        wanted = f" == {self.value}" if self.value else ""
        return f"expect json {self.path}{wanted} within {self.seconds:g}"


@dataclass(frozen=True, slots=True)
class ExpectRegex:
    """Wait for a message in which `pattern` (RE2) is found."""

    pattern: str
    seconds: float = DEFAULT_WITHIN

    def matches(self, message: str, nonce: str) -> bool:
        """This is the expected message."""
        try:
            return (
                re2.compile(self.pattern.replace(NONCE, nonce), _RE2_OPTIONS).search(message)
                is not None
            )
        except re2.error:
            # A range that ends with the nonce is invalid with some nonces.
            return False

    def __str__(self) -> str:
        return f"expect regex {self.pattern} within {self.seconds:g}"


@dataclass(frozen=True, slots=True)
class SendPing:
    """Send a ping and wait for its pong."""

    seconds: float = DEFAULT_WITHIN

    def __str__(self) -> str:
        return f"ping within {self.seconds:g}"


@dataclass(frozen=True, slots=True)
class SendPong:
    """Send a pong that answers no ping (RFC 6455 5.5.3): a heartbeat in one direction only."""

    @property
    def seconds(self) -> float:
        """The longest that this step waits."""
        return 0.0

    def __str__(self) -> str:
        return "pong"


@dataclass(frozen=True, slots=True)
class Hold:
    """Send nothing for `seconds`; pings of the server are answered."""

    seconds: float

    def __str__(self) -> str:
        return f"hold {self.seconds:g}"


@dataclass(frozen=True, slots=True)
class Gather:
    """Send nothing until all clients have joined, `seconds` at most: `arrive` reports this one, and
    returns whether all have.

    For probes of several clients only; scripts cannot write it.
    """

    arrive: Callable[[], bool]
    seconds: float

    def __str__(self) -> str:
        return "wait for the others"


@dataclass(frozen=True, slots=True)
class SendClose:
    """Send a close frame with this code and reason, and wait for the answer."""

    code: int = 1000
    reason: str = ""
    seconds: float = DEFAULT_WITHIN

    def __str__(self) -> str:
        return f"close {self.code} {self.reason}".rstrip()


TextExpectation: TypeAlias = ExpectText | ExpectJson | ExpectRegex
Expectation: TypeAlias = TextExpectation | ExpectBinary
Step: TypeAlias = Send | SendBinary | Expectation | SendPing | SendPong | Hold | Gather | SendClose


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A message that keeps the connection: sent `every` so many seconds, or after each text message
    that `answers`.
    """

    message: Send | SendBinary
    every: float = 0.0
    answers: re.Pattern[str] | None = None

    def __str__(self) -> str:
        message = "send an empty message" if self.message == Send("") else str(self.message)
        if self.answers is None:
            return f"{message} every {self.every:g} s"
        return f"{message} after each message that matches {self.answers.pattern}"


@dataclass(frozen=True, slots=True)
class Script:
    """What to do once the WebSocket is open.

    `first_frame_s` is how long to wait for a greeting, 0 for not at all. A `message`, with the
    nonce in it, must come back; without one no echo is expected. Then come a ping, the `steps`
    until one fails, and the close. The default sends nothing but the ping and the close. The
    `heartbeat` is kept up all the time. A text message that fits `never` fails the script.
    """

    first_frame_s: float = 0.0
    message: str = ""
    echo_s: float = 5.0
    ping: bool = True
    ping_s: float = 5.0
    steps: tuple[Step, ...] = ()
    heartbeat: Heartbeat | None = None
    never: re.Pattern[str] | None = None

    @classmethod
    def handshake_only(cls) -> Script:
        """Upgrade, then close."""
        return cls.of_steps(())

    @classmethod
    def echo(cls) -> Script:
        """Wait for a greeting, send a line that must come back, and ping."""
        return cls(first_frame_s=2.0, message="edge check {nonce}")

    @classmethod
    def of_steps(cls, steps: tuple[Step, ...], heartbeat: Heartbeat | None = None) -> Script:
        """Upgrade, then these steps and nothing else."""
        return cls(ping=False, steps=steps, heartbeat=heartbeat)


def parse_script(text: str) -> tuple[Step, ...]:
    """The steps of a script, one per line; empty lines and lines that start with # are skipped.
    Raises ScriptError.
    """
    steps: list[Step] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.strip(" \t\r")
        if not line or line.startswith("#"):
            continue
        if len(line) > MAX_LINE:
            raise ScriptError(number, f"is longer than {MAX_LINE} characters.")
        if _CONTROL.search(line):
            raise ScriptError(number, "contains a control character; in JSON write it as \\u00XX.")
        if steps and isinstance(steps[-1], SendClose):
            raise ScriptError(number, "comes after close, which must be the last step.")
        if len(steps) == MAX_STEPS:
            raise ScriptError(
                number, f"is one too many; a script can have at most {MAX_STEPS} steps."
            )
        try:
            verb, _, rest = line.partition(" ")
            parse = _VERBS.get(verb.lower())
            if parse is None:
                raise ValueError(f"begins with {verb[:40]!r}; write one of {', '.join(_VERBS)}.")
            steps.append(parse(rest.strip(" \t")))
            if not isinstance(steps[-1], Send) and references(line):
                raise ValueError("has a stored secret; only send can use one.")
        except ValueError as error:
            raise ScriptError(number, str(error)) from error
        if sum(step.seconds for step in steps) > MAX_SECONDS:
            raise ScriptError(
                number, f"makes the script wait for more than {MAX_SECONDS:g} seconds in total."
            )
    return tuple(steps)


def resolve_steps(steps: Sequence[Step], secrets: Mapping[str, str]) -> tuple[Step, ...]:
    """The steps with references to stored secrets replaced in what they send. Raises
    UnknownSecretError.
    """
    return tuple(
        replace(step, text=resolve_message(step.text, secrets)) if isinstance(step, Send) else step
        for step in steps
    )


def resolve_script(script: Script, secrets: Mapping[str, str]) -> Script:
    """The script with the values of stored secrets in what it sends. Raises UnknownSecretError."""
    return replace(script, steps=resolve_steps(script.steps, secrets))


def resolve_message(text: str, secrets: Mapping[str, str]) -> str:
    """A message with its references replaced. A value within the quotes of a JSON string is escaped
    for JSON, at one level. Raises UnknownSecretError.
    """
    return resolve_each(
        text,
        secrets,
        lambda before: _json_escaped if len(_QUOTE.findall(before)) % 2 else str,
    )


_QUOTE = re.compile(r'(?<!\\)"')


def _json_escaped(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _send(rest: str) -> Step:
    if not rest:
        raise ValueError("has no message; write send and the message.")
    return Send(rest)


def _send_binary(rest: str) -> Step:
    return SendBinary(_bytes(rest, "send-binary 10 0c 00 04"))


def _bytes(text: str, example: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if not data:
        raise ValueError(f"has no bytes in hexadecimal; write for example {example}.")
    return data


def _expect(rest: str) -> Step:
    kind, _, wanted = rest.partition(" ")
    wanted, seconds = _within(wanted.strip(" \t"))
    if not wanted:
        raise ValueError("expects nothing; write expect text, json, regex or binary, and a value.")
    match kind.lower():
        case "text":
            return ExpectText(wanted, seconds)
        case "json":
            return _expect_json(wanted, seconds)
        case "regex":
            try:
                re2.compile(wanted.replace(NONCE, SAMPLE), _RE2_OPTIONS)
            except re2.error as error:
                raise ValueError(
                    f"{_quoted(wanted)} is not a regular expression (RE2): {_said(error)}."
                ) from error
            return ExpectRegex(wanted, seconds)
        case "binary":
            return ExpectBinary(_bytes(wanted, "expect binary 20 02"), seconds)
        case _:
            raise ValueError(f"expects {kind[:40]!r}; write expect text, json, regex or binary.")


def _expect_json(wanted: str, seconds: float) -> Step:
    path, equals, value = (part.strip() for part in wanted.partition("=="))
    if len(path) > MAX_PATH:
        raise ValueError(f"has a JSON path longer than {MAX_PATH} characters.")
    try:
        compiled = _compiled(path)
    except (jsonpath.JSONPathError, RecursionError) as error:
        raise ValueError(
            f"{_quoted(path)} is not a JSON path; write for example $.type or $.items[0].id."
        ) from error
    if not isinstance(compiled, jsonpath.JSONPath) or not compiled.singular_query():
        raise ValueError(
            f"{_quoted(path)} names several places; a path without *, .. and filters names one."
        )
    if not path.startswith("$"):
        raise ValueError(
            f"{_quoted(path)} is not a JSON path, which begins with $; write for example $.type."
        )
    if equals:
        try:
            json.loads(value.replace(NONCE, SAMPLE), parse_constant=_no_number, parse_float=_number)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{_quoted(value)} is not a JSON value; strings need double quotes."
            ) from error
    return ExpectJson(path, value, seconds)


@functools.lru_cache(maxsize=256)
def _compiled(path: str) -> Any:
    """Cached: once per path, not once per message."""
    return jsonpath.compile(path)


def _no_number(text: str) -> float:
    """NaN equals nothing, and JSON has no Infinity (RFC 8259)."""
    raise ValueError(text)


def _number(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _filled(text: str, nonce: str) -> str:
    text = text.replace(NONCE, nonce)
    return _CHARACTER.sub(lambda found: chr(int(found[1], 16)), text)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…")


def _ping(rest: str) -> Step:
    rest, seconds = _within(f" {rest}" if rest else "")
    if rest.strip():
        raise ValueError("has extra words; write ping, or ping within 5.")
    return SendPing(seconds)


def _pong(rest: str) -> Step:
    if rest:
        raise ValueError("has extra words; write pong.")
    return SendPong()


def _hold(rest: str) -> Step:
    number = rest.removesuffix("seconds").removesuffix("s").strip()
    return Hold(_seconds(number, "hold 30"))


def _close(rest: str) -> Step:
    code, _, reason = rest.partition(" ")
    if not code:
        return SendClose()
    if not code.isdecimal() or not (
        int(code) in (1000, 1001, 1002, 1003, *range(1007, 1012)) or 3000 <= int(code) < 5000
    ):
        raise ValueError(
            f"{code[:10]!r} is not a close code that a client may send; 1000 is usual, 3000 to "
            "4999 are free to use."
        )
    if len(reason.encode()) > 123:
        raise ValueError("has a reason longer than 123 bytes, which a close frame cannot carry.")
    return SendClose(int(code), reason.strip())


_VERBS: dict[str, Callable[[str], Step]] = {
    "send": _send,
    "send-binary": _send_binary,
    "expect": _expect,
    "ping": _ping,
    "pong": _pong,
    "hold": _hold,
    "close": _close,
}


def _within(text: str) -> tuple[str, float]:
    found = _WITHIN.search(text)
    if found is None:
        return text, DEFAULT_WITHIN
    return text[: found.start()], _seconds(found[1], "within 5")


def _seconds(text: str, example: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(
            f"{text[:20]!r} is not between 0 and {MAX_SECONDS:g} seconds; write for example "
            f"{example}."
        )
    return seconds


def _same(found: Any, wanted: Any) -> bool:
    """Equal as JSON, at any depth: true is not 1, although it is in Python; 1 and 1.0 are equal."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return found.keys() == wanted.keys() and all(
            _same(found[name], wanted[name]) for name in wanted
        )
    if isinstance(wanted, list) and isinstance(found, list):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    return isinstance(found, bool) is isinstance(wanted, bool) and bool(found == wanted)


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said))[:MAX_QUOTED]
