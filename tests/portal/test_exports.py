"""Who may export what, by page and API; and the demo's own distributions, read back."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from portal.people.models import Person
from provisioning.aws import distributions
from provisioning.aws.errors import OVER_BUDGET, AwsError
from provisioning.export import bundle
from provisioning.export.content import Format
from provisioning.export.reading import Patience, export_distribution
from provisioning.models import AwsAccount, Endpoint
from tests.lab.account import Lab, behavior, custom_origin, listed
from tests.portal.page_text import text_of
from tests.portal.people import Cast, bearer, signed_in
from tests.provisioning.examples import ACCOUNT
from tests.provisioning.export.readers import (
    distributions_in_template,
    distributions_in_terraform,
    normal,
)

FORMATS = [one.value for one in Format]


@pytest.fixture
def built(lab: Lab, endpoint: Endpoint) -> Endpoint:
    """Ana's endpoint, whose origin and behavior a distribution of the lab really has: in an account
    of its own, because other tests choose from what the demo's accounts have.
    """
    account = lab.account()
    ours = f"edge-portal-{endpoint.key}"
    made = account.create_distribution(
        Origins=listed(custom_origin("web"), custom_origin(ours)),
        CacheBehaviors=listed(behavior(ours, "/ws/chat")),
    )
    role = f"arn:aws:iam::{account.number}:role/edge-portal"
    endpoint.account = AwsAccount.objects.create(
        account_id=account.number, name="Chat staging", role_arn=role
    )
    endpoint.spec_data["distribution_id"] = made["Distribution"]["Id"]
    endpoint.save()
    return endpoint


def get(client: Any, person: Person, url: str, **headers: str) -> Any:
    return client.get(f"/api/v1/{url}", headers={**bearer(person, ["requests:read"]), **headers})


def test_a_team_exports_its_endpoint_and_no_other_does(
    client: Any, people: Cast, built: Endpoint
) -> None:
    url = f"endpoints/{built.pk}/export"
    for person in (people.ana, people.rita):
        answer = get(client, person, f"{url}?format=cdk-python")
        assert answer.status_code == 200, answer.content
        export = answer.json()
        assert (export["scope"], export["format"]) == ("endpoint", "cdk-python")
        files = {one["path"]: one["text"] for one in export["files"]}
        assert "distribution_fragment.py" in files
    archive = get(client, people.ana, url, Accept="application/zip")
    assert archive["Content-Disposition"] == f'attachment; filename="{built.name}-terraform.zip"'
    with zipfile.ZipFile(io.BytesIO(archive.content)) as found:
        assert set(found.namelist()) == {"README.md", "main.tf", "distribution-fragment.hcl"}
    assert get(client, people.tara, url).status_code == 404
    assert get(client, people.ana, f"{url}?format=pulumi").json()["code"] == "bad_parameter"
    assert get(client, people.ana, f"endpoints/{built.pk}").json()["links"]["export"].endswith(url)
    for form in FORMATS:
        page = signed_in(people.ana).get(f"/endpoints/{built.pk}/export/{form}/")
        assert page["Content-Type"] == "application/zip"
        assert signed_in(people.tara).get(page.request["PATH_INFO"]).status_code == 404
    assert signed_in(people.ana).get(f"/endpoints/{built.pk}/export/pulumi/").status_code == 404


def test_only_those_who_see_everything_export_distributions_and_the_fleet(
    client: Any, people: Cast, built: Endpoint
) -> None:
    distribution = built.spec.distribution_id
    for url, page in (
        ("export", "/exports/terraform/"),
        (f"distributions/{distribution}/export", f"/exports/{distribution}/terraform/"),
    ):
        for person in (people.olga, people.max, people.rita):
            answer = get(client, person, url)
            assert answer.status_code == 200, answer.content
            assert f'id = "{distribution}"' in json.dumps(answer.json()).replace('\\"', '"')
        assert signed_in(people.rita).get(page)["Content-Type"] == "application/zip"
        refused = get(client, people.ana, url)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert signed_in(people.ana).get(page).status_code == 404
    missing = get(client, people.rita, "distributions/E0/export").json()
    assert (missing["code"], "E0" in missing["detail"]) == ("nothing_to_export", True)
    words = text_of(signed_in(people.rita).get("/exports/"))
    assert f"{distribution} Chat staging {built.account_id} 1" in words
    assert signed_in(people.ana).get("/exports/").status_code == 404
    assert "Export as code" in text_of(signed_in(people.rita).get("/"))
    assert "Export as code" not in text_of(signed_in(people.ana).get("/"))


def test_what_cannot_be_exported_is_said_on_the_page_and_by_the_api(
    client: Any, people: Cast, built: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, page = f"endpoints/{built.pk}/export", f"/endpoints/{built.pk}/export/terraform/"

    def told(status: int, code: str, text: str) -> None:
        answer = get(client, people.ana, url)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert text in answer.json()["detail"]
        shown = signed_in(people.ana).get(page, follow=True)
        assert shown.request["PATH_INFO"] == f"/endpoints/{built.pk}/"
        assert text in text_of(shown)

    def failing(error: AwsError) -> None:
        def read(*_: object) -> None:
            raise error

        monkeypatch.setattr(distributions, "read", read)

    failing(AwsError("GetDistribution", "AccessDenied", "not allowed", fix="Ask the admin."))
    told(502, "aws_failed", "GetDistribution: not allowed (AccessDenied). Ask the admin.")
    failing(AwsError("GetDistribution", OVER_BUDGET, "used up", retry_after=60.0))
    told(503, "aws_busy", "has used up its calls to AWS")
    monkeypatch.setattr(distributions, "read", lambda *_: None)
    told(409, "nothing_to_export", "does not exist, so there is nothing to export")


def test_only_a_deployed_endpoint_offers_downloads(people: Cast, endpoint: Endpoint) -> None:
    page = signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/").content.decode()
    assert all(f"/endpoints/{endpoint.pk}/export/{form}/" in page for form in FORMATS)
    assert 'href="/exports/"' not in page
    # A link marked as a download would save the page that says why there is none.
    assert " download" not in page
    Endpoint.objects.update(state=Endpoint.State.WANTED)
    assert "Export as code" not in text_of(signed_in(people.ana).get(f"/endpoints/{endpoint.pk}/"))
    assert "Nothing to export yet" in text_of(signed_in(people.rita).get("/exports/"))


def test_the_demos_distributions_are_exported_as_aws_has_them(lab: Lab, people: Cast) -> None:
    account = AwsAccount.objects.get(pk=ACCOUNT)
    listed = distributions.list_all(account.client())
    assert listed
    for one in listed:
        sent: Any = lab.account(ACCOUNT).cloudfront.get_distribution_config(Id=one.id)
        export = export_distribution(account, one.id, Patience(0))
        template = bundle.files_of(export, Format.CLOUDFORMATION)["template.json"]
        module = bundle.files_of(export, Format.TERRAFORM)["main.tf"]
        for read in (distributions_in_template(template), distributions_in_terraform(module)):
            (config,) = read.values()
            assert without_references(normal(config)) == without_references(
                normal(sent["DistributionConfig"])
            )


def without_references(config: Any) -> Any:
    """The configuration without the IDs of VPC origins, which an export has as references."""
    if isinstance(config, dict):
        return {k: without_references(v) for k, v in config.items() if k != "VpcOriginId"}
    return [without_references(one) for one in config] if isinstance(config, list) else config
