"""More probes of an endpoint, pasted log rows, buttons for what would tell more, and the usual
questions.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from checks.diagnosis.verdicts import VERDICTS
from checks.models import Check, Probe
from checks.output.comparison import Cell
from checks.output.reports import Report
from portal.pages.troubleshooting import SYMPTOMS
from provisioning.models import Endpoint
from tests.checks.seen import answered, live
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in
from tests.portal.test_pages_endpoints import checked

REFUSED = "HTTP/1.1 502 Bad Gateway\r\nServer: CloudFront\r\nX-Amz-Cf-Id: abc\r\n"
ROW = json.dumps(
    {
        "x-edge-request-id": "abc",
        "sc-status": "502",
        "x-edge-detailed-result-type": "OriginDnsError",
    }
)

POST_ROW = json.dumps(
    {
        "x-edge-request-id": "other",
        "cs-method": "POST",
        "cs-uri-stem": "/ws/chat",
        "sc-status": "403",
        "x-edge-detailed-result-type": "InvalidRequestMethod",
    }
)


def finished(probe: Probe, report: Report | None) -> None:
    """As a worker leaves it."""
    Probe.objects.filter(pk=probe.pk).update(
        finished_at=timezone.now(),
        ok=bool(report and report.ok),
        report=report.to_dict() if report else {"schema": 99},
    )


@pytest.fixture
def address(endpoint: Endpoint) -> str:
    return f"/endpoints/{endpoint.pk}/probes/"


def test_ana_asks_for_a_probe_and_sees_the_result_come(people: Cast, address: str) -> None:
    client = signed_in(people.ana)
    page = client.get(address)
    for title in (
        "Plain GET beside the upgrade",
        "Header trace",
        "Idle timeout",
        "No probes yet.",
    ):
        assert title in text_of(page)
    asked = client.post(address, {"kind": "crowd", "number": "4"})
    probe = Probe.objects.get()
    assert (probe.kind, probe.number, probe.requested_by) == ("crowd", 4, "ana")
    assert asked["Location"] == f"{address}?probe={probe.pk}#probe"
    waiting = client.get(asked["Location"])
    assert "Running" in text_of(waiting)
    assert 'hx-trigger="every 1s"' in waiting.content.decode()
    assert "Another probe of this endpoint is running" in text_of(
        client.post(address, {"kind": "idle", "number": "9"}, follow=True)
    )
    rows = (("client 1", (Cell("good"), Cell("bad", "<img src=x>"))),)
    finished(
        probe,
        Report(
            False, "1 of 4 heard <b>nobody</b>.", ("client 1 …",), "WSE-1006", ("In", "Heard"), rows
        ),
    )
    result = client.get(f"{address}{probe.pk}/")
    words = text_of(result)
    assert words.index("1 of 4 heard") < words.index("client 1 …") < words.index("In")
    assert VERDICTS["WSE-1006"].title in words
    assert "<img" not in result.content.decode()
    assert "hx-trigger" not in result.content.decode()
    assert "Problem" in text_of(client.get(address))
    assert '<div id="probe-history" hx-swap-oob="true">' in result.content.decode()
    assert "Problem Several clients at once" in words, "the list beside it goes along"
    assert 'id="run-probe-1"' in result.content.decode()
    assert " disabled" in waiting.content.decode()
    assert " disabled" not in result.content.decode(), "the next can be asked for"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "crowd", "number": "500"}, "A whole number from 2 to 12"),
        ({"kind": "idle", "number": "many"}, "Enter a whole number."),
        ({"kind": "idle", "number": "-1"}, "A whole number from 2 to 120"),
        ({"kind": "routes", "path": "room"}, "start with a slash"),
        ({"kind": "journey", "path": "/a b"}, "Path"),
        ({"kind": "log rows"}, "Choose a probe on this page"),
        ({"kind": "\x00"}, "Probe"),
        ({}, "Choose a probe"),
    ],
)
def test_what_cannot_be_probed_is_said_at_its_field(
    people: Cast, address: str, given: dict[str, str], says: str
) -> None:
    answer = signed_in(people.ana).post(address, given)
    assert answer.status_code == 422
    assert says in text_of(answer)
    assert not Probe.objects.exists()


def test_who_may_not_test_may_not_probe(people: Cast, endpoint: Endpoint, address: str) -> None:
    assert "Only its team and the platform team" in text_of(signed_in(people.rita).get(address))
    assert "Run:" not in text_of(signed_in(people.rita).get(address))
    signed_in(people.rita).post(address, {"kind": "routes"})
    assert signed_in(people.tara).get(address).status_code == 404
    assert signed_in(people.tara).post(address, {"kind": "routes"}).status_code == 404
    Endpoint.objects.update(state=Endpoint.State.WANTED, domain_name="")
    assert signed_in(people.ana).post(address, {"kind": "routes"}).status_code in (302, 422)
    assert not Probe.objects.exists()
    for wrong in ("nonsense", "6f2b0a3e-0000-4000-8000-000000000000"):
        assert signed_in(people.ana).get(f"{address}?probe={wrong}").status_code == 404


def test_a_report_of_another_version_is_no_error(people: Cast, address: str) -> None:
    signed_in(people.ana).post(address, {"kind": "plain get", "path": ""})
    finished(Probe.objects.get(), None)
    assert "stored by another version" in text_of(signed_in(people.ana).get(address))


class TestLogRows:
    """A failed check is weighed again."""

    @pytest.fixture
    def check(self, endpoint: Endpoint) -> Check:
        return checked(endpoint, answered(REFUSED), next_probe="log rows")

    def url(self, check: Check) -> str:
        return f"/endpoints/{check.endpoint_id}/checks/{check.pk}/log-rows/"

    def test_they_are_pasted_and_weighed_by_a_worker(self, people: Cast, check: Check) -> None:
        client = signed_in(people.ana)
        page = text_of(client.get(f"/endpoints/{check.endpoint_id}/"))
        assert "Analyze CloudFront log lines" in page
        assert "x-edge-request-id abc" in page
        sent = client.post(self.url(check), {"rows_text": ROW}, follow=True)
        probe = Probe.objects.get()
        assert (probe.kind, probe.of_check, probe.rows[0]["detail"]) == (
            "log rows",
            check,
            "OriginDnsError",
        )
        assert "Comparing the log lines" in text_of(sent)
        assert f"?check={check.pk}" in sent.content.decode()
        finished(
            probe,
            Report(True, "The verdict is: something.", ("CloudFront's log: 502",), "WSE-502-DNS"),
        )
        assert "The verdict is: something." in text_of(
            client.get(f"/endpoints/{check.endpoint_id}/")
        )

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "Paste at least one line"),
            ("nonsense", "A row has at least 15 fields"),
            (ROW.replace("abc", "other"), "whose x-edge-request-id is abc"),
            ("{" * 70_000, "at most 60,000 characters"),
            ('{"a": "\x00"}\x00', "Invalid JSON"),
        ],
    )
    def test_what_cannot_be_read_is_said_at_the_field(
        self, people: Cast, check: Check, text: str, says: str
    ) -> None:
        answer = signed_in(people.ana).post(self.url(check), {"rows_text": text})
        assert answer.status_code == 422
        assert 'id="id_rows_text_error"' in answer.content.decode()
        assert says in text_of(answer) or "\x00" in text
        assert not Probe.objects.exists()

    def test_a_row_with_what_no_database_keeps_is_taken_all_the_same(
        self, people: Cast, check: Check
    ) -> None:
        odd = (
            '{"x-edge-request-id":"abc","sc-status":"502","cs-uri-stem":"/%00",'
            '"x-host-header":"\\ud800","time-taken":"'
        )
        sent = signed_in(people.ana).post(self.url(check), {"rows_text": f'{odd}{"9" * 400}"}}'})
        assert sent.status_code == 302
        assert (Probe.objects.get().rows[0]["status"], Probe.objects.get().rows[0]["seconds"]) == (
            502,
            None,
        )

    def test_beside_a_test_that_went_well_only_another_method_tells_something(
        self, people: Cast, endpoint: Endpoint
    ) -> None:
        well, client = checked(endpoint, live()), signed_in(people.ana)
        assert "Another request failing?" in text_of(client.get(f"/endpoints/{endpoint.pk}/"))
        told = client.post(self.url(well), {"rows_text": ROW}, follow=True)
        assert "its log row adds nothing" in text_of(told)
        assert not Probe.objects.exists()
        client.post(self.url(well), {"rows_text": POST_ROW})
        assert Probe.objects.get().rows[0]["method"] == "POST"

    def test_others_may_not(self, people: Cast, check: Check) -> None:
        assert "Analyze CloudFront" not in text_of(
            signed_in(people.rita).get(f"/endpoints/{check.endpoint_id}/")
        )
        signed_in(people.rita).post(self.url(check), {"rows_text": ROW})
        assert signed_in(people.tara).post(self.url(check), {"rows_text": ROW}).status_code == 404
        assert not Probe.objects.exists()


@pytest.mark.parametrize(("kind", "asked"), [("idle", "idle"), ("routes", "routes"), ("again", "")])
def test_what_would_tell_more_is_a_button_where_the_portal_can(
    people: Cast,
    endpoint: Endpoint,
    kind: str,
    asked: str,
) -> None:
    checked(endpoint, answered(REFUSED), next_probe=kind)
    page = signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/").content.decode()
    assert (f'name="kind" value="{asked}"' in page) is bool(asked)
    if asked == "idle":
        assert 'name="number" value="75"' in page


def test_the_usual_questions_lead_to_verdicts_from_wherever_people_come(
    people: Cast, endpoint: Endpoint
) -> None:
    client: Any = signed_in(people.ana)
    page = client.get("/help/troubleshooting/")
    words = text_of(page)
    for symptom in SYMPTOMS:
        assert symptom.title in words
        for verdict in symptom.verdicts:
            assert f"/help/verdicts/{verdict.code}/" in page.content.decode()
    checked(endpoint, answered(REFUSED))
    for start in ("/help/", f"/endpoints/{endpoint.pk}/", "/nothing-here/"):
        assert "/help/troubleshooting/" in client.get(start).content.decode(), start
