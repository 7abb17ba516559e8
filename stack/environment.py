"""The environment variables of the product's processes on this machine: a pure function of folder,
ports and pace.

`inherited` filters the user's own environment: nothing may lead a demo to a real AWS account, a
proxy or another database.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from stack.ports import LOOPBACK, Ports

DEFAULT_TIME_SCALE = 45.0
"""CloudFront's 15 minutes become about 20 seconds."""

NEVER_INHERITED = ("AWS_", "BOTO", "LAB_", "PROBE_", "PROVISIONING_", "DJANGO_")
"""Prefixes of variables that `product_environment` sets, or that would redirect AWS calls."""


def product_environment(
    *,
    state_dir: Path,
    ports: Ports,
    time_scale: float,
    database_url: str,
    redis_url: str,
    secret_key: str,
    encryption_key: str,
) -> dict[str, str]:
    """Every variable of .env.example, for the product on this machine.

    `time_scale` is how many times faster than real AWS the lab's clock runs.
    """
    lab = state_dir / "lab"
    return {
        "SECRET_KEY": secret_key,
        "ENCRYPTION_KEYS": encryption_key,
        "DEBUG": "False",
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "PORTAL_URL": f"http://localhost:{ports.web}",
        "BEHIND_TLS_PROXY": "False",
        "TRUSTED_PROXIES": "",
        "LOG_LEVEL": "INFO",
        "LOG_FORMAT": "text",
        "STATIC_ROOT": "",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{ports.aws}",
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_DEFAULT_REGION": "us-east-1",
        # Keeps the user's own profiles, roles and instance credentials out.
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PROVISIONING_PACE": f"{time_scale:g}",
        # Seconds of this machine: short, so that viewers see a killed worker being replaced.
        "PROVISIONING_TICK_SECONDS": "0.5",
        "PROVISIONING_LEASE_SECONDS": "8",
        "QUARANTINE_AFTER_LOST_LEASES": "5",
        "PROVISIONING_SWEEP_SECONDS": "15",  # of AWS's time: divided by the pace
        "CLOUDFRONT_CALLS_PER_SECOND": "5",  # of AWS's seconds: multiplied by the pace
        "PROVISIONING_OWNER": "edge-portal",
        "PROBE_CONNECT_TO": ",".join(
            f"{host}:443:{LOOPBACK}:{ports.edge_tls},{host}:80:{LOOPBACK}:{ports.edge}"
            for host in ("*.cloudfront.net", "*.edge.localhost")
        ),
        "PROBE_CA_FILE": str(lab / "ca.pem"),
        "PROBE_ALLOWED_NETWORKS": f"{LOOPBACK}/32",
        "PROBE_ALLOW_PRIVATE": "True",
        # The lab's idle timeouts run with its clock, but at most six times as fast as AWS's.
        "PROBE_IDLE_PACE": f"{max(1.0, min(time_scale, 6.0)):g}",
        "PROBE_ROUTES": "",
        "CHECK_EVERY_MINUTES": "15",
        "DRIFT_EVERY_MINUTES": "60",
        "HEAD_START_HOURS": "0",
        "REMOVAL_GRACE_DAYS": "7",
        "TRANSFER_OFFER_DAYS": "14",
        "ENDPOINT_MAX_DAYS": "0",
        "PRIVACY_AUDIT_HOURS": "24",
        "PRIVACY_EXCEPTION_DAYS": "90",
        "EVIDENCE_KEY_FILE": str(state_dir / "evidence-key.pem"),
        "RETAIN_TRANSCRIPTS_DAYS": "3",
        "RETAIN_CHECKS_DAYS": "7",
        "RETAIN_HOURLY_CHECKS_DAYS": "90",
        "RETAIN_DAILY_CHECKS_DAYS": "730",
        "RETAIN_FAILURES_DAYS": "90",
        "RETAIN_CHANGES_DAYS": "730",
        "RETAIN_PROBES_DAYS": "90",
        "RETAIN_REMOVED_DAYS": "365",
        "METRICS_ALLOWED_NETWORKS": "127.0.0.1/32,::1/128",
        "METRICS_PORT": "0",
        "LAB_STATE_DIR": str(lab),
        "LAB_AWS_PORT": str(ports.aws),
        "LAB_EDGE_TLS_PORT": str(ports.edge_tls),
        "LAB_EDGE_PORT": str(ports.edge),
        "LAB_APP_PORT": str(ports.apps),
        "LAB_TIME_SCALE": f"{time_scale:g}",
        "LAB_QUOTAS": "{}",
        # Kept with the lab's state, as this secret is.
        "LAB_EXTERNAL_ID": sha256(f"ExternalId {secret_key}".encode()).hexdigest()[:32],
        # Calls to the lab must not go through a company proxy.
        "NO_PROXY": f"{LOOPBACK},localhost",
        "no_proxy": f"{LOOPBACK},localhost",
        "PYTHONUNBUFFERED": "1",
        # Files and output are UTF-8, whatever the locale.
        "PYTHONUTF8": "1",
    }


def inherited(own: Mapping[str, str]) -> dict[str, str]:
    """The variables of the user that a child may see: PATH, HOME, locale and the like."""
    return {
        name: value for name, value in own.items() if not name.upper().startswith(NEVER_INHERITED)
    }
