"""What the lab's edge costs: memory for 2,000 idle WebSockets, and the latency it adds to an echo.

`python -m bench.edge` starts the lab's AWS and edge and an echo app, creates a VPC origin and a
distribution with boto3, and opens the sockets, plain and then over TLS. While they are open it
sends messages by four routes in turn: directly to the app and through the edge, each plain and over
TLS. The direct routes are the control: only ratios and differences within one run mean anything.
Exits with 1 if a goal is missed: under 500 MB for 2,000 sockets, under 1 ms added to an echo
(median).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import psutil

from lab.apps import rfc6455
from stack.ports import Ports

if TYPE_CHECKING:
    from mypy_boto3_cloudfront.type_defs import (
        DefaultCacheBehaviorTypeDef,
        DistributionConfigTypeDef,
        OriginTypeDef,
        VpcOriginEndpointConfigTypeDef,
    )

ROOT = Path(__file__).resolve().parent.parent
GOAL_BYTES = 500 * 1000 * 1000
GOAL_ADDED = 1.0e-3
MESSAGE = b"x" * 200
TIMEOUT = 30.0
CHAT_ACCOUNT = "111122223333"
SEEDED_TARGET = "10.10.8.174:8080"
MASK = b"mask"
MESSAGES_PER_TURN = 25


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.edge", description=__doc__)
    parser.add_argument("--sockets", type=int, default=2000)
    parser.add_argument(
        "--rounds", type=int, default=40, help=f"turns per route, {MESSAGES_PER_TURN} messages each"
    )
    parser.add_argument(
        "--echo-app", nargs=3, metavar=("PORT", "TLS_PORT", "FOLDER"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < (files := 4 * options.sockets + 1000):
        most = files if hard == resource.RLIM_INFINITY else min(files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if options.echo_app:
        asyncio.run(
            _serve_echo(
                int(options.echo_app[0]), int(options.echo_app[1]), Path(options.echo_app[2])
            )
        )
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="edge-bench-") as directory,
        _lab(Path(directory)) as (lab, edge),
    ):
        print(
            f"load {os.getloadavg()[0]:.1f}, {options.sockets} sockets, "
            f"{options.rounds * MESSAGES_PER_TURN} echoes per route"
        )
        lab.before = edge.memory_full_info().uss
        with lab.hold(options.sockets, tls=False) as took:
            met = [_memory("plain", edge, lab.before, options.sockets, took)]
        with lab.hold(options.sockets, tls=True) as took:
            met.append(_memory("TLS", edge, lab.before, options.sockets, took))
            met += _echoes(lab, options.rounds)
    return 0 if all(met) else 1


def _memory(kind: str, edge: psutil.Process, before: int, sockets: int, took: float) -> bool:
    now = edge.memory_full_info()
    print(
        f"{kind}: {sockets} idle sockets: USS {now.uss / 1e6:.0f} MB, RSS {now.rss / 1e6:.0f} MB,"
        f" {(now.uss - before) / sockets / 1024:.1f} KiB each; opened in {took:.1f} s"
    )
    return _met(f"{kind}: under {GOAL_BYTES / 1e6:.0f} MB", max(now.uss, now.rss) < GOAL_BYTES)


def _echoes(lab: Lab, rounds: int) -> list[bool]:
    """Alternate between the routes, so that other load affects all of them alike."""
    routes = {
        "direct": (False, False),
        "edge": (True, False),
        "direct TLS": (False, True),
        "edge TLS": (True, True),
    }
    delays: dict[str, list[float]] = {name: [] for name in routes}
    with contextlib.ExitStack() as stack:
        talkers = {
            name: stack.enter_context(lab.connect(through_edge=through, tls=tls))
            for name, (through, tls) in routes.items()
        }
        for turn in range(rounds + 1):
            for name, talker in talkers.items():
                measured = [_echo(talker) for _ in range(MESSAGES_PER_TURN)]
                if turn:  # the first warms up
                    delays[name] += measured
    met = []
    for name, times in delays.items():
        median, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        print(f"{name}: median {median * 1e3:.3f} ms, p99 {p99 * 1e3:.3f} ms")
    for control, route in (("direct", "edge"), ("direct TLS", "edge TLS")):
        added = statistics.median(delays[route]) - statistics.median(delays[control])
        ratio = statistics.median(delays[route]) / statistics.median(delays[control])
        print(f"{route}: {added * 1e3:.3f} ms more than {control}, {ratio:.1f} times")
        met.append(_met(f"{route}: under {GOAL_ADDED * 1e3:.0f} ms more", added < GOAL_ADDED))
    return met


def _met(goal: str, met: bool) -> bool:
    print(f"  {'met' if met else 'MISSED'}: {goal}")
    return met


def _echo(talker: socket.socket) -> float:
    frame = rfc6455.frame(rfc6455.TEXT, MESSAGE, mask=MASK)
    answer = len(rfc6455.frame(rfc6455.TEXT, MESSAGE))
    began = time.perf_counter()
    talker.sendall(frame)
    heard = 0
    while heard < answer:
        piece = talker.recv(4096)
        if not piece:
            raise ConnectionError("the connection closed without an echo")
        heard += len(piece)
    return time.perf_counter() - began


class Lab:
    """Connects to the echo app, directly or through the distribution `domain`."""

    def __init__(self, ports: Ports, domain: str, authority: Path) -> None:
        self._ports = ports
        self._domain = domain
        self._trust = ssl.create_default_context(cafile=str(authority))
        self.before = 0

    @contextlib.contextmanager
    def hold(self, sockets: int, *, tls: bool) -> Iterator[float]:
        """Hold WebSockets open through the edge. Yields the seconds it took to open them."""
        began = time.perf_counter()
        with contextlib.ExitStack() as stack:
            for _ in range(sockets):
                stack.enter_context(self.connect(through_edge=True, tls=tls))
            took = time.perf_counter() - began
            time.sleep(1)
            yield took

    def connect(self, *, through_edge: bool, tls: bool) -> socket.socket:
        """An open WebSocket."""
        port = {
            (False, False): self._ports.web,
            (False, True): self._ports.redis,
            (True, False): self._ports.edge,
            (True, True): self._ports.edge_tls,
        }[through_edge, tls]
        made = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            made = self._trust.wrap_socket(made, server_hostname=self._domain)
        made.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {self._domain}\r\nUpgrade: websocket\r\nConnection: "
            "Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: "
            "13\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            piece = made.recv(4096)
            if not piece:
                break
            head += piece
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(head.decode("latin-1")[:300])
        return made


@contextlib.contextmanager
def _lab(directory: Path) -> Iterator[tuple[Lab, psutil.Process]]:
    """Run AWS, edge and echo app. Yields the lab and the edge's process."""
    # The echo app uses the ports reserved for the portal and Redis.
    ports = Ports.free()
    echo, echo_tls = ports.web, ports.redis
    environment = os.environ | {
        "LAB_STATE_DIR": str(directory),
        "LAB_AWS_PORT": str(ports.aws),
        "LAB_EDGE_TLS_PORT": str(ports.edge_tls),
        "LAB_EDGE_PORT": str(ports.edge),
        "LAB_APP_PORT": str(ports.apps),
        "LAB_TIME_SCALE": "1",
    }
    with contextlib.ExitStack() as running:

        def start(*arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", *arguments]
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
            )
            running.callback(_end, process)
            assert process.stdout is not None
            if not process.stdout.readline().startswith("ready "):
                raise SystemExit(f"{' '.join(arguments)} did not start")
            return process

        start("lab", "aws")
        domain = _deploy(f"http://127.0.0.1:{ports.aws}", echo)
        start("bench.edge", "--echo-app", str(echo), str(echo_tls), str(directory))
        edge = start("lab", "edge")
        # Drain its log, or it blocks when the pipe is full.
        reader = subprocess.Popen(["cat"], stdin=edge.stdout, stdout=subprocess.DEVNULL)
        running.callback(_end, reader)
        yield Lab(ports, domain, directory / "ca.pem"), psutil.Process(edge.pid)


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _deploy(url: str, echo_port: int) -> str:
    """Create a VPC origin and a distribution; returns the distribution's domain name."""
    keys: dict[str, Any] = {"endpoint_url": url, "region_name": "us-east-1"}
    role = f"arn:aws:iam::{CHAT_ACCOUNT}:role/OrganizationAccountAccessRole"
    sts = boto3.client("sts", aws_access_key_id="lab", aws_secret_access_key="lab", **keys)  # noqa: S106
    given = sts.assume_role(RoleArn=role, RoleSessionName="bench")["Credentials"]
    keys |= {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }
    cloudfront, elbv2 = boto3.client("cloudfront", **keys), boto3.client("elbv2", **keys)
    target = elbv2.describe_load_balancers(Names=["int-chat"])["LoadBalancers"][0]
    # The default would cut the idle sockets after a minute.
    elbv2.modify_load_balancer_attributes(
        LoadBalancerArn=target["LoadBalancerArn"],
        Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "4000"}],
    )
    endpoint: VpcOriginEndpointConfigTypeDef = {
        "Name": "bench",
        "Arn": target["LoadBalancerArn"],
        "HTTPPort": 80,
        "HTTPSPort": 443,
        "OriginProtocolPolicy": "http-only",
    }
    origin_id = cloudfront.create_vpc_origin(VpcOriginEndpointConfig=endpoint)["VpcOrigin"]["Id"]
    _post(f"{url}/_lab/clock", {"advance_seconds": 1200})
    origin: OriginTypeDef = {
        "Id": "ws",
        "DomainName": target["DNSName"],
        "VpcOriginConfig": {"VpcOriginId": origin_id},
    }
    behavior: DefaultCacheBehaviorTypeDef = {
        "TargetOriginId": "ws",
        "ViewerProtocolPolicy": "allow-all",
        "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
        "OriginRequestPolicyId": "216adef6-5c7f-47e4-b989-5492eafa07d3",
    }
    config: DistributionConfigTypeDef = {
        "CallerReference": "bench",
        "Comment": "bench",
        "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": behavior,
    }
    made = cloudfront.create_distribution(DistributionConfig=config)["Distribution"]
    _post(f"{url}/_lab/clock", {"advance_seconds": 1200})
    _post(f"{url}/_lab/hosts", {SEEDED_TARGET: f"127.0.0.1:{echo_port}"})
    return str(made["DomainName"])


