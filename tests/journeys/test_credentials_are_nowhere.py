"""A credential of its own in every place that can hold one, checks through the whole product, and
an app that says all of it again: afterwards no table, log, answer, page, download or terminal has
any of them.

The places come from the code's own tables, so that a new field, header, parameter or page is part
of the story, or fails it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
import re2
import redis
from django.urls import URLPattern, get_resolver
from psycopg import sql
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from checks.diagnosis.access_log import FIELDS as LOG_FIELDS
from checks.protocol.handshake_options import FIELDS, MAX_HEADERS
from portal.api.urls import resources
from portal.requests.verbs import VERBS
from provisioning.export.content import Format
from provisioning.redaction.carriers import (
    SECRET_HEADERS,
    SECRET_KEYS,
    SECRET_PARAMETERS,
    SUBPROTOCOL_PREFIXES,
    SUBPROTOCOL_WORDS,
)
from tests.journeys.conftest import Product
from tests.journeys.portal_clients import Api
from tests.journeys.team_account import CHAT
from tests.journeys.until import until
from tests.ports import free_port

EVERYBODY = ("ana", "ben", "tara", "olga", "max", "rita")
SEVERAL_MEANINGS = ("pk", "form")
READS_EVERY_CHECK = "ana"
"""The pages of the many checks differ by what was checked, not by the reader."""
NUMEROUS = ("check_id", "check_pk", "probe_id", "probe_pk")
APP = "10.10.8.201"
PORTAL_LOGS = ("web", "provisioning-worker", "checks-worker", "ticker", "postgres", "redis")
ORIGIN_HEADER, TERMINAL = "X-Origin-Verify", "X-Terminal"
BY_SHAPE = ("X-Session-Token", "Api-Key", "X-Webhook-Signature", "X-Acme-Ticket", "X-Functions-Key")


END_OF_ONE = "-- end of a command --"
TYPED = f"""
from checks.management.commands.probe import Command
for words in commands:
    try:
        Command().run_from_argv(["manage.py", "probe", *words])
    except SystemExit:
        pass
    print("{END_OF_ONE}", flush=True)
