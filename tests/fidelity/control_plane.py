"""Rules of CloudFront's control plane: VPC origins, distributions, policies, quotas, continuous
deployment, sharing.
"""

from __future__ import annotations

from tests.fidelity.rule import (
    DEPLOYMENT,
    MODEL,
    MULTI_TENANT,
    NOBODY,
    PLANS,
    POLICIES,
    PREFIX_LISTS,
    QUOTAS,
    SETTINGS,
    SHARING,
    UPDATING,
    VPC_BPA,
    VPC_ORIGINS,
    Known,
    Rule,
)

_D, _B, _F, _I, _U = Known.DOCUMENTED, Known.MODEL, Known.FIELD, Known.INFERRED, Known.UNVERIFIED

_VPC_ORIGIN = (
    Rule(
        "vpc-origin/target-kinds",
        "The target is an ALB, an NLB or an EC2 instance.",
        VPC_ORIGINS,
        _D,
    ),
    Rule("vpc-origin/target-active", "The target is fully deployed and active.", VPC_ORIGINS, _D),
    Rule(
        "vpc-origin/target-has-security-group", "The target has a security group.", VPC_ORIGINS, _D
    ),
    Rule(
        "vpc-origin/no-gateway-load-balancer",
        "A Gateway Load Balancer cannot be a target.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/no-tls-listener",
        "An NLB with a TLS listener cannot be a target.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/internet-gateway",
        "The VPC has an internet gateway attached; routes do not matter.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/free-address", "The subnet has at least one free IPv4 address.", VPC_ORIGINS, _D
    ),
    Rule("vpc-origin/region", "The VPC is in a Region that supports VPC origins.", VPC_ORIGINS, _D),
    Rule(
        "vpc-origin/excluded-zone",
        "Some Availability Zones, by zone id, are excluded.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/dual-stack-nlb",
        "A dual-stack NLB is accepted.",
        "older pages said no, newer none",
        _U,
    ),
    Rule("vpc-origin/internet-facing", "An internet-facing load balancer is accepted.", NOBODY, _U),
    Rule(
        "vpc-origin/public-subnet",
        "A target in a public subnet is accepted.",
        "a hand test, August 2026",
        _F,
    ),
    Rule("vpc-origin/ports", "Ports are 80, 443 or 1024 to 65535.", VPC_ORIGINS, _D),
    Rule(
        "vpc-origin/protocol-policies",
        "The policy is http-only, https-only or match-viewer.",
        MODEL,
        _B,
    ),
    Rule(
        "vpc-origin/ssl-protocols",
        "OriginSslProtocols are SSLv3, TLSv1, TLSv1.1 and TLSv1.2.",
        MODEL,
        _B,
    ),
    Rule(
        "vpc-origin/ssl-protocols-left-out",
        "OriginSslProtocols defaults to TLSv1.2.",
        NOBODY,
        _U,
    ),
    Rule(
        "vpc-origin/quantity",
        "A Quantity that differs from the items is InconsistentQuantities.",
        MODEL,
        _B,
    ),
    Rule(
        "vpc-origin/name-unique",
        "A duplicate name is EntityAlreadyExists.",
        "public emulators",
        _U,
    ),
    Rule(
        "vpc-origin/same-target-twice",
        "A second VPC origin on a target, by another name, is accepted.",
        NOBODY,
        _U,
    ),
    Rule(
        "vpc-origin/ids",
        "Ids start with vo_, ARNs end in vpcorigin/<id>.",
        "modules and CDK",
        _F,
    ),
    Rule(
        "vpc-origin/deploying-then-deployed",
        "It is Deploying for up to 15 minutes, then Deployed.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/answers-202",
        "Create, update and delete answer 202: they are asynchronous.",
        MODEL,
        _B,
    ),
    Rule("vpc-origin/unknown-id", "An unknown id is EntityNotFound.", MODEL, _B),
    Rule(
        "vpc-origin/update-refused-in-use",
        "It cannot be updated while a distribution uses it.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/update-deploys-again",
        "An update is Deploying until it is Deployed.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/update-arn-or-name",
        "An update can change Arn and Name of an unused one.",
        NOBODY,
        _U,
    ),
    Rule(
        "vpc-origin/delete-refused-in-use",
        "It cannot be deleted while a distribution uses it.",
        MODEL,
        _B,
    ),
    Rule(
        "vpc-origin/in-use-until-detach-is-deployed",
        "Delete fails until the update that removed it is Deployed.",
        "provider sources and issues",
        _F,
    ),
    Rule(
        "vpc-origin/delete-while-deploying", "Delete while Deploying is IllegalDelete.", NOBODY, _U
    ),
    Rule(
        "vpc-origin/delete-takes-minutes",
        "It is Deploying while it is deleted, then EntityNotFound.",
        "field reports",
        _F,
    ),
    Rule("vpc-origin/lists-come-in-pages", "Lists take Marker and MaxItems.", MODEL, _B),
    Rule(
        "vpc-origin/lists-its-distributions", "ListDistributionsByVpcOriginId gives ids.", MODEL, _B
    ),
    Rule("vpc-origin/tags", "Tags are set on create and changed by TagResource.", MODEL, _B),
    Rule(
        "vpc-origin/service-group",
        "CloudFront creates CloudFront-VPCOrigins-Service-SG in the VPC.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/service-group-reserved",
        "Names of groups with that prefix are reserved.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/service-group-managed",
        "AWS manages the group; customers should not edit it.",
        VPC_ORIGINS,
        _D,
        "advice to people; AWS does not say that EC2 refuses it",
    ),
    Rule(
        "vpc-origin/service-group-referenced",
        "The group stays while a rule refers to it.",
        NOBODY,
        _U,
    ),
    Rule(
        "vpc-origin/interfaces",
        "CloudFront creates tagged network interfaces in the subnets.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/interfaces-managed",
        "Customers cannot delete those interfaces.",
        "field reports",
        _F,
    ),
    Rule(
        "vpc-origin/interfaces-per-subnet",
        "One interface per subnet, shared by a VPC's VPC origins.",
        NOBODY,
        _U,
    ),
    Rule(
        "vpc-origin/service-linked-role",
        "The first create also creates the service-linked role.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/role-stays-in-use",
        "The role cannot be deleted before all VPC origins.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/role-denied",
        "A caller that may not create the role gets a bare 403.",
        "field report",
        _F,
    ),
    Rule(
        "vpc-origin/prefix-list-admits",
        "A rule for the origin-facing prefix list allows CloudFront.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/service-group-admits",
        "A rule for the service group allows CloudFront.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/vpc-cidr-does-not-admit",
        "A rule for the VPC's own range does not allow it: 504.",
        "field reports",
        _F,
    ),
    Rule(
        "vpc-origin/source-address",
        "Targets see CloudFront's public addresses.",
        "the 2026 article",
        _F,
    ),
    Rule(
        "vpc-origin/prefix-list-weight",
        "The list counts 55 of a group's 60 rules.",
        PREFIX_LISTS,
        _D,
    ),
    Rule(
        "vpc-origin/nacl-inbound-ignored",
        "Inbound network ACL rules are not evaluated.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/nacl-outbound",
        "Outbound ones must allow ports 1024 to 65535 back.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/block-public-access", "VPC Block Public Access blocks VPC origins.", VPC_BPA, _D
    ),
    Rule(
        "vpc-origin/block-public-access-exclusion",
        "An allow-bidirectional exclusion restores them.",
        VPC_BPA,
        _I,
    ),
    Rule(
        "vpc-origin/domain-name-is-host",
        "DomainName is the Host header and the TLS name.",
        "CDK",
        _F,
    ),
    Rule(
        "vpc-origin/http-1-1-to-origin",
        "CloudFront speaks HTTP/1.1 to the origin.",
        VPC_ORIGINS,
        _D,
    ),
    Rule(
        "vpc-origin/no-custom-fields",
        "An origin has VpcOriginConfig or CustomOriginConfig.",
        MODEL,
        _B,
    ),
    Rule("vpc-origin/grpc", "gRPC is refused.", VPC_ORIGINS, _D),
    Rule(
        "vpc-origin/no-origin-triggers", "Lambda@Edge origin triggers are refused.", VPC_ORIGINS, _D
    ),
    Rule(
        "vpc-origin/ipv6",
        "IpAddressType is ipv4 or dualstack; IPv6 only is not supported.",
        MODEL,
        _B,
    ),
    Rule(
        "vpc-origin/pricing-plans",
        "Flat-rate plans have VPC origins from Business on.",
        PLANS,
        _D,
        "the lab's accounts pay as they go; plans have no API in botocore's model",
    ),
)

