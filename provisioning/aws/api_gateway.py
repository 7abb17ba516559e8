"""Links of API Gateway into a VPC: which of its APIs reach a load balancer through a VPC
link.

It judges nothing. Looked at are HTTP APIs that lead to a listener, and the links of REST APIs to a
Network Load Balancer; a REST API that names a load balancer in an integration of its own is not
found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provisioning.aws.errors import calling
from provisioning.aws.session import Aws

VPC_LINK = "VPC_LINK"


def links(
    aws: Aws, region: str, balancer_arn: str, listener_arns: Sequence[str]
) -> tuple[str, ...]:
    """What leads to the load balancer or to one of its listeners, by name. Without VPC links it is
    two calls.
    """
    rest = (
        f"VPC link {link['name']}"
        for link in _rest_links(aws, region)
        if balancer_arn in link["targetArns"]
    )
    return tuple(sorted({*rest, *_http_apis(aws, region, frozenset(listener_arns))}))


def _rest_links(aws: Aws, region: str) -> Iterator[Any]:
    with calling("GetVpcLinks"):
        for page in aws.api_gateway_read(region).get_paginator("get_vpc_links").paginate():
            yield from page.get("items", ())


def _http_apis(aws: Aws, region: str, listener_arns: frozenset[str]) -> Iterator[str]:
    client = aws.http_apis_read(region)
    with calling("GetVpcLinks"):
        linked = bool(client.get_vpc_links().get("Items"))
    if not linked:
        return
    with calling("GetApis"):
        apis = [
            api for page in client.get_paginator("get_apis").paginate() for api in page["Items"]
        ]
    for api in apis:
        with calling("GetIntegrations"):
            pages = client.get_paginator("get_integrations").paginate(ApiId=api["ApiId"])
            integrations = [one for page in pages for one in page["Items"]]
        if any(_leads_to(one, listener_arns) for one in integrations):
            yield f"API {api['Name']}"


def _leads_to(integration: Mapping[str, Any], listener_arns: frozenset[str]) -> bool:
    return (
        integration.get("ConnectionType") == VPC_LINK
        and integration.get("IntegrationUri") in listener_arns
    )