"""
"""Runs each as its own process would, whatever its exit code; three processes take 7 s of work."""


@dataclass
class Nonces:
    """One credential for each place: easy to find again, and of no shape that gives it away."""

    made: dict[str, str] = field(default_factory=dict)

    def __call__(self, place: str) -> str:
        assert place not in self.made, place
        self.made[place] = f"nonce{secrets.token_hex(6)}"
        return self.made[place]

    def found_in(self, texts: Mapping[str, str]) -> dict[str, set[str]]:
        """The texts in which a credential stands, as it is or in base64 or hexadecimal, and the
        places that it was given in. All forms are sought at once: there are hundreds, and the logs
        are long.
        """
        places = {form: place for place, nonce in self.made.items() for form in _forms(nonce)}
        forms = re2.compile("|".join(re2.escape(form) for form in places))
        found = {name: forms.findall(text) for name, text in texts.items()}
        return {name: {places[form] for form in hits} for name, hits in found.items() if hits}


def _forms(nonce: str) -> Iterator[str]:
    yield nonce
    yield nonce.encode().hex()
    yield nonce.encode().hex(" ")
    for shift in range(3):
        coded = base64.b64encode(b" " * shift + nonce.encode() + b"  ").decode()
        yield coded[4:20]


def all_of(request: Request) -> list[str]:
    """What was received. A terminal gets from an app what every viewer gets, and knows no secret of
    a team: this app does not tell it what CloudFront adds.
    """
    hidden = ORIGIN_HEADER.lower() if TERMINAL in request.headers else ""
    headers = request.headers.raw_items()
    told = [f"{name}: {value}" for name, value in headers if name.lower() != hidden]
    return [request.path, *told]


async def says_everything_again(connection: ServerConnection) -> None:
    """Frames with all that was received: as JSON, in small frames, in fragments, in base64. Then
    echoes, and a close reason.
    """
    request = connection.request
    assert request is not None
    received = all_of(request)
    longest = max(received, key=len)[-150:]
    with contextlib.suppress(Exception):
        await connection.send(json.dumps({"type": "headers", "headers": received}))
        await connection.send(base64.b64encode("\n".join(received).encode()).decode())
        await connection.send("\n".join(received).encode())
        await connection.send([longest[at : at + 7] for at in range(0, len(longest), 7)])
        for char in longest[-25:]:
            await connection.send(char)
        message = await connection.recv()
        assert isinstance(message, str)
        await connection.send(f"you said {message}")
        await connection.close(4000, message[:120])


def answers_with_everything(connection: ServerConnection, request: Request) -> Response | None:
    """A path that ends in /refuse is refused, with all that was received in headers and body."""
    if request.path == "/":
        return connection.respond(HTTPStatus.OK, "healthy\n")
    if "/refuse" not in request.path:
        return None
    lines = all_of(request)
    body = "\n".join(("refused", *lines)).encode()
    headers = Headers(
        {"Content-Type": "text/plain", "Content-Length": str(len(body)), "Connection": "close"}
    )
    headers["X-Echo"] = quote(" ".join(lines))[:6000]
    return Response(403, "Forbidden", headers, body)


def with_everything(_: ServerConnection, request: Request, response: Response) -> Response:
    lines = all_of(request)
    response.headers["X-Echo"] = base64.b64encode(" ".join(lines).encode()).decode()[:6000]
    return response


@contextlib.contextmanager
def app_that_repeats() -> Iterator[int]:
    """The app on a port of this machine."""
    port, ready, done = free_port(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with serve(
            says_everything_again,
            "127.0.0.1",
            port,
            process_request=answers_with_everything,
            process_response=with_everything,
            select_subprotocol=lambda _, offered: offered[-1] if offered else None,
            subprotocols=[Subprotocol("any")],
        ):
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert ready.wait(20)
    yield port
    loop.call_soon_threadsafe(done.set)
    thread.join(20)


@pytest.fixture
def every_statement_is_logged(product: Product) -> Iterator[str]:
    """PostgreSQL logs each statement with its literals and parameters."""
    url = product.stack.env["DATABASE_URL"]
    wanted = {"log_statement": "all", "log_min_error_statement": "info"}
    with psycopg.connect(url, autocommit=True) as connection:
        for name, value in wanted.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        connection.execute("SELECT pg_reload_conf()")
        yield url
        for name in wanted:
            connection.execute(f"ALTER SYSTEM RESET {name}")
        connection.execute("SELECT pg_reload_conf()")


def everything_that_can_be_given(nonce: Nonces) -> list[dict[str, str]]:
    """The options of checks that fill every place of the tables with a credential of its own."""
    headers = sorted({*SECRET_HEADERS, *BY_SHAPE} - {"set-cookie", "proxy-authorization"})
    lines = {name: nonce(f"header {name}") for name in headers}
    lines["authorization"] = f"Bearer {lines['authorization']}"
    lines["cookie"] = f"sid={lines['cookie']}; theme=dark"
    given = [
        {"headers": "\n".join(f"{name}: {lines[name]}" for name in headers[at : at + MAX_HEADERS])}
        for at in range(0, len(headers), MAX_HEADERS)
    ]
    names = sorted(SECRET_PARAMETERS | SECRET_KEYS)
    query = "&".join(f"{name}={nonce(f'parameter {name}')}" for name in names)
    offered = [f"{prefix}{nonce(f'prefix {prefix}')}" for prefix in SUBPROTOCOL_PREFIXES]
    for word in sorted(SUBPROTOCOL_WORDS):
        offered += [word, nonce(f"after {word}")]
    message = json.dumps({name: nonce(f"key {name}") for name in sorted(SECRET_KEYS)})
    opening = json.dumps({"payload": {"Authorization": f"Bearer {nonce('connection_init')}"}})
    given += [
        {"path": f"/nonce/?room=1&{query}"},
        {"path": f"/nonce/refuse?token={nonce('refused query')}", **given[0]},
        {"subprotocols": ", ".join(offered)},
        {"origin": f"https://ana:{nonce('userinfo')}@app.example.com"},
        {"script": f"send {message}\nexpect text you said"},
        {"script": f"send {opening}\nexpect text nothing of this kind within 1"},
        {"headers": f"X-Room: {nonce('random value')}", "path": "/nonce/?a=b"},
        {
            "compress": "true",
            "unencrypted": "true",
            "client": "python",
            "headers": f"X-Api-Key: {nonce('ws')}",
        },
    ]
    # The value of a header without a telling name is known by its shape only.
    shaped = f"eyJ{nonce.made['random value']}"
    given[-2] = {"headers": f"X-Room: {shaped}", "path": f"/nonce/{shaped}"}
    assert {name for one in given for name in one} == set(FIELDS)
    return given


def finished(api: Api, answer: httpx.Response) -> dict[str, Any]:
    """The check or probe that was accepted, when it is finished."""
    assert answer.status_code == 202, answer.text
    place = answer.json()["url"].partition("/api/v1")[2]

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = api.get(place).json()
        return found if found.get("state") == "finished" else None

    return until(look, f"{place} is finished", pause=0.5)


def test_no_credential_is_found_afterwards(
    product: Product, every_statement_is_logged: str
) -> None:
    nonce, ana, olga = Nonces(), product.api("ana"), product.api("olga")
    target = product.account.make_target("int-nonce", app=APP)
    lab = product.stack.env["AWS_ENDPOINT_URL"]
    with app_that_repeats() as port:
        hosts = {f"{APP}:8080": f"127.0.0.1:{port}"}
        httpx.post(f"{lab}/_lab/hosts", json=hosts, trust_env=False).raise_for_status()
        wanted = product.answers("nonce", target, "/nonce/*", check_path="/nonce/")
        wanted["justification"] = f"For the desk. password={nonce('justification')}"
        secret = {"team": "chat", "name": "ORIGIN", "value": nonce("header of the origin")}
        assert ana.post("/secrets", secret).status_code == 201
        wanted["origin_headers"] = f"{ORIGIN_HEADER}: {nonce('inline header of the origin')}"
        assert ana.post("/requests", wanted).status_code == 422
        wanted["origin_headers"] = f"{ORIGIN_HEADER}: ${{secret:ORIGIN}}"
        ticket = {"external_system": "jira", "external_id": "NONCE-1"}
        for name, wrong in (
            ("external_id", f"token={nonce('ticket number')}"),
            ("external_url", f"https://ana:{nonce('ticket address')}@jira.example/NONCE-1"),
        ):
            assert ana.post("/requests", wanted | ticket | {name: wrong}).status_code == 422
        asked = ana.ask(**wanted, **ticket)
        planned = ana.await_state(asked["id"], "awaiting_approval")
        reason = f"Fine. token: {nonce('reason')}"
        assert olga.approve(planned, reason).status_code == 200
        live = ana.await_state(asked["id"], "live")
        endpoint = f"/endpoints/{live['endpoint']['id']}"

        checks = [
            finished(ana, ana.post(f"{endpoint}/checks", options))
            for options in everything_that_can_be_given(nonce)
        ]
        assert sum(check["transcript"]["response"] is not None for check in checks) >= 8
        assert any(check["transcript"]["frames"] for check in checks)
        assert any(check["transcript"]["body"].startswith("refused") for check in checks)
        assert any(ORIGIN_HEADER.lower() in str(check).lower() for check in checks)

        for name, value in (("HEADER", nonce("secret")), ("PATH", nonce("secret in a path"))):
            body = {"team": "chat", "name": name, "value": value}
            assert ana.post("/secrets", body).status_code == 201
        stored = {
            "name": "With secrets",
            "path": "/nonce/?room=${secret:PATH}",
            "headers": "X-Room: ${secret:HEADER}",
            "subprotocols": "bearer, ${secret:HEADER}",
            "script": 'send {"hello": "${secret:HEADER}"}\nexpect text you said',
        }
        saved = ana.post(f"{endpoint}/saved-checks", stored).json()
        sent = finished(ana, ana.post(f"{endpoint}/saved-checks/{saved['id']}/checks"))
        assert sent["transcript"]["response"]["status"] == 101
        assert any("you said" in frame["preview"] for frame in sent["transcript"]["frames"])
        for options in everything_that_can_be_given(Nonces()):
            refused = ana.post(f"{endpoint}/saved-checks", {"name": "inline", **options})
            assert refused.status_code == 422, options

        for kind in ("plain get", "routes", "journey", "negotiation"):
            path = f"/nonce/headers?token={nonce(f'probe {kind}')}"
            probe = {"kind": kind, "path": path}
            if ana.post(f"{endpoint}/probes", {"kind": kind, "path": "x"}).status_code == 422:
                finished(ana, ana.post(f"{endpoint}/probes", probe))
        refusal = next(one for one in checks if one["transcript"]["body"])
        _analyze_log_rows(ana, endpoint, refusal, nonce)

        printed = _terminal(product, live["endpoint"]["url"], nonce)
        refused = ana.post("/secrets", {"team": "chat", "name": "HEADER", "value": nonce("twice")})
        assert refused.status_code == 409

    places = {f"terminal {name}": text for name, text in printed.items()}
    places |= dict(_database(every_statement_is_logged))
    places |= {name: product.stack.log(name).read_text(errors="replace") for name in PORTAL_LOGS}
    places |= dict(_redis(product.stack.env["REDIS_URL"]))
    places |= dict(_answers(product, asked["id"], live["endpoint"]["id"]))
    assert "INSERT INTO" in places["postgres"], "no statement was logged"
    shown = {name for name, text in places.items() if text.startswith("200 ")}
    for person in ("ana", "ben", "olga", "max", "rita"):
        assert sum(name.startswith(f"API {person} ") for name in shown) > 15
        assert sum(name.startswith(f"page {person} ") for name in shown) > 15
    assert nonce.found_in(places) == {}


def _analyze_log_rows(ana: Api, endpoint: str, check: dict[str, Any], nonce: Nonces) -> None:
    """A row with a credential in every field that a viewer fills."""
    head = check["transcript"]["response"]["headers"]
    request_id = next(one["value"] for one in head if one["name"].lower() == "x-amz-cf-id")
    viewers = {
        "cs-uri-query": f"token={nonce('log query')}",
        "cs(Cookie)": f"sid={nonce('log cookie')}",
        "cs(Referer)": f"https://ana:{nonce('log referer')}@app.example.com/?code=1",
        "cs(User-Agent)": f"agent%20token={nonce('log agent')}",
        "cs-uri-stem": f"/nonce/eyJ{nonce('log path')}",
        "x-host-header": "d111.cloudfront.net",
    }
    assert set(viewers) <= set(LOG_FIELDS)
    row = viewers | {"x-edge-request-id": request_id, "sc-status": "403"}
    row |= {"x-edge-result-type": "Error", "x-edge-detailed-result-type": "Error"}
    place = f"{endpoint}/checks/{check['id']}/log-rows"
    finished(ana, ana.post(place, {"rows": json.dumps(row)}))


def _terminal(product: Product, url: str, nonce: Nonces) -> dict[str, str]:
    """What `manage.py probe` prints: in words when it is open, as JSON when it is refused."""
    words = [f"{url}?token={nonce('terminal query')}", "--header", f"X-Api-Key: {nonce('t')}"]
    words += ["--header", f"{TERMINAL}: yes"]
    words += ["--subprotocol", "bearer", "--subprotocol", nonce("terminal subprotocol")]
    refused = [f"{url}refuse?sig={nonce('terminal refused')}", *words[1:]]
    wrong = [url, "--header", f"token={nonce('wrong header')}"]
    commands = [words, [*refused, "--json"], wrong]
    said = product.stack.manage("shell", "--no-imports", "-c", f"commands = {commands}{TYPED}")
    printed = dict(zip(("words", "refused", "wrong"), said.split(END_OF_ONE), strict=False))
    assert "101 Switching" in printed["words"]
    assert '"status": 403' in printed["refused"]
    assert "is not a header" in printed["wrong"]
    return printed


def _database(url: str) -> Iterator[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        for (table,) in tables:
            select = sql.SQL("SELECT row_to_json(t)::text FROM {} t").format(sql.Identifier(table))
            rows = connection.execute(select).fetchall()
            yield f"table {table}", "\n".join(row for (row,) in rows)


def _redis(url: str) -> Iterator[tuple[str, str]]:
    server = redis.Redis.from_url(url)
    for key in server.scan_iter():
        yield f"redis {key!r}", f"{key!r} {server.dump(key)!r}"


def _answers(product: Product, request_id: str, endpoint_id: str) -> Iterator[tuple[str, str]]:
    """Every resource of the API, every page and every download, as each person gets them. Of the
    many checks and probes, Ana reads all, the others one of each.
    """
    everything = _ids(product, request_id, endpoint_id)
    one_of_each = everything | {part: everything[part][:1] for part in NUMEROUS}
    for person in EVERYBODY:
        ids = everything if person == READS_EVERY_CHECK else one_of_each
        api, visitor = product.api(person), product.visitor(person)
        for path in _paths(resources, ids):
            answer = _answer(api, f"/{path}")
            yield f"API {person} /{path}", f"{answer.status_code} {answer.text} {answer.headers}"
        pages = [one for one in get_resolver().url_patterns if isinstance(one, URLPattern)]
        for path in _paths(pages, ids):
            page = visitor.get(f"/{path}")
            yield f"page {person} /{path}", f"{page.status_code} {page.text} {page.headers}"


def _answer(api: Api, path: str) -> httpx.Response:
    """Once the calls of this minute allow it."""

    def call() -> httpx.Response | None:
        answer = api.get(path)
        return None if answer.status_code == 429 else answer

    return until(call, f"an answer to {path}", pause=1)


def _ids(product: Product, request_id: str, endpoint_id: str) -> dict[str, list[str]]:
    """What the parts of addresses stand for: ids of what the story made. A part of several meanings
    has the address's first word before its name.
    """
    with psycopg.connect(product.stack.env["DATABASE_URL"]) as connection:

        def column(statement: str) -> list[str]:
            return [str(value) for (value,) in connection.execute(statement, [endpoint_id])]

        checks = column("SELECT id FROM checks_check WHERE endpoint_id = %s")
        probes = column("SELECT id FROM checks_probe WHERE endpoint_id = %s")
        saved = column("SELECT id FROM checks_savedcheck WHERE endpoint_id = %s")
        secret = column("SELECT id FROM provisioning_secret WHERE %s != ''")
        audits = column("SELECT id FROM checks_privacyaudit WHERE endpoint_id = %s")
        exceptions = column("SELECT id FROM checks_privacyexception WHERE endpoint_id = %s")
        findings = column("SELECT id FROM provisioning_driftfinding WHERE %s != ''")
        transfers = column("SELECT id FROM requests_transfer WHERE endpoint_id = %s")
        tokens = column("SELECT max(id) FROM people_apitoken WHERE %s != ''")
    return {
        "request_id": [request_id],
        "endpoint_id": [endpoint_id],
        "check_id": checks,
        "check_pk": checks,
        "probe_id": probes,
        "probe_pk": probes,
        "saved_id": saved,
        "saved_pk": saved,
        "secret_id": secret,
        "audit": audits,
        "exception_id": exceptions,
        "exception_pk": exceptions,
        "finding_id": findings,
        "transfer_id": transfers,
        "distribution_id": [product.distribution_id],
        "account_id": [CHAT],
        "system": ["jira"],
        "external_id": ["NONCE-1"],
        "slug": ["chat"],
        "code": ["WSE-LIVE"],
        "requests/form": ["txt", "jsonl"],
        "endpoints/form": [*Format],
        "exports/form": [*Format],
        "requests/pk": [request_id],
        "approvals/pk": [request_id],
        "endpoints/pk": [endpoint_id],
        "drift/pk": findings,
        "tokens/pk": tokens,
        "teams/pk": secret,
        "transfers/pk": transfers,
    }


def _paths(patterns: Any, ids: dict[str, list[str]]) -> Iterator[str]:
    """Every address, with what each of its parts stands for. Only these are no resources."""
    for pattern in patterns:
        route = getattr(pattern.pattern, "_route", "")
        if not route and pattern.pattern.regex.pattern != "^\\Z":
            continue
        paths = [""]
        for text, name in re.findall(r"([^<]*)(?:<(?:\w+:)?(\w+)>)?", route):
            values = [""]
            if name:
                part = f"{route.partition('/')[0]}/{name}" if name in SEVERAL_MEANINGS else name
                assert part in ids, f"{route}: say what {part} stands for"
                values = ids[part]
            paths = [f"{path}{text}{value}" for path in paths for value in values]
        if route == "endpoints/<uuid:pk>/":
            paths += [f"{path}?check={check}" for path in paths[:1] for check in ids["check_id"]]
        if route.endswith("probes/"):
            paths += [f"{path}?probe={probe}" for path in paths[:1] for probe in ids["probe_id"]]
        if route.endswith("checks/custom/"):
            paths += [f"{path}?saved={saved}" for path in paths[:1] for saved in ids["saved_id"]]
        yield from paths


def test_a_credential_would_be_found_in_every_form() -> None:
    nonce = Nonces()
    sent = nonce("header")
    nonce("another")
    wrapped = [f"<{sent}>", f"sid={sent}".encode().hex(), sent.encode().hex(" ")]
    wrapped += [base64.b64encode(f"{'x' * shift}{sent}!!".encode()).decode() for shift in range(3)]
    texts = {str(number): f"before {text} after" for number, text in enumerate(wrapped)}
    assert nonce.found_in(texts) == {name: {"header"} for name in texts}
    assert nonce.found_in({"clean": f"nonce {sent[:-1]} nonce"}) == {}


def test_every_text_of_a_verb_is_in_the_story_or_is_no_prose() -> None:
    """A new field in which people write is kept without credentials."""
    told: set[Callable[..., object] | str] = {
        one.name for verb in VERBS for one in verb.fields if not one.prose
    }
    assert told == {"plan_digest", "code", "amendment_label", "accept_until"}
