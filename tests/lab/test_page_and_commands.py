"""The lab's page and its command line: what they show, change and refuse."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlencode

import pytest

from lab import __main__ as program
from lab import commands
from lab.clock import read_step
from lab.endpoint.cross_site import refuse_foreign
from lab.faults.catalogue.registry import FAULTS
from tests.lab.account import Lab

pytestmark = pytest.mark.usefixtures("no_fault_stays_set")


def page(lab: Lab, form: dict[str, str] | None = None, **headers: str) -> tuple[int, str]:
    """The page, or the page that a form leads to."""
    data = None if form is None else urlencode(form).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    reply = lab.send("GET" if data is None else "POST", "/_lab/", data, named)
    if reply.status == 200:
        assert "script" not in reply.headers["Content-Security-Policy"]
    return reply.status, reply.body.decode()


class TestPage:
    def test_it_shows_accounts_clock_and_every_fault(self, lab: Lab) -> None:
        status, text = page(lab)
        assert status == 200
        for shown in (
            "int-chat",
            "int-quotes",
            "10.10.8.0/24",
            "10.10.8.175:8080",
            "pub-web",
            "The edge does not answer",
        ):
            assert shown in text
        assert all(f'value="{name}"' in text for name in FAULTS)
        assert "No active faults." in text

    def test_buttons_set_and_clear_a_fault(self, lab: Lab) -> None:
        distribution = lab.get("/_lab/state")["distributions"][0]["id"]
        form = {
            "do": "set",
            "name": "geo-block",
            "distribution": distribution,
            "path": "/",
            "detail": "",
        }
        assert "Fault set." in page(lab, form)[1]
        (fault,) = lab.get("/_lab/faults")["set"]
        assert fault["hit"]["distribution"] == distribution
        assert "Cleared" in page(lab, {"do": "clear", "id": fault["id"]})[1]
        assert lab.get("/_lab/faults")["set"] == []

    def test_the_clock_is_stepped_by_button(self, lab: Lab) -> None:
        before = lab.get("/_lab/clock")["offset_seconds"]
        page(lab, {"do": "step", "step": "+15m"})
        assert lab.get("/_lab/clock")["offset_seconds"] == before + 900

    @pytest.mark.parametrize(
        "form",
        [
            {"do": "set", "name": "nonsense"},
            {"do": "set", "name": "waf-block"},
            {"do": "set", "name": "throttled", "service": "nope"},
            {"do": "set", "name": "never-deployed", "service": "cloudfront"},
            {"do": "clear", "id": ""},
            {"do": "step", "step": "-1h"},
            {"do": "step", "step": "+999999999d"},
            {"do": "format"},
            {},
        ],
    )
    def test_a_wrong_form_is_told_why_on_the_page(self, lab: Lab, form: dict[str, str]) -> None:
        status, text = page(lab, form)
        assert status == 400
        assert 'class="message bad"' in text

    def test_a_form_of_a_strange_site_is_refused(self, lab: Lab) -> None:
        form = {"do": "step", "step": "+1m"}
        before = lab.get("/_lab/clock")["offset_seconds"]
        assert page(lab, form, Origin="https://evil.example")[0] == 403
        assert page(lab, form, Sec_Fetch_Site="cross-site")[0] == 403
        assert lab.get("/_lab/clock")["offset_seconds"] == before
        assert page(lab, form, Origin=lab.url)[0] == 200

    def test_what_somebody_typed_is_only_text(self, lab: Lab) -> None:
        # A character class that matches one letter.
        evil = "<img/src=x>"
        lab.post("/_lab/faults", {"name": "throttled", "operation": f"[{evil}C]reate*", "times": 1})
        _, text = page(lab)
        assert evil not in text
        assert "&lt;img/src=x&gt;" in text


@pytest.mark.parametrize(
    ("method", "headers", "refused"),
    [
        ("GET", {"origin": "https://evil.example"}, False),
        ("POST", {}, False),
        ("POST", {"origin": "http://localhost:8001", "host": "localhost:8001"}, False),
        ("POST", {"origin": "http://lab.localhost:8001", "host": "lab.localhost:8001"}, False),
        ("POST", {"origin": "http://[::1]:8001", "host": "[::1]:8001"}, False),
        ("POST", {"origin": "http://localhost:8002", "host": "localhost:8001"}, True),
        ("POST", {"origin": "http://rebound.example", "host": "rebound.example"}, True),
        ("POST", {"origin": "null", "host": "localhost:8001"}, True),
        ("DELETE", {"sec-fetch-site": "same-site", "host": "localhost:8001"}, True),
    ],
)
def test_who_may_change_something(method: str, headers: dict[str, str], refused: bool) -> None:
    assert (refuse_foreign(method, headers) is not None) == refused


@pytest.mark.parametrize(
    ("text", "seconds"), [("+15m", 900), ("90", 90), ("+1.5h", 5400), ("2d", 172_800), ("30s", 30)]
)
def test_steps_in_words(text: str, seconds: float) -> None:
    assert read_step(text) == seconds


class TestCommands:
    def run(
        self, lab: Lab, capsys: pytest.CaptureFixture[str], *words: str
    ) -> tuple[int, str, str]:
        code = program.main([*words, "--lab", lab.url, "--edge", "http://127.0.0.1:9"])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    def test_a_fault_from_the_terminal(self, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = self.run(
            lab, capsys, "fault", "set", "throttled", "--operation", "Create*", "--times", "2"
        )
        assert code == 0
        assert "throttled is set." in out
        assert "clients see: Throttling 400" in out
        fault_id = out.split()[0]
        code, out, _ = self.run(lab, capsys, "fault", "list")
        assert all(name in out for name in FAULTS)
        assert f"{fault_id}  throttled  operation=Create* times=2" in out
        assert self.run(lab, capsys, "fault", "clear", fault_id)[:2] == (
            0,
            f"{fault_id}  throttled is cleared.\n",
        )
        assert self.run(lab, capsys, "fault", "clear", "--all")[:2] == (0, "No fault was set.\n")

    def test_the_clock_and_what_can_be_looked_at(
        self, lab: Lab, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = lab.get("/_lab/clock")["offset_seconds"]
        assert self.run(lab, capsys, "clock", "+15m")[0] == 0
        assert lab.get("/_lab/clock")["offset_seconds"] == before + 900
        code, out, _ = self.run(lab, capsys, "state", "--json")
        state: Any = json.loads(out)
        assert (code, state["version"]) == (0, lab.get("/_lab/state")["version"])
        for words, shown in (
            (("state",), "int-chat"),
            (("calls",), "total"),
            (("settings",), "quotas.vpc_origins="),
        ):
            code, out, _ = self.run(lab, capsys, *words)
            assert code == 0
            assert shown in out

    @pytest.mark.parametrize(
        ("words", "code", "says"),
        [
            (("fault", "set", "nonsense"), 1, "There is no fault"),
            (("fault", "clear"), 1, "fault clear --all"),
            (("fault", "clear", "fault-0"), 1, "No fault 'fault-0' is set"),
            (("clock", "yesterday"), 1, "is not a step such as"),
            (("settings", "quotas"), 1, "is not SECTION.NAME=VALUE"),
            (("settings", "quotas.nonsense=1"), 1, "'nonsense'"),
            (("sockets",), 1, "Is it running?"),
            (("logs",), 1, "Is it running?"),
            (("fault",), 2, "invalid choice"),
            (("dance",), 2, "invalid choice"),
        ],
    )
    def test_what_does_not_work_is_said_with_an_exit_code(
        self,
        lab: Lab,
        capsys: pytest.CaptureFixture[str],
        words: tuple[str, ...],
        code: int,
        says: str,
    ) -> None:
        given, out, err = self.run(lab, capsys, *words)
        assert (given, out) == (code, "")
        assert says in err

    def test_a_reader_that_has_enough_is_no_traceback(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as closed:
            monkeypatch.setattr("sys.stdout", closed)
            assert commands.main(["clock", "--lab", lab.url]) == 1

    def test_help_is_no_mistake(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert commands.main(["--help"]) == 0
        assert "fault" in capsys.readouterr().out