_DISTRIBUTION = (
    Rule(
        "distribution/in-progress-then-deployed",
        "Every write is InProgress, then Deployed.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/changes-in-order",
        "Changes propagate in the order of acceptance.",
        UPDATING,
        _D,
    ),
    Rule(
        "distribution/update-while-in-progress",
        "An update is accepted while InProgress.",
        UPDATING,
        _D,
    ),
    Rule(
        "distribution/old-while-propagating",
        "While it propagates, an edge serves the old or the new.",
        UPDATING,
        _D,
    ),
    Rule(
        "distribution/caller-reference-once",
        "A duplicate CallerReference is DistributionAlreadyExists.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/caller-reference-stays", "Changing it is IllegalUpdate.", "provider issue", _F
    ),
    Rule(
        "distribution/summary-hides-reference", "The list does not show CallerReference.", MODEL, _B
    ),
    Rule(
        "distribution/update-replaces",
        "UpdateDistribution replaces the whole configuration.",
        UPDATING,
        _D,
    ),
    Rule(
        "distribution/update-needs-all-fields",
        "More fields are required on update than on create.",
        UPDATING,
        _D,
    ),
    Rule("distribution/create-with-tags", "CreateDistributionWithTags sets tags.", MODEL, _B),
    Rule(
        "distribution/delete-needs-disabled",
        "An enabled one is DistributionNotDisabled.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/delete-needs-deployed", "Delete waits for the disabling update.", NOBODY, _U
    ),
    Rule(
        "distribution/target-origin-exists",
        "A behavior's unknown origin is NoSuchOrigin.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/policies-exist",
        "Unknown policies are NoSuchCachePolicy and so on.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/patterns-unique",
        "Two behaviors with one path pattern are refused.",
        SETTINGS,
        _I,
    ),
    Rule("distribution/method-sets", "Allowed methods come in three sets.", MODEL, _B),
    Rule(
        "distribution/cache-policy-or-forwarded-values",
        "A behavior has a cache policy or ForwardedValues, not both.",
        MODEL,
        _B,
    ),
    Rule("distribution/quantities", "Quantity must match the items.", MODEL, _B),
    Rule("distribution/read-timeout-range", "The read timeout is 1 to 120 s.", MODEL, _B),
    Rule(
        "distribution/keep-alive-range", "The origin keep-alive timeout is 1 to 300 s.", QUOTAS, _D
    ),
    Rule("distribution/connection-attempts-range", "1 to 3 attempts of 1 to 10 s.", MODEL, _B),
    Rule(
        "distribution/completion-not-below-read",
        "ResponseCompletionTimeout >= read timeout.",
        SETTINGS,
        _D,
    ),
    Rule(
        "distribution/alias-needs-certificate",
        "Aliases without a certificate are refused.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/multi-tenant",
        "With ConnectionMode tenant-only, aliases, staging, trusted signers, legacy forwarding and "
        "standard logging are refused.",
        MULTI_TENANT,
        _D,
    ),
    Rule(
        "distribution/alias-once",
        "An alias of another distribution is CNAMEAlreadyExists.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/certificate-in-us-east-1",
        "The viewer certificate lives in us-east-1.",
        SETTINGS,
        _D,
    ),
    Rule("distribution/web-acl-exists", "A wrong web ACL is InvalidWebACLId.", MODEL, _B),
    Rule(
        "distribution/web-acl-associated",
        "AssociateDistributionWebACL needs no whole configuration.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/unknown-vpc-origin",
        "An unknown or foreign VPC origin is EntityNotFound.",
        MODEL,
        _I,
    ),
    Rule(
        "distribution/deploying-vpc-origin", "A VPC origin still Deploying is refused.", NOBODY, _U
    ),
    Rule(
        "distribution/vpc-origin-config-kept",
        "VpcOriginConfig comes back as it was sent.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/vpc-origin-timeouts",
        "VpcOriginConfig carries both origin timeouts.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/ids",
        "Ids start with E; ARNs contain the account and distribution/<id>.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/lists-come-in-pages",
        "ListDistributions takes Marker and MaxItems.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/lists-by-what-it-uses",
        "ListDistributionsBy… policy, web ACL, key group.",
        MODEL,
        _B,
    ),
    Rule(
        "distribution/domain-conflicts",
        "ListDomainConflicts names other holders of a domain.",
        MODEL,
        _B,
    ),
    Rule("distribution/domain-association", "UpdateDomainAssociation moves a domain.", MODEL, _B),
    Rule(
        "distribution/dns-configuration",
        "VerifyDnsConfiguration looks at a domain's DNS.",
        MODEL,
        _B,
        "the lab has no DNS; names lead to it by address",
    ),
    Rule("distribution/invalidations", "An invalidation is InProgress, then Completed.", MODEL, _B),
    Rule(
        "distribution/plans-block-delete",
        "A distribution on a flat-rate plan cannot be deleted.",
        PLANS,
        _D,
        "the lab's accounts pay as they go; plans have no API in botocore's model",
    ),
)

