"""`manage.py probe` as an operator types it: what is printed, and the exit code a script reads."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from checks.diagnosis.transcript_rules import diagnose
from checks.management.commands.probe import Command
from checks.output.cli_output import document, way_lines
from checks.output.comparison import compare
from checks.protocol.transcript import Failure, FrameSeen, Phase, Reason
from tests.checks.origins import HOST, free_port
from tests.checks.seen import answered, live

pytestmark = pytest.mark.django_db(databases=[])


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where an echoing server listens, in a thread of its own: the command has its own event
    loop.
    """
    loop = asyncio.new_event_loop()

    room: set[ServerConnection] = set()

    async def talk(connection: ServerConnection) -> None:
        path = connection.request.path if connection.request else ""
        if path == "/impatient":
            await asyncio.sleep(0.3)
            await connection.close(4000)
        if path == "/room":
            room.add(connection)
        if path == "/no-goodbye":
            ends = connection.transport.abort
            connection.transport.get_protocol().data_received = lambda _: ends()  # type: ignore[attr-defined]
        async for message in connection:
            for other in tuple(room - {connection}) if path == "/room" else {connection}:
                with contextlib.suppress(ConnectionClosed):
                    await other.send(message)
        room.discard(connection)

    async def start() -> Server:
        return await serve(talk, "127.0.0.1", 0, origins=[None, Origin("https://app.example.com")])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result(5)
    yield next(iter(server.sockets)).getsockname()[1]
    asyncio.run_coroutine_threadsafe(_stop(server), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


async def _stop(server: Server) -> None:
    server.close()
    await server.wait_closed()


def typed(*words: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    printed = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("probe", *words, stdout=printed)
    assert isinstance(ended.value.code, int)
    return ended.value.code, printed.getvalue()


def lead(port: int) -> list[str]:
    """Options that lead the host to the server here."""
    return ["--connect-to", f"{HOST}::127.0.0.1:{port}", "--allow", "127.0.0.1/32"]


def test_a_live_endpoint_is_0_and_shows_the_handshake(port: int) -> None:
    code, printed = typed(f"ws://{HOST}/ws", "--echo", *lead(port))
    assert code == 0
    assert printed.startswith("The endpoint is live (WSE-LIVE, high certainty)")
    assert "> Sec-WebSocket-Version: 13" in printed
    assert "< HTTP/1.1 101 Switching Protocols" in printed
    assert "echo" in printed


def test_an_endpoint_that_is_down_is_1_and_says_what_to_do() -> None:
    code, printed = typed(f"ws://{HOST}/ws", *lead(free_port()))
    assert code == 1
    assert printed.startswith("Nothing listens on that port (WSE-TCP-REFUSED")
    assert "  Fix: " in printed


def test_an_address_that_is_not_allowed_is_2_and_is_not_contacted(port: int) -> None:
    code, printed = typed(f"ws://{HOST}/ws", "--connect-to", f"{HOST}::127.0.0.1:{port}")
    assert code == 2
    assert "WSE-GUARD" in printed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--header", "no colon"], "write 'Name: value'"),
        (["--connect-to", "x"], "four fields"),
        (["--allow", "300.0.0.0/8"], "is not a network"),
        (["--timeout", "0"], "between 0 and 900"),
        (["--script", "/does/not/exist"], "cannot be read"),
        (["--crowd", "1"], "from 2 to 20"),
        (["--reconnect", "many"], "from 1 to 50"),
        (["--crowd", "3", "--idle", "5"], "not allowed with"),
        (["--crowd", "3", "--plain"], "--plain cannot be combined"),
        (["--every", "5"], "needs --idle"),
        (["--without-origin"], "needs --origin"),
    ],
)
def test_a_wrong_option_is_said(words: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("probe", f"ws://{HOST}/ws", *words)


def test_the_json_has_verdicts_and_the_whole_transcript(port: int, tmp_path: Path) -> None:
    script = tmp_path / "talk.txt"
    script.write_text("send hello\nexpect text hello within 2\n")
    code, printed = typed(
        f"ws://{HOST}/ws",
        *lead(port),
        "--json",
        "--script",
        str(script),
        "--header",
        "Authorization: secret-1",
    )
    document = json.loads(printed)
    assert (code, document["live"]) == (0, True)
    (route,) = document["routes"]
    assert route["verdicts"][0]["code"] == "WSE-LIVE"
    assert [step["ok"] for step in route["transcript"]["steps"]] == [True, True]
    assert "secret-1" not in printed


def test_a_script_that_does_not_hold_is_1(port: int, tmp_path: Path) -> None:
    script = tmp_path / "talk.txt"
    script.write_text("send hello\nexpect text goodbye within 0.2\n")
    code, printed = typed(f"ws://{HOST}/ws", *lead(port), "--script", str(script))
    assert code == 1
    assert "NO  expect text goodbye within 0.2" in printed
    script.write_text("expect nonsense\n")
    with pytest.raises(CommandError, match="Line 1: expects nothing"):
        call_command("probe", f"ws://{HOST}/ws", "--script", str(script))


def test_ways_are_compared_and_the_first_difference_is_named(port: int) -> None:
    down = free_port()
    code, printed = typed(
        f"ws://{HOST}/ws", "--compare", "direct=ws://direct.example.com/ws", *lead(port),
        "--connect-to", f"direct.example.com::127.0.0.1:{down}",
    )  # fmt: skip
    assert code == 1
    assert (
        f"First difference: direct, Connected: 127.0.0.1 port {down}: connection refused" in printed
    )


def test_a_plain_get_is_told_beside_the_handshake(port: int) -> None:
    code, printed = typed(f"ws://{HOST}/ws", "--plain", "--handshake-only", *lead(port))
    assert code == 0
    _, _, get = printed.partition("=== plain GET")
    assert "A plain GET is answered with HTTP/1.1 426 Upgrade Required" in get
    assert "Sec-WebSocket-Key" not in get.partition("<")[0]
    assert "not asked for" in get
    assert "First difference" not in printed


def test_a_plain_get_is_called_in_json_what_words_and_exit_code_call_it(port: int) -> None:
    page = answered("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\n")
    assert page.request is not None
    get = replace(page, request=replace(page.request, upgrade=False), failures=(), findings=())
    for seen, live_there in ((get, True), (page, False)):
        (route,) = document(live_there, [("", seen, diagnose(seen))])["routes"]
        assert (route["live"], [found["code"] for found in route["verdicts"]] == []) == (
            live_there,
            live_there,
        )
        assert ("WSE-200" in "".join(way_lines("", seen, diagnose(seen)))) is not live_there
    for at, code in ((port, 0), (free_port(), 1)):
        ended, printed = typed(
            f"ws://{HOST}/ws", "--plain", "--handshake-only", "--json", *lead(at)
        )
        told = json.loads(printed)
        assert (ended, told["live"], [route["live"] for route in told["routes"]]) == (
            code,
            code == 0,
            [code == 0] * 2,
        )
        assert [bool(route["verdicts"]) for route in told["routes"]] == [True, code == 1]


def test_the_same_without_an_origin_line_stands_beside_it(port: int) -> None:
    code, printed = typed(
        f"ws://{HOST}/ws",
        "--origin",
        "https://evil.example.com",
        "--without-origin",
        "--handshake-only",
        *lead(port),
    )
    assert code == 1, "this server takes no Origin but its own"
    assert "First difference: first, Upgraded (101)" in printed
    assert (
        "Origin"
        not in printed.partition("=== without Origin")[2].partition("<")[0].partition(HOST)[2]
    )


def test_a_socket_that_stays_open_is_0_and_one_that_is_cut_is_1(port: int) -> None:
    code, printed = typed(f"ws://{HOST}/ws", "--idle", "0.3", "--every", "0.1", *lead(port))
    assert (code, printed.splitlines()[0]) == (0, "After 0 s of silence the socket was still open.")
    code, printed = typed(f"ws://{HOST}/no-goodbye", "--idle", "0.3", "--every", "0.2", *lead(port))
    assert (code, printed.splitlines()[0]) == (0, "After 0 s of silence the socket was still open.")
    code, printed = typed(f"ws://{HOST}/impatient", "--idle", "5", "--json", *lead(port))
    document = json.loads(printed)
    assert (code, document["code"]) == (1, "WSE-IDLE-APP")
    assert document["heartbeat_seconds"] == pytest.approx(0.3 / 2.5, rel=0.6)
    assert "Send a heartbeat every" in document["lines"][0]


def test_a_crowd_that_is_not_heard_is_1_and_says_who(port: int) -> None:
    code, printed = typed(f"ws://{HOST}/room", "--broadcast", "3", *lead(port))
    assert (code, printed.splitlines()[0]) == (0, "All 3 clients heard each other.")
    code, printed = typed(f"ws://{HOST}/ws", "--broadcast", "2", "--timeout", "0.3", *lead(port))
    assert code == 1
    assert "client 1 did not hear client 2" in printed
    code, printed = typed(f"ws://{HOST}/ws", "--broadcast", "3", "--timeout", "0.3", *lead(port))
    assert (code, printed.splitlines()[0]) == (1, "No client heard any other.")
    assert "different processes" not in printed


def test_a_client_that_comes_back_is_0_with_its_times(port: int) -> None:
    code, printed = typed(f"ws://{HOST}/ws", "--reconnect", "3", *lead(port))
    assert code == 0
    assert printed.startswith("3 of 3 reconnects succeeded. Median ")
    code, printed = typed(f"ws://{HOST}/ws", "--reconnect", "2", *lead(free_port()))
    assert code == 1
    assert printed.startswith("2 of 2 reconnects failed. (WSE-TCP-REFUSED)")
    code, printed = typed(
        f"ws://{HOST}/ws", "--reconnect", "2", "--connect-to", f"{HOST}::127.0.0.1:{port}"
    )
    assert code == 2, "an address that is not allowed is not contacted"


def test_a_comparison_calls_nothing_good_that_was_not_reached() -> None:
    table = compare(
        [
            ("edge", answered("HTTP/1.1 502 Bad Gateway\r\nServer: CloudFront\r\n")),
            ("direct", live()),
        ]
    )
    upgraded = dict(table.rows)["Upgraded (101)"]
    assert [cell.state for cell in upgraded] == ["bad", "good"]
    assert [cell.state for cell in dict(table.rows)["Ping answered"]] == ["not reached", "good"]
    assert table.first_bad is not None
    assert table.first_bad[:2] == ("edge", "Upgraded (101)")
    assert compare([("edge", live()), ("direct", live())]).first_bad is None


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[2J\x1b]0;all is well\x07", r"\x1b[2J\x1b]0;all is well\x07"),
        ("bye\nThe endpoint is live", r"bye\nThe endpoint is live"),
        ("\x9b31m\r\u202e\udcff", r"\x9b31m\r\u202e\udcff"),
        ("grüße 日本 🙂", "grüße 日本 🙂"),
    ],
)
def test_what_the_other_side_says_stays_on_its_line_and_moves_no_cursor(
    said: str, shown: str
) -> None:
    message = FrameSeen("received", "text", 7, 4.0, said)
    failure = Failure(Phase.ECHO, Reason.CLOSED_BY_PEER, f"the other side closed with 4000 {said}")
    seen = replace(live(), frames=(message,), failures=(failure,))
    lines = way_lines("", seen, diagnose(seen))
    assert [line for line in lines if not line.isprintable()] == []
    assert f"  Seen: echo: the other side closed with 4000 {shown}" in lines
    assert any(line.endswith(f" ms  {shown}") for line in lines)


