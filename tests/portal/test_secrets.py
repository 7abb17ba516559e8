"""A team's secrets over pages and API: each refusal beside its permission, no value anywhere."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from checks.models import Check, SavedCheck
from portal.endpoints.secrets import MAX_SECRETS
from portal.people.models import ApiToken, Membership, Person
from portal.requests.models import EndpointRequest, IdempotencyKey
from provisioning.models import Endpoint, Event, Secret
from provisioning.secrets.store import create_secret, stream_of
from tests.portal.endpoint_requests import BODY
from tests.portal.page_text import text_of
from tests.portal.people import NOW, Cast, bearer, signed_in

pytestmark = pytest.mark.django_db
API = "/api/v1/secrets"
VALUE = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def keys(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = ["k" * 40]


@pytest.fixture
def secret(people: Cast) -> Secret:
    made = create_secret("chat", "API_TOKEN", VALUE, by="ana", now=NOW)
    assert made is not None
    return made


def post(person: Person, url: str, body: Any = None, **token: Any) -> Any:
    return Client().post(
        url,
        json.dumps(body or {}),
        content_type="application/json",
        headers=bearer(person, **token),
    )


def get(person: Person, url: str) -> Any:
    return Client().get(url, headers=bearer(person))


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "") if answer.content else ""


class TestApi:
    def test_a_member_adds_lists_replaces_and_deletes(self, people: Cast) -> None:
        body = {"team": "chat", "name": "API_TOKEN", "value": VALUE}
        made = post(people.ana, API, body)
        assert made.status_code == 201
        assert made.json()["reference"] == "${secret:API_TOKEN}"
        place = f"{API}/{made.json()['id']}"
        assert made["Location"].endswith(place)
        assert [one["name"] for one in get(people.ben, API).json()["secrets"]] == ["API_TOKEN"]
        before = Secret.objects.get().encrypted
        replaced = post(people.ben, f"{place}/replace", {"value": "other"})
        assert (replaced.status_code, replaced.json()["replaced_by"]) == (200, "ben")
        assert Secret.objects.get().encrypted != before
        assert Client().delete(place, headers=bearer(people.ben)).status_code == 204
        assert not Secret.objects.exists()
        assert [event.kind for event in Event.objects.filter(stream=stream_of("chat"))] == [
            "secret.created",
            "secret.replaced",
            "secret.deleted",
        ]
        for answer in (made, replaced, get(people.ana, API)):
            assert VALUE not in answer.content.decode()

    def test_who_may_see_and_do_what(self, people: Cast, secret: Secret) -> None:
        """Names: the team and those who see everything. Values: no one."""
        place = f"{API}/{secret.pk}"
        body = {"team": "chat", "name": "MINE", "value": VALUE}
        expected = {
            #          read, add, replace, delete
            "tara": (404, 422, 404, 404),
            "rita": (200, 422, 403, 403),
            "olga": (200, 422, 403, 403),
            "max": (200, 422, 403, 204),
        }
        for name, answers in expected.items():
            person = getattr(people, name)
            assert (
                get(person, place).status_code,
                post(person, API, body).status_code,
                post(person, f"{place}/replace", {"value": "x"}).status_code,
                Client().delete(place, headers=bearer(person)).status_code,
            ) == answers, name
        assert not Secret.objects.exists()
        assert post(people.ana, API, body).status_code == 201

    def test_the_list_is_of_ones_teams(self, people: Cast, secret: Secret) -> None:
        create_secret("trading", "OTHER", VALUE, by="tara", now=NOW)

        def names(person: Person, query: str = "") -> set[str]:
            return {one["name"] for one in get(person, API + query).json()["secrets"]}

        assert names(people.ana) == {"API_TOKEN"}
        assert names(people.tara) == {"OTHER"}
        assert names(people.max) == {"API_TOKEN", "OTHER"}
        assert names(people.max, "?team=chat") == {"API_TOKEN"}
        assert names(people.ana, "?team=trading") == set()

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"name": "1st"}, "name"),
            ({"name": "a b"}, "name"),
            ({"name": "x" * 41}, "name"),
            ({"value": ""}, "value"),
            ({"value": "hunter2\nhunter2"}, "value"),
            ({"value": ["hunter2"]}, "value"),
            ({"value": "x" * 5000}, "value"),
            ({"team": "trading"}, "team"),
            ({"team": "nobody"}, "team"),
        ],
    )
    def test_what_is_not_valid_is_named_and_not_repeated(
        self, people: Cast, body: dict[str, Any], field: str
    ) -> None:
        answer = post(people.ana, API, {"team": "chat", "name": "A", "value": VALUE, **body})
        assert answer.status_code == 422
        assert [fault["field"] for fault in answer.json()["errors"]] == [field]
        assert "hunter2" not in answer.content.decode()
        assert not Secret.objects.exists()

    def test_a_name_that_is_taken_and_too_many(self, people: Cast, secret: Secret) -> None:
        again = {"team": "chat", "name": "API_TOKEN", "value": "x"}
        assert code(post(people.ana, API, again)) == (409, "name_taken")
        for number in range(MAX_SECRETS - 1):
            create_secret("chat", f"S{number}", "x", by="ana", now=NOW)
        assert code(post(people.ana, API, again | {"name": "MORE"})) == (409, "too_many")

    def test_a_token_that_only_reads_changes_nothing(self, people: Cast, secret: Secret) -> None:
        body = {"team": "chat", "name": "A", "value": "x"}
        read = {"scopes": [ApiToken.Scope.READ]}
        assert code(post(people.ana, API, body, **read)) == (403, "missing_scope")
        write = {"scopes": [ApiToken.Scope.WRITE]}
        assert post(people.ana, API, body, **write).status_code == 201

    def test_one_who_left_the_team_or_was_ended_changes_nothing(
        self, people: Cast, secret: Secret
    ) -> None:
        header = bearer(people.ana)
        Membership.objects.filter(person=people.ana).delete()
        assert Client().delete(f"{API}/{secret.pk}", headers=header).status_code == 404
        Person.objects.filter(pk=people.max.pk).update(is_active=False)
        assert get(people.max, f"{API}/{secret.pk}").status_code == 401


class TestUse:
    def test_a_members_checks_refer_to_it(
        self, people: Cast, endpoint: Endpoint, secret: Secret
    ) -> None:
        url = f"/api/v1/endpoints/{endpoint.pk}"
        body = {"headers": "Authorization: Bearer ${secret:API_TOKEN}"}
        assert post(people.ana, f"{url}/checks", body).status_code == 202
        assert post(people.ana, f"{url}/saved-checks", body | {"name": "in"}).status_code == 201
        assert Check.objects.get().options["headers"] == body["headers"]
        assert SavedCheck.objects.get(name="in").options["headers"] == body["headers"]

    def test_missing_foreign_and_not_ones_own_are_worded_alike(
        self, people: Cast, endpoint: Endpoint, secret: Secret
    ) -> None:
        create_secret("trading", "FOREIGN", VALUE, by="tara", now=NOW)
        url = f"/api/v1/endpoints/{endpoint.pk}"
        told = set()
        for person, name in (
            (people.ana, "MISSING"),
            (people.ana, "FOREIGN"),
            (people.olga, "API_TOKEN"),
            (people.max, "API_TOKEN"),
        ):
            body = {"headers": f"X-Room: ${{secret:{name}}}", "name": "in"}
            for place in ("checks", "saved-checks"):
                sent = {key: body[key] for key in body if place != "checks" or key != "name"}
                answer = post(person, f"{url}/{place}", sent)
                assert answer.status_code == 422
                (fault,) = answer.json()["errors"]
                assert fault["field"] == "headers"
                told.add(fault["message"].replace(name, "NAME"))
            probe = {"kind": "plain get", "path": f"/ws?a=${{secret:{name}}}"}
            assert post(person, f"{url}/probes", probe).status_code == 422
        assert len(told) == 1
        assert not Check.objects.exists()

    def test_an_approver_runs_what_the_team_saved_but_cannot_change_it(
        self, people: Cast, endpoint: Endpoint, secret: Secret
    ) -> None:
        url = f"/api/v1/endpoints/{endpoint.pk}/saved-checks"
        body = {"headers": "Authorization: Bearer ${secret:API_TOKEN}", "name": "in"}
        saved = post(people.ana, url, body).json()
        changed = body | {"headers": "X-Debug: ${secret:API_TOKEN}"}
        assert post(people.olga, url, changed).status_code == 422
        assert post(people.olga, f"{url}/{saved['id']}/checks").status_code == 202


class TestOriginHeader:
    """A secret that CloudFront sends to an endpoint's target."""

    @pytest.fixture
    def sent(self, endpoint: Endpoint, secret: Secret) -> Secret:
        spec = endpoint.spec_data | {"origin_headers": "X-Origin-Verify: ${secret:API_TOKEN}"}
        Endpoint.objects.filter(pk=endpoint.pk).update(spec_data=spec)
        return secret

    def test_it_is_deleted_only_once_no_target_gets_it(
        self, people: Cast, endpoint: Endpoint, sent: Secret
    ) -> None:
        place = f"{API}/{sent.pk}"
        for person in (people.ana, people.max):
            refused = Client().delete(place, headers=bearer(person))
            assert code(refused) == (409, "secret_in_use")
            assert endpoint.name in refused.json()["detail"]
        page = signed_in(people.ana)
        page.post(reverse("secret-delete", args=["chat", sent.pk]))
        told = text_of(page.get(reverse("secrets", args=["chat"])))
        assert "Change or remove the endpoint first" in told
        assert Secret.objects.exists()
        Endpoint.objects.update(state=Endpoint.State.ABSENT)
        assert Client().delete(place, headers=bearer(people.ana)).status_code == 204

    def test_who_replaces_it_is_told_that_a_change_sends_it(
        self, people: Cast, endpoint: Endpoint, sent: Secret
    ) -> None:
        place = f"{API}/{sent.pk}/replace"
        assert post(people.ana, place, {"value": "x"}).json()["change_needed"] == [endpoint.name]
        page = signed_in(people.ana)
        page.post(reverse("secret-replace", args=["chat", sent.pk]), {"replace-value": "other"})
        shown = page.get(reverse("secrets", args=["chat"]))
        assert f"still sends the old value to the target of {endpoint.name}" in text_of(shown)
        assert f"{endpoint.name}: X-Origin-Verify to the target" in text_of(shown)
        assert reverse("endpoint-change", args=[endpoint.pk]) in shown.content.decode()
        Endpoint.objects.update(state=Endpoint.State.ABSENT)
        assert post(people.ana, place, {"value": "x"}).json()["change_needed"] == []

    @pytest.mark.parametrize(
        ("name", "status"), [("API_TOKEN", 201), ("OTHERS", 422), ("NOBODYS", 422)]
    )
    def test_a_request_refers_to_secrets_of_its_team_only(
        self, people: Cast, secret: Secret, name: str, status: int
    ) -> None:
        create_secret("trading", "OTHERS", VALUE, by="tara", now=NOW)
        body = BODY | {"origin_headers": f"X-Origin-Verify: ${{secret:{name}}}"}
        answer = post(people.ana, "/api/v1/requests", body)
        assert answer.status_code == status
        if status == 422:
            (error,) = answer.json()["errors"]
            assert error["field"] == "origin_headers"
            assert f"no secret named {name} here" in error["message"]
        else:
            asked = EndpointRequest.objects.get().spec.origin_headers
            assert asked == "X-Origin-Verify: ${secret:API_TOKEN}"


