"""What an endpoint has proved: answers over time, privacy in audits, and the documents that are
kept of them.
"""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.test import Client
from django.utils import timezone

from checks.actions import schedule_usual_check
from checks.diagnosis.verdicts import VERDICTS
from checks.models import Check, EndpointHealth, PrivacyAudit
from checks.privacy import signing
from checks.privacy.actions import FIRST_AFTER, schedule_first_audit
from portal.endpoints import privacy_audits
from portal.endpoints.uptime import PLOT, SPANS, Sample, ceiling_of, draw, measure_uptime, span_of
from provisioning.models import Endpoint
from tests.portal.page_text import text_of
from tests.portal.people import Cast, signed_in

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
DAY = SPANS[0]
KEY = Ed25519PrivateKey.generate()
HTMX = {"HX-Request": "true"}


def sample(minutes: float, ms: float | None = 60.0, verdict: str = "WSE-LIVE") -> Sample:
    return Sample(NOW - timedelta(minutes=minutes), verdict == "WSE-LIVE", ms, verdict)


def test_a_day_is_summed_up() -> None:
    samples = [sample(15 * turn, 60.0 + turn % 3) for turn in range(95)]
    uptime = measure_uptime(
        [*samples, sample(200, 412.0), sample(180, None, "WSE-504-SG"), sample(1441)], DAY, NOW
    )
    assert (uptime.checks, uptime.answered, uptime.usual_ms, uptime.worst_ms) == (
        97,
        96,
        61.0,
        412.0,
    )
    assert uptime.last_failure == sample(180, None, "WSE-504-SG")
    assert len(uptime.parts) == DAY.parts
    assert sum(part.checks for part in uptime.parts) == 97
    assert sum(part.failed for part in uptime.parts) == 1


def test_what_was_not_checked_is_neither_answered_nor_failed() -> None:
    uptime = measure_uptime([sample(10)], DAY, NOW)
    assert [column.mark for column in draw(uptime).columns] == [""] * 47 + ["good"]
    assert len(uptime.checked_parts) == 1
    nothing = measure_uptime([], DAY, NOW)
    assert (nothing.checks, nothing.usual_ms, nothing.last_failure, nothing.checked_parts) == (
        0,
        None,
        None,
        (),
    )
    assert all(column.level is None for column in draw(nothing).columns)


def test_a_failure_is_drawn_taller_and_slow_is_drawn_higher() -> None:
    drawing = draw(
        measure_uptime(
            [sample(10, 50.0), sample(11, 100.0), sample(100, None, "WSE-504-SG")], DAY, NOW
        )
    )
    (bad,) = (column for column in drawing.columns if column.mark == "bad")
    (good,) = (column for column in drawing.columns if column.mark == "good")
    assert bad.mark_height > good.mark_height > 0
    assert (bad.level, bad.top) == (None, None)
    assert (drawing.ceiling_ms, good.level, good.top) == (100.0, PLOT / 4, 0.0)
    assert drawing.columns[0].x == 0
    assert drawing.columns[-1].right == 600


@pytest.mark.parametrize(
    ("worst", "ceiling"), [(0, 10), (10, 10), (11, 20), (61, 100), (412, 500), (9_999, 10_000)]
)
def test_the_scale_ends_at_a_round_figure(worst: float, ceiling: float) -> None:
    assert ceiling_of(worst) == ceiling


def test_a_span_that_nobody_knows_is_the_shortest() -> None:
    assert span_of("7d").words == "7 days"
    assert span_of("<script>") == DAY


def was_checked(
    endpoint: Endpoint,
    hours: float,
    ms: float | None = 61.0,
    verdict: str = "WSE-LIVE",
    **more: object,
) -> None:
    at = timezone.now() - timedelta(hours=hours)
    values = {"ok": verdict == "WSE-LIVE", "verdict": verdict, "connect_ms": ms} | more
    Check.objects.create(
        endpoint=endpoint, requested_at=at, due_at=at, retry_until=at, finished_at=at, **values
    )