def test_a_refusals_words_are_shown_but_not_all_of_a_long_page() -> None:
    head = "HTTP/1.1 400 Bad Request\r\nServer: awselb/2.0\r\n"
    short, long = (answered(head, body=body) for body in ("sent to HTTPS port\r\n", "<p>\n" * 99))
    assert "  | sent to HTTPS port" in way_lines("", short, diagnose(short))
    shown = [line for line in way_lines("", long, diagnose(long)) if line.startswith("  | ")]
    assert (shown[0], shown[-1], len(shown)) == ("  | <p>", "  | …", 13)


def entered(*argv: str) -> int:
    """The exit code of the command as a shell calls it."""
    with pytest.raises(SystemExit) as end:
        Command().run_from_argv(["manage.py", "probe", *argv])
    assert isinstance(end.value.code, int)
    return end.value.code


HERE = ("--allow", "127.0.0.0/8", "--any-port")
UNUSABLE = [
    ((), "the following arguments are required: url"),
    (("ws://a.example/", "--crowd", "0000000039999"), "not a whole number from 2 to 20"),
    (("ws://a.example/", "--crowd", "３"), "not a whole number"),
    (("ws://a.example/", "--timeout", "nan"), "not between 0 and 900 seconds"),
    (("ws://a.example/", "--idle", "-5"), "not between 0 and 900 seconds"),
    (("ws://a.example/", "--idle", "5", "--crowd", "3"), "not allowed with argument"),
    (("ws://a.example/", "--idle", "5", "--plain"), "--plain cannot be combined"),
    (("ws://a.example/", "--every", "5"), "--every needs --idle"),
    (("ws://a.example/", "--without-origin"), "needs --origin"),
    (("ws://a.example/", *("--compare", "ws://b.example/") * 6), "At most 6 routes"),
    (("ws://a.example/", "--header", "nonsense"), "write 'Name: value'"),
    (("ws://a.example/", "--allow", "10.0.0.0/99"), "is not a network"),
    (("ws://a.example/", "--connect-to", "a:b"), "argument --connect-to"),
    (("ws://a.example/", "--script", "/dev/zero"), "too long for a script"),
    (("ws://a.example/", "--script", "/dev/null"), "has no step"),
    (("ws://a.example/", "--script", "/"), "cannot be read"),
    (("ws://a.example/", "--nonsense"), "unrecognized arguments"),
]