_POLICY = (
    Rule("policy/managed-ids", "Managed policies have the same ids in all accounts.", POLICIES, _D),
    Rule("policy/managed-stay", "Managed policies cannot be changed or deleted.", MODEL, _B),
    Rule(
        "policy/origin-request-custom",
        "Custom origin request policies can be created and updated.",
        MODEL,
        _B,
    ),
    Rule("policy/cache-custom", "Custom cache policies can be created and updated.", MODEL, _B),
    Rule(
        "policy/response-headers-custom",
        "Custom response headers policies can be created and updated.",
        MODEL,
        _B,
    ),
    Rule("policy/own-account", "A custom policy belongs to its account.", MODEL, _B),
    Rule("policy/name-once", "A duplicate name is refused.", MODEL, _B),
    Rule("policy/in-use-stays", "A policy in use cannot be deleted.", MODEL, _B),
    Rule(
        "policy/list-needs-items",
        "A whitelist names something; none and all name nothing.",
        MODEL,
        _B,
    ),
    Rule(
        "policy/not-in-cache-key",
        "Address, ASN, TLS and fingerprint headers cannot be in a cache key.",
        POLICIES,
        _D,
    ),
    Rule(
        "policy/update-at-once", "An updated policy applies at every edge immediately.", NOBODY, _U
    ),
    Rule(
        "policy/key-groups",
        "Key groups hold public keys; a key in use cannot be deleted.",
        MODEL,
        _B,
    ),
)

