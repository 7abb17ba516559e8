"""The OpenAPI document as a program reads it: its examples and the API's real answers are what it
says they are.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from checks.models import Check
from portal.api.checks import CHECK
from portal.api.docs import api_document
from portal.api.drift import FINDING
from portal.api.endpoints import ENDPOINT
from portal.api.probes import PROBE
from portal.api.request_output import REQUEST
from portal.api.saved_checks import SAVED_CHECK
from portal.api.transfers import TRANSFER
from portal.endpoints.actions import check_now
from portal.requests.actions import edit_request
from portal.requests.lifecycle import TITLES, TRANSITIONS, Allowed, State
from portal.requests.verbs import VERBS
from provisioning.spec.fields import FIELDS
from provisioning.spec.parsing import parse_spec
from tests.lab.account import Lab
from tests.portal.endpoint_requests import ask, deploy, plan_again, planned_in_lab
from tests.portal.people import Cast, bearer

JSON, PROBLEM = "application/json", "application/problem+json"


@cache
def document() -> dict[str, Any]:
    """The document, taken strictly: what it does not name must not be there."""
    strict = copy.deepcopy(api_document())
    for node in nodes(strict["components"]["schemas"]):
        if "properties" in node:
            node["additionalProperties"] = False
    return strict


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for inner in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from nodes(inner)


def operations() -> Iterator[dict[str, Any]]:
    for methods in document()["paths"].values():
        yield from methods.values()


def faults(content: dict[str, Any], value: Any) -> list[str]:
    """Where a value is not what the document says."""
    # Imports for a second, which every worker would take when it collects.
    from openapi_schema_validator import OAS30Validator, oas30_format_checker

    schema = content["schema"] | {"components": document()["components"]}
    found = OAS30Validator(schema, format_checker=oas30_format_checker).iter_errors(value)
    return [f"{fault.json_path}: {fault.message}" for fault in found]


def of_answer(operation_id: str, answer: Any) -> list[str]:
    """Where a real answer is not what the document says of this operation."""
    (operation,) = (one for one in operations() if one["operationId"] == operation_id)
    media_type = answer["Content-Type"].partition(";")[0]
    return faults(
        operation["responses"][str(answer.status_code)]["content"][media_type], answer.json()
    )


def test_it_is_an_openapi_document() -> None:
    from openapi_spec_validator import validate  # imports for a second, too

    validate(api_document())


def test_every_example_is_what_its_schema_says() -> None:
    wrong, seen = [], 0
    for operation in operations():
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in part.get("content", {}).values():
                for example in content.get("examples", {}).values():
                    wrong += [
                        f"{operation['operationId']}: {fault}"
                        for fault in faults(content, example["value"])
                    ]
                    seen += 1
    assert wrong == []
    assert seen > 30


def test_a_body_may_be_refused_before_it_is_read() -> None:
    for operation in operations():
        told = {status for status in ("408", "413", "415") if status in operation["responses"]}
        assert told in (set(), {"408", "413", "415"}), operation["operationId"]
        assert told or "requestBody" not in operation, operation["operationId"]


def test_an_operation_lists_only_the_problems_it_can_answer_with() -> None:
    told = {
        operation["operationId"]: {
            code
            for response in operation["responses"].values()
            for code in re.findall(r"[a-z_]+", response["description"])
        }
        for operation in operations()
    }
    for code, can, cannot in (
        ("bad_cursor", "listRequests", "getRequest"),
        ("bad_json", "createRequest", "listRequests"),
        ("csrf", "deleteSecret", "getSecret"),
        ("stale_plan", "approveRequest", "rejectRequest"),
        ("own_request", "rejectRequest", "cancelRequest"),
        ("not_platform_admin", "closeRequest", "approveRequest"),
        ("reason_required", "rejectRequest", "cancelRequest"),
        ("too_often", "replanRequest", "amendRequest"),
        ("idempotency_conflict", "createRequest", "saveCheck"),
        ("unknown_person", "createRequest", "createCheck"),
        ("busy", "createCheck", "saveCheck"),
        ("too_many", "createSecret", "replaceSecret"),
    ):
        assert code in told[can], (code, can)
        assert code not in told[cannot], (code, cannot)
    assert "forbidden" not in told["getRequest"]


def test_examples_agree_with_each_other() -> None:
    shown = {
        operation["operationId"]: next(iter(content["examples"].values()))["value"]
        for operation in operations()
        for status, response in operation["responses"].items()
        if status < "300"
        for content in response.get("content", {}).values()
        if "examples" in content
    }
    for verb in VERBS:
        name = verb.name.title().replace("-", "")
        example = shown[f"{name[0].lower()}{name[1:]}Request"]
        state = State(example["state"])
        assert state in {to for (_, used), to in TRANSITIONS.items() if used is verb.permission}
        assert example["state_title"] == TITLES[state]
        assert verb.name not in example["links"] or state is not State.PROVISIONING
        assert (example["plan"] is None) is (state is State.PLANNING)
    spec = shown["getRequest"]["spec"]
    assert parse_spec(spec).to_dict() == spec
    assert spec["app_kind"] == shown["getUsualCheck"]["app_kind"]
    (approve,) = (one for one in operations() if one["operationId"] == "approveRequest")
    (sent,) = approve["requestBody"]["content"][JSON]["examples"].values()
    assert sent["value"]["plan_digest"] == shown["approveRequest"]["plan_digest"]


def test_what_changed_of_a_plan_is_told_as_the_document_says(people: Cast, lab: Lab) -> None:
    request = planned_in_lab(lab, people, target="int-orders")
    changed = request.answers | {"read_timeout": 60}
    assert isinstance(edit_request(people.ben, request, changed, now=timezone.now()), Allowed)
    plan_again(request)
    headers = bearer(people.ana)
    url = f"/api/v1/requests/{request.pk}"
    shown = Client().get(url, headers=headers)
    assert any(
        "Response timeout (seconds): was 30, is now 60" in sentence
        for sentence in shown.json()["plan_changes"]
    )
    assert shown.json()["preflight"]
    assert of_answer("getRequest", shown) == []
    assert of_answer("listRequests", Client().get("/api/v1/requests", headers=headers)) == []
    assert (
        of_answer("listRequestEvents", Client().get(f"{url}/events?html=true", headers=headers))
        == []
    )
    approval = {"plan_digest": request.plan_digest, "reason": "Agreed."}
    refused = Client().post(f"{url}/approve", approval, content_type=JSON, headers=headers)
    assert (refused.status_code, of_answer("approveRequest", refused)) == (403, [])
    approved = Client().post(
        f"{url}/approve", approval, content_type=JSON, headers=bearer(people.olga)
    )
    assert (approved.status_code, of_answer("approveRequest", approved)) == (200, [])


def test_an_endpoint_and_its_tests_are_told_as_the_document_says(people: Cast) -> None:
    endpoint = deploy(ask(people.ana, people.chat))
    check = check_now(people.ana, endpoint, now=timezone.now())
    assert isinstance(check, Check)
    url, headers = f"/api/v1/endpoints/{endpoint.pk}", bearer(people.ana)
    for operation_id, path in (
        ("listEndpoints", "/api/v1/endpoints"),
        ("getEndpoint", url),
        ("getCheck", f"{url}/checks/{check.pk}"),
        ("listProbes", f"{url}/probes"),
        ("listSavedChecks", f"{url}/saved-checks"),
        ("listDriftFindings", "/api/v1/drift-findings"),
    ):
        assert of_answer(operation_id, Client().get(path, headers=headers)) == [], operation_id


def test_a_component_that_may_be_null_is_never_required_to_be_there() -> None:
    objects, uses = [REQUEST, CHECK, PROBE, SAVED_CHECK, ENDPOINT, FINDING, TRANSFER], set()
    while objects:
        for field in objects.pop().fields:
            if inner := field.kind.object:
                objects.append(inner)
                uses.add((inner.name, field.null))
    assert len({name for name, _ in uses}) == len(uses), "one component, null here and not there"
    schemas = document()["components"]["schemas"]
    assert {name for name, null in uses if null} == {
        name for name, schema in schemas.items() if schema.get("nullable")
    }


def test_a_client_gets_a_class_for_spec_plan_and_preflight() -> None:
    schemas = document()["components"]["schemas"]
    shown = schemas["EndpointRequest"]["properties"]
    for name, component in (("spec", "EndpointSpec"), ("plan", "Plan")):
        assert shown[name] == {"$ref": f"#/components/schemas/{component}"}
    items = {"$ref": "#/components/schemas/PreflightResult"}
    assert shown["preflight"] == {"type": "array", "items": items}
    for schema in schemas.values():
        if schema.get("nullable"):
            inline = [one for one in schema["properties"].values() if one.get("type") == "object"]
            assert (schema["title"] in schemas, inline) == (True, []), "no class of that name"
    spec = schemas["EndpointSpec"]["properties"]
    assert set(spec) == {field.name for field in FIELDS if field.in_spec}


@pytest.mark.parametrize("wrong", [{"plan_changes": [{}]}, {"state": "gone"}, {"more": 1}])
def test_what_is_no_answer_is_noticed(wrong: dict[str, Any]) -> None:
    (operation,) = (one for one in operations() if one["operationId"] == "getRequest")
    content = operation["responses"]["200"]["content"][JSON]
    (example,) = content["examples"].values()
    assert faults(content, example["value"]) == []
    assert faults(content, example["value"] | wrong)
