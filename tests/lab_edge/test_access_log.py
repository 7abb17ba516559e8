"""The rows of the access log: fields, times, totals, and how people read them."""

from __future__ import annotations

import json
import socket
import struct
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest

from lab.edge.http.messages import ViewerRequest
from lab.edge.logs.access_log import AccessRecord
from lab.edge.logs.log_store import LogStore

from .stage import PATIENCE, Stage, wait_until

# Standard logging reference, in its order.
DOCUMENTED = """
date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer)
cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header
cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher
x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port
time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start
sc-range-end
"""


def record(**headers: str) -> AccessRecord:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    request = ViewerRequest(
        "GET",
        "/ws/a b?x=1",
        named,
        "https",
        "1.1",
        "198.51.100.7",
        50000,
        "TLSv1.3:X",
        country="DE",
    )
    return AccessRecord(request, "id==", started=100.0)


@pytest.mark.rule("log/fields")
def test_the_documented_fields_in_their_order() -> None:
    made = record(user_agent="a browser", cookie="secret=1")
    made.begin(404, "Error", "Error", (("Content-Type", "text/html"), ("Content-Length", "5")))
    row = made.row(10, 20, 101.5, datetime(2026, 11, 21, 12, 0, 1, tzinfo=UTC))
    documented = DOCUMENTED.split()
    assert len(documented) == 33
    assert [name for name in row if name in documented] == documented
    assert (row["date"], row["time"], row["time-taken"]) == ("2026-11-21", "12:00:01", 1.5)
    assert (row["cs-uri-stem"], row["cs-uri-query"], row["cs(User-Agent)"]) == (
        "/ws/a%20b",
        "x=1",
        "a%20browser",
    )
    assert (row["sc-content-type"], row["sc-content-len"], row["c-country"]) == (
        "text/html",
        "5",
        "DE",
    )
    assert (row["cs(Cookie)"], row["cs(Referer)"]) == ("-", "-")
    made.logs_cookies = True
    assert made.row(10, 20, 101.5, datetime.now(UTC))["cs(Cookie)"] == "secret=1"


@pytest.mark.rule("log/content-range")
def test_the_range_is_the_responses() -> None:
    made = record()
    made.begin(206, "Miss", "Miss", (("Content-Range", "bytes 10-19/200"),))
    row = made.row(10, 20, 101.0, datetime.now(UTC))
    assert (row["sc-range-start"], row["sc-range-end"]) == ("10", "19")


@pytest.mark.rule("log/viewer-left-first")
def test_who_leaves_before_the_answer_is_000() -> None:
    row = record().row(0, 20, 101.0, datetime.now(UTC))
    assert (row["sc-status"], row["x-edge-detailed-result-type"]) == ("000", "ClientCommError")


class TestShelf:
    def test_rows_come_late_in_pages_and_by_distribution(self) -> None:
        delay = [0.0]
        shelf = LogStore(lambda: delay[0])
        for name in ("EA", "EB", "EA"):
            made = record()
            made.distribution_id = name
            shelf.put(made, 1, 2)
        assert [row["DistributionId"] for row in asked(shelf, "")["rows"]] == ["EA", "EB", "EA"]
        assert len(asked(shelf, "distribution=EA")["rows"]) == 2
        first = asked(shelf, "limit=1")
        rest = asked(shelf, f"since={first['next']}")
        assert [row["DistributionId"] for row in rest["rows"]] == ["EB", "EA"]
        assert asked(shelf, f"since={rest['next']}") == {"rows": [], "next": rest["next"]}
        delay[0] = 60.0
        assert asked(shelf, "")["rows"] == []

    def test_it_keeps_no_more_than_so_many(self) -> None:
        shelf = LogStore(lambda: 0.0, most=3)
        for number in range(5):
            made = record()
            made.distribution_id = f"E{number}"
            shelf.put(made, 1, 2)
        assert [row["DistributionId"] for row in asked(shelf, "")["rows"]] == ["E2", "E3", "E4"]

    @pytest.mark.parametrize(
        "query", ["since=x", "since=-1", "since=nan", "limit=0", "limit=1001", "limit=many"]
    )
    def test_nonsense_is_refused_with_words(self, query: str) -> None:
        answer = LogStore(lambda: 0.0).answer(query)
        assert answer.status == 400
        assert json.loads(answer.body)["error"]


