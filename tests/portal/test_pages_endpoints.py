"""The page of an endpoint: verdict, transcript, test now, commands, settings with their reasons,
history.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from checks.diagnosis.transcript_rules import diagnose
from checks.diagnosis.verdicts import VERDICTS
from checks.models import Check
from checks.protocol.transcript import Phase, Reason, Transcript
from portal.requests.lifecycle import State
from portal.requests.models import EndpointRequest
from provisioning.models import Endpoint
from tests.checks.seen import answered, failed, live
from tests.portal.endpoint_requests import put, told_by
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in

HTMX = {"HX-Request": "true"}


def checked(
    endpoint: Endpoint, transcript: Transcript, *, minutes_ago: int = 0, **others: Any
) -> Check:
    """A finished check that saw this."""
    at = timezone.now() - timedelta(minutes=minutes_ago)
    found = diagnose(transcript)
    return told_by(
        Check.objects.create(
            endpoint=endpoint,
            requested_at=at,
            due_at=at,
            retry_until=at,
            finished_at=at,
            ok=transcript.live,
            verdict=found[0].code,
            transcript_data=transcript.to_dict(),
            findings=[one.to_dict() for one in found],
            **others,
        )
    )


def test_a_live_endpoint_says_so_first_and_shows_every_line(
    people: Cast, endpoint: Endpoint
) -> None:
    checked(endpoint, live())
    words = text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    assert "wss://d111111abcdef8.cloudfront.net/ws/chat" in words
    assert words.index("The endpoint is live") < words.index("The handshake, line by line")
    assert "HTTP/1.1 101 Switching Protocols" in words
    assert "Sec-WebSocket-Version: 13" in words
    assert "computed by the portal" in words
    assert "handshake rules passed" in words


def test_a_failing_endpoint_says_cause_and_fix_before_the_evidence(
    people: Cast, endpoint: Endpoint
) -> None:
    checked(endpoint, failed(Phase.DNS, Reason.DNS_FAILURE, "no such name"))
    words = text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    verdict = VERDICTS["WSE-DNS"]
    assert "Handshake failing" in words
    assert words.index(verdict.plain) < words.index(verdict.fix) < words.index("no such name")


def test_where_aws_shows_the_cause_the_fix_has_this_accounts_own_names(
    people: Cast, endpoint: Endpoint
) -> None:
    check = checked(endpoint, answered("HTTP/1.1 504 Gateway Timeout\r\nServer: CloudFront\r\n"))
    here = {
        "console": "EC2 > Security Groups > sg-1",
        "cli": "aws ec2 --group-id sg-1",
        "terraform": "",
    }
    check.findings = [
        {"code": "WSE-504-SG", "certainty": "high", "evidence": ["sg-1: closed"], "here": here}
    ]
    check.save()
    words = text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    assert (
        "How to fix: EC2 > Security Groups > sg-1 Command line and general advice aws ec2 "
        "--group-id sg-1" in words
    )
    assert (
        words.index("--group-id sg-1")
        < words.index(VERDICTS["WSE-504-SG"].fix)
        < words.index("sg-1: closed")
    )
    request = put(EndpointRequest.objects.get(), State.UNANSWERED)
    asked_for = text_of(signed_in(people.ana).get(f"/requests/{request.pk}/"))
    assert "How to fix: EC2 > Security Groups > sg-1 View the handshake" in asked_for
    del check.findings[0]["here"]
    check.save()
    assert f"How to fix: {VERDICTS['WSE-504-SG'].advice}" in text_of(
        signed_in(people.ana).get(f"/requests/{request.pk}/")
    )
    stored_before = text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    verdict = VERDICTS["WSE-504-SG"]
    opens = f"What this opens: {verdict.opens} The narrow way: {verdict.narrower}"
    assert f"How to fix: {verdict.fix} {opens}" in stored_before


def test_what_was_tried_to_explain_a_failure_is_told(people: Cast, endpoint: Endpoint) -> None:
    refused = answered("HTTP/1.1 504 Gateway Timeout\r\nServer: CloudFront\r\n")
    tried = [
        {"kind": "plain get", "transcript": refused.to_dict()},
        {"kind": "again", "transcript": live().to_dict()},
        {"kind": "again", "transcript": live().to_dict()},
        {"kind": "of a later version", "transcript": live().to_dict()},
        {"kind": "again", "transcript": {"schema": 99}},
    ]
    checked(endpoint, refused, probes=tried, next_probe="log rows")
    words = text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    assert "A plain GET of the same address: shows whether only the upgrade fails" in words
    assert "HTTP/1.1 504 Gateway Timeout" in words
    assert words.count("The same handshake again") == 1
    assert "The WebSocket opened. (2 times)" in words
    assert "Next step to narrow it down: CloudFront's log line of this request" in words


def test_what_the_other_side_sends_is_shown_as_text(people: Cast, endpoint: Endpoint) -> None:
    nasty = (
        "HTTP/1.1 403 Forbidden\r\nServer: <img src=x onerror=alert(1)>\r\nContent-Type: "
        "text/html\r\n"
    )
    checked(endpoint, answered(nasty, body="<script>alert(1)</script>"))
    page = signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/").content.decode()
    assert "<img" not in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_ana_tests_now_and_sees_the_result_come(people: Cast, endpoint: Endpoint) -> None:
    client = signed_in(people.ana)
    assert "Not checked yet." in text_of(client.get(f"/endpoints/{endpoint.pk}/"))
    asked = client.post(f"/endpoints/{endpoint.pk}/checks/run/", headers=HTMX)
    assert "Making a WebSocket handshake through CloudFront" in text_of(asked)
    assert 'hx-trigger="every 1s"' in asked.content.decode()
    running = Check.objects.get()
    assert running.requested_by == str(people.ana)
    past, lease = timezone.now() - timedelta(minutes=1), timezone.now() + timedelta(minutes=1)
    Check.objects.update(requested_at=past, lease_until=lease)
    assert "If the worker has died" in text_of(
        client.get(f"/endpoints/{endpoint.pk}/checks/latest/")
    )
    client.post(f"/endpoints/{endpoint.pk}/checks/run/", headers=HTMX)
    assert Check.objects.count() == 1
    running.delete()
    checked(endpoint, live())
    result = client.get(f"/endpoints/{endpoint.pk}/checks/latest/")
    assert "The endpoint is live" in text_of(result)
    assert "hx-trigger" not in result.content.decode()
    assert "Check now" in text_of(result)
    assert '<div id="check-history" hx-swap-oob="true">' in result.content.decode(), (
        "the list beside it goes along"
    )
    assert "Recent checks Passed" in text_of(result)
    assert "1 of 1 check passed in the last 24 hours" in text_of(result), "so does the uptime"
    page = {"HX-Request": "true", "HX-Current-URL": "http://testserver/endpoints/x/?uptime=7d"}
    latest = client.get(f"/endpoints/{endpoint.pk}/checks/latest/", headers=page)
    assert "1 of 1 check passed in the last 7 days" in text_of(latest), "over the span on the page"


def test_a_refused_test_leads_the_whole_page_to_its_reason(
    people: Cast, endpoint: Endpoint
) -> None:
    client, url = signed_in(people.ana), f"/endpoints/{endpoint.pk}/checks/run/"
    accepted = client.post(url, headers=HTMX)
    assert accepted.content.decode().strip().startswith("<section")
    assert "HX-Redirect" not in accepted
    Check.objects.update(options={"path": "/ws/room"})
    refused = client.post(url, headers=HTMX)
    assert (refused.get("HX-Redirect"), refused.content) == (f"/endpoints/{endpoint.pk}/", b"")
    assert "Another check of this endpoint is running" in text_of(
        client.get(refused["HX-Redirect"])
    )


def test_without_script_testing_leads_back_to_the_page(people: Cast, endpoint: Endpoint) -> None:
    sent = signed_in(people.ben).post(f"/endpoints/{endpoint.pk}/checks/run/", follow=True)
    assert "Reload to see the result" in text_of(sent)


def test_an_auditor_reads_but_does_not_test(people: Cast, endpoint: Endpoint) -> None:
    client = signed_in(people.rita)
    assert "Check now" not in text_of(client.get(f"/endpoints/{endpoint.pk}/"))
    refused = client.post(f"/endpoints/{endpoint.pk}/checks/run/", follow=True)
    assert "Only its team and the platform team" in text_of(refused)
    assert not Check.objects.exists()
    assert "Check now" in text_of(signed_in(people.olga).get(f"/endpoints/{endpoint.pk}/"))


def test_what_is_not_deployed_is_not_tested(people: Cast, endpoint: Endpoint) -> None:
    Endpoint.objects.update(state=Endpoint.State.WANTED)
    client = signed_in(people.ana)
    assert "The portal checks it as soon as it is built." in text_of(
        client.get(f"/endpoints/{endpoint.pk}/")
    )
    assert "once it is deployed" in text_of(
        client.post(f"/endpoints/{endpoint.pk}/checks/run/", follow=True)
    )
    assert not Check.objects.exists()


def test_earlier_tests_can_be_read_again(people: Cast, endpoint: Endpoint) -> None:
    old = checked(endpoint, failed(Phase.DNS, Reason.DNS_FAILURE), minutes_ago=9)
    checked(endpoint, live())
    client = signed_in(people.ana)
    assert "9 min ago" in text_of(client.get(f"/endpoints/{endpoint.pk}/"))
    earlier = text_of(client.get(f"/endpoints/{endpoint.pk}/?check={old.pk}"))
    assert "This is an earlier check" in earlier
    assert VERDICTS["WSE-DNS"].title in earlier
    for wrong in ("nonsense", "6f2b0a3e-0000-4000-8000-000000000000"):
        assert client.get(f"/endpoints/{endpoint.pk}/?check={wrong}").status_code == 404


def test_commands_lead_where_the_portal_itself_connects(
    people: Cast, endpoint: Endpoint, settings: Any
) -> None:
    settings.PROBE_CONNECT_TO = "*.cloudfront.net:443:127.0.0.1:8002"
    settings.PROBE_CA_FILE = "/lab/ca.pem"
    words = text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    for tool in ("wscat --", "websocat", "python3 -c", "curl --"):
        assert tool in words
    assert "wss://127.0.0.1:8002/ws/chat" in words
    assert "/lab/ca.pem" in words


def test_settings_come_with_their_reasons(people: Cast, endpoint: Endpoint) -> None:
    words = text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    assert "A WebSocket handshake is a GET; nothing else needs to pass." in words
    assert "HTTPS port" not in words
    endpoint.spec_data = endpoint.spec_data | {"read_timeout": 90}
    endpoint.save()
    assert "90 As built." in text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))


def test_a_transcript_of_another_version_is_no_error(people: Cast, endpoint: Endpoint) -> None:
    check = checked(endpoint, live())
    Check.objects.filter(pk=check.pk).update(transcript_data={"schema": 99})
    words = text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    assert "stored by another version" in words
    assert "The endpoint is live" in words


def test_another_teams_endpoint_does_not_exist(people: Cast, endpoint: Endpoint) -> None:
    tara = signed_in(people.tara)
    assert tara.get(f"/endpoints/{endpoint.pk}/").status_code == 404
    assert tara.get(f"/endpoints/{endpoint.pk}/checks/latest/").status_code == 404
    assert tara.post(f"/endpoints/{endpoint.pk}/checks/run/").status_code == 404
    assert not Check.objects.exists()
