"""Stories in which each CloudFront operation succeeds once, and fails in each way that the lab can
fail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.lab.account import (
    CACHING_DISABLED,
    Account,
    Lab,
    behavior,
    configuration,
    custom_origin,
    listed,
    viewer_certificate,
    vpc_origin,
)
from tests.lab.contract import Contract

STALE, MALFORMED = "E0000000000000", "not a version"
NOBODY = "nobody"


def entity_rules(
    contract: Contract,
    missing: str,
    entity_id: str,
    call: Callable[..., Any],
    if_match: str | None,
    **given: Any,
) -> None:
    """What every operation on one entity refuses: an unknown id, a stale ETag, a malformed one."""
    contract.refuses(
        missing, call, Id=NOBODY, **({"IfMatch": if_match} if if_match else {}), **given
    )
    if if_match:
        contract.refuses("PreconditionFailed", call, Id=entity_id, IfMatch=STALE, **given)
        contract.refuses("InvalidIfMatchVersion", call, Id=entity_id, IfMatch=MALFORMED, **given)


def vpc_origins(contract: Contract, lab: Lab) -> None:
    account, consumer = lab.account(), lab.account()
    cloudfront = contract.watch(account)
    other = contract.watch(consumer)
    made = account.create_vpc_origin("one")
    origin_id, etag, arn = made["VpcOrigin"]["Id"], made["ETag"], made["VpcOrigin"]["Arn"]
    endpoint = made["VpcOrigin"]["VpcOriginEndpointConfig"]
    create = cloudfront.create_vpc_origin
    contract.refuses("EntityAlreadyExists", create, VpcOriginEndpointConfig=endpoint)
    wrong_list = {
        **endpoint,
        "Name": "x",
        "OriginSslProtocols": {"Quantity": 2, "Items": ["TLSv1.2"]},
    }
    contract.refuses("InconsistentQuantities", create, VpcOriginEndpointConfig=wrong_list)
    contract.refuses(
        "InvalidArgument", create, VpcOriginEndpointConfig={**endpoint, "Name": "x", "HTTPPort": 81}
    )
    tags = {"Items": [{"Key": "aws:x", "Value": ""}]}
    contract.refuses(
        "InvalidTagging", create, VpcOriginEndpointConfig={**endpoint, "Name": "x"}, Tags=tags
    )
    update = cloudfront.update_vpc_origin
    entity_rules(
        contract, "EntityNotFound", origin_id, update, etag, VpcOriginEndpointConfig=endpoint
    )
    entity_rules(contract, "EntityNotFound", origin_id, cloudfront.delete_vpc_origin, etag)
    entity_rules(contract, "EntityNotFound", origin_id, cloudfront.get_vpc_origin, None)
    contract.refuses("IllegalDelete", cloudfront.delete_vpc_origin, Id=origin_id, IfMatch=etag)
    two = account.create_vpc_origin("two")
    chosen = {"Id": origin_id, "IfMatch": etag}
    contract.refuses(
        "EntityAlreadyExists", update, **chosen, VpcOriginEndpointConfig={**endpoint, "Name": "two"}
    )
    contract.refuses("InconsistentQuantities", update, **chosen, VpcOriginEndpointConfig=wrong_list)
    contract.refuses(
        "InvalidArgument", update, **chosen, VpcOriginEndpointConfig={**endpoint, "HTTPSPort": 1}
    )
    lab.post("/_lab/settings", {"quotas": {"vpc_origins": 2}})
    contract.refuses(
        "EntityLimitExceeded", create, VpcOriginEndpointConfig={**endpoint, "Name": "three"}
    )
    lab.post("/_lab/settings", {"quotas": {"vpc_origins": None}})
    contract.refuses("InvalidArgument", cloudfront.list_vpc_origins, MaxItems="0")
    by_origin = cloudfront.list_distributions_by_vpc_origin_id
    contract.refuses("InvalidArgument", by_origin, VpcOriginId=origin_id, MaxItems="0")
    contract.refuses("EntityNotFound", by_origin, VpcOriginId=NOBODY)
    owned = cloudfront.list_distributions_by_owned_resource
    contract.refuses("EntityNotFound", owned, ResourceArn=arn + "x")
    contract.refuses("InvalidArgument", owned, ResourceArn="arn:aws:s3:::bucket")
    lab.advance()
    read = cloudfront.get_vpc_origin(Id=origin_id)
    using = {"Origins": listed(vpc_origin("web", origin_id))}
    account.create_distribution(**using)
    contract.refuses(
        "CannotUpdateEntityWhileInUse", update, **chosen, VpcOriginEndpointConfig=endpoint
    )
    contract.refuses("CannotDeleteEntityWhileInUse", cloudfront.delete_vpc_origin, **chosen)
    assert cloudfront.list_vpc_origins()["VpcOriginList"]["Quantity"] == 2
    assert by_origin(VpcOriginId=origin_id)["DistributionIdList"]["Quantity"] == 1
    assert owned(ResourceArn=arn)["DistributionList"]["Quantity"] == 1
    lab.post("/_lab/settings", {"quotas": {"distributions_per_vpc_origin": 1}})
    contract.refuses(
        "EntityLimitExceeded",
        cloudfront.create_distribution,
        DistributionConfig=configuration(**using),
    )
    spare = account.create_distribution()
    joining = {"Id": spare["Distribution"]["Id"], "IfMatch": spare["ETag"]}
    wanted = {**spare["Distribution"]["DistributionConfig"], **using}
    contract.refuses(
        "EntityLimitExceeded", cloudfront.update_distribution, **joining, DistributionConfig=wanted
    )
    lab.post("/_lab/settings", {"quotas": {"distributions_per_vpc_origin": None}})
    free = {"Id": two["VpcOrigin"]["Id"], "IfMatch": two["ETag"]}
    changed = update(**free, VpcOriginEndpointConfig={**endpoint, "Name": "two", "HTTPPort": 8080})
    lab.advance()
    cloudfront.delete_vpc_origin(Id=free["Id"], IfMatch=changed["ETag"])
    leaving = cloudfront.get_vpc_origin(Id=free["Id"])["ETag"]
    contract.refuses(
        "IllegalUpdate", update, Id=free["Id"], IfMatch=leaving, VpcOriginEndpointConfig=endpoint
    )
    _resource_policies(contract, account, consumer, arn)
    contract.refuses(
        "AccessDenied", other.update_vpc_origin, **chosen, VpcOriginEndpointConfig=endpoint
    )
    contract.refuses("AccessDenied", other.delete_vpc_origin, **chosen)
    assert read["ETag"] == etag


def _resource_policies(contract: Contract, account: Account, consumer: Account, arn: str) -> None:
    cloudfront, other = account.cloudfront, consumer.cloudfront
    get, put, delete = (
        getattr(cloudfront, f"{verb}_resource_policy") for verb in ("get", "put", "delete")
    )
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudfront:GetVpcOrigin","Resource":"*",'
        f'"Principal":{{"AWS":"{consumer.number}"}}}}]}}'
    )
    contract.refuses("EntityNotFound", get, ResourceArn=arn)
    contract.refuses("EntityNotFound", delete, ResourceArn=arn)
    contract.refuses("EntityNotFound", put, ResourceArn=arn + "x", PolicyDocument=policy)
    contract.refuses("InvalidArgument", get, ResourceArn=NOBODY)
    contract.refuses("InvalidArgument", delete, ResourceArn=NOBODY)
    contract.refuses("InvalidArgument", put, ResourceArn=arn, PolicyDocument="[]")
    put(ResourceArn=arn, PolicyDocument=policy)
    assert get(ResourceArn=arn)["PolicyDocument"] == policy
    contract.refuses("AccessDenied", other.get_resource_policy, ResourceArn=arn)
    contract.refuses(
        "AccessDenied", other.put_resource_policy, ResourceArn=arn, PolicyDocument=policy
    )
    contract.refuses("AccessDenied", other.delete_resource_policy, ResourceArn=arn)
    delete(ResourceArn=arn)
    ram = account.client("ram")
    ram.create_resource_share(name="edge", resourceArns=[arn], principals=[consumer.number])
    contract.refuses("IllegalUpdate", put, ResourceArn=arn, PolicyDocument=policy)
    contract.refuses("IllegalDelete", delete, ResourceArn=arn)
    theirs = consumer.client("ram")
    (sent,) = theirs.get_resource_share_invitations()["resourceShareInvitations"]
    theirs.accept_resource_share_invitation(
        resourceShareInvitationArn=sent["resourceShareInvitationArn"]
    )


def _names(count: int, prefix: str = "n") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def _legacy(**changes: Any) -> dict[str, Any]:
    """A behavior with ForwardedValues."""
    forwarded = {
        "QueryString": False,
        "Cookies": {"Forward": "none"},
        **changes.pop("forwarded", {}),
    }
    base = {"TargetOriginId": "web", "ViewerProtocolPolicy": "https-only", "MinTTL": 0}
    return {"DefaultCacheBehavior": {**base, "ForwardedValues": forwarded, **changes}}


def _behavior(**changes: Any) -> dict[str, Any]:
    return {"DefaultCacheBehavior": {**behavior("web"), **changes}}


def _timeout(**changes: Any) -> dict[str, Any]:
    origin = custom_origin("web")
    return {
        "Origins": listed(
            {**origin, "CustomOriginConfig": {**origin["CustomOriginConfig"], **changes}}
        )
    }


def _functions(kind: str, arn: str, events: list[str]) -> dict[str, Any]:
    items = [
        {"EventType": event, arn: "arn:aws:lambda:us-east-1:111122223333:function:f:1"}
        for event in events
    ]
    return _behavior(**{kind: listed(*items)})


_ERROR_PAGE = {
    "ErrorCode": 404,
    "ResponsePagePath": "/404.html",
    "ResponseCode": "200",
    "ErrorCachingMinTTL": 1,
}
_GEO = {"RestrictionType": "whitelist", "Quantity": 1, "Items": ["DE"]}
_HEADERS = [{"HeaderName": f"X-{number}", "HeaderValue": "1"} for number in range(31)]
_MEMBERS = {
    "FailoverCriteria": {"StatusCodes": listed(500)},
    "Members": listed({"OriginId": "web"}, {"OriginId": "two"}),
}
_TWO = listed(custom_origin("web"), custom_origin("two"))

# What CreateDistribution and UpdateDistribution refuse in a configuration.
REFUSED_CONFIGURATIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("InvalidArgument", {"Comment": "x" * 129}),
    ("InvalidDefaultRootObject", {"DefaultRootObject": "/index.html"}),
    ("InconsistentQuantities", {"Aliases": {"Quantity": 1, "Items": []}}),
    ("InvalidOriginReadTimeout", _timeout(OriginReadTimeout=500)),
    ("InvalidOriginKeepaliveTimeout", _timeout(OriginKeepaliveTimeout=500)),
    ("TooManyOrigins", {"Origins": listed(*(custom_origin(name) for name in _names(101)))}),
    (
        "TooManyOriginCustomHeaders",
        {"Origins": listed({**custom_origin("web"), "CustomHeaders": listed(*_HEADERS)})},
    ),
    (
        "TooManyOriginGroupsPerDistribution",
        {
            "Origins": _TWO,
            "OriginGroups": listed(*({"Id": name, **_MEMBERS} for name in _names(11, "g"))),
        },
    ),
    ("EntityNotFound", {"Origins": listed(vpc_origin("web", "vo_nobody"))}),
    ("NoSuchOrigin", {"DefaultCacheBehavior": behavior("elsewhere")}),
    (
        "TooManyCacheBehaviors",
        {"CacheBehaviors": listed(*(behavior("web", f"/{name}") for name in _names(76)))},
    ),
    ("NoSuchCachePolicy", _behavior(CachePolicyId=NOBODY)),
    ("NoSuchOriginRequestPolicy", _behavior(OriginRequestPolicyId=NOBODY)),
    ("NoSuchResponseHeadersPolicy", _behavior(ResponseHeadersPolicyId=NOBODY)),
    (
        "TrustedKeyGroupDoesNotExist",
        _behavior(TrustedKeyGroups={"Enabled": True, **listed(NOBODY)}),
    ),
    (
        "TooManyKeyGroupsAssociatedToDistribution",
        _behavior(TrustedKeyGroups={"Enabled": True, **listed(*_names(5))}),
    ),
    ("InvalidTTLOrder", _legacy(MinTTL=10, MaxTTL=1)),
    ("InvalidForwardCookies", _legacy(forwarded={"Cookies": {"Forward": "whitelist"}})),
    (
        "TooManyCookieNamesInWhiteList",
        _legacy(
            forwarded={"Cookies": {"Forward": "whitelist", "WhitelistedNames": listed(*_names(11))}}
        ),
    ),
    ("TooManyHeadersInForwardedValues", _legacy(forwarded={"Headers": listed(*_names(11))})),
    (
        "TooManyQueryStringParameters",
        _legacy(forwarded={"QueryString": True, "QueryStringCacheKeys": listed(*_names(11))}),
    ),
    (
        "TooManyLambdaFunctionAssociations",
        _functions("LambdaFunctionAssociations", "LambdaFunctionARN", ["viewer-request"] * 5),
    ),
    (
        "InvalidLambdaFunctionAssociation",
        _functions("LambdaFunctionAssociations", "LambdaFunctionARN", ["viewer-request"] * 2),
    ),
    (
        "TooManyFunctionAssociations",
        _functions("FunctionAssociations", "FunctionARN", ["viewer-request"] * 3),
    ),
    (
        "InvalidFunctionAssociation",
        _functions("FunctionAssociations", "FunctionARN", ["origin-request"]),
    ),
    (
        "TooManyDistributionCNAMEs",
        {"Aliases": listed(*(f"{name}.example.com" for name in _names(101)))},
    ),
    ("InvalidViewerCertificate", {"Aliases": listed("nobody.example.com")}),
    ("InvalidWebACLId", {"WebACLId": NOBODY}),
    ("InvalidErrorCode", {"CustomErrorResponses": listed({**_ERROR_PAGE, "ErrorCode": 418})}),
    (
        "InvalidResponseCode",
        {"CustomErrorResponses": listed({**_ERROR_PAGE, "ResponseCode": "299"})},
    ),
    (
        "InvalidGeoRestrictionParameter",
        {"Restrictions": {"GeoRestriction": {**_GEO, "Quantity": 0, "Items": []}}},
    ),
    ("InvalidLocationCode", {"Restrictions": {"GeoRestriction": {**_GEO, "Items": ["Germany"]}}}),
)
_OVER_QUOTA = {
    "CachePolicyId": "TooManyDistributionsAssociatedToCachePolicy",
    "OriginRequestPolicyId": "TooManyDistributionsAssociatedToOriginRequestPolicy",
    "ResponseHeadersPolicyId": "TooManyDistributionsAssociatedToResponseHeadersPolicy",
}


def distributions(contract: Contract, lab: Lab) -> None:
    account = lab.account()
    cloudfront = contract.watch(account)
    create, tagged = cloudfront.create_distribution, cloudfront.create_distribution_with_tags
    update = cloudfront.update_distribution
    made = account.create_distribution()
    distribution, etag = made["Distribution"], made["ETag"]
    config, chosen = distribution["DistributionConfig"], {"Id": distribution["Id"], "IfMatch": etag}

    def refuse_everywhere(code: str, changes: dict[str, Any]) -> None:
        new = configuration(**changes)
        contract.refuses(code, create, DistributionConfig=new)
        contract.refuses(
            code, tagged, DistributionConfigWithTags={"DistributionConfig": new, "Tags": {}}
        )
        contract.refuses(code, update, **chosen, DistributionConfig={**config, **changes})

    for code, changes in REFUSED_CONFIGURATIONS:
        refuse_everywhere(code, changes)
    contract.refuses("DistributionAlreadyExists", create, DistributionConfig=config)
    again = {"DistributionConfig": config, "Tags": {}}
    contract.refuses("DistributionAlreadyExists", tagged, DistributionConfigWithTags=again)
    bad_tags = {"DistributionConfig": configuration(), "Tags": {"Items": [{"Key": "aws:x"}]}}
    contract.refuses("InvalidTagging", tagged, DistributionConfigWithTags=bad_tags)
    contract.refuses(
        "IllegalUpdate", update, **chosen, DistributionConfig={**config, "CallerReference": "other"}
    )
    entity_rules(
        contract, "NoSuchDistribution", distribution["Id"], update, etag, DistributionConfig=config
    )
    entity_rules(
        contract, "NoSuchDistribution", distribution["Id"], cloudfront.delete_distribution, etag
    )
    contract.refuses("NoSuchDistribution", cloudfront.get_distribution, Id=NOBODY)
    contract.refuses("NoSuchDistribution", cloudfront.get_distribution_config, Id=NOBODY)
    contract.refuses("DistributionNotDisabled", cloudfront.delete_distribution, **chosen)
    contract.refuses("InvalidArgument", cloudfront.list_distributions, MaxItems="0")
    _used_up(contract, lab, account, refuse_everywhere)
    arn = distribution["ARN"]
    _tags(contract, cloudfront, arn)
    _invalidations(contract, lab, cloudfront, distribution["Id"])
    tagged(
        DistributionConfigWithTags={
            "DistributionConfig": configuration(),
            "Tags": {"Items": [{"Key": "a"}]},
        }
    )
    off = update(**chosen, DistributionConfig={**config, "Enabled": False})
    assert cloudfront.get_distribution(Id=distribution["Id"])["ETag"] == off["ETag"]
    assert cloudfront.get_distribution_config(Id=distribution["Id"])["ETag"] == off["ETag"]
    assert cloudfront.list_distributions()["DistributionList"]["Quantity"] >= 2
    lab.advance()
    cloudfront.delete_distribution(Id=distribution["Id"], IfMatch=off["ETag"])


def _used_up(
    contract: Contract,
    lab: Lab,
    account: Account,
    refuse_everywhere: Callable[[str, dict[str, Any]], None],
) -> None:
    """Names and quotas that other distributions have used up."""
    cloudfront = account.cloudfront
    name = f"contract-{account.number}.example.com"
    certificate = {"ViewerCertificate": viewer_certificate(account.certificate(name))}
    taken = {"Aliases": listed(name), **certificate}
    holder = account.create_distribution(**taken)["Distribution"]
    refuse_everywhere("CNAMEAlreadyExists", taken)
    chosen = {"DistributionId": holder["Id"], "Alias": name}
    assert cloudfront.list_conflicting_aliases(**chosen)["ConflictingAliasesList"]["Quantity"] == 1
    contract.refuses(
        "NoSuchDistribution", cloudfront.list_conflicting_aliases, DistributionId=NOBODY, Alias=name
    )
    contract.refuses(
        "InvalidArgument",
        cloudfront.list_conflicting_aliases,
        **{**chosen, "Alias": "a.example.org"},
    )
    resource = {"DomainControlValidationResource": {"DistributionId": holder["Id"]}}
    assert cloudfront.list_domain_conflicts(Domain=name, **resource)["DomainConflicts"]
    contract.refuses(
        "InvalidArgument", cloudfront.list_domain_conflicts, Domain="a.example.org", **resource
    )
    unknown = {"DomainControlValidationResource": {"DistributionId": NOBODY}}
    contract.refuses("EntityNotFound", cloudfront.list_domain_conflicts, Domain=name, **unknown)
    lab.post("/_lab/settings", {"quotas": {"distributions": 1, "distributions_per_policy": 1}})
    contract.refuses(
        "TooManyDistributions", cloudfront.create_distribution, DistributionConfig=configuration()
    )
    both = {"DistributionConfig": configuration(), "Tags": {}}
    contract.refuses(
        "TooManyDistributions",
        cloudfront.create_distribution_with_tags,
        DistributionConfigWithTags=both,
    )
    lab.post("/_lab/settings", {"quotas": {"distributions": None}})
    cache = cloudfront.create_cache_policy(CachePolicyConfig=_cache("few"))["CachePolicy"]
    request = cloudfront.create_origin_request_policy(OriginRequestPolicyConfig=_request("few"))
    headers = cloudfront.create_response_headers_policy(ResponseHeadersPolicyConfig={"Name": "few"})
    own = {
        "CachePolicyId": cache["Id"],
        "OriginRequestPolicyId": request["OriginRequestPolicy"]["Id"],
        "ResponseHeadersPolicyId": headers["ResponseHeadersPolicy"]["Id"],
    }
    account.create_distribution(**_behavior(**own))
    for field, code in _OVER_QUOTA.items():
        refuse_everywhere(code, _behavior(**{field: own[field]}))
    lab.post("/_lab/settings", {"quotas": {"distributions_per_policy": None}})


def domain_moves(contract: Contract, lab: Lab) -> None:
    account, other = lab.account(), lab.account()
    cloudfront = contract.watch(account)
    move, update = cloudfront.associate_alias, cloudfront.update_domain_association
    name, theirs = (f"{word}-{account.number}.example.com" for word in ("moves", "theirs"))
    certificate = {"ViewerCertificate": viewer_certificate(account.certificate(name, theirs))}
    account.create_distribution(Aliases=listed(name), **certificate)
    foreign = {"ViewerCertificate": viewer_certificate(other.certificate(theirs))}
    other.create_distribution(Aliases=listed(theirs), **foreign)
    made = account.create_distribution(**certificate)
    target, etag = made["Distribution"]["Id"], made["ETag"]
    contract.refuses("NoSuchDistribution", move, TargetDistributionId=NOBODY, Alias=name)
    contract.refuses("InvalidArgument", move, TargetDistributionId=target, Alias="a.example.org")
    contract.refuses("IllegalUpdate", move, TargetDistributionId=target, Alias=theirs)
    resource = {"TargetResource": {"DistributionId": target}}
    contract.refuses(
        "EntityNotFound", update, Domain=name, TargetResource={"DistributionId": NOBODY}
    )
    contract.refuses("PreconditionFailed", update, Domain=name, IfMatch=STALE, **resource)
    contract.refuses("InvalidIfMatchVersion", update, Domain=name, IfMatch=MALFORMED, **resource)
    contract.refuses("InvalidArgument", update, Domain="a.example.org", **resource)
    contract.refuses("IllegalUpdate", update, Domain=theirs, **resource)
    update(Domain=name, IfMatch=etag, **resource)
    back = account.create_distribution(**certificate)["Distribution"]["Id"]
    move(TargetDistributionId=back, Alias=name)
    full = account.certificate(name, f"spare-{name}")
    last = account.create_distribution(
        Aliases=listed(f"spare-{name}"), ViewerCertificate=viewer_certificate(full)
    )["Distribution"]["Id"]
    lab.post("/_lab/settings", {"quotas": {"aliases": 1}})
    contract.refuses("TooManyDistributionCNAMEs", move, TargetDistributionId=last, Alias=name)
    contract.refuses(
        "EntityLimitExceeded", update, Domain=name, TargetResource={"DistributionId": last}
    )
    lab.post("/_lab/settings", {"quotas": {"aliases": None}})


def _tags(contract: Contract, cloudfront: Any, arn: str) -> None:
    unknown = arn + "X"
    tag, untag, show = (
        cloudfront.tag_resource,
        cloudfront.untag_resource,
        cloudfront.list_tags_for_resource,
    )
    tags = {"Items": [{"Key": "a", "Value": "b"}]}
    for missing, wrong in ((unknown, "NoSuchResource"), ("arn:aws:s3:::b", "InvalidArgument")):
        contract.refuses(wrong, tag, Resource=missing, Tags=tags)
        contract.refuses(wrong, untag, Resource=missing, TagKeys={"Items": ["a"]})
        contract.refuses(wrong, show, Resource=missing)
    contract.refuses(
        "InvalidTagging", tag, Resource=arn, Tags={"Items": [{"Key": "<", "Value": "b"}]}
    )
    tag(Resource=arn, Tags=tags)
    assert show(Resource=arn)["Tags"] == tags
    untag(Resource=arn, TagKeys={"Items": ["a"]})


def _invalidations(contract: Contract, lab: Lab, cloudfront: Any, distribution: str) -> None:
    def batch(*paths: str, reference: str = "one") -> dict[str, Any]:
        return {"InvalidationBatch": {"Paths": listed(*paths), "CallerReference": reference}}

    create, show, list_all = (
        cloudfront.create_invalidation,
        cloudfront.get_invalidation,
        cloudfront.list_invalidations,
    )
    contract.refuses("NoSuchDistribution", create, DistributionId=NOBODY, **batch("/*"))
    contract.refuses("InvalidArgument", create, DistributionId=distribution, **batch("no slash"))
    wrong = {
        "InvalidationBatch": {"Paths": {"Quantity": 2, "Items": ["/"]}, "CallerReference": "x"}
    }
    contract.refuses("InconsistentQuantities", create, DistributionId=distribution, **wrong)
    lab.post("/_lab/settings", {"quotas": {"invalidation_paths_in_progress": 2}})
    contract.refuses(
        "BatchTooLarge", create, DistributionId=distribution, **batch("/a", "/b", "/c")
    )
    made = create(DistributionId=distribution, **batch("/a", "/b"))["Invalidation"]
    contract.refuses(
        "TooManyInvalidationsInProgress",
        create,
        DistributionId=distribution,
        **batch("/c", reference="two"),
    )
    lab.post("/_lab/settings", {"quotas": {"invalidation_paths_in_progress": None}})
    show(DistributionId=distribution, Id=made["Id"])
    contract.refuses("NoSuchDistribution", show, DistributionId=NOBODY, Id=made["Id"])
    contract.refuses("NoSuchInvalidation", show, DistributionId=distribution, Id=NOBODY)
    assert list_all(DistributionId=distribution)["InvalidationList"]["Quantity"] == 1
    contract.refuses("NoSuchDistribution", list_all, DistributionId=NOBODY)
    contract.refuses("InvalidArgument", list_all, DistributionId=distribution, MaxItems="0")


def web_acls(contract: Contract, lab: Lab) -> None:
    account = lab.account()
    cloudfront = contract.watch(account)
    acl = account.web_acl()
    one, two = account.create_distribution(), account.create_distribution()
    chosen = {"Id": one["Distribution"]["Id"], "IfMatch": one["ETag"]}
    on, off = (
        cloudfront.associate_distribution_web_acl,
        cloudfront.disassociate_distribution_web_acl,
    )
    entity_rules(contract, "EntityNotFound", chosen["Id"], on, one["ETag"], WebACLArn=acl)
    entity_rules(contract, "EntityNotFound", chosen["Id"], off, one["ETag"])
    contract.refuses("InvalidArgument", on, **chosen, WebACLArn=acl + "x")
    put = on(**chosen, WebACLArn=acl)
    lab.post("/_lab/settings", {"quotas": {"distributions_per_web_acl": 1}})
    contract.refuses(
        "EntityLimitExceeded", on, Id=two["Distribution"]["Id"], IfMatch=two["ETag"], WebACLArn=acl
    )
    lab.post("/_lab/settings", {"quotas": {"distributions_per_web_acl": None}})
    by_acl = cloudfront.list_distributions_by_web_acl_id
    assert by_acl(WebACLId=acl)["DistributionList"]["Quantity"] == 1
    contract.refuses("InvalidArgument", by_acl, WebACLId=acl, MaxItems="0")
    contract.refuses("InvalidWebACLId", by_acl, WebACLId=acl + "x")
    off(Id=chosen["Id"], IfMatch=put["ETag"])


def continuous_deployment(contract: Contract, lab: Lab) -> None:
    account = lab.account()
    cloudfront = contract.watch(account)
    copy, promote = cloudfront.copy_distribution, cloudfront.update_distribution_with_staging_config
    create = cloudfront.create_continuous_deployment_policy
    primary = account.create_distribution()
    chosen = {
        "PrimaryDistributionId": primary["Distribution"]["Id"],
        "IfMatch": primary["ETag"],
        "Staging": True,
    }
    contract.refuses(
        "NoSuchDistribution",
        copy,
        **{**chosen, "PrimaryDistributionId": NOBODY},
        CallerReference="c",
    )
    contract.refuses(
        "PreconditionFailed", copy, **{**chosen, "IfMatch": STALE}, CallerReference="c"
    )
    contract.refuses(
        "InvalidIfMatchVersion", copy, **{**chosen, "IfMatch": MALFORMED}, CallerReference="c"
    )
    contract.refuses("InvalidArgument", copy, **{**chosen, "Staging": False}, CallerReference="c")
    staging = copy(**chosen, CallerReference="copy-" + account.number)
    contract.refuses(
        "DistributionAlreadyExists", copy, **chosen, CallerReference="copy-" + account.number
    )
    lab.post("/_lab/settings", {"quotas": {"distributions": 2}})
    contract.refuses("TooManyDistributions", copy, **chosen, CallerReference="d")
    lab.post("/_lab/settings", {"quotas": {"distributions": None}})
    domain, staging_id = staging["Distribution"]["DomainName"], staging["Distribution"]["Id"]
    header = {"Type": "SingleHeader", "SingleHeaderConfig": {"Header": "aws-cf-cd-a", "Value": "b"}}
    config = {
        "StagingDistributionDnsNames": listed(domain),
        "Enabled": True,
        "TrafficConfig": header,
    }
    wrong = {**config, "StagingDistributionDnsNames": {"Quantity": 2, "Items": [domain]}}
    elsewhere = {**config, "StagingDistributionDnsNames": listed("d.example.com")}
    contract.refuses("InconsistentQuantities", create, ContinuousDeploymentPolicyConfig=wrong)
    contract.refuses("InvalidArgument", create, ContinuousDeploymentPolicyConfig=elsewhere)
    policy = create(ContinuousDeploymentPolicyConfig=config)
    policy_id, etag = policy["ContinuousDeploymentPolicy"]["Id"], policy["ETag"]
    contract.refuses(
        "ContinuousDeploymentPolicyAlreadyExists", create, ContinuousDeploymentPolicyConfig=config
    )
    weight = {"Type": "SingleWeight", "SingleWeightConfig": {"Weight": 0.1}}
    by_weight = {**config, "TrafficConfig": weight}
    contract.refuses("StagingDistributionInUse", create, ContinuousDeploymentPolicyConfig=by_weight)
    lab.post("/_lab/settings", {"quotas": {"continuous_deployment_policies": 1}})
    contract.refuses(
        "TooManyContinuousDeploymentPolicies", create, ContinuousDeploymentPolicyConfig=by_weight
    )
    lab.post("/_lab/settings", {"quotas": {"continuous_deployment_policies": None}})
    update, delete = (
        cloudfront.update_continuous_deployment_policy,
        cloudfront.delete_continuous_deployment_policy,
    )
    missing = "NoSuchContinuousDeploymentPolicy"
    entity_rules(
        contract, missing, policy_id, update, etag, ContinuousDeploymentPolicyConfig=config
    )
    entity_rules(contract, missing, policy_id, delete, etag)
    contract.refuses(missing, cloudfront.get_continuous_deployment_policy, Id=NOBODY)
    contract.refuses(missing, cloudfront.get_continuous_deployment_policy_config, Id=NOBODY)
    contract.refuses(
        "InvalidArgument", cloudfront.list_continuous_deployment_policies, MaxItems="0"
    )
    version = {"Id": policy_id, "IfMatch": etag}
    contract.refuses(
        "InconsistentQuantities", update, **version, ContinuousDeploymentPolicyConfig=wrong
    )
    contract.refuses(
        "InvalidArgument", update, **version, ContinuousDeploymentPolicyConfig=elsewhere
    )
    etag = update(**version, ContinuousDeploymentPolicyConfig=by_weight)["ETag"]
    cloudfront.get_continuous_deployment_policy(Id=policy_id)
    cloudfront.get_continuous_deployment_policy_config(Id=policy_id)
    listed_policies = cloudfront.list_continuous_deployment_policies()[
        "ContinuousDeploymentPolicyList"
    ]
    assert listed_policies["Quantity"] == 1
    both = f"{primary['ETag']}, {staging['ETag']}"
    pair = {"Id": chosen["PrimaryDistributionId"], "StagingDistributionId": staging_id}
    contract.refuses("IllegalUpdate", promote, **pair, IfMatch=both)
    shown = primary["Distribution"]["DistributionConfig"]
    change = {"Id": pair["Id"], "IfMatch": primary["ETag"]}
    attached_to_nobody = {**shown, "ContinuousDeploymentPolicyId": NOBODY}
    contract.refuses(
        missing, cloudfront.update_distribution, **change, DistributionConfig=attached_to_nobody
    )
    attached = {**shown, "ContinuousDeploymentPolicyId": policy_id}
    primary = cloudfront.update_distribution(**change, DistributionConfig=attached)
    contract.refuses("ContinuousDeploymentPolicyInUse", delete, Id=policy_id, IfMatch=etag)
    other = account.create_distribution()
    theirs = {
        **other["Distribution"]["DistributionConfig"],
        "ContinuousDeploymentPolicyId": policy_id,
    }
    contract.refuses(
        "ContinuousDeploymentPolicyInUse",
        cloudfront.update_distribution,
        Id=other["Distribution"]["Id"],
        IfMatch=other["ETag"],
        DistributionConfig=theirs,
    )
    _promotion(contract, promote, pair, primary["ETag"], staging["ETag"])
    read = cloudfront.get_distribution_config(Id=staging_id)
    off = {**read["DistributionConfig"], "Enabled": False}
    refused = {"Id": staging_id, "IfMatch": read["ETag"], "DistributionConfig": off}
    contract.refuses("StagingDistributionInUse", cloudfront.update_distribution, **refused)
    spare = create_policy_for_nobody(account, create)
    chosen_spare = {"Id": spare["ContinuousDeploymentPolicy"]["Id"], "IfMatch": spare["ETag"]}
    contract.refuses(
        "StagingDistributionInUse", update, **chosen_spare, ContinuousDeploymentPolicyConfig=config
    )
    delete(**chosen_spare)


def create_policy_for_nobody(account: Account, create: Callable[..., Any]) -> Any:
    """A policy that no distribution uses."""
    made = account.create_distribution()
    copied = account.cloudfront.copy_distribution(
        PrimaryDistributionId=made["Distribution"]["Id"],
        IfMatch=made["ETag"],
        Staging=True,
        CallerReference="spare-" + account.number,
    )
    domain = copied["Distribution"]["DomainName"]
    return create(
        ContinuousDeploymentPolicyConfig={
            "StagingDistributionDnsNames": listed(domain),
            "Enabled": False,
        }
    )


def _promotion(
    contract: Contract,
    promote: Callable[..., Any],
    pair: dict[str, str],
    primary: str,
    staging: str,
) -> None:
    both = f"{primary}, {staging}"
    contract.refuses("NoSuchDistribution", promote, **{**pair, "Id": NOBODY}, IfMatch=both)
    contract.refuses("PreconditionFailed", promote, **pair, IfMatch=f"{primary}, {STALE}")
    contract.refuses("InvalidIfMatchVersion", promote, **pair, IfMatch=primary)
    contract.refuses("InvalidArgument", promote, Id=pair["Id"], IfMatch=both)
    promote(**pair, IfMatch=both)


def _cache(name: str, **parts: Any) -> dict[str, Any]:
    key = {
        "EnableAcceptEncodingGzip": False,
        "HeadersConfig": {"HeaderBehavior": "none"},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
        **parts,
    }
    return {"Name": name, "MinTTL": 1, "ParametersInCacheKeyAndForwardedToOrigin": key}


def _request(name: str, **parts: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "HeadersConfig": {"HeaderBehavior": "none"},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
        **parts,
    }


def _response(name: str, **parts: Any) -> dict[str, Any]:
    return {"Name": name, **parts}


_MANY = {
    "Headers": {"HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": listed(*_names(11))}},
    "Cookies": {"CookiesConfig": {"CookieBehavior": "whitelist", "Cookies": listed(*_names(11))}},
    "QueryStrings": {
        "QueryStringsConfig": {
            "QueryStringBehavior": "whitelist",
            "QueryStrings": listed(*_names(11)),
        }
    },
}
_ELEVEN = [{"Header": f"X-{number}", "Value": "", "Override": True} for number in range(11)]
_CSP = {"ContentSecurityPolicy": {"Override": True, "ContentSecurityPolicy": "x" * 1784}}
_EVERYTHING = _response(
    "everything",
    CorsConfig={
        "AccessControlAllowOrigins": listed("*"),
        "AccessControlAllowHeaders": listed("*"),
        "AccessControlAllowMethods": listed("ALL"),
        "AccessControlAllowCredentials": False,
        "OriginOverride": True,
    },
    ServerTimingHeadersConfig={"Enabled": True, "SamplingRate": 12.5},
    CustomHeadersConfig=listed({"Header": "X-A", "Value": "b", "Override": True}),
    RemoveHeadersConfig=listed({"Header": "Server"}),
    SecurityHeadersConfig={"FrameOptions": {"Override": True, "FrameOption": "DENY"}},
)
_WRONG_HEADERS = {
    "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": {"Quantity": 2, "Items": ["a"]}}
}
_BAD_ADDED = {"CustomHeadersConfig": {"Quantity": 2, "Items": _ELEVEN[:1]}}
# Kind, plural, quota, managed id, builder of a configuration, what is refused in one.
_KINDS: tuple[
    tuple[str, str, str, Callable[..., dict[str, Any]], tuple[tuple[str, dict[str, Any]], ...]], ...
] = (
    (
        "CachePolicy",
        "CachePolicies",
        CACHING_DISABLED,
        _cache,
        (
            ("InconsistentQuantities", _WRONG_HEADERS),
            *((f"TooMany{what}InCachePolicy", parts) for what, parts in _MANY.items()),
        ),
    ),
    (
        "OriginRequestPolicy",
        "OriginRequestPolicies",
        "216adef6-5c7f-47e4-b989-5492eafa07d3",
        _request,
        (
            ("InconsistentQuantities", _WRONG_HEADERS),
            *((f"TooMany{what}InOriginRequestPolicy", parts) for what, parts in _MANY.items()),
        ),
    ),
    (
        "ResponseHeadersPolicy",
        "ResponseHeadersPolicies",
        "67f7725c-6f97-4210-82d7-5512b31e9d03",
        _response,
        (
            ("InconsistentQuantities", _BAD_ADDED),
            (
                "TooManyCustomHeadersInResponseHeadersPolicy",
                {"CustomHeadersConfig": listed(*_ELEVEN)},
            ),
            (
                "TooManyRemoveHeadersInResponseHeadersPolicy",
                {"RemoveHeadersConfig": listed(*({"Header": item["Header"]} for item in _ELEVEN))},
            ),
            ("TooLongCSPInResponseHeadersPolicy", {"SecurityHeadersConfig": _CSP}),
        ),
    ),
)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip(
        "_"
    )


def policies(contract: Contract, lab: Lab) -> None:
    account = lab.account()
    cloudfront = contract.watch(account)
    cloudfront.create_response_headers_policy(ResponseHeadersPolicyConfig=_EVERYTHING)
    for kind, plural, managed, make, wrong in _KINDS:
        create, update = (
            getattr(cloudfront, f"create_{_snake(kind)}"),
            getattr(cloudfront, f"update_{_snake(kind)}"),
        )
        get, delete = (
            getattr(cloudfront, f"get_{_snake(kind)}"),
            getattr(cloudfront, f"delete_{_snake(kind)}"),
        )
        get_config, list_all = (
            getattr(cloudfront, f"get_{_snake(kind)}_config"),
            getattr(cloudfront, f"list_{_snake(plural)}"),
        )
        by_policy = getattr(cloudfront, f"list_distributions_by_{_snake(kind)}_id")
        argument, missing = f"{kind}Config", f"NoSuch{kind}"
        made = create(**{argument: make("one")})
        policy_id, etag = made[kind]["Id"], made["ETag"]
        chosen = {"Id": policy_id, "IfMatch": etag}
        for code, parts in (*wrong, ("InvalidArgument", {})):
            config = {argument: make("two words" if code == "InvalidArgument" else "two", **parts)}
            contract.refuses(code, create, **config)
            contract.refuses(code, update, **chosen, **config)
        contract.refuses(f"{kind}AlreadyExists", create, **{argument: make("one")})
        create(**{argument: make("three")})
        contract.refuses(f"{kind}AlreadyExists", update, **chosen, **{argument: make("three")})
        entity_rules(contract, missing, policy_id, update, etag, **{argument: make("one")})
        entity_rules(contract, missing, policy_id, delete, etag)
        contract.refuses(missing, get, Id=NOBODY)
        contract.refuses(missing, get_config, Id=NOBODY)
        contract.refuses(
            "IllegalUpdate",
            update,
            Id=managed,
            IfMatch=get(Id=managed)["ETag"],
            **{argument: make("m")},
        )
        contract.refuses(
            "IllegalDelete", delete, Id=managed, IfMatch=get_config(Id=managed)["ETag"]
        )
        contract.refuses("InvalidArgument", list_all, MaxItems="0")
        assert list_all(Type="custom")[f"{kind}List"]["Quantity"] >= 2
        assert list_all(Type="managed")[f"{kind}List"]["Quantity"] >= 5
        quota = _snake(plural)
        lab.post("/_lab/settings", {"quotas": {quota: 2}})
        contract.refuses(f"TooMany{plural}", create, **{argument: make("four")})
        lab.post("/_lab/settings", {"quotas": {quota: None}})
        account.create_distribution(**_behavior(**{f"{kind}Id": policy_id}))
        assert by_policy(**{f"{kind}Id": policy_id})["DistributionIdList"]["Quantity"] == 1
        contract.refuses(missing, by_policy, **{f"{kind}Id": NOBODY})
        contract.refuses("InvalidArgument", by_policy, **{f"{kind}Id": policy_id}, MaxItems="0")
        contract.refuses(f"{kind}InUse", delete, **chosen)
        spare = create(**{argument: make("five")})
        changed = update(Id=spare[kind]["Id"], IfMatch=spare["ETag"], **{argument: make("six")})
        delete(Id=spare[kind]["Id"], IfMatch=changed["ETag"])


def pem() -> str:
    """A new public key."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signing_keys(contract: Contract, lab: Lab) -> None:
    account = lab.account()
    cloudfront = contract.watch(account)
    create, update = cloudfront.create_public_key, cloudfront.update_public_key
    config = {"CallerReference": "r", "Name": "key", "EncodedKey": pem()}
    made = create(PublicKeyConfig=config)
    key_id, etag = made["PublicKey"]["Id"], made["ETag"]
    contract.refuses("PublicKeyAlreadyExists", create, PublicKeyConfig=config)
    contract.refuses("InvalidArgument", create, PublicKeyConfig={**config, "EncodedKey": "no key"})
    lab.post("/_lab/settings", {"quotas": {"public_keys": 1, "key_groups": 1}})
    contract.refuses(
        "TooManyPublicKeys", create, PublicKeyConfig={**config, "Name": "b", "CallerReference": "b"}
    )
    entity_rules(contract, "NoSuchPublicKey", key_id, update, etag, PublicKeyConfig=config)
    entity_rules(contract, "NoSuchPublicKey", key_id, cloudfront.delete_public_key, etag)
    contract.refuses("NoSuchPublicKey", cloudfront.get_public_key, Id=NOBODY)
    contract.refuses("NoSuchPublicKey", cloudfront.get_public_key_config, Id=NOBODY)
    chosen = {"Id": key_id, "IfMatch": etag}
    fixed = "CannotChangeImmutablePublicKeyFields"
    contract.refuses(fixed, update, **chosen, PublicKeyConfig={**config, "Name": "c"})
    contract.refuses(
        "InvalidArgument", update, **chosen, PublicKeyConfig={**config, "Comment": "x" * 129}
    )
    etag = update(**chosen, PublicKeyConfig={**config, "Comment": "changed"})["ETag"]
    cloudfront.get_public_key(Id=key_id)
    cloudfront.get_public_key_config(Id=key_id)
    assert cloudfront.list_public_keys()["PublicKeyList"]["Quantity"] == 1
    contract.refuses("InvalidArgument", cloudfront.list_public_keys, MaxItems="0")
    group = _key_groups(contract, lab, account, key_id)
    contract.refuses("PublicKeyInUse", cloudfront.delete_public_key, Id=key_id, IfMatch=etag)
    cloudfront.delete_key_group(Id=group[0], IfMatch=group[1])
    cloudfront.delete_public_key(Id=key_id, IfMatch=etag)