class TestPage:
    def place(self, slug: str = "chat") -> str:
        return reverse("secrets", args=[slug])

    def test_a_member_adds_replaces_and_deletes(self, people: Cast) -> None:
        ana = signed_in(people.ana)
        assert "No secrets yet" in text_of(ana.get(self.place()))
        ana.post(self.place(), {"name": "API_TOKEN", "value": VALUE})
        secret = Secret.objects.get()
        before = secret.encrypted
        assert "Secret “API_TOKEN” added." in text_of(ana.get(self.place()))
        replace = reverse("secret-replace", args=["chat", secret.pk])
        ana.post(replace, {"replace-value": "other"})
        page = text_of(ana.get(self.place()))
        assert "replaced" in page
        assert "ana added the secret API_TOKEN." in page
        assert Secret.objects.get().encrypted != before
        ana.post(reverse("secret-delete", args=["chat", secret.pk]))
        assert "deleted" in text_of(ana.get(self.place()))
        assert not Secret.objects.exists()

    def test_the_page_names_the_saved_checks_that_use_it(
        self, people: Cast, endpoint: Endpoint, secret: Secret
    ) -> None:
        SavedCheck.objects.create(
            endpoint=endpoint, name="Room 1", options={"headers": "A: ${secret:API_TOKEN}"}
        )
        page = text_of(signed_in(people.ana).get(self.place()))
        assert f"{endpoint.name}: Room 1" in page
        assert "will fail until the secret is" in page

    def test_what_was_typed_is_never_shown_again(self, people: Cast, secret: Secret) -> None:
        ana = signed_in(people.ana)
        taken = ana.post(self.place(), {"name": "API_TOKEN", "value": VALUE})
        wrong = ana.post(self.place(), {"name": "not a name", "value": VALUE})
        replace = reverse("secret-replace", args=["chat", secret.pk])
        spaced = ana.post(replace, {"replace-value": f" {VALUE}"})
        for answer in (taken, wrong, spaced):
            assert answer.status_code == 422
            assert VALUE not in answer.content.decode()
        assert "already has a secret named API_TOKEN" in text_of(taken)
        assert "starting with a letter" in text_of(wrong)

    def test_others_see_names_or_nothing_and_change_nothing(
        self, people: Cast, secret: Secret
    ) -> None:
        places = (
            reverse("secret-replace", args=["chat", secret.pk]),
            reverse("secret-delete", args=["chat", secret.pk]),
        )
        tara = signed_in(people.tara)
        assert tara.get(self.place()).status_code == 404
        assert [tara.post(place).status_code for place in places] == [404, 404]
        # The id of another team's secret under one's own team.
        moved = reverse("secret-delete", args=["trading", secret.pk])
        assert tara.post(moved).status_code == 404
        for person in (people.olga, people.rita):
            client = signed_in(person)
            page = text_of(client.get(self.place()))
            assert "API_TOKEN" in page
            assert "Add a secret" not in page
            client.post(self.place(), {"name": "MINE", "value": VALUE})
            client.post(places[0], {"replace-value": "x"})
            client.post(places[1])
        assert list(Secret.objects.values_list("name", "replaced_by")) == [("API_TOKEN", "")]
        signed_in(people.max).post(places[0], {"replace-value": "x"})
        assert Secret.objects.get().replaced_by == ""
        signed_in(people.max).post(places[1])
        assert not Secret.objects.exists()

    def test_the_form_of_a_check_lists_what_can_be_used(
        self, people: Cast, endpoint: Endpoint, secret: Secret
    ) -> None:
        place = reverse("custom-check", args=[endpoint.pk])
        assert "${secret:API_TOKEN}" in text_of(signed_in(people.ana).get(place))
        assert "${secret:API_TOKEN}" not in text_of(signed_in(people.olga).get(place))
        sent = {"headers": "X-Api-Key: ${secret:API_TOKEN}", "name": "in", "save": "1"}
        assert signed_in(people.ana).post(place, sent).status_code == 302
        refused = signed_in(people.ana).post(place, sent | {"headers": f"X-Api-Key: {VALUE}"})
        assert "X-Api-Key looks like a credential" in text_of(refused)


