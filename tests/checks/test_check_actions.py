"""Asking for checks and making them: one at a time, tried again only while edges settle, stored and
told once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Any

import psycopg
import pytest
from django.db import connection

from checks import actions
from checks.aws_view import AwsView
from checks.diagnosis.probe_kinds import ProbeKind
from checks.diagnosis.ranking import UNVERIFIED
from checks.health import Health, next_health
from checks.models import Check, EndpointHealth
from checks.preflight import Level, PreflightResult
from checks.preflight.serving import Serving
from checks.privacy.actions import request_audit
from checks.probe.interruptible import Interrupted
from checks.probe.limits import Limits
from checks.probe.probe_request import ProbeRequest
from checks.probe_actions import request_probe
from checks.protocol.handshake_options import HandshakeOptions, ProbeTarget
from checks.protocol.transcript import Failure, Phase, Reason, Timing, Transcript
from provisioning.models import Endpoint, Event
from tests.checks import seen

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db
QUICK_504 = seen.answered(
    "HTTP/1.1 504 Gateway Timeout\r\nServer: CloudFront\r\nX-Cache: Error from cloudfront\r\n"
)
REFUSED_504 = replace(QUICK_504, timing=Timing(upgrade=30_000.0, total=30_000.0))
"""After CloudFront has knocked three times: too slow to be repeated more often than twice."""
REFUSED_403 = seen.answered(
    "HTTP/1.1 403 Forbidden\r\nServer: CloudFront\r\n",
    request=seen.request_to(origin="https://d111.cloudfront.net"),
)
NOT_FOUND = seen.answered("HTTP/1.1 404 Not Found\r\nServer: uvicorn\r\n")
PAGE = seen.answered("HTTP/1.1 200 OK\r\nServer: uvicorn\r\nContent-Type: text/html\r\n")


class Edge:
    """Answers probes with prepared transcripts, the last one for ever, and notes what was asked."""

    def __init__(self, *answers: Transcript) -> None:
        self.answers: Iterator[Transcript] = chain(answers, repeat(answers[-1]))
        self.asked: list[ProbeTarget] = []
        self.given: list[dict[str, object]] = []

    def __call__(self, target: ProbeTarget, **given: object) -> Transcript:
        self.asked.append(target)
        self.given.append(given)
        assert isinstance(given["limits"], Limits)
        return next(self.answers)


def answering(
    monkeypatch: pytest.MonkeyPatch,
    *answers: Transcript,
    view: AwsView | None = None,
    served: Serving | None = None,
) -> Edge:
    """The network answers with these, and AWS, when it is asked, with that."""
    edge = Edge(*answers)
    monkeypatch.setattr(actions, "probe_blocking", edge)
    monkeypatch.setattr(actions, "fetch_aws_view", lambda *_: view or AwsView())
    monkeypatch.setattr(actions, "fetch_serving", lambda *_, **__: served)
    return edge


def make(check: Check, now: datetime = NOW) -> Check:
    actions.make_check(str(check.pk), clock=lambda: now)
    check.refresh_from_db()
    return check


def test_a_good_handshake_is_stored_and_told(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = answering(monkeypatch, seen.live())
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    assert (check.ok, check.verdict, check.finished_at) == (True, "WSE-LIVE", NOW)
    assert edge.asked[0].url == "wss://d111.cloudfront.net/ws/chat"
    assert edge.asked[0].origin == "https://d111.cloudfront.net"
    event = Event.objects.get(stream_id="request:1")
    assert (event.kind, event.level, event.data["ok"]) == ("check.finished", "good", True)
    assert check.transcript_data is not None
    assert Transcript.from_dict(check.transcript_data).live


OWN = Serving("/ws/chat", "/ws/chat", "edge-portal-1", own=True)
ELSEWHERE = Serving("/ws/chat", "*", "web", own=False, reason="/ws/chat matches the behavior *")


def test_a_handshake_that_something_else_answers_is_not_live(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, seen.live(), served=ELSEWHERE)
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    assert (check.ok, check.verdict) == (False, "WSE-OTHER-ORIGIN")
    event = Event.objects.get()
    assert (event.kind, event.level, event.data["ok"]) == ("check.finished", "error", False)
    assert "/ws/chat matches the behavior *" in event.text
    answering(monkeypatch, seen.live(), served=OWN)
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    assert (check.ok, check.verdict) == (True, "WSE-LIVE")


@pytest.mark.parametrize(
    ("before", "ok", "drifted", "after"),
    [
        ("unknown", True, False, "live"),
        ("failing", True, False, "live"),
        ("drifted", True, False, "live"),
        ("live", True, True, "drifted"),
        ("live", False, True, "drifted"),
        ("live", None, True, "drifted"),
        ("live", False, False, "failing"),
        ("live", False, None, "failing"),
        ("live", None, False, "unknown"),
        # its configuration was not read: what opened says little
        ("live", True, None, "live"),
        ("unknown", True, None, "unknown"),
        ("failing", True, None, "unknown"),
        ("drifted", True, None, "drifted"),
        ("drifted", False, None, "drifted"),
    ],
)
def test_health_follows_from_handshake_and_configuration(
    before: str, ok: bool | None, drifted: bool | None, after: str
) -> None:
    assert next_health(Health(before), ok=ok, drifted=drifted) == after


def test_health_is_kept_with_its_beginning_and_what_answers_instead(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_after(minutes: int, transcript: Transcript, served: Serving | None) -> EndpointHealth:
        answering(monkeypatch, transcript, served=served)
        at = NOW + timedelta(minutes=minutes)
        made = make(actions.request_check(endpoint, by="ana", stream="s", now=at), at)
        assert made.distribution_etag == (served.etag if served else "")
        return EndpointHealth.objects.get(endpoint=endpoint)

    own, elsewhere = replace(OWN, etag="E1"), replace(ELSEWHERE, etag="E2")
    for minutes in (0, 15):
        live = check_after(minutes, seen.live(), own)
        assert (live.health, live.since, live.verdict) == ("live", NOW, "WSE-LIVE")
    assert (live.checked_at, live.connect_ms) == (NOW + timedelta(minutes=15), 6.0)
    for minutes, transcript in ((30, seen.live()), (45, NOT_FOUND)):
        drifted = check_after(minutes, transcript, elsewhere)
        assert (drifted.health, drifted.since) == ("drifted", NOW + timedelta(minutes=30))
        assert drifted.reason == "/ws/chat matches the behavior *."
        assert drifted.distribution_etag == "E2"
    unread = check_after(60, seen.live(), None)
    assert (unread.health, unread.verified_at) == ("drifted", NOW + timedelta(minutes=45))
    again = check_after(75, seen.live(), own)
    assert (again.health, again.reason) == ("live", "")


def test_a_check_of_ones_own_says_nothing_about_health(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, NOT_FOUND, served=OWN)
    options = HandshakeOptions(path="/elsewhere")
    make(actions.request_check(endpoint, by="ana", stream="s", now=NOW, options=options))
    assert not EndpointHealth.objects.exists()


def test_what_could_not_be_verified_is_said(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for served in (OWN, None):
        answering(monkeypatch, seen.live(), served=served)
        check = make(actions.request_check(endpoint, by="ana", stream="s", now=NOW))
        assert (check.ok, check.verdict) == (True, "WSE-LIVE")
        assert (UNVERIFIED in check.findings[0]["evidence"]) is (served is None)


def test_paths_that_go_elsewhere_are_told_once(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, seen.live(), served=replace(OWN, lost=("/ws/?* comes first",)))
    for minutes in (0, 15):
        later = NOW + timedelta(minutes=minutes)
        check = make(actions.request_check(endpoint, by="ana", stream="s", now=later), later)
        assert (check.ok, check.verdict) == (True, "WSE-LIVE")
        assert [one["code"] for one in check.findings] == ["WSE-LIVE", "WSE-PATHS-LOST"]
    (event,) = Event.objects.filter(kind="check.paths_lost")
    assert event.text == "Some paths do not reach the endpoint: /ws/?* comes first."


def test_a_failed_handshake_names_its_verdict(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, REFUSED_504)
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    assert check.ok is False
    assert check.verdict.startswith("WSE-504")
    assert [one["kind"] for one in check.probes] == ["plain get", "again", "again"]
    assert check.next_probe == "routes"
    assert Event.objects.get().level == "error"


@pytest.mark.parametrize(
    ("body", "says", "never"),
    [
        ("Transport unknown", "(high certainty). A Socket.IO server (Engine.IO) says:", "host"),
        ("", "The cause is not known. CloudFront, or an app", "does not accept this host name"),
    ],
)
def test_the_event_quotes_the_app_and_says_how_certain_the_verdict_is(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, body: str, says: str, never: str
) -> None:
    """The reason of the request and its ticket are this text."""
    refused = seen.answered("HTTP/1.1 400 Bad Request\r\nServer: CloudFront\r\n", body=body)
    answering(monkeypatch, *[refused] * 8)
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    event = Event.objects.get()
    assert says in event.text
    assert never not in event.text
    assert event.data["certainty"] == check.findings[0]["certainty"]
    assert check.findings[0]["evidence"][0].rstrip(".") in event.text


def test_what_aws_says_decides_and_spares_further_probes(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = PreflightResult(
        "PF-INGRESS", Level.FIXABLE, "no rule of sg-1 admits CloudFront on port 80"
    )
    edge = answering(monkeypatch, REFUSED_504, view=AwsView(preflight=(closed,)))
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    assert (check.verdict, check.next_probe, check.probes) == ("WSE-504-SG", "", [])
    assert check.findings[0]["certainty"] == "high"
    assert "AWS: no rule of sg-1 admits CloudFront on port 80" in check.findings[0]["evidence"]
    assert len(edge.asked) == 1


def test_where_nothing_else_tells_the_ways_past_the_edge_are_asked(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.PROBE_ROUTES = [
        "direct=wss://{name}.internal.example.com{path}",
        "old=wss://old.example.com{path}",
    ]
    edge = answering(
        monkeypatch, REFUSED_504, REFUSED_504, REFUSED_504, REFUSED_504, seen.live(), REFUSED_504
    )
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    assert [target.url for target in edge.asked[4:]] == [
        f"wss://{endpoint.name}.internal.example.com/ws/chat",
        "wss://old.example.com/ws/chat",
    ]
    assert [one.get("route") for one in check.probes] == [None, None, None, "direct", "old"]
    assert check.verdict == "WSE-504-SG"
    assert "the route direct, past CloudFront, opens after 0.0 s" in check.findings[0]["evidence"]


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (
            HandshakeOptions(origin="https://shop.example.com", path="/ws/2", script="send hello"),
            ["wss://old.example.com/ws/2"],
        ),
        (HandshakeOptions(headers=(("Authorization", "Bearer s3cret"),)), []),
        (HandshakeOptions(path="/ws/chat?token=s3cret"), []),
        (HandshakeOptions(subprotocols=("bearer.s3cret",)), []),
    ],
)
def test_what_may_be_a_secret_goes_to_the_endpoint_only(
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    options: HandshakeOptions,
    asked: list[str],
) -> None:
    settings.PROBE_ROUTES = ["old=wss://old.example.com{path}"]
    edge = answering(monkeypatch, REFUSED_504)
    make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW, options=options))
    assert len(edge.asked) >= 4
    assert [target.url for target in edge.asked if endpoint.domain_name not in target.url] == asked


def test_where_the_socket_opens_no_other_way_is_asked(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.PROBE_ROUTES = ["old=wss://old.example.com{path}"]
    reset = Failure(Phase.FIRST_FRAME, Reason.RESET, "the connection was reset")
    edge = answering(monkeypatch, replace(seen.live(), failures=(reset,)))
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    assert (check.ok, check.next_probe) == (False, "idle")
    assert not [target.url for target in edge.asked if target.url != endpoint.url]


def test_a_refusal_that_only_the_origin_line_brings_on_is_told_apart(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = seen.answered(
        "HTTP/1.1 403 Forbidden\r\nServer: app\r\nX-Amz-Cf-Id: a\r\n",
        request=seen.request_to(origin="https://d111.cloudfront.net"),
    )
    edge = answering(monkeypatch, refused, seen.live(), refused)
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    assert (check.verdict, check.findings[0]["certainty"]) == ("WSE-403-ORIGIN", "high")
    origin = "https://d111.cloudfront.net"
    assert [target.origin for target in edge.asked] == [origin, None, *[origin] * 4]


@pytest.mark.parametrize(
    ("before", "answers", "made"),
    [
        # every other edge lags behind, then two in a row, then four
        ((REFUSED_403,), (seen.live(), REFUSED_403, seen.live()), 2),
        ((REFUSED_403,), (seen.live(), REFUSED_403, REFUSED_403, seen.live()), 3),
        ((REFUSED_403,), (seen.live(), *[REFUSED_403] * 3, seen.live()), 4),
        # the plain GET reaches an edge that is up to date
        ((QUICK_504,), (PAGE, QUICK_504, seen.live()), 2),
        # the app of an older configuration says in its own words that there is nothing here
        ((NOT_FOUND,), (NOT_FOUND, seen.live()), 2),
    ],
)
def test_one_lucky_probe_shows_nothing_where_edges_differ(
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[Transcript, ...],
    answers: tuple[Transcript, ...],
    made: int,
) -> None:
    answering(monkeypatch, *before, *answers)
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    assert (check.verdict, check.findings[0]["certainty"]) == ("WSE-MIXED", "high")
    assert {found["certainty"] for found in check.findings[1:]} <= {"low"}
    assert [one["kind"] for one in check.probes].count("again") == made


def test_a_fault_of_ours_while_explaining_leaves_the_first_look(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, REFUSED_504)

    def faulty(*_: object) -> AwsView:
        raise KeyError("a bug")

    monkeypatch.setattr(actions, "fetch_aws_view", faulty)
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    assert (check.ok, check.verdict) == (False, "WSE-504-SG")


def test_only_a_patient_check_tries_again_and_only_for_a_while(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = answering(monkeypatch, *[REFUSED_504] * 3)
    check = make(
        actions.request_check(endpoint, by="the portal", stream="request:1", now=NOW, patient=True)
    )
    assert check.finished_at is None
    assert not Event.objects.exists()
    assert not Check.objects.due(NOW).exists()
    make(check, NOW + timedelta(seconds=11))
    assert check.finished_at is None
    make(check, NOW + timedelta(seconds=150))
    assert check.finished_at is not None
    assert len(edge.asked) == 3 + 3, "three tries, then a plain GET and twice again"


def test_the_check_under_way_is_the_one_that_is_asked_for(endpoint: Endpoint) -> None:
    first = actions.request_check(endpoint, by="ana", stream="request:1", now=NOW)
    assert actions.request_check(endpoint, by="ben", stream="request:1", now=NOW) == first


def test_a_name_longer_than_its_column_is_cut_and_keeps_nobody_from_testing(
    endpoint: Endpoint,
) -> None:
    long, short = "Ana " + "Maria " * 49 + "Alves", "Ana Alves"
    for name in (short, long):
        check = actions.request_check(endpoint, by=name, stream="", now=NOW)
        saved = actions.save_check(
            endpoint,
            "Room",
            HandshakeOptions(),
            every_minutes=0,
            after_changes=False,
            by=name,
            stream="",
            now=NOW,
        )
        probe = request_probe(endpoint, ProbeRequest(ProbeKind.ROUTES), by=name, now=NOW)
        audit = request_audit(endpoint, by=name, stream="", now=NOW)
        assert probe is not None
        asked_by = [check.requested_by, saved.created_by, probe.requested_by, audit.requested_by]
        assert asked_by == [name[:150]] * 4
        for row in (check, saved, probe, audit):
            row.refresh_from_db()
        assert asked_by == [
            check.requested_by,
            saved.created_by,
            probe.requested_by,
            audit.requested_by,
        ]
        for row in (check, probe, audit):
            row.delete()


def test_a_check_that_somebody_makes_is_not_made_twice(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = answering(monkeypatch, seen.live())
    check = actions.request_check(endpoint, by="ana", stream="", now=NOW)
    Check.objects.update(lease_until=NOW + timedelta(seconds=5))
    assert make(check).finished_at is None
    assert make(check, NOW + timedelta(seconds=6)).ok is True
    assert make(check, NOW + timedelta(seconds=7)).finished_at == NOW + timedelta(seconds=6)
    assert len(edge.asked) == 1


def test_a_worker_that_slept_past_its_lease_records_nothing_twice(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = actions.request_check(endpoint, by="ana", stream="request:1", now=NOW)
    sleeps = iter((True, False))

    def asleep(*_: object, **__: object) -> Transcript:
        if next(sleeps):
            make(check, NOW + timedelta(minutes=5))
        return seen.live()

    monkeypatch.setattr(actions, "probe_blocking", asleep)
    assert make(check).finished_at == NOW + timedelta(minutes=5)
    assert Event.objects.count() == 1


def test_a_worker_that_slept_past_its_lease_leaves_another_ones_alone(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = actions.request_check(
        endpoint, by="the portal", stream="request:1", now=NOW, patient=True
    )
    others = NOW + timedelta(minutes=5)

    def asleep(*_: object, **__: object) -> Transcript:
        Check.objects.update(lease_until=others)
        return REFUSED_504

    monkeypatch.setattr(actions, "probe_blocking", asleep)
    assert (make(check).lease_until, check.finished_at) == (others, None)
    answering(monkeypatch, REFUSED_504)
    assert make(check, others).lease_until is None, "its own lease it gives back"


@pytest.mark.parametrize("answers", [(), (REFUSED_504,)], ids=["the first look", "a later one"])
def test_a_worker_that_shuts_down_leaves_the_check_to_another(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, answers: tuple[Transcript, ...]
) -> None:
    check = actions.request_check(endpoint, by="ana", stream="request:1", now=NOW)
    left = iter(answers)

    def interrupted(*_: object, **__: object) -> Transcript:
        for answer in left:
            return answer
        raise Interrupted

    monkeypatch.setattr(actions, "probe_blocking", interrupted)
    assert make(check).finished_at is None
    assert Check.objects.due(NOW).get() == check
    answering(monkeypatch, seen.live())
    assert make(check).ok


@pytest.mark.django_db(transaction=True)
def test_what_was_seen_is_kept_though_the_database_ended_its_connection_meanwhile(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = actions.request_check(endpoint, by="ana", stream="request:1", now=NOW)
    edge = answering(monkeypatch, REFUSED_504)
    ended: set[int] = set()

    def cut(*asked: ProbeTarget, **how: Any) -> Transcript:
        if len(edge.asked) < 2:  # at the first look, and at the first of those that explain it
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                ended.add(cursor.fetchone()[0])
            with psycopg.connect(
                **connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}
            ) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) pid", [list(ended)]
                )
        return edge(*asked, **how)

    monkeypatch.setattr(actions, "probe_blocking", cut)
    assert make(check).finished_at == NOW
    assert (len(ended), Event.objects.count()) == (2, 1)


def test_a_check_that_fails_by_our_own_fault_is_finished_and_says_so(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object, **__: object) -> Transcript:
        raise KeyError("a bug")

    monkeypatch.setattr(actions, "probe_blocking", faulty)
    check = make(actions.request_check(endpoint, by="ana", stream="request:1", now=NOW))
    assert (check.ok, check.verdict, check.finished_at) == (False, "WSE-PROBE", NOW)
    assert "KeyError" in str(check.findings)
    assert Event.objects.get(stream_id="request:1").kind == "check.finished"
