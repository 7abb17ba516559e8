"""One stage for all live tests: a distribution per situation, so that no test changes another's
account.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.apps import addresses
from tests.ports import free_port

from .account import (
    ALL_EXCEPT_HOST,
    ALL_METHODS,
    KEY_AND_VERSION_ONLY,
    SOCKET_HEADERS_ONLY,
    Json,
    account,
    behavior,
    custom_origin,
    distribution,
    forward,
    ingress,
    items,
    listener,
    load_balancer,
    target_group,
    vpc_origin,
    vpc_origin_ref,
)
from .cloudfront_situations import add_cloudfront_situations
from .network_situations import add_network_situations
from .rehearsal import Rehearsal
from .stage import Stage

CHAT = "10.10.8.174:8080"
REFUSING = "10.10.8.200:8080"
ODD = "10.10.8.201:8080"
RECORDER = "10.10.8.202:8080"


def whole_account(prepared: Stage) -> Json:
    """Every situation that the live tests visit."""
    sockets = [behavior("chat", "/ws/*")]
    to_https = {"type": "redirect", "protocol": "HTTPS", "port": "443", "status_code": "HTTP_301"}
    fixed = {
        "type": "fixed-response",
        "status_code": "404",
        "content_type": "text/plain",
        "message_body": "no rule",
    }
    chat_rule = {
        "priority": "10",
        "conditions": [{"field": "path-pattern", "values": ["/ws/*"]}],
        "actions": [forward("chat")],
    }
    app_rules = [
        {
            "priority": str(app.number),
            "conditions": [{"field": "path-pattern", "values": [f"/{app.name}/*"]}],
            "actions": [forward(app.name)],
        }
        for app in addresses.MISBEHAVING
    ]
    made = account(
        distributions=[
            distribution(
                "dchat",
                [vpc_origin_ref("chat")],
                behavior("chat", viewer="redirect-to-https"),
                sockets,
            ),
            distribution("dnopolicy", [vpc_origin_ref("chat")], behavior("chat", policy=None)),
            distribution(
                "dexcept", [vpc_origin_ref("chat")], behavior("chat", policy=ALL_EXCEPT_HOST)
            ),
            distribution(
                "dlist", [vpc_origin_ref("chat")], behavior("chat", policy=SOCKET_HEADERS_ONLY)
            ),
            *(
                distribution(
                    name,
                    [vpc_origin_ref("chat")],
                    behavior("chat"),
                    ViewerCertificate={"MinimumProtocolVersion": policy},
                )
                for name, policy in (
                    ("dtls11", "TLSv1.1_2016"),
                    ("dtls12", "TLSv1.2_2021"),
                    ("dtls13", "TLSv1.3_2025"),
                )
            ),
            distribution("dclosed", [vpc_origin_ref("closed")], behavior("closed")),
            distribution("dservice", [vpc_origin_ref("service")], behavior("service")),
            distribution("dport", [vpc_origin_ref("port")], behavior("port")),
            distribution(
                "dmatch", [vpc_origin_ref("match")], behavior("match", viewer="allow-all")
            ),
            distribution("ddeploying", [vpc_origin_ref("deploying")], behavior("deploying")),
            distribution("dgone", [vpc_origin_ref("nowhere")], behavior("nowhere")),
            distribution("dloop", [vpc_origin_ref("loop")], behavior("loop")),
            distribution("dempty", [vpc_origin_ref("empty")], behavior("empty")),
            distribution("drefusing", [vpc_origin_ref("refusing")], behavior("refusing")),
            distribution("dsilent", [vpc_origin_ref("silent")], behavior("silent")),
            distribution("dmetered", [vpc_origin_ref("metered")], behavior("metered")),
            distribution("dbeating", [vpc_origin_ref("beating")], behavior("beating")),
            distribution("drules", [vpc_origin_ref("rules")], behavior("rules")),
            distribution("dnlb", [vpc_origin_ref("nlb")], behavior("nlb", methods=ALL_METHODS)),
            distribution("dodd", [vpc_origin_ref("odd")], behavior("odd", methods=ALL_METHODS)),
            distribution("dmute", [vpc_origin_ref("mute")], behavior("mute")),
            distribution("dnlbidle", [vpc_origin_ref("nlbidle")], behavior("nlbidle")),
            distribution("doddnlb", [vpc_origin_ref("oddnlb")], behavior("oddnlb")),
            distribution(
                "dbare", [vpc_origin_ref("chat")], behavior("chat", policy=KEY_AND_VERSION_ONLY)
            ),
            distribution("drecord", [vpc_origin_ref("record")], behavior("record")),
            distribution("drecordnlb", [vpc_origin_ref("recordnlb")], behavior("recordnlb")),
            distribution(
                "dapps",
                [vpc_origin_ref("apps")],
                behavior("apps"),
                Aliases=items(["app.allowed.example"]),
            ),
            distribution(
                "dimpatient",
                [
                    vpc_origin_ref(
                        "apps", VpcOriginConfig={"VpcOriginId": "vo_apps", "OriginReadTimeout": 3}
                    )
                ],
                behavior("apps"),
            ),
            distribution(
                "dpublic", [custom_origin("web", "pub-web.elb.amazonaws.com")], behavior("web")
            ),
            distribution(
                "dname",
                [custom_origin("chat", "internal-chat.elb.amazonaws.com")],
                behavior("chat"),
            ),
            distribution("doff", [vpc_origin_ref("chat")], behavior("chat"), Enabled=False),
            distribution(
                "dspa",
                [vpc_origin_ref("empty"), vpc_origin_ref("chat")],
                behavior("empty"),
                [behavior("chat", "/index.html")],
                CustomErrorResponses=items(
                    [{"ErrorCode": 503, "ResponsePagePath": "/index.html", "ResponseCode": "200"}]
                ),
            ),
        ],
        vpc_origins=[
            vpc_origin("chat", "chat"),
            vpc_origin("closed", "closed"),
            vpc_origin("service", "service"),
            vpc_origin("port", "port"),
            vpc_origin("match", "chat", policy="match-viewer"),
            vpc_origin("deploying", "chat", status="Deploying"),
            vpc_origin("loop", "loop"),
            vpc_origin("empty", "empty"),
            vpc_origin("refusing", "refusing"),
            vpc_origin("silent", "silent"),
            vpc_origin("metered", "metered"),
            vpc_origin("beating", "beating"),
            vpc_origin("rules", "rules"),
            vpc_origin("nlb", "nlb"),
            vpc_origin("odd", "odd"),
            vpc_origin("oddnlb", "oddnlb"),
            vpc_origin("mute", "mute"),
            vpc_origin("nlbidle", "nlbidle"),
            vpc_origin("record", "record"),
            vpc_origin("recordnlb", "recordnlb"),
            vpc_origin("apps", "apps"),
        ],
        load_balancers=[
            load_balancer("chat", [listener("chat", forward("chat"))]),
            load_balancer("closed", [listener("closed", forward("chat"))], group="sg-closed"),
            load_balancer(
                "service", [listener("service", forward("chat"))], group="sg-service-only"
            ),
            load_balancer("port", [listener("port", forward("chat"), port=8443)]),
            load_balancer("loop", [listener("loop", to_https)]),
            load_balancer("empty", [listener("empty", forward("empty"))]),
            load_balancer("refusing", [listener("refusing", forward("refusing"))]),
            # Six of these seconds are one real second.
            load_balancer("silent", [listener("silent", forward("chat"))], idle="6"),
            load_balancer("metered", [listener("metered", forward("chat"))], idle="18"),
            load_balancer("beating", [listener("beating", forward("chat"))], idle="3600"),
            load_balancer("rules", [listener("rules", fixed, rules=[chat_rule])]),
            load_balancer(
                "nlb", [listener("nlb", forward("chat"), protocol="TCP")], type="network"
            ),
            load_balancer("odd", [listener("odd", forward("odd"))]),
            load_balancer("mute", [listener("mute", forward("never-answers"))], idle="12"),
            load_balancer(
                "nlbidle",
                [
                    {
                        **listener("nlbidle", forward("chat"), protocol="TCP"),
                        "attributes": {"tcp.idle_timeout.seconds": "18"},
                    }
                ],
                type="network",
            ),
            load_balancer(
                "oddnlb", [listener("oddnlb", forward("odd"), protocol="TCP")], type="network"
            ),
            load_balancer("record", [listener("record", forward("record"))]),
            load_balancer(
                "recordnlb",
                [listener("recordnlb", forward("record"), protocol="TCP")],
                type="network",
            ),
            load_balancer("apps", [listener("apps", fixed, rules=app_rules)]),
            {
                **load_balancer(
                    "pub-brisk",
                    [listener("pub-brisk", forward("odd"))],
                    group="sg-world",
                    scheme="internet-facing",
                ),
                "attributes": {
                    "idle_timeout.timeout_seconds": "12",
                    "routing.http.desync_mitigation_mode": "strictest",
                },
            },
            load_balancer(
                "pub-web",
                [listener("pub-web", forward("chat"))],
                group="sg-world",
                scheme="internet-facing",
            ),
        ],
        target_groups=[
            target_group("chat", CHAT),
            target_group("empty"),
            target_group("refusing", REFUSING),
            target_group("odd", ODD),
            target_group("record", RECORDER),
            *(target_group(app.name, app.simulated) for app in addresses.MISBEHAVING),
        ],
        hosts={
            CHAT: f"127.0.0.1:{prepared.app_port}",
            REFUSING: f"127.0.0.1:{free_port()}",
            ODD: f"127.0.0.1:{prepared.odd.port}",
            RECORDER: f"127.0.0.1:{prepared.recorder.port}",
            **addresses.hosts(prepared.app_port),
        },
    )
    add_cloudfront_situations(made, CHAT)
    add_network_situations(made, prepared, CHAT, REFUSING)
    made["security_groups"]["sg-open"]["ingress"].append(ingress(8443, lists=["pl-3b927c52"]))
    return made


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory: Path = tmp_path_factory.mktemp("lab")
    prepared = Stage(directory)
    with prepared.play(whole_account(prepared)) as playing:
        yield playing


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A whole lab, in which faults are set and cleared again."""
    with Rehearsal(tmp_path_factory.mktemp("rehearsal")).running() as running:
        yield running
