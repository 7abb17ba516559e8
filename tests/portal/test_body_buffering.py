"""How requests arrive: in pieces, too slowly, too large, half, or in a form that WSGI does not
know.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from portal.body_buffering import LARGEST_BODY, arriving_whole, as_ascii, plain_type

Seen = list[dict[str, Any]]


def send(
    pieces: Sequence[bytes | None],
    headers: dict[str, str],
    *,
    path: str = "/api/v1/requests",
    query: bytes = b"",
    stays: bool = False,
) -> tuple[Seen, Seen]:
    """What the application behind saw, and what the client was sent. None: the client goes away;
    `stays`: it waits.
    """
    seen: Seen = []
    sent: Seen = []

    async def behind(scope: Any, receive: Any, answer: Any) -> None:
        seen.append({**scope, "message": await receive()})

    async def talk() -> None:
        left = list(pieces)

        async def receive() -> dict[str, Any]:
            if not left and stays:
                await asyncio.sleep(60)
            piece = left.pop(0) if left else None
            if piece is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": piece, "more_body": bool(left) or stays}

        async def answer(message: Any) -> None:
            sent.append(dict(message))

        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": query,
            "headers": raw,
        }
        await arriving_whole(behind, within_seconds=0.05 if stays else 60)(scope, receive, answer)

    asyncio.run(talk())
    return seen, sent


def test_a_body_in_chunks_arrives_whole_and_with_its_length() -> None:
    seen, _ = send([b'{"a":', b"1", b"}"], {"transfer-encoding": "chunked"})
    assert seen[0]["headers"] == [(b"content-length", b"7")]
    assert seen[0]["message"] == {"type": "http.request", "body": b'{"a":1}', "more_body": False}


def test_what_its_sender_did_not_finish_reaches_no_view() -> None:
    assert send([b"decision=appr", None], {"content-length": "40"}) == ([], [])


@pytest.mark.parametrize(
    ("pieces", "headers", "stays", "status"),
    [
        ([b"x"], {"content-length": "9"}, True, 408),
        ([b"x" * LARGEST_BODY, b"x"], {"transfer-encoding": "chunked"}, False, 413),
        ([b"x"], {"content-length": str(LARGEST_BODY + 1)}, False, 413),
        ([b"x"], {"content-length": "9" * 5000}, False, 413),
    ],
)
def test_what_is_too_slow_or_too_large_is_refused(
    pieces: list[bytes], headers: dict[str, str], stays: bool, status: int
) -> None:
    seen, sent = send(pieces, headers, stays=stays)
    assert seen == []
    assert sent[0]["status"] == status
    problem = json.loads(sent[1]["body"])
    assert (problem["status"], dict(sent[0]["headers"])[b"content-type"]) == (
        status,
        b"application/problem+json",
    )
    _, page = send(pieces, headers, stays=stays, path="/requests/new/")
    assert b"<h1>Request " in page[1]["body"]


def test_a_query_beyond_ascii_and_names_with_underscores_do_not_reach_wsgi() -> None:
    headers = {"x_forwarded_proto": "https", "x-forwarded-proto": "http"}
    seen, _ = send([b""], headers, query="team=münchen&x=%2F".encode())
    assert seen[0]["query_string"] == b"team=m%C3%BCnchen&x=%2F"
    assert seen[0]["headers"] == [(b"x-forwarded-proto", b"http")]
    assert as_ascii(b"a=b c%zz&d=[1]") == b"a=b c%zz&d=[1]"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"application/json", b"application/json"),
        (b"application/json; charset=utf-8", b"application/json"),
        (b"text/plain; charset=base64", b"text/plain"),
        (b"text/plain; a*=bogus''x", b"text/plain"),
        (b"text/plain; charset*0=ba; charset*1=se64", b"text/plain"),
        (
            b"multipart/form-data; charset=idna; boundary=----x1",
            b"multipart/form-data; boundary=----x1",
        ),
        (
            b'multipart/form-data; Boundary="a;b c"; charset=latin-1',
            b'multipart/form-data; Boundary="a;b c"',
        ),
        (b"multipart/form-data; boundary=", b"multipart/form-data"),
        (b"\xff;;;=", b"\xff"),
        (b"", b""),
    ],
)
def test_no_client_chooses_in_which_encoding_it_is_read(sent: bytes, read: bytes) -> None:
    assert plain_type(sent) == read
    seen, _ = send([b"{}"], {"content-type": sent.decode("latin-1"), "content-length": "2"})
    assert seen[0]["headers"][0] == (b"content-type", read.decode("latin-1").encode())


def test_a_refused_upload_has_a_line_too_and_the_client_learns_its_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Django never sees it."""
    caplog.set_level(logging.INFO, "portal.access_log")
    headers = {"content-length": str(LARGEST_BODY + 1), "x-request-id": "from-the-proxy"}
    _, sent = send([b"x"], headers, query=b"token=s3cr3t")
    assert dict(sent[0]["headers"])[b"x-request-id"] == b"from-the-proxy"
    assert json.loads(sent[1]["body"])["correlation_id"] == "from-the-proxy"
    [record] = caplog.records
    told = vars(record)["fields"]
    assert (told["method"], told["path"], told["status"]) == ("POST", "/api/v1/requests", 413)
