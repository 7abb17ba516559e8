"""CloudFront's log rows, in every form in which people have them to paste; and rubbish, which is
told to be none.
"""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from checks.diagnosis.access_log import MAX_ROWS, LogRowError, parse_log_rows

STANDARD = (
    "2019-12-04\t21:02:31\tLAX1\t392\t192.0.2.100\tGET\td111111abcdef8.cloudfront.net\t/ws\t502\t-\tNode\t-\t-\tError\t"
    "SOX4xwn4XV6Q4rgb7XiVGOHms==\tchat.example.com\twss\t23\t0.001\t-\tTLSv1.2\tECDHE\tError\tHTTP/1.1\t-\t-\t11040\t"
    "0.001\tOriginDnsError\ttext/html\t78\t-\t-"
)
V2 = {
    "date": "2026-05-14",
    "time": "22:34:07",
    "x-edge-location": "SOF50-P2",
    "cs-method": "GET",
    "cs-uri-stem": "/ws",
    "sc-status": "502",
    "x-edge-result-type": "Error",
    "x-edge-request-id": "SOX4xwn4XV6Q4rgb7XiVGOHms==",
    "x-edge-detailed-result-type": "OriginDnsError",
    "timestamp(ms)": "1731620046814",
    "sc-range-start": "-",
}
ATHENA = "date,time,sc_status,x_edge_detailed_result_type,x_edge_request_id,cs_uri_stem"
LOGS = {"events": [{"timestamp": 1, "message": json.dumps(V2)}], "searchedLogStreams": []}
FORMS = {
    "standard": STANDARD,
    "standard, copied from a terminal": STANDARD.expandtabs(1),
    "standard, with its head": f"#Version: 1.0\n#Fields: whatever\n{STANDARD}".replace(
        "whatever", "date time sc-status x-edge-request-id x-edge-detailed-result-type"
    ).replace(STANDARD, "2026-05-14 22:34:07 502 SOX4xwn4XV6Q4rgb7XiVGOHms== OriginDnsError"),
    "JSON on one line": json.dumps(V2),
    "JSON, printed prettily": json.dumps(V2, indent=4),
    "JSON, a list": json.dumps([V2]),
    "JSON, rows with commas between": f"{json.dumps(V2)},\n{json.dumps(V2)},",
    "events of CloudWatch Logs": json.dumps(LOGS, indent=2),
    "Logs Insights": json.dumps([{"@timestamp": "x", "@message": json.dumps(V2)}]),
    "Logs Insights, exported as CSV": '@timestamp,@message\n2026-05-14 22:34:07.000,"'
    + json.dumps(V2).replace('"', '""')
    + '"\n',
    "Logs Insights, exported as CSV with more columns": '"@timestamp","@message","@logStream"\n'
    + '"2026-05-14 22:34:07.000","'
    + json.dumps(V2).replace('"', '""')
    + '","CloudFront_E1"\n',
    "Logs Insights, CSV of tab-separated rows": f'@timestamp,@message\n2026-05-14,"{STANDARD}"\n',
    "GetQueryResults of Logs Insights": json.dumps(
        {
            "status": "Complete",
            "results": [
                [
                    {"field": "@timestamp", "value": "2026-05-14 22:34:07.000"},
                    {"field": "@message", "value": json.dumps(V2)},
                    {"field": "@ptr", "value": "Cm"},
                ]
            ],
        }
    ),
    "grep": f"E2A.2026-05-14-22.ab12cd34.log:{STANDARD}\nE2A.2026-05-14-22.b.log:{STANDARD}",
    "grep with line numbers": f"logs/E2A.2026-05-14-22.ab12cd34:17:{STANDARD}",
    "zgrep of JSON": f"./E2A.2026-05-14-22.ab12cd34.gz:{json.dumps(V2)}",
    "grep, with the head of the file": f"a.log:#Version: 1.0\na.log:{STANDARD}",
    "aws logs tail": f"2026-05-14T22:34:07.000000+00:00 CloudFront_E1 {json.dumps(V2)}",
    "JSON, quoted as a string": json.dumps(json.dumps(V2)),
    "JSON, quoted for a shell": f"'{json.dumps(V2)}'",
    "a subscription's data": base64.b64encode(gzip.compress(json.dumps(LOGS).encode())).decode(),
    "a subscription's event": json.dumps(
        {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(LOGS).encode())).decode()}}
    ),
    "CSV of Athena": f"{ATHENA}\n2026-05-14,22:34:07,502,OriginDnsError,"
    '"SOX4xwn4XV6Q4rgb7XiVGOHms==",/ws\n',
    "CSV of Athena, quoted": f'"{ATHENA.replace(",", chr(34) + "," + chr(34))}"\n'
    '"a","b","502","OriginDnsError",'
    '"SOX4xwn4XV6Q4rgb7XiVGOHms==","/ws"',
}


