"""Copy-paste commands: a shell passes on exactly what was asked for."""

from __future__ import annotations

import ast
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.commands import EXAMPLE_ACCEPT, EXAMPLE_KEY, Command, commands_for
from checks.connect_to import Destination
from checks.handshake import accept_for
from tests.checks.seen import judged

CHAT = judged("wss://d111.cloudfront.net/ws?room=1&as=me")
LAB = Destination("127.0.0.1", 8002, "rule")


def lines(commands: tuple[Command, ...]) -> dict[str, str]:
    return {command.tool: command.line for command in commands}


def test_the_plain_case_is_short() -> None:
    assert lines(commands_for(judged("wss://d111.cloudfront.net/ws"))) == {
        "wscat": "wscat --connect wss://d111.cloudfront.net/ws",
        "websocat": "websocat --text wss://d111.cloudfront.net/ws",
        "python": "python3 -c 'from websockets.sync.client import connect; "
        "c = connect('\"'\"'wss://d111.cloudfront.net/ws'\"'\"', proxy=None); "
        "c.send('\"'\"'hello'\"'\"'); print(c.recv(timeout=5)); c.close()'",
        "curl": "curl --http1.1 --include --no-buffer --max-time 10 --noproxy '*' "
        "--header 'Connection: Upgrade' --header 'Upgrade: websocket' --header 'Sec-WebSocket-Version: 13' "
        f"--header 'Sec-WebSocket-Key: {EXAMPLE_KEY}' https://d111.cloudfront.net/ws",
    }
    assert accept_for(EXAMPLE_KEY) == EXAMPLE_ACCEPT


def test_in_the_lab_every_tool_is_led_to_the_lab_and_trusts_its_ca() -> None:
    found = lines(commands_for(CHAT, ca_file="/home/me/lab ca.pem", connect_to=LAB))
    assert shlex.split(found["wscat"]) == [
        "wscat", "--host", "d111.cloudfront.net", "--ca", "/home/me/lab ca.pem",
        "--connect", "wss://127.0.0.1:8002/ws?room=1&as=me",
    ]  # fmt: skip
    assert shlex.split(found["websocat"]) == [
        "env", "SSL_CERT_FILE=/home/me/lab ca.pem", "websocat", "--text",
        "--ws-c-uri=wss://d111.cloudfront.net/ws?room=1&as=me", "--tls-domain=d111.cloudfront.net",
        "-", "ws-c:ssl:tcp:127.0.0.1:8002",
    ]  # fmt: skip
    curl = shlex.split(found["curl"])
    assert curl[curl.index("--connect-to") + 1] == "d111.cloudfront.net:443:127.0.0.1:8002"
    assert curl[curl.index("--cacert") + 1] == "/home/me/lab ca.pem"
    assert curl[-1] == "https://d111.cloudfront.net/ws?room=1&as=me"
    assert "host='127.0.0.1', port=8002" in shlex.split(found["python"])[-1]


def test_a_destination_that_is_the_urls_own_is_left_out() -> None:
    assert commands_for(CHAT, connect_to=Destination("d111.cloudfront.net", 443)) == commands_for(CHAT)


def test_a_ca_file_is_of_no_use_without_tls() -> None:
    plain = judged("ws://d111.cloudfront.net/ws")
    assert commands_for(plain, ca_file="/ca.pem") == commands_for(plain)
    assert lines(commands_for(plain))["curl"].endswith(" http://d111.cloudfront.net/ws")


VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), max_size=30)


@given(VALUES.map(str.strip), VALUES.map(str.strip), st.text("abcXYZ019-", min_size=1, max_size=10))
def test_quotes_dollars_and_backticks_arrive_as_they_are(value: str, origin: str, subprotocol: str) -> None:
    commands = commands_for(
        CHAT, headers=(("X-Room", value),), subprotocols=(subprotocol, "json"), origin=origin, ca_file="/a'b $c/ca.pem"
    )
    for command in commands:
        words = shlex.split(command.line)
        if command.tool == "wscat":
            assert words[words.index("--header") + 1] == f"X-Room:{value}"
            assert words[words.index("--origin") + 1] == origin
            assert [words[at + 1] for at, word in enumerate(words) if word == "--subprotocol"] == [subprotocol, "json"]
        elif command.tool == "websocat":
            assert f"--header=X-Room: {value}" in words
            assert f"--origin={origin}" in words
        elif command.tool == "python":
            call = next(node for node in ast.walk(ast.parse(words[-1])) if isinstance(node, ast.Call))
            given_ = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert ast.literal_eval(given_["additional_headers"]) == [("X-Room", value)]
            assert ast.literal_eval(given_["origin"]) == origin
        else:
            assert (f"X-Room: {value}" if value else "X-Room;") in words
            assert words[words.index("--cacert") + 1] == "/a'b $c/ca.pem"


@pytest.mark.parametrize("value", ["it's", 'say "hi"', "$(id)", "`id`", "a\\b", "!x", "; rm -rf /", "~", "*", "a|b>c"])
def test_a_real_shell_agrees(value: str) -> None:
    for command in commands_for(CHAT, headers=(("X-Room", value),)):
        asked = subprocess.run(
            ["/bin/sh", "-c", f"for word in {command.line}; do printf '%s\\0' \"$word\"; done"],
            capture_output=True, check=True,
        ).stdout.decode()  # fmt: skip
        assert asked.rstrip("\0").split("\0") == shlex.split(command.line)