def _key_groups(contract: Contract, lab: Lab, account: Account, key_id: str) -> tuple[str, str]:
    """Id and ETag of an unused group."""
    cloudfront = account.cloudfront
    create, update, delete = (
        cloudfront.create_key_group,
        cloudfront.update_key_group,
        cloudfront.delete_key_group,
    )
    config = {"Name": "group", "Items": [key_id]}
    group = create(KeyGroupConfig=config)
    group_id, etag = group["KeyGroup"]["Id"], group["ETag"]
    contract.refuses("KeyGroupAlreadyExists", create, KeyGroupConfig=config)
    contract.refuses("InvalidArgument", create, KeyGroupConfig={"Name": "b", "Items": [NOBODY]})
    contract.refuses(
        "TooManyPublicKeysInKeyGroup", create, KeyGroupConfig={"Name": "b", "Items": _names(6)}
    )
    contract.refuses("TooManyKeyGroups", create, KeyGroupConfig={"Name": "b", "Items": [key_id]})
    lab.post("/_lab/settings", {"quotas": {"public_keys": None, "key_groups": None}})
    spare = create(KeyGroupConfig={"Name": "spare", "Items": [key_id]})
    chosen = {"Id": group_id, "IfMatch": etag}
    contract.refuses(
        "KeyGroupAlreadyExists", update, **chosen, KeyGroupConfig={**config, "Name": "spare"}
    )
    contract.refuses(
        "InvalidArgument", update, **chosen, KeyGroupConfig={**config, "Items": [NOBODY]}
    )
    contract.refuses(
        "TooManyPublicKeysInKeyGroup",
        update,
        **chosen,
        KeyGroupConfig={**config, "Items": _names(6)},
    )
    entity_rules(contract, "NoSuchResource", group_id, update, etag, KeyGroupConfig=config)
    entity_rules(contract, "NoSuchResource", group_id, delete, etag)
    contract.refuses("NoSuchResource", cloudfront.get_key_group, Id=NOBODY)
    contract.refuses("NoSuchResource", cloudfront.get_key_group_config, Id=NOBODY)
    update(**chosen, KeyGroupConfig={**config, "Comment": "changed"})
    cloudfront.get_key_group_config(Id=group_id)
    assert cloudfront.list_key_groups()["KeyGroupList"]["Quantity"] == 2
    contract.refuses("InvalidArgument", cloudfront.list_key_groups, MaxItems="0")
    account.create_distribution(**_behavior(TrustedKeyGroups={"Enabled": True, **listed(group_id)}))
    by_group = cloudfront.list_distributions_by_key_group
    assert by_group(KeyGroupId=group_id)["DistributionIdList"]["Quantity"] == 1
    contract.refuses("NoSuchResource", by_group, KeyGroupId=NOBODY)
    contract.refuses("InvalidArgument", by_group, KeyGroupId=group_id, MaxItems="0")
    contract.refuses(
        "ResourceInUse", delete, Id=group_id, IfMatch=cloudfront.get_key_group(Id=group_id)["ETag"]
    )
    # The group in use has its own key, so the other group and its key can be deleted.
    own = cloudfront.create_public_key(
        PublicKeyConfig={"CallerReference": "s", "Name": "own", "EncodedKey": pem()}
    )
    moved = {"Name": "group", "Items": [own["PublicKey"]["Id"]]}
    update(Id=group_id, IfMatch=cloudfront.get_key_group(Id=group_id)["ETag"], KeyGroupConfig=moved)
    return spare["KeyGroup"]["Id"], spare["ETag"]


STORIES = (
    vpc_origins,
    distributions,
    domain_moves,
    web_acls,
    continuous_deployment,
    policies,
    signing_keys,
)