def test_the_page_says_it_in_words_draws_it_and_lists_it(people: Cast, endpoint: Endpoint) -> None:
    for hours in (1, 2, 4, 5):
        was_checked(endpoint, hours)
    was_checked(endpoint, 3, None, "WSE-504-SG")
    was_checked(endpoint, 6, 412.0)
    was_checked(endpoint, 1, 9000.0, options={"path": "/elsewhere"})
    was_checked(endpoint, 50)
    page = signed_in(people.rita).get(f"/endpoints/{endpoint.pk}/")
    words = text_of(page)
    assert "5 of 6 checks passed in the last 24 hours" in words
    assert "median 61 ms, max 412 ms. Last failure 3 h ago" in words
    assert f": {VERDICTS['WSE-504-SG'].title}" in words
    markup = page.content.decode()
    svg = markup.partition('<svg class="chart"')[2].partition("</svg>")[0]
    assert len(re.findall(r'<path class="good"', svg)) == 5
    assert len(re.findall(r'<path class="bad"', svg)) == 1
    assert "style=" not in svg
    assert markup.count('data-label="Max"') == 6
    assert "6 of 7 checks passed in the last 7 days" in text_of(
        signed_in(people.ana).get(page.request["PATH_INFO"] + "?uptime=7d")
    )


def test_without_a_test_the_page_says_so(people: Cast, endpoint: Endpoint) -> None:
    words = text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    assert (
        "No checks in the last 24 hours. The usual check has no schedule; use “Check now”." in words
    )
    schedule_usual_check(endpoint, stream="", now=timezone.now())
    words = text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    assert (
        "No checks in the last 24 hours. The portal checks this endpoint every 15 minutes." in words
    )


def was_audited(
    endpoint: Endpoint, outcome: str = "pass", hours: float = 1, *, signed: bool = True
) -> PrivacyAudit:
    """An audit as a worker leaves it."""
    at = timezone.now() - timedelta(hours=hours)
    document = {
        "endpoint": {
            "name": endpoint.name,
            "address": endpoint.url,
            "ports": [80],
            "paths": ["/ws/chat"],
        },
        "made_by": {"portal": "the portal"},
        "questions": [
            {
                "code": "PF-SCHEME",
                "outcome": outcome,
                "statement": "The target is internal",
                "seen": "<b>é</b>",
                "fix": "x",
            }
        ],
        "aws_answered": {"target": {"scheme": "internal"}},
    }
    made: PrivacyAudit = PrivacyAudit.objects.create(
        endpoint=endpoint,
        requested_by="the schedule",
        requested_at=at,
        due_at=at,
        finished_at=at,
        outcome=outcome,
        document=document,
        digest=signing.digest(document),
        signature=signing.sign(document, KEY) if signed else {},
        unsigned_reason="" if signed else "The portal has no key.",
    )
    return made