@pytest.mark.rule("log/written-at-close", "log/totals", "log/protocol", "log/websocket-is-miss")
def test_a_websockets_row_can_be_read_when_it_has_closed(stage: Stage) -> None:
    began = time.time()
    with stage.websocket("dchat", "/ws/row?room=a", compression=None) as client:
        client.recv()
        id = client.response.headers["x-amz-cf-id"]
        client.send("x" * 3000)
        client.recv()
        assert mine(stage, began, id) is None
        closing = time.time()
    wait_until(lambda: mine(stage, began, id) is not None)
    row = mine(stage, began, id)
    assert row is not None
    assert (row["cs-protocol"], row["sc-status"], row["x-edge-result-type"]) == (
        "wss",
        "101",
        "Miss",
    )
    assert row["sc-bytes"] > 3000 < row["cs-bytes"]
    assert row["timestamp(ms)"] >= int(closing * 1000) - 5
    assert (row["cs-uri-stem"], row["cache-behavior-path-pattern"]) == ("/ws/row", "/ws/*")


@pytest.mark.rule("log/viewer-left-first")
def test_a_viewer_that_hangs_up_while_the_origin_is_silent(stage: Stage) -> None:
    """With RST, which the edge notices immediately; a FIN may be a half-close."""
    stage.odd.may_answer_late.clear()
    with stage.raw("dodd.cloudfront.net") as raw:
        raw.sendall(b"GET /late?who=hangs-up HTTP/1.1\r\nHost: dodd.cloudfront.net\r\n\r\n")
        wait_until(lambda: "/late?who=hangs-up" in stage.odd.asked)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stage.odd.may_answer_late.set()
    row = stage.edge.wait_for_entry(lambda entry: entry["cs-uri-query"] == "who=hangs-up")
    assert (row["sc-status"], row["x-edge-detailed-result-type"]) == ("000", "ClientCommError")


@pytest.mark.rule("log/unlogged")
def test_what_is_too_large_leaves_no_row(stage: Stage) -> None:
    began = time.time()
    assert stage.request("dchat", path="/" + "a" * 8192)[0] == 414
    assert stage.request("dchat", headers={f"X-{n}": "a" * 7000 for n in range(5)})[0] == 494
    assert stage.request("dchat", path="/healthz")[0] == 200
    wait_until(lambda: bool(rows(stage, began)))
    assert [row["cs-uri-stem"] for row in rows(stage, began)] == ["/healthz"]


def test_only_the_lab_itself_answers_for_its_rows(stage: Stage) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(
            f"http://127.0.0.1:{stage.plain_port}/_lab/logs?limit=0", timeout=PATIENCE
        )
    for name, tls in (("dmatch", False), ("dchat", True)):
        status, headers, _ = stage.request(name, path="/_lab/logs", tls=tls)
        assert (status, headers["via"].endswith("(CloudFront)")) == (426, True)


def asked(shelf: LogStore, query: str) -> dict[str, Any]:
    answer = shelf.answer(query)
    assert answer.status == 200
    document: dict[str, Any] = json.loads(answer.body)
    return document


def rows(stage: Stage, since: float) -> list[dict[str, Any]]:
    query = f"distribution=EDCHAT&since={since!r}"
    with urllib.request.urlopen(
        f"http://127.0.0.1:{stage.plain_port}/_lab/logs?{query}", timeout=PATIENCE
    ) as reply:
        found: list[dict[str, Any]] = json.load(reply)["rows"]
    return found


def mine(stage: Stage, since: float, id: str) -> dict[str, Any] | None:
    return next((row for row in rows(stage, since) if row["x-edge-request-id"] == id), None)
