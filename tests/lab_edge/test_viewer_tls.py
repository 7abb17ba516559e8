"""The versions of TLS that a distribution's security policy takes, and what it tells those who are
too old.
"""

from __future__ import annotations

import socket
import ssl

import pytest

from lab.edge.tls.viewer_tls import lowest_version, offered_version

from .stage import PATIENCE, Stage

# Python would rather that nobody spoke the old versions; this is about whoever still does.
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
V1, V1_1, V1_2, V1_3 = (
    ssl.TLSVersion.TLSv1,
    ssl.TLSVersion.TLSv1_1,
    ssl.TLSVersion.TLSv1_2,
    ssl.TLSVersion.TLSv1_3,
)


def speaking(highest: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = V1
    context.maximum_version = highest
    return context


@pytest.mark.rule("distribution/security-policy")
@pytest.mark.parametrize(
    ("name", "highest", "agreed"),
    [
        ("dchat", V1, "TLSv1"),
        ("dchat", V1_3, "TLSv1.3"),
        ("dtls11", V1, None),
        ("dtls11", V1_1, "TLSv1.1"),
        ("dtls12", V1_1, None),
        ("dtls12", V1_2, "TLSv1.2"),
        ("dtls13", V1_2, None),
        ("dtls13", V1_3, "TLSv1.3"),
    ],
)
def test_a_viewer_that_is_too_old_is_told_so(
    stage: Stage, name: str, highest: ssl.TLSVersion, agreed: str | None
) -> None:
    with socket.create_connection(("127.0.0.1", stage.tls_port), timeout=PATIENCE) as plain:
        if agreed is None:
            with pytest.raises(ssl.SSLError) as refused:
                speaking(highest).wrap_socket(plain, server_hostname=f"{name}.cloudfront.net")
            assert refused.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
            return
        secure = speaking(highest).wrap_socket(plain, server_hostname=f"{name}.cloudfront.net")
        assert secure.version() == agreed
        secure.sendall(f"GET /healthz HTTP/1.1\r\nHost: {name}.cloudfront.net\r\n\r\n".encode())
        assert secure.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("highest", [V1, V1_1, V1_2, V1_3])
def test_the_version_that_a_client_hello_offers(highest: ssl.TLSVersion) -> None:
    sent = ssl.MemoryBIO()
    client = speaking(highest).wrap_bio(ssl.MemoryBIO(), sent, server_hostname="a.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = sent.read()[5:]  # without the head of the record
    assert offered_version(hello) == highest
    assert {offered_version(hello[:size]) for size in range(len(hello))} <= {
        0,
        highest,
        min(highest, V1_2),
    }


@pytest.mark.parametrize(
    ("policy", "lowest"),
    [
        ("SSLv3", V1),
        ("TLSv1", V1),
        ("TLSv1_2016", V1),
        ("TLSv1.1_2016", V1_1),
        ("TLSv1.2_2018", V1_2),
        ("TLSv1.2_2025", V1_2),
        ("TLSv1.3_2025", V1_3),
    ],
)
def test_the_lowest_version_of_each_security_policy(policy: str, lowest: ssl.TLSVersion) -> None:
    assert lowest_version(policy) == lowest
