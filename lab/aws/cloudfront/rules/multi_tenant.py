"""What a multi-tenant distribution cannot have (Developer Guide, "Understand how multi-tenant
distributions work", unsupported features).
"""

from __future__ import annotations

from lab.aws.cloudfront.context import Context
from lab.aws.cloudfront.entities.lifecycle import Config
from lab.aws.cloudfront.protocol.errors import invalid
from lab.aws.cloudfront.rules.cache_behaviors import all_behaviors_of

TENANT_ONLY = "tenant-only"


def check_multi_tenant(_context: Context, config: Config, _own_id: str | None) -> None:
    """Only for ConnectionMode tenant-only; TenantConfig only for it."""
    if config.get("ConnectionMode") != TENANT_ONLY:
        if config.get("TenantConfig"):
            raise invalid("The parameter TenantConfig is for multi-tenant distributions only.")
        return
    behaviors = all_behaviors_of(config)
    unsupported = {
        "Aliases": (config.get("Aliases") or {}).get("Items"),
        "ContinuousDeploymentPolicyId": config.get("ContinuousDeploymentPolicyId"),
        "Staging": config.get("Staging"),
        "IAMCertificateId": (config.get("ViewerCertificate") or {}).get("IAMCertificateId"),
        "Logging": (config.get("Logging") or {}).get("Enabled"),
        "TrustedSigners": any((one.get("TrustedSigners") or {}).get("Items") for one in behaviors),
        "SmoothStreaming": any(one.get("SmoothStreaming") for one in behaviors),
        "ForwardedValues": any(one.get("ForwardedValues") for one in behaviors),
    }
    for name, given in unsupported.items():
        if given:
            raise invalid(f"The parameter {name} is not supported for multi-tenant distributions.")
