"""A long history: 100,000 requests of 50 teams, most of them live, written by PostgreSQL itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, models, transaction
from django.db.models import F
from django.utils import timezone

from checks.models import Check, EndpointHealth, PrivacyAudit, Probe, SavedCheck
from portal.people.models import Membership, Person, Team
from portal.requests.models import EndpointRequest
from provisioning.models import AwsAccount, Endpoint, Event, EventStream, Run
from tests.portal.endpoint_requests import ask, deploy, planned
from tests.portal.people import Cast, make_cast

REQUESTS, WAITING, UNDER_WAY = 100_000, 300, 100
"""The newest are being built, and those before them wait for approval. Of the others, one in seven
was cancelled, and the rest is live.
"""
TEAMS, ACCOUNTS = 50, 200
QUIET_REQUESTS = 10
"""The oldest ones are those of a team that has asked for nothing since."""
CHECKS_OF_ONE, PROBES_OF_ONE = 35_000, 5_000
"""A year of an endpoint that is checked every 15 minutes."""
OFTEN_CHECKED = "pg_temp.uuid_of('endpoint', 1)"


@dataclass(frozen=True)
class History:
    """Who looks at it, and what they look at: `mo` is a member of five teams, `quinn` of the quiet
    one.
    """

    cast: Cast
    mo: Person
    quinn: Person
    often_checked: Endpoint
    under_way: EndpointRequest
    waiting: EndpointRequest


def write_history() -> History:
    """Write it. Needs a database to itself: nothing else is in it afterwards."""
    cast = make_cast()
    now = timezone.now()
    request = planned(ask(cast.ana, cast.chat, at=now))
    endpoint = deploy(request)
    run = Run.objects.create(
        endpoint=endpoint,
        saga="create-endpoint",
        stream=request.stream,
        plan_data={"action": "create", "spec": request.spec_data, "applied": None},
        plan_digest=request.plan_digest,
        state=Run.State.DONE,
        due_at=now,
        created_at=now,
        finished_at=now,
    )
    later = now + timedelta(hours=1)
    seen = {"since": now, "checked_at": now, "verified_at": now, "next_audit_at": later}
    health = EndpointHealth.objects.create(endpoint=endpoint, health="live", **seen)
    saved = SavedCheck.objects.create(
        endpoint=endpoint, name="usual", every_minutes=15, next_due_at=later
    )
    done = {"endpoint": endpoint, "requested_at": now, "due_at": now, "finished_at": now}
    check = Check.objects.create(**done, ok=True, verdict="ok", retry_until=now)
    probe = Probe.objects.create(**done, kind="broadcast", ok=True)
    audit = PrivacyAudit.objects.create(**done, outcome="pass")
    Team.objects.bulk_create(
        Team(slug=f"team-{number}", name=f"Team {number}") for number in range(2, TEAMS)
    )
    AwsAccount.objects.bulk_create(
        AwsAccount(account_id=f"{number:012}", name=f"Account {number}")
        for number in range(2, ACCOUNTS)
    )
    teams = [cast.trading.pk, *Team.objects.exclude(slug="trading").values_list("pk", flat=True)]
    slugs = dict(Team.objects.values_list("pk", "slug"))
    quiet = Team.objects.create(slug="quiet", name="Quiet")
    accounts = list(AwsAccount.objects.values_list("pk", flat=True))
    team = (
        f"CASE WHEN i < {QUIET_REQUESTS} THEN {quiet.pk} ELSE"
        f" ({_array(teams)})[1 + mod(i, {len(teams)})] END"
    )
    slug = (
        f"CASE WHEN i < {QUIET_REQUESTS} THEN 'quiet' ELSE"
        f" ({_array([slugs[one] for one in teams])})[1 + mod(i, {len(teams)})] END"
    )
    moment = f"now() - make_interval(secs => ({REQUESTS} - i) * 300)"
    under_way = REQUESTS - UNDER_WAY
    waiting = under_way - WAITING
    live = f"mod(i, 7) > 0 AND i < {waiting}"
    an_endpoint = "pg_temp.uuid_of('endpoint', i)"
    with transaction.atomic(), connection.cursor() as cursor:
        # The rows are known to be sound; what refers to what is not looked up 100,000 times.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "CREATE FUNCTION pg_temp.uuid_of(kind text, i int) RETURNS uuid IMMUTABLE LANGUAGE sql"
            " AS $$ SELECT md5(kind || i)::uuid $$"
        )
        write = _Writer(cursor)
        streams = EventStream.objects.get(name=request.stream)
        write(streams, REQUESTS, name="'request:' || i", last_seq="1", read_seq="1")
        write(
            Event.objects.filter(stream=request.stream).first(),
            REQUESTS,
            id=None,
            stream_id="'request:' || i",
        )
        write(
            endpoint,
            REQUESTS,
            where=live,
            id=an_endpoint,
            account_id=f"({_array(accounts)})[1 + mod(i, {len(accounts)})]",
            owner=slug,
            name="'chat-' || i",
            created_at=moment,
            deployed_at=moment,
        )
        write(
            run,
            REQUESTS,
            where=live,
            id=f"{run.pk + 1} + i",
            endpoint_id=an_endpoint,
            stream="'request:' || i",
            created_at=moment,
            finished_at=moment,
        )
        write(
            request,
            REQUESTS,
            id="pg_temp.uuid_of('request', i)",
            team_id=team,
            stream="'request:' || i",
            state=f"CASE WHEN {live} THEN 'live' WHEN i >= {under_way} THEN 'provisioning'"
            f" WHEN i >= {waiting} THEN 'awaiting_approval' ELSE 'cancelled' END",
            endpoint_id=f"CASE WHEN {live} THEN {an_endpoint} END",
            run_id=f"CASE WHEN {live} THEN {run.pk + 1} + i END",
            plan_data="'{}'",
            answers="'{}'",
            preflight_data="'[]'",
            external_system="'jira'",
            external_id="'OPS-' || i",
            created_at=moment,
            updated_at=moment,
            due_at=moment,
        )
        write(health, REQUESTS, where=live, endpoint_id=an_endpoint)
        write(saved, REQUESTS, where=live, id=None, endpoint_id=an_endpoint)
        write(check, REQUESTS, where=live, id="gen_random_uuid()", endpoint_id=an_endpoint)
        others = f"{live} AND i > 1"  # the page of one reads the document of its last audit
        write(audit, REQUESTS, where=others, id="gen_random_uuid()", endpoint_id=an_endpoint)
        asked_at = "now() - make_interval(mins => 15 * i)"
        for row, times in ((check, CHECKS_OF_ONE), (probe, PROBES_OF_ONE)):
            write(
                row,
                times,
                id="gen_random_uuid()",
                endpoint_id=OFTEN_CHECKED,
                requested_at=asked_at,
                due_at=asked_at,
                finished_at=asked_at,
            )
        EventStream.objects.update(read_seq=F("last_seq"))
    with connection.cursor() as cursor:
        # As autovacuum does: what earlier tests rolled back is still in tables and indexes.
        cursor.execute("VACUUM ANALYZE")
    mo = Person.objects.create_user("mo", "mo@example.com")
    quinn = Person.objects.create_user("quinn", "quinn@example.com")
    Membership.objects.bulk_create(Membership(person=mo, team_id=one) for one in teams[:5])
    Membership.objects.create(person=quinn, team=quiet)
    return History(
        cast,
        mo,
        quinn,
        Endpoint.objects.get(name="chat-1"),
        EndpointRequest.objects.get(stream=f"request:{REQUESTS - 1}"),
        EndpointRequest.objects.get(stream=f"request:{waiting}"),
    )


class _Writer:
    """Multiplies a row inside PostgreSQL. In the expressions of columns, i counts from 0; a column
    with None gets its default.
    """

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def __call__(
        self, row: models.Model | None, times: int, *, where: str = "true", **columns: str | None
    ) -> None:
        assert row is not None
        meta = row._meta
        kept = [field.column for field in meta.concrete_fields if field.column not in columns]
        given = {column: value for column, value in columns.items() if value is not None}
        quoted = ", ".join(f'"{column}"' for column in (*kept, *given))
        values = ", ".join([*(f'model."{column}"' for column in kept), *given.values()])
        self._cursor.execute(
            # Names of tables and columns, and expressions written above
            f'INSERT INTO "{meta.db_table}" ({quoted}) SELECT {values}'  # noqa: S608
            f' FROM "{meta.db_table}" model, generate_series(0, {times - 1}) i'
            f' WHERE model."{meta.pk.column}" = %s AND {where}',
            [row.pk],
        )


def _array(values: list[Any]) -> str:
    return f"ARRAY[{', '.join(repr(one) for one in values)}]"