_DEPLOYMENT = (
    Rule(
        "continuous-deployment/copy",
        "CopyDistribution creates a staging distribution with its own domain.",
        MODEL,
        _B,
    ),
    Rule(
        "continuous-deployment/copy-needs-version",
        "CopyDistribution takes the primary's ETag.",
        MODEL,
        _B,
    ),
    Rule(
        "continuous-deployment/not-called-directly",
        "Viewers cannot call the staging domain.",
        DEPLOYMENT,
        _D,
    ),
    Rule(
        "continuous-deployment/header-prefix",
        "The header's name starts with aws-cf-cd-.",
        DEPLOYMENT,
        _D,
    ),
    Rule(
        "continuous-deployment/header-routes",
        "A request with header and value goes to staging.",
        DEPLOYMENT,
        _D,
    ),
    Rule("continuous-deployment/weight-range", "The weight is 0 to 0.15.", DEPLOYMENT, _D),
    Rule(
        "continuous-deployment/weight-routes",
        "That share of the requests goes to staging.",
        DEPLOYMENT,
        _D,
    ),
    Rule(
        "continuous-deployment/session-stickiness",
        "TTLs of a session are 300 to 3600 s.",
        DEPLOYMENT,
        _D,
    ),
    Rule(
        "continuous-deployment/session-stays",
        "A sticky viewer stays with its distribution.",
        DEPLOYMENT,
        _D,
    ),
    Rule(
        "continuous-deployment/sessions-reset",
        "Switching policy or stickiness ends all sessions.",
        DEPLOYMENT,
        _D,
    ),
    Rule(
        "continuous-deployment/update-replaces",
        "UpdateContinuousDeploymentPolicy replaces the whole configuration.",
        MODEL,
        _B,
    ),
    Rule(
        "continuous-deployment/attached-by-update",
        "UpdateDistribution attaches the policy.",
        DEPLOYMENT,
        _D,
    ),
    Rule("continuous-deployment/policy-once", "A staging distribution has one policy.", MODEL, _B),
    Rule("continuous-deployment/policy-in-use", "An attached policy cannot be deleted.", MODEL, _B),
    Rule(
        "continuous-deployment/staging-in-use",
        "A staging distribution with a policy cannot be deleted.",
        MODEL,
        _B,
    ),
    Rule(
        "continuous-deployment/promote",
        "Promotion copies the staging configuration.",
        DEPLOYMENT,
        _D,
    ),
    Rule("continuous-deployment/promote-needs-both", "It takes both ETags in If-Match.", MODEL, _B),
    Rule(
        "continuous-deployment/promote-keeps",
        "The primary keeps Aliases and the policy's id.",
        DEPLOYMENT,
        _D,
    ),
    Rule(
        "continuous-deployment/promote-disables", "Promotion disables the policy.", DEPLOYMENT, _D
    ),
    Rule("continuous-deployment/no-http3", "It does not support HTTP/3.", DEPLOYMENT, _D),
    Rule(
        "continuous-deployment/no-completion-timeout",
        "It does not support ResponseCompletionTimeout.",
        DEPLOYMENT,
        _D,
    ),
    Rule(
        "continuous-deployment/web-acl-fixed",
        "The web ACL cannot change meanwhile.",
        DEPLOYMENT,
        _D,
    ),
    Rule(
        "continuous-deployment/limited-changes",
        "Only some settings may differ in staging.",
        DEPLOYMENT,
        _D,
    ),
    Rule(
        "continuous-deployment/primary-under-load",
        "At peak load, all requests may go to the primary.",
        DEPLOYMENT,
        _D,
        "the lab's edge knows no peaks",
    ),
    Rule("continuous-deployment/own-cache", "Staging has a cache of its own.", DEPLOYMENT, _D),
    Rule(
        "continuous-deployment/websocket",
        "WebSocket handshakes are routed like requests.",
        NOBODY,
        _U,
    ),
)

