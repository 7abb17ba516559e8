"""Endpoints that were there before the portal, as a request to adopt them finds them."""

from __future__ import annotations

from typing import Any

from provisioning.models import Endpoint
from provisioning.planning import candidates_in, snapshot_for_plan
from provisioning.spec.endpoint_spec import EndpointSpec
from provisioning.spec.parsing import complete_answers, parse_spec
from tests.provisioning.machine import Site


def asked_for(site: Site, aws_id: str, **changes: Any) -> tuple[Endpoint, EndpointSpec]:
    """An endpoint to be, with the settings read back from AWS."""
    probe = site.spec(vpc_origin_id=aws_id)
    snapshot = snapshot_for_plan(site.row, "adopt", probe)
    found = next(one for one in candidates_in(snapshot, site.row) if one.vpc_origin_id == aws_id)
    assert found.adoptable, found.obstacle
    wanted = parse_spec(complete_answers({**found.settings, "name": "live"} | changes))
    endpoint = Endpoint.objects.create(
        account=site.row,
        owner="team",
        name=wanted.name,
        spec_data=wanted.to_dict(),
        created_at=site.machine.now,
        state=Endpoint.State.ABSENT,
    )
    return endpoint, wanted