@pytest.mark.parametrize("form", FORMS)
def test_a_row_is_read_in_each_form(form: str) -> None:
    row = parse_log_rows(FORMS[form])[0]
    assert (row.status, row.detail, row.request_id) == (
        502,
        "OriginDnsError",
        "SOX4xwn4XV6Q4rgb7XiVGOHms==",
    )
    assert row.path in ("/ws", "")


def test_the_one_field_that_an_article_shows_is_enough() -> None:
    (row,) = parse_log_rows('{\n    "x-edge-detailed-result-type": "OriginDnsError"\n}')
    assert (row.detail, row.status, row.seconds) == ("OriginDnsError", 0, None)


def test_log_rows_are_read_as_they_are_pasted() -> None:
    tabs = "\t".join(
        [
            "2026-11-21",
            "09:00:00",
            "FRA56",
            "10",
            "192.0.2.1",
            "GET",
            "d111.cloudfront.net",
            "/ws%20a",
            "502",
        ]
        + ["-"] * 4
        + ["Error", "abc", "chat.example.com", "wss", "20", "0.5"]
    )
    (row,) = parse_log_rows(f"#Version: 1.0\n{tabs}\n")
    assert (row.status, row.path, row.result, row.request_id, row.seconds) == (
        502,
        "/ws a",
        "Error",
        "abc",
        0.5,
    )
    named = parse_log_rows(
        "#Fields: sc-status x-edge-request-id "
        + " ".join("abcdefghijklm")
        + "\n"
        + "403 q "
        + "- " * 13
    )
    assert (named[0].status, named[0].request_id) == (403, "q")
    assert parse_log_rows('[{"sc-status": 101}]')[0].status == 101
    for text in ("", "#Fields: a b\n", "GET / HTTP/1.1", "{broken", "[1", "x" * 300_000):
        with pytest.raises(LogRowError):
            parse_log_rows(text)


ALB = (
    "wss 2018-07-02T22:23:00.186641Z app/lb/50dc 10.0.0.140:40914 10.0.1.192:8010 0 0 0 101 101 "
    '218 786 "GET /"'
)
RUBBISH = {
    "a load balancer's own log": ALB,
    "a real-time log without its fields": "\t".join(["1700000000.123", *["-"] * 20]),
    "fewer cells than #Fields names": "#Fields: date sc-status\n2026-05-14",
    "JSON that says nothing of a request": '{"a": {"b": 1}}',
    "half a JSON row": json.dumps(V2)[:-20],
    "brackets without end": "[" * 100_000,
    "lists in lists": "[" * 300 + "1" + "]" * 300,
    "a cell without end": 'sc-status,x\n"' + "a" * 200_000,
    "prose": "It does not work, and the page says 502. " * 3,
    "a Logs Insights export of something else": '@timestamp,@message\n2026-05-14,"it works"\n',
    "a Logs Insights export without the message": "@timestamp,@logStream\n2026-05-14,a\n",
    "grep's word for a binary file": "Binary file E2A.2026-05-14-22.ab12cd34.gz matches",
    "data that is no gzip": "H4sIAAAA" + "A" * 100,
    "a gzip file": gzip.compress(STANDARD.encode()).decode("latin-1"),
    "a bomb": base64.b64encode(gzip.compress(b"[" * 50_000_000)).decode(),
}


@pytest.mark.parametrize("kind", RUBBISH)
def test_what_is_no_row_is_told_to_be_none(kind: str) -> None:
    with pytest.raises(LogRowError) as refused:
        parse_log_rows(RUBBISH[kind])
    assert len(str(refused.value)) < 400


def test_nothing_is_kept_that_the_database_does_not_take() -> None:
    (row,) = parse_log_rows(
        '{"sc-status":"502","cs-uri-stem":"/%00\\ud800","x-host-header":"\\u0000","time-taken":"'
        + "9" * 400
        + '"}'
    )
    assert "\x00" not in row.path + row.host
    assert row.seconds is None
    (row.path + row.host).encode()
    assert len(parse_log_rows('{"sc-status": 502}' * 1000)) == MAX_ROWS


@given(
    st.text(max_size=200)
    | st.sampled_from(sorted(FORMS.values())).flatmap(lambda t: st.just(t[: len(t) // 2]))
)
@example("\ufeff" + STANDARD)
@example('{"sc-status": true}')
@example("#Fields: sc-status\n\n")
def test_any_text_is_rows_or_a_clear_refusal(text: str) -> None:
    try:
        rows = parse_log_rows(text)
    except LogRowError:
        return
    assert 0 < len(rows) <= MAX_ROWS
    assert all(0 <= row.status <= 999 for row in rows)


def test_a_gzip_file_is_answered_with_how_to_read_it() -> None:
    with pytest.raises(LogRowError, match="zcat"):
        parse_log_rows(RUBBISH["a gzip file"])