_SHARING = (
    Rule("sharing/by-resource-share", "A VPC origin is shared through AWS RAM.", SHARING, _D),
    Rule(
        "sharing/default-permission", "RAM grants AWSRAMDefaultPermissionCloudFront.", SHARING, _D
    ),
    Rule("sharing/accepted-in-us-east-1", "The consumer accepts in us-east-1.", SHARING, _D),
    Rule("sharing/invitation-expires", "An invitation is valid for 12 hours.", SHARING, _D),
    Rule("sharing/owner-account-id", "The consumer sets OwnerAccountId.", SHARING, _D),
    Rule("sharing/read-only", "A consumer cannot edit or delete it.", SHARING, _D),
    Rule("sharing/no-resharing", "A consumer cannot reshare it.", SHARING, _D),
    Rule(
        "sharing/unshared-keeps-serving",
        "After unsharing, distributions keep serving.",
        SHARING,
        _D,
    ),
    Rule(
        "sharing/unshared-blocks-edits",
        "Those cannot be edited until the VPC origin is removed.",
        SHARING,
        _D,
    ),
    Rule("sharing/resource-policies", "Resource policies can be put, read and deleted.", MODEL, _B),
    Rule(
        "sharing/lists-distributions",
        "ListDistributionsByOwnedResource shows consumers.",
        MODEL,
        _B,
    ),
)

_QUOTA = (
    Rule("quota/vpc-origins", "25 VPC origins per account.", QUOTAS, _D),
    Rule("quota/distributions-per-vpc-origin", "50 distributions per VPC origin.", QUOTAS, _D),
    Rule("quota/distributions-per-vpc-origin-code", "The 51st is EntityLimitExceeded.", NOBODY, _U),
    Rule("quota/distributions", "500 distributions per account.", QUOTAS, _D),
    Rule("quota/origins", "100 origins per distribution.", QUOTAS, _D),
    Rule("quota/behaviors", "75 cache behaviors per distribution.", QUOTAS, _D),
    Rule("quota/aliases", "100 alternate domain names per distribution.", QUOTAS, _D),
    Rule("quota/policies", "20 custom policies of each kind per account.", QUOTAS, _D),
    Rule("quota/distributions-per-policy", "100 distributions per policy.", QUOTAS, _D),
    Rule(
        "quota/names-in-policy", "All names in a policy have 1,024 characters together.", QUOTAS, _D
    ),
    Rule("quota/headers-in-policy", "10 headers per origin request policy.", QUOTAS, _D),
    Rule(
        "quota/custom-headers",
        "30 custom headers: names to 256, values to 1,783 characters.",
        QUOTAS,
        _D,
    ),
    Rule("quota/staging", "20 staging distributions and 20 policies per account.", QUOTAS, _D),
    Rule(
        "quota/key-groups",
        "10 key groups per account, 4 per behavior, 5 keys per group.",
        QUOTAS,
        _D,
    ),
    Rule("quota/web-acl-associations", "100 distributions per web ACL.", QUOTAS, _D),
    Rule("quota/request-size", "A request with its headers is at most 32,768 bytes.", QUOTAS, _D),
    Rule("quota/url-length", "A URL is at most 8,192 bytes.", QUOTAS, _D),
    Rule("quota/chained-distributions", "Two chained distributions; more are 403.", QUOTAS, _D),
)

RULES: tuple[Rule, ...] = (*_VPC_ORIGIN, *_DISTRIBUTION, *_POLICY, *_DEPLOYMENT, *_SHARING, *_QUOTA)
