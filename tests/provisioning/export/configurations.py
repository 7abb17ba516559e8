"""DistributionConfigs as AWS returns them: whatever mixture of settings a distribution may have."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Config = dict[str, Any]

TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cn")) | st.sampled_from('"\\${}%\n'),
    max_size=30,
)
WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
IDS = WORDS.map(lambda word: f"id-{word}")
SECRETS = st.text("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=16, max_size=24)
METHODS = (
    ["GET", "HEAD"],
    ["GET", "HEAD", "OPTIONS"],
    ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"],
)


def listed(items: list[Any]) -> Config:
    """CloudFront's pair; without Items when there are none."""
    return {"Quantity": len(items), **({"Items": items} if items else {})}


def lists(one: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[Config]:
    return st.lists(one, max_size=most).map(listed)


def trusted(one: st.SearchStrategy[str]) -> st.SearchStrategy[Config]:
    return lists(one).map(lambda pair: {"Enabled": pair["Quantity"] > 0, **pair})


def arn(service: str, kind: str) -> st.SearchStrategy[str]:
    return WORDS.map(lambda word: f"arn:aws:{service}:us-east-1:111122223333:{kind}{word}")


HEADERS = st.dictionaries(WORDS.map(lambda word: f"X-{word}"), SECRETS, max_size=2).map(
    lambda found: listed([{"HeaderName": k, "HeaderValue": v} for k, v in found.items()])
)
OF_ORIGIN = st.one_of(
    st.fixed_dictionaries(
        {
            "S3OriginConfig": st.fixed_dictionaries(
                {"OriginAccessIdentity": st.sampled_from(["", "origin-access-identity/x/E1"])}
            ),
            "OriginAccessControlId": st.sampled_from(["", "E2OAC"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "CustomOriginConfig": st.fixed_dictionaries(
                {
                    "HTTPPort": st.integers(1024, 65535),
                    "HTTPSPort": st.just(443),
                    "OriginProtocolPolicy": st.sampled_from(["http-only", "https-only"]),
                    "OriginSslProtocols": st.just(listed(["TLSv1.1", "TLSv1.2"])),
                    "OriginReadTimeout": st.integers(1, 120),
                    "OriginKeepaliveTimeout": st.integers(1, 120),
                },
                optional={
                    "IpAddressType": st.sampled_from(["ipv4", "ipv6", "dualstack"]),
                    "OriginMtlsConfig": st.fixed_dictionaries(
                        {"ClientCertificateArn": arn("acm", "certificate/")}
                    ),
                },
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "VpcOriginConfig": st.fixed_dictionaries(
                {
                    "VpcOriginId": st.sampled_from(["vo_here", "vo_elsewhere"]),
                    "OriginReadTimeout": st.integers(1, 120),
                    "OriginKeepaliveTimeout": st.integers(1, 120),
                },
                optional={"OwnerAccountId": st.just("444455556666")},
            )
        }
    ),
)
ORIGINS = st.builds(
    lambda origin, more: origin | more,
    st.fixed_dictionaries(
        {
            "Id": IDS,
            "DomainName": WORDS.map(lambda word: f"{word}.example.com"),
            "OriginPath": st.sampled_from(["", "/app"]),
            "CustomHeaders": HEADERS,
            "ConnectionAttempts": st.integers(1, 3),
            "ConnectionTimeout": st.integers(1, 10),
            "OriginShield": st.sampled_from(
                [{"Enabled": False}, {"Enabled": True, "OriginShieldRegion": "eu-west-1"}]
            ),
        },
        optional={"ResponseCompletionTimeout": st.integers(30, 300)},
    ),
    OF_ORIGIN,
)
GROUPS = st.fixed_dictionaries(
    {
        "Id": IDS,
        "FailoverCriteria": st.just({"StatusCodes": listed([500, 502])}),
        "Members": st.just(listed([{"OriginId": "id-a"}, {"OriginId": "id-b"}])),
        "SelectionCriteria": st.just("default"),
    }
)
FORWARDED = st.fixed_dictionaries(
    {
        "ForwardedValues": st.fixed_dictionaries(
            {
                "QueryString": st.booleans(),
                "Cookies": st.one_of(
                    st.just({"Forward": "none"}),
                    st.lists(WORDS, min_size=1, max_size=2).map(
                        lambda found: {"Forward": "whitelist", "WhitelistedNames": listed(found)}
                    ),
                ),
                "Headers": lists(WORDS),
                "QueryStringCacheKeys": lists(WORDS),
            }
        ),
        "MinTTL": st.integers(0, 5),
        "DefaultTTL": st.integers(0, 86400),
        "MaxTTL": st.integers(0, 31536000),
    }
)
POLICIES = st.fixed_dictionaries(
    {"CachePolicyId": st.just("4135ea2d-6df8-44a3-9df3-4b5a84be39ad")},
    optional={
        "OriginRequestPolicyId": st.just("216adef6-5c7f-47e4-b989-5492eafa07d3"),
        "ResponseHeadersPolicyId": st.just("60669652-455b-4ae9-85a4-c4c02393f86c"),
    },
)
BEHAVIORS = st.builds(
    lambda behavior, more: behavior | more,
    st.fixed_dictionaries(
        {
            "TargetOriginId": IDS,
            "ViewerProtocolPolicy": st.sampled_from(["allow-all", "https-only"]),
            "AllowedMethods": st.sampled_from(METHODS).map(
                lambda methods: listed(methods) | {"CachedMethods": listed(["GET", "HEAD"])}
            ),
            "Compress": st.booleans(),
            "SmoothStreaming": st.booleans(),
            "FieldLevelEncryptionId": st.sampled_from(["", "E3FLE"]),
            "TrustedSigners": trusted(st.sampled_from(["self", "444455556666"])),
            "TrustedKeyGroups": trusted(IDS),
            "LambdaFunctionAssociations": lists(
                st.fixed_dictionaries(
                    {
                        "LambdaFunctionARN": arn("lambda", "function:x:"),
                        "EventType": st.just("viewer-request"),
                        "IncludeBody": st.booleans(),
                    }
                ),
                1,
            ),
            "FunctionAssociations": lists(
                st.fixed_dictionaries(
                    {
                        "FunctionARN": arn("cloudfront", "function/"),
                        "EventType": st.just("viewer-response"),
                    }
                ),
                1,
            ),
            "GrpcConfig": st.fixed_dictionaries({"Enabled": st.booleans()}),
        },
        optional={"RealtimeLogConfigArn": arn("cloudfront", "realtime-log-config/")},
    ),
    FORWARDED | POLICIES,
)
ORDERED = st.builds(lambda one, path: {"PathPattern": path, **one}, BEHAVIORS, WORDS)
ERRORS = st.one_of(
    st.fixed_dictionaries({"ErrorCode": st.just(404), "ErrorCachingMinTTL": st.integers(0, 10)}),
    st.just(
        {
            "ErrorCode": 403,
            "ResponsePagePath": "/403.html",
            "ResponseCode": "200",
            "ErrorCachingMinTTL": 10,
        }
    ),
)
CERTIFICATES = st.sampled_from(
    [
        {
            "CloudFrontDefaultCertificate": True,
            "SSLSupportMethod": "vip",
            "MinimumProtocolVersion": "TLSv1",
            "CertificateSource": "cloudfront",
        },
        {
            "CloudFrontDefaultCertificate": False,
            "ACMCertificateArn": "arn:aws:acm:us-east-1:111122223333:certificate/1",
            "SSLSupportMethod": "sni-only",
            "MinimumProtocolVersion": "TLSv1.2_2021",
            "Certificate": "arn:aws:acm:us-east-1:111122223333:certificate/1",
            "CertificateSource": "acm",
        },
        {
            "IAMCertificateId": "ASCA1",
            "SSLSupportMethod": "sni-only",
            "MinimumProtocolVersion": "TLSv1.2_2021",
        },
    ]
)
DISTRIBUTIONS: st.SearchStrategy[Config] = st.fixed_dictionaries(
    {
        "CallerReference": WORDS,
        "Aliases": lists(WORDS.map(lambda word: f"{word}.example.com")),
        "DefaultRootObject": st.sampled_from(["", "index.html"]),
        "Origins": st.lists(ORIGINS, min_size=1, max_size=3, unique_by=lambda one: one["Id"]).map(
            listed
        ),
        "OriginGroups": lists(GROUPS, 1),
        "DefaultCacheBehavior": BEHAVIORS,
        "CacheBehaviors": lists(ORDERED, 3),
        "CustomErrorResponses": lists(ERRORS),
        "Comment": TEXTS,
        "Logging": st.sampled_from(
            [
                {"Enabled": False, "IncludeCookies": False, "Bucket": "", "Prefix": ""},
                {"Enabled": True, "IncludeCookies": True, "Bucket": "b.s3", "Prefix": "p/"},
            ]
        ),
        "PriceClass": st.sampled_from(["PriceClass_All", "PriceClass_100"]),
        "Enabled": st.booleans(),
        "ViewerCertificate": CERTIFICATES,
        "Restrictions": st.sampled_from(
            [
                {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
                {"GeoRestriction": {"RestrictionType": "whitelist", **listed(["DE", "FR"])}},
            ]
        ),
        "WebACLId": st.sampled_from(["", "arn:aws:wafv2:us-east-1:111122223333:global/webacl/a/1"]),
        "HttpVersion": st.sampled_from(["http1.1", "http2", "http2and3"]),
        "IsIPV6Enabled": st.booleans(),
        "ContinuousDeploymentPolicyId": st.sampled_from(["", "c0ffee"]),
        "Staging": st.booleans(),
    },
    optional={
        "AnycastIpListId": st.just("aip_1"),
        "ViewerMtlsConfig": st.fixed_dictionaries(
            {
                "Mode": st.just("required"),
                "TrustStoreConfig": st.fixed_dictionaries(
                    {"TrustStoreId": IDS, "IgnoreCertificateExpiry": st.booleans()}
                ),
            }
        ),
        "ConnectionFunctionAssociation": st.fixed_dictionaries({"Id": IDS}),
        "CacheTagConfig": st.fixed_dictionaries({"HeaderName": WORDS}),
    },
)
