"""Scripts as people write them: every line that is one, every line that is not, and what each
expectation takes.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from checks.protocol.script import (
    ExpectJson,
    ExpectRegex,
    ExpectText,
    Hold,
    ScriptError,
    Send,
    SendClose,
    SendPing,
    Step,
    parse_script,
)

STORY = """
# what the chat app promises
send {"type": "hello", "id": "{nonce}"}
expect json $.type == "welcome" within 2
expect json $.clientCount
expect text {nonce} within 1.5 seconds
expect regex ^\\{"type": ?"echo" within 3s
ping
hold 30
close 1000 done
"""


def test_a_whole_script_is_read_line_by_line() -> None:
    assert parse_script(STORY) == (
        Send('{"type": "hello", "id": "{nonce}"}'),
        ExpectJson("$.type", '"welcome"', 2),
        ExpectJson("$.clientCount", "", 5),
        ExpectText("{nonce}", 1.5),
        ExpectRegex('^\\{"type": ?"echo"', 3),
        SendPing(5),
        Hold(30),
        SendClose(1000, "done"),
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("shout hello", "write one of send, send-binary, expect, ping, pong, hold, close"),
        ("send", "write send and the message"),
        ("expect", "write expect text, json, regex or binary"),
        ("expect text", "expect text, json, regex or binary, and a value"),
        ("expect xml <a/>", "expect text, json, regex or binary"),
        ("expect json $[ == 1", "is not a JSON path"),
        ("send a\x00b", "control character"),
        ("expect json $..id", "names several places"),
        ("expect json $.items[?@.a == 1]", "is not a JSON path"),
        ("expect json $.type == welcome", "strings need double quotes"),
        ("expect json == 1", "which begins with $"),
        ("expect json $.a == NaN", "is not a JSON value"),
        ("expect json $.a == [1, -Infinity]", "is not a JSON value"),
        ("expect json $.a == 1e999", "is not a JSON value"),
        ("expect json $.a == {nonce}", "strings need double quotes"),
        ("expect json $.a == " + "[" * 2000, "is not a JSON value"),
        ("expect json $" + "[0]" * 400, "longer than 500 characters"),
        ("expect json $[99999999999999999999]", "is not a JSON path"),
        ("expect regex ((a{1000}){1000}){1000}", "invalid repetition size"),
        ("expect regex " + "(?:" * 1300, "not a regular expression (RE2)"),
        ("ping within 1e400", "write ping, or ping within 5"),
        ("expect regex (", "not a regular expression (RE2): missing )"),
        ("expect regex (?=a)", "not a regular expression (RE2)"),
        ("expect text a within 0", "not between 0 and 120 seconds"),
        ("ping hello", "write ping, or ping within 5"),
        ("hold", "write for example hold 30"),
        ("hold 1e9", "not between 0 and 120 seconds"),
        ("hold nan", "not between 0 and 120 seconds"),
        ("close 1006", "not a close code that a client may send"),
        ("close ten", "not a close code that a client may send"),
        ("close 1000 " + "x" * 124, "longer than 123 bytes"),
        ("send " + "x" * 5000, "longer than 4096 characters"),
    ],
)
def test_a_line_that_is_no_step_says_what_to_write(line: str, says: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse_script(f"ping\n\n{line}")
    assert caught.value.line == 3
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300
    assert str(caught.value).startswith("Line 3: ")


def test_a_script_has_an_end_and_a_limit() -> None:
    assert len(parse_script("send a\n" * 40)) == 40
    for text, line, says in (
        ("send a\n" * 41, 41, "at most 40 steps"),
        ("hold 60\nhold 60\nhold 1", 3, "more than 120 seconds in total"),
        ("close\nping", 2, "must be the last step"),
    ):
        with pytest.raises(ScriptError, match=says) as caught:
            parse_script(text)
        assert caught.value.line == line


@pytest.mark.parametrize(
    ("step", "fits", "does_not"),
    [
        (ExpectText("id {nonce}"), ["the id n1 is mine"], ["the id n2", "", "{nonce}"]),
        (
            ExpectJson("$.type", '"welcome"'),
            ['{"type":"welcome","n":1}'],
            ['{"type":"echo"}', "welcome", "", "[" * 9999],
        ),
        (ExpectJson("$.items[1].id"), ['{"items":[1,{"id":null}]}'], ['{"items":[]}', "7"]),
        (ExpectJson("$.n", "1"), ['{"n":1}', '{"n":1.0}'], ['{"n":true}', '{"n":"1"}']),
        (ExpectJson("$.ok", "true"), ['{"ok":true}'], ['{"ok":1}', '{"ok":"true"}']),
        (
            ExpectJson("$", '{"ok":true}'),
            ['{"ok":true}'],
            ['{"ok":1}', '{"ok":true,"n":1}', '[["ok",true]]', "{}"],
        ),
        (
            ExpectJson("$.a", "[0,{}]"),
            ['{"a":[0,{}]}', '{"a":[0.0,{}]}'],
            ['{"a":[false,{}]}', '{"a":[0,{},0]}'],
        ),
        (
            ExpectJson("$.a", '[{"n":[1]}]'),
            ['{"a":[{"n":[1]}]}'],
            ['{"a":[{"n":[true]}]}', '{"a":[{"n":["1"]}]}'],
        ),
        (ExpectJson("$.a", "null"), ['{"a":null}'], ['{"a":false}', '{"a":0}', '{"a":""}']),
        (ExpectJson("$.id", '"{nonce}"'), ['{"id":"n1"}'], ['{"id":"{nonce}"}']),
        (ExpectRegex("^echo: {nonce}$"), ["echo: n1"], [" echo: n1", "echo: n11"]),
        (ExpectRegex("^(a+)+$"), ["aaaa"], ["a" * 60_000 + "!"]),
        (ExpectRegex("[z-{nonce}]"), [], ["n1"]),
        (ExpectJson("$.id", "{nonce}"), [], ['{"id":"n1"}']),
        (ExpectJson("$.n"), ['{"n":NaN}'], ['{"n":' + "9" * 5000 + "}"]),
    ],
)
def test_an_expectation_takes_its_message_and_no_other(
    step: ExpectText | ExpectJson | ExpectRegex, fits: list[str], does_not: list[str]
) -> None:
    assert [message for message in fits if not step.matches(message, "n1")] == []
    assert [message[:40] for message in does_not if step.matches(message, "n1")] == []


words = st.text(
    st.characters(
        min_codepoint=33, max_codepoint=0x2FF, exclude_characters="=", exclude_categories=["Cc"]
    ),
    min_size=1,
)
seconds = st.integers(1, 20).map(float)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Send, words),
    st.builds(ExpectText, words, seconds),
    st.builds(ExpectJson, st.just("$.a[0].b"), st.sampled_from(['"x"', "1", ""]), seconds),
    st.builds(SendPing, seconds),
    st.builds(Hold, seconds),
)


@given(st.lists(steps, max_size=5))
@example([ExpectText("\N{NO-BREAK SPACE}", 1.0)])
def test_a_script_written_down_is_read_back(script: list[Step]) -> None:
    assert parse_script("\n".join(map(str, script))) == tuple(script)


@given(st.text(max_size=200))
def test_no_text_does_anything_but_parse_or_say_why_not(text: str) -> None:
    with contextlib.suppress(ScriptError):
        assert parse_script("\n".join(map(str, parse_script(text)))) == parse_script(text)


def test_a_file_that_windows_wrote_is_read() -> None:
    assert parse_script("\ufeffsend hello\r\nping\r\n") == (Send("hello"), SendPing())