@pytest.mark.parametrize(("options", "says"), UNUSABLE, ids=[says for _, says in UNUSABLE])
def test_what_cannot_be_done_is_told_in_words_and_as_json(
    options: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entered(*options, "--json") == 2
    printed = capsys.readouterr()
    assert says in json.loads(printed.out)["error"]
    assert says in printed.err
    if options:
        assert entered(*options) == 2
        printed = capsys.readouterr()
        assert (printed.out, says in printed.err) == ("", True)


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["words", "json"])
def test_who_stops_reading_changes_no_exit_code(port: int, as_json: tuple[str, ...]) -> None:
    for at, code in ((port, 0), (free_port(), 1)):
        unread, into = os.pipe()
        os.close(unread)
        with os.fdopen(into, "w") as closed, pytest.raises(SystemExit) as end:
            call_command(
                "probe", f"ws://{HOST}/ws", *lead(at), "--handshake-only", *as_json, stdout=closed
            )
        assert end.value.code == code


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk to write to here")
def test_an_answer_that_cannot_be_written_is_told(
    port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w") as full, pytest.raises(SystemExit) as end:
        call_command("probe", f"ws://{HOST}/ws", *lead(port), "--handshake-only", stdout=full)
    assert end.value.code == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"), [("PROBE_CONNECT_TO", "x"), ("PROBE_ALLOWED_NETWORKS", ["10.0.0.0/99"])]
)
def test_a_setting_that_cannot_be_read_is_no_verdict(
    name: str, value: object, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    setattr(settings, name, value)
    assert entered("ws://a.example/", "--json") == 2
    assert name in json.loads(capsys.readouterr().out)["error"]


def test_without_an_address_it_shows_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert entered() == 2
    told = capsys.readouterr().err
    assert "probe wss://chat.example.com/ws\n" in told
    assert "--help" in told


REFUSED = [
    ("ws://localhost:1/", (), "WSE-URL", 2, "--any-port"),
    ("ws://localhost/", (), "WSE-GUARD", 2, "--allow 127.0.0.0/8"),
    ("ws://localhost:1/", HERE, "WSE-TCP-REFUSED", 1, "Use port"),
    ("wss://\udcff/", (), "WSE-URL", 2, "must not contain"),
    ("ws://0x7f.1/", HERE, "WSE-URL", 2, "another notation"),
]


@pytest.mark.parametrize(
    ("url", "options", "code", "ends", "says"), REFUSED, ids=[f"{r[2]}-{r[3]}" for r in REFUSED]
)
def test_a_newcomers_first_attempts_say_what_to_try_next(
    url: str,
    options: tuple[str, ...],
    code: str,
    ends: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert entered(url, *options) == ends
    told = capsys.readouterr().out.encode("utf-8", "backslashreplace").decode()
    assert code in told
    assert says in told
    assert entered(url, *options, "--json") == ends
    assert json.loads(capsys.readouterr().out)["routes"][0]["verdicts"][0]["code"] == code


def test_ctrl_c_ends_it_with_a_word_and_no_traceback(
    port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    # A shell that starts the tests in the background has them ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    here = threading.get_ident()

    def press() -> None:
        # Once asyncio listens: Python drops a KeyboardInterrupt that it raises within a callback of
        # the collector.
        while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            time.sleep(0.01)
        time.sleep(0.2)
        signal.pthread_kill(here, signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    try:
        assert entered(f"ws://localhost:{port}/", *HERE, "--idle", "60", "--json") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    printed = capsys.readouterr()
    assert json.loads(printed.out)["error"] == "interrupted"
    assert "Traceback" not in printed.err
