"""Copy-paste commands: a shell passes on exactly what was asked for."""

from __future__ import annotations

import ast
import asyncio
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve

from checks.output.client_commands import (
    EXAMPLE_ACCEPT,
    EXAMPLE_KEY,
    ClientCommand,
    Opening,
    commands_for,
)
from checks.protocol.connect_to import Destination
from checks.protocol.handshake import accept_for
from tests.checks.origins import HOST, Authority
from tests.checks.seen import judged

CHAT = judged("wss://d111.cloudfront.net/ws?room=1&as=me")
LAB = Destination("127.0.0.1", 8002, "rule")


def lines(commands: tuple[ClientCommand, ...]) -> dict[str, str]:
    return {command.tool: command.line for command in commands}


def test_the_plain_case_is_short() -> None:
    said = commands_for(judged("wss://d111.cloudfront.net/ws"), opening="hello")
    assert lines(said) == {
        "wscat": "wscat --connect wss://d111.cloudfront.net/ws",
        "websocat": "websocat --text wss://d111.cloudfront.net/ws",
        "python": "python3 -c 'import asyncio\n"
        "from websockets.asyncio.client import connect\n"
        "async def main():\n"
        "    async with connect('\"'\"'wss://d111.cloudfront.net/ws'\"'\"', proxy=None) as c:\n"
        "        await c.send('\"'\"'hello'\"'\"')\n"
        "        print(await asyncio.wait_for(c.recv(), 5))\n"
        "asyncio.run(main())'",
        "curl": "curl --http1.1 --include --no-buffer --max-time 5 --noproxy '*' "
        "--header 'Connection: Upgrade' --header 'Upgrade: websocket' --header "
        "'Sec-WebSocket-Version: 13' "
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
    assert commands_for(CHAT, connect_to=Destination("d111.cloudfront.net", 443)) == commands_for(
        CHAT
    )


def test_a_ca_file_is_of_no_use_without_tls() -> None:
    plain = judged("ws://d111.cloudfront.net/ws")
    assert commands_for(plain, ca_file="/ca.pem") == commands_for(plain)
    assert lines(commands_for(plain))["curl"].endswith(" http://d111.cloudfront.net/ws")


VALUES = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), max_size=30
)


@given(VALUES.map(str.strip), VALUES.map(str.strip), st.text("abcXYZ019-", min_size=1, max_size=10))
def test_quotes_dollars_and_backticks_arrive_as_they_are(
    value: str, origin: str, subprotocol: str
) -> None:
    commands = commands_for(
        CHAT,
        headers=(("X-Room", value),),
        subprotocols=(subprotocol, "json"),
        origin=origin,
        ca_file="/a'b $c/ca.pem",
    )
    for command in commands:
        words = shlex.split(command.line)
        if command.tool == "wscat":
            assert words[words.index("--header") + 1] == f"X-Room:{value}"
            assert words[words.index("--origin") + 1] == origin
            assert [words[at + 1] for at, word in enumerate(words) if word == "--subprotocol"] == [
                subprotocol,
                "json",
            ]
        elif command.tool == "websocat":
            assert f"--header=X-Room: {value}" in words
            assert f"--origin={origin}" in words
        elif command.tool == "python":
            calls = [node for node in ast.walk(ast.parse(words[-1])) if isinstance(node, ast.Call)]
            call = next(call for call in calls if ast.unparse(call.func) == "connect")
            given_ = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert ast.literal_eval(given_["additional_headers"]) == [("X-Room", value)]
            assert ast.literal_eval(given_["origin"]) == origin
        else:
            assert (f"X-Room: {value}" if value else "X-Room;") in words
            assert words[words.index("--cacert") + 1] == "/a'b $c/ca.pem"


@pytest.mark.parametrize(
    "value", ["it's", 'say "hi"', "$(id)", "`id`", "a\\b", "!x", "; rm -rf /", "~", "*", "a|b>c"]
)
def test_a_real_shell_agrees(value: str) -> None:
    for command in commands_for(CHAT, headers=(("X-Room", value),)):
        asked = subprocess.run(
            ["/bin/sh", "-c", f"for word in {command.line}; do printf '%s\\0' \"$word\"; done"],
            capture_output=True, check=True,
        ).stdout.decode()  # fmt: skip
        assert asked.rstrip("\0").split("\0") == shlex.split(command.line)


def test_python_and_wscat_and_curl_reach_the_same_endpoint(tmp_path: Path) -> None:
    """The lines are run as they are, against an endpoint that is elsewhere than its name says."""
    authority = Authority(tmp_path)
    paths: list[str] = []

    async def greet(connection: ServerConnection) -> None:
        assert connection.request is not None
        paths.append(f"{connection.request.headers['Host']}{connection.request.path}")
        await connection.send(f"welcome {connection.request.headers['X-Room']}")
        await connection.wait_closed()

    async def story() -> dict[str, str]:
        tls = authority.server(HOST, "localhost")
        async with serve(greet, "127.0.0.1", 0, ssl=tls) as server:
            elsewhere = Destination("localhost", server.sockets[0].getsockname()[1], "rule")
            openings: tuple[Opening, ...] = ("listen", "ping")
            listening, pinging = (
                commands_for(
                    judged(f"wss://{HOST}/ws?room=1&as=me"),
                    headers=(("X-Room", "it's $blue"),),
                    ca_file=str(authority.file),
                    connect_to=elsewhere,
                    opening=one,
                )
                for one in openings
            )
            asked: dict[str, str] = {one.tool: one.line for one in listening if installed(one.tool)}
            asked["ping"] = lines(pinging)["python"]
            return {tool: await output_of(line) for tool, line in asked.items()}

    said = asyncio.run(story())
    assert (said["python"], said["ping"]) == ("welcome it's $blue\n", "open\n")
    assert "welcome it's $blue" in said.get("wscat", "welcome it's $blue"), said["wscat"]
    assert f"Sec-WebSocket-Accept: {EXAMPLE_ACCEPT}" in said.get(
        "curl", f"Sec-WebSocket-Accept: {EXAMPLE_ACCEPT}"
    )
    assert paths == [f"{HOST}/ws?room=1&as=me"] * len(said)


def installed(tool: str) -> bool:
    """Python is always there; the others where somebody installed them. What is missing is not
    asked for.
    """
    return tool == "python" or (tool != "websocat" and shutil.which(tool) is not None)


async def output_of(line: str) -> str:
    """What a command prints; wscat would wait for a person to type, curl for more frames."""
    line = line.replace("--max-time 5", "--max-time 0.6").replace(
        "wscat ", "wscat --execute hello --wait 1 ", 1
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_shell(
        line,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PATH": path},
    )
    # Standard input stays open: wscat leaves when it ends.
    assert process.stdout is not None
    printed = await asyncio.wait_for(process.stdout.read(), 15)
    await process.wait()
    return printed.decode("utf-8", "replace")
