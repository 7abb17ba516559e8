"""Two people do something to the same thing in the same moment: the second decides on what the
first has left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction

from checks.models import SavedCheck
from checks.protocol.handshake_options import HandshakeOptions
from portal.endpoints import actions as endpoint_actions
from portal.requests import actions
from portal.requests.endpoint_changes import submit_removal
from portal.requests.lifecycle import Allowed, Denied
from portal.requests.models import EndpointRequest
from provisioning.engine.decide import EntryKind
from provisioning.models import Event, JournalEntry, Run
from tests.portal.endpoint_requests import ANSWERS, deploy, planned
from tests.portal.people import NOW, make_cast
from tests.portal.test_endpoint_changes import built, failed_change

pytestmark = pytest.mark.django_db(transaction=True)


def begun_meanwhile(second: Callable[[], Any]) -> Callable[[], Any]:
    """Begin `second` in a connection of its own and return once it waits for a lock of ours; call
    to get its answer.
    """
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(second())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(3000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                break
        time.sleep(0.01)
    else:
        pytest.fail("it did not wait")

    def answer() -> Any:
        thread.join(60)
        return answers[0]

    return answer


def test_a_request_cancelled_while_it_is_approved_is_undone() -> None:
    people = make_cast()
    request = planned(actions.submit_request(people.ana, people.chat, ANSWERS, now=NOW))
    with transaction.atomic():
        approved = actions.approve_request(
            people.olga, request, plan_digest=request.plan_digest, now=NOW
        )
        cancelled = begun_meanwhile(
            lambda: actions.cancel_request(
                people.ben, EndpointRequest.objects.get(pk=request.pk), now=NOW
            )
        )
    assert isinstance(approved, Allowed)
    assert isinstance(cancelled(), Allowed)
    assert JournalEntry.objects.get(kind=EntryKind.CANCEL).run == Run.objects.get()
    told = (
        Event.objects.filter(stream_id=request.stream)
        .order_by("seq")
        .values_list("kind", flat=True)
    )
    assert list(told)[-2:] == ["request.approved", "request.cancelling"]


def test_of_two_checks_saved_in_the_last_place_one_is_refused() -> None:
    people = make_cast()
    endpoint = deploy(actions.submit_request(people.ana, people.chat, ANSWERS, now=NOW))

    def save(name: str) -> SavedCheck | Denied:
        return endpoint_actions.save_check(
            people.ana,
            endpoint,
            name,
            HandshakeOptions(),
            every_minutes=0,
            after_changes=False,
            now=NOW,
        )

    for number in range(endpoint_actions.MAX_SAVED_CHECKS - 1):
        assert isinstance(save(f"check {number}"), SavedCheck)
    with transaction.atomic():
        first = save("one more")
        second = begun_meanwhile(lambda: save("and another"))
    assert isinstance(first, SavedCheck)
    refused = second()
    assert isinstance(refused, Denied)
    assert refused.code == "too_many"
    assert SavedCheck.objects.count() == endpoint_actions.MAX_SAVED_CHECKS


def test_a_failed_change_is_not_retried_beside_another_that_is_being_requested() -> None:
    people = make_cast()
    endpoint = built(people)
    failed = failed_change(people, endpoint)
    with transaction.atomic():
        other = submit_removal(people.ben, endpoint, now=NOW)
        retried = begun_meanwhile(
            lambda: actions.retry_request(
                people.ana, EndpointRequest.objects.get(pk=failed.pk), now=NOW
            )
        )
    assert isinstance(other, EndpointRequest)
    assert retried() == actions.NOT_FREE
    assert not Run.objects.active().exists()