def test_an_auditor_reads_keeps_and_verifies_an_audit(
    people: Cast, endpoint: Endpoint, settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    settings.EVIDENCE_KEY_FILE = str(tmp_path / "key")
    made = was_audited(endpoint, "fail")
    rita = signed_in(people.rita)
    page = rita.get(f"/endpoints/{endpoint.pk}/")
    assert (
        "Privacy Exposed 1 h ago Something other than CloudFront can reach the target"
        in text_of(page)
    )
    assert "Audit now" not in text_of(page)
    address = f"/endpoints/{endpoint.pk}/privacy/"
    assert "Exposed the schedule" in text_of(rita.get(address))
    read = text_of(rita.get(f"{address}{made.pk}/"))
    assert "The target is internal <b>é</b>" in read
    assert made.digest in read
    assert "Answers 1 failed of 1" in read
    assert "not signed" not in read
    kept = rita.get(f"{address}{made.pk}.json")
    assert "attachment" in kept["Content-Disposition"]
    public = KEY.public_key()
    assert signing.what_is_wrong(kept.content, public) == []
    assert text_of(rita.get("/help/verify-audit/")).count("BEGIN PUBLIC KEY") == 1

    # As somebody without an account and without our code would do it.
    (tmp_path / "audit.json").write_bytes(kept.content)
    (tmp_path / "evidence-key.pem").write_bytes(Client().get("/help/verify-audit/key.pem").content)
    for line in signing.HOW_TO_VERIFY:
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert "Verified Successfully" in done.stdout


def test_without_a_signature_the_document_says_so(
    people: Cast, endpoint: Endpoint, settings: Any
) -> None:
    settings.EVIDENCE_KEY_FILE = ""
    made = was_audited(endpoint, signed=False)
    address = f"/endpoints/{endpoint.pk}/privacy/{made.pk}"
    assert "This document is not signed. The portal has no key." in text_of(
        signed_in(people.rita).get(f"{address}/")
    )
    assert "NOT SIGNED" in signed_in(people.rita).get(f"{address}.json").content.decode()
    assert "This portal has no signing key" in text_of(
        signed_in(people.rita).get("/help/verify-audit/")
    )
    assert Client().get("/help/verify-audit/key.pem").status_code == 404


def test_the_team_audits_now_an_auditor_and_another_team_do_not(
    people: Cast, endpoint: Endpoint
) -> None:
    address = f"/endpoints/{endpoint.pk}/privacy/"
    made = was_audited(endpoint)
    for path in (address, f"{address}{made.pk}/", f"{address}{made.pk}.json"):
        assert signed_in(people.tara).get(path).status_code == 404
        assert Client().get(path).status_code == 302
        assert signed_in(people.ana).get(path).status_code == 200
    assert signed_in(people.ana).get(f"{address}{endpoint.pk}.json").status_code == 404
    assert signed_in(people.tara).post(address).status_code == 404
    assert "Only its team" in text_of(signed_in(people.rita).post(address, follow=True))
    assert not PrivacyAudit.objects.filter(finished_at__isnull=True).exists()
    rita = signed_in(people.rita)
    refused = rita.post(address, headers=HTMX)
    assert (refused.get("HX-Redirect"), refused.content) == (address, b"")
    assert "Only its team" in text_of(rita.get(address))
    assert "Reading the configuration from AWS" in text_of(
        signed_in(people.ana).post(address, follow=True)
    )
    signed_in(people.olga).post(address)
    asked = PrivacyAudit.objects.get(finished_at__isnull=True)
    assert (asked.requested_by, asked.stream.startswith("request:")) == ("ana", True)
    fragment = signed_in(people.ana).get(address, headers=HTMX)
    assert fragment.content.decode().strip().startswith("<section")
    assert 'hx-trigger="every 2s"' in fragment.content.decode()
    asked.delete()
    was_audited(endpoint, "fail")
    on_list = HTMX | {"HX-Current-URL": f"http://testserver{address}"}
    on_endpoint = HTMX | {"HX-Current-URL": f"http://testserver/endpoints/{endpoint.pk}/"}
    finished = signed_in(people.ana).get(address, headers=on_list).content.decode()
    assert 'id="audits"' in finished, "the list beside it goes along"
    finished = signed_in(people.ana).get(address, headers=on_endpoint).content.decode()
    assert 'id="audits"' not in finished, "that page has none"


def test_every_live_endpoint_is_audited_once_a_day(
    people: Cast, endpoint: Endpoint, settings: Any
) -> None:
    now = timezone.now()
    schedule_first_audit(endpoint, now - FIRST_AFTER + timedelta(seconds=1))
    assert privacy_audits.request_due_audits(now) == 0, "it has just been deployed"
    now += timedelta(seconds=1)
    assert privacy_audits.request_due_audits(now) == 1
    assert privacy_audits.request_due_audits(now) == 0, "one is under way"
    PrivacyAudit.objects.update(finished_at=now)
    assert privacy_audits.request_due_audits(now + timedelta(hours=23)) == 0
    settings.PRIVACY_AUDIT_HOURS = 0
    assert privacy_audits.request_due_audits(now + timedelta(hours=25)) == 0
    settings.PRIVACY_AUDIT_HOURS = 24
    Endpoint.objects.update(state=Endpoint.State.RETIRED)
    assert privacy_audits.request_due_audits(now + timedelta(hours=25)) == 0
    Endpoint.objects.update(state=Endpoint.State.DEPLOYED)
    assert privacy_audits.request_due_audits(now + timedelta(hours=25)) == 0, "an hour later"
    assert privacy_audits.request_due_audits(now + timedelta(hours=26)) == 1
    Endpoint.objects.update(state=Endpoint.State.ABSENT)
    assert privacy_audits.request_due_audits(now + timedelta(days=9)) == 0
    assert not EndpointHealth.objects.filter(next_audit_at__isnull=False).exists(), "never again"
    assert set(PrivacyAudit.objects.values_list("requested_by", flat=True)) == {"the schedule"}