def _post(url: str, given: Mapping[str, Any]) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(given).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
        pass


class _Echo(asyncio.Protocol):
    """Accepts every handshake and echoes each message."""

    def __init__(self) -> None:
        self._open = False
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._open, self._buffer = True, rest
            request = rfc6455.parse_request(head)
            accept = rfc6455.accept_for(request.headers.get("sec-websocket-key", ""))
            self._transport.write(rfc6455.switching(accept))
        size = len(rfc6455.frame(rfc6455.TEXT, MESSAGE, mask=MASK))
        while len(self._buffer) >= size:
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            payload = rfc6455.masked(
                frame[-len(MESSAGE) :], frame[-len(MESSAGE) - 4 : -len(MESSAGE)]
            )
            self._transport.write(rfc6455.frame(rfc6455.TEXT, payload))


async def _serve_echo(port: int, tls_port: int, directory: Path) -> None:
    """The echo app: plain for the load balancer and the control, over TLS for the control."""
    from lab.certificates import ensure_certificates

    certificates = ensure_certificates(directory)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.chain, certificates.key)
    loop = asyncio.get_running_loop()
    await loop.create_server(_Echo, "127.0.0.1", port, backlog=1024)
    await loop.create_server(_Echo, "127.0.0.1", tls_port, ssl=tls, backlog=1024)
    print("ready echo", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
