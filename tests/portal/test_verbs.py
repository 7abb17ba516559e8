"""The table of verbs and the rest of the portal agree."""

from __future__ import annotations

import inspect

import pytest
from django.urls import reverse

from portal.requests.lifecycle import PERMISSIONS, Verb
from portal.requests.verbs import VERBS, RequestVerb


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_the_fields_of_a_verb_are_the_keywords_of_its_action(verb: RequestVerb) -> None:
    keywords = {
        parameter.name
        for parameter in inspect.signature(verb.action).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert {field.name for field in verb.fields} == keywords - {"now"}


def test_every_permission_belongs_to_a_verb_that_people_can_use() -> None:
    """Editing has a form of its own; a suggestion of the preflight is an edit too."""
    assert {verb.permission for verb in VERBS} == set(PERMISSIONS)
    assert [verb.name for verb in VERBS if verb.permission is Verb.EDIT] == ["amend"]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_pages_and_api_call_a_verb_by_the_same_name(verb: RequestVerb) -> None:
    pk = "00000000-0000-0000-0000-000000000001"
    page = "decide" if verb.name in ("approve", "reject") else f"request-{verb.name}"
    assert reverse(page, args=[pk])
    assert f"/api/v1/requests/{pk}/{verb.name}".endswith(verb.name)
