"""Which certificate a listener presents, and which TLS versions its policy allows."""

from __future__ import annotations

import pytest

from lab.edge.account.load_balancers import Certificate
from lab.edge.tls.origin_tls import choose_certificate, policy_versions


def test_certificates_by_server_name() -> None:
    known = [
        Certificate("default", ("a.example",)),
        Certificate("wild", ("*.b.example",)),
        Certificate("c", ("c.b.example",)),
    ]
    chosen = {
        name: choose_certificate(known, name)
        for name in ("C.b.example", "x.b.example", "x.y.b.example", None)
    }
    assert [one.arn if one else None for one in chosen.values()] == [
        "c",
        "wild",
        "default",
        "default",
    ]
    assert choose_certificate([], "a.example") is None


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        ("ELBSecurityPolicy-TLS13-1-2-2021-06", ("TLSv1_2", "TLSv1_3")),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", ("TLSv1_3", "TLSv1_3")),
        ("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", ("TLSv1_2", "TLSv1_2")),
        ("ELBSecurityPolicy-FS-1-1-2019-08", ("TLSv1_1", "TLSv1_2")),
        ("ELBSecurityPolicy-2016-08", ("TLSv1", "TLSv1_2")),
    ],
)
def test_security_policies(policy: str, versions: tuple[str, str]) -> None:
    assert tuple(version.name for version in policy_versions(policy)) == versions