class TestTicketFields:
    """What people write around a request is kept without credentials, or refused."""

    def body(self, **more: str) -> dict[str, Any]:
        return {**BODY, "team": "chat", **more}

    def test_prose_is_kept_without_credentials(self, people: Cast) -> None:
        said = f"For the shop, token={VALUE}, see https://ana:{VALUE}@wiki.example/page"
        made = post(people.ana, "/api/v1/requests", self.body(justification=said))
        assert made.status_code == 201
        request = EndpointRequest.objects.get()
        assert request.justification.startswith("For the shop, token=<masked-15-characters>")
        assert "wiki.example/page" in request.justification
        reason = f"Wrong team, password: {VALUE}"
        assert (
            post(
                people.ana, f"{urlsplit(made['Location']).path}/cancel", {"reason": reason}
            ).status_code
            == 200
        )
        request.refresh_from_db()
        assert request.reason == "Wrong team, password: <masked-15-characters>"
        assert VALUE not in str([*Event.objects.values(), *IdempotencyKey.objects.values()])

    @pytest.mark.parametrize("longest", [480, 499, 500])
    def test_prose_that_grows_by_its_masks_still_fits(self, people: Cast, longest: int) -> None:
        said = ("pw " * 200)[: longest - 9] + " sid=abcd"
        made = post(people.ana, "/api/v1/requests", self.body(justification=said))
        assert made.status_code == 201

    @pytest.mark.parametrize(
        ("field", "wrong", "right"),
        [
            ("external_url", f"https://ana:{VALUE}@t.example/T1", "https://t.example/T1"),
            ("external_url", f"https://t.example/T1?token={VALUE}", "https://t.example/T1?id=1"),
            ("external_id", "ghp_0123456789abcdefghij", "RITM0012345"),
            ("external_id", f"token={VALUE}", "INC-77"),
        ],
    )
    def test_a_tickets_number_and_address_are_refused_with_credentials(
        self, people: Cast, field: str, wrong: str, right: str
    ) -> None:
        ticket = {"external_system": "jira", "external_id": "T1"}
        refused = post(people.ana, "/api/v1/requests", self.body(**ticket | {field: wrong}))
        assert refused.status_code == 422
        assert [fault["field"] for fault in refused.json()["errors"]] == [field]
        assert wrong not in refused.content.decode()
        assert not IdempotencyKey.objects.exists()
        made = post(people.ana, "/api/v1/requests", self.body(**ticket | {field: right}))
        assert made.status_code == 201

    def test_the_same_key_with_other_credentials_is_another_body(self, people: Cast) -> None:
        def ask(secret: str) -> Any:
            return Client().post(
                "/api/v1/requests",
                json.dumps(self.body(justification=f"password={secret}")),
                content_type="application/json",
                headers=bearer(people.ana) | {"Idempotency-Key": "k"},
            )

        first = ask(VALUE)
        assert (first.status_code, ask(VALUE).status_code) == (201, 200)
        assert ask("other").status_code == 409
        assert VALUE not in str(IdempotencyKey.objects.values())

    def test_a_header_that_is_stored_carries_no_credential(self, people: Cast) -> None:
        def ask(correlation: str) -> int:
            headers = bearer(people.ana) | {"X-Correlation-ID": correlation}
            return int(Client().get(API, headers=headers).status_code)

        assert ask("6f2b0a3e-0000-4000-8000-000000000000") == 200
        assert ask("ghp_0123456789abcdefghij") == 400
