"""One WebSocket handshake attempt over the network, from name to close, as a transcript (asyncio).

Judge the URL, resolve once, judge every address, connect to a judged one (never to a name), TLS
with ALPN http/1.1 only, upgrade; then `ScriptRunner` takes over. SNI, certificate name and Host
stay the URL's even if a connect-to rule leads elsewhere. It follows no redirect, uses no proxy of
the environment, and raises nothing for what the network does: that is recorded as a phase and a
reason. How many probes run at the same time is the caller's business.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import secrets
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from checks.probe import interruptible
from checks.probe.connect import Resolver, connect_tcp, resolve_with_getaddrinfo
from checks.probe.limits import Clock, Limits, Stop, milliseconds
from checks.probe.script_runner import ScriptRunner
from checks.probe.stream import Stream
from checks.probe.tls import distrusting_context, tls_context, tls_facts, verify_reason
from checks.protocol.address_guard import (
    AllowedAddress,
    IPNetwork,
    RefusedAddress,
    judge_addresses,
)
from checks.protocol.connect_to import ConnectRule, Destination, pick
from checks.protocol.deflate import negotiate
from checks.protocol.handshake import (
    HeadError,
    HeadParser,
    RefusedBody,
    RequestError,
    annotate_headers,
    build_plain_get,
    build_request,
    judge,
)
from checks.protocol.handshake_options import ProbeTarget
from checks.protocol.script import Script
from checks.protocol.transcript import (
    Attempt,
    Failure,
    Finding,
    HandshakeRequest,
    NetworkRoute,
    Phase,
    Reason,
    ResponseHead,
    Timing,
    TlsFacts,
    Transcript,
)
from checks.protocol.urls import ALLOWED_PORTS, AllowedUrl, Ports, RefusedUrl, judge_url
from provisioning.redaction.masking import KnownSecrets
from provisioning.spec.client_profiles import CLIENTS

MAX_ADDRESSES = 4
"""How many of a name's addresses are tried."""


@dataclass(frozen=True, slots=True)
class ProbeNetwork:
    """How this installation reaches the network: all from the operator's settings, nothing from
    users.
    """

    connect_to: tuple[ConnectRule, ...] = ()
    ca_file: str | None = None
    allowed_networks: tuple[IPNetwork, ...] = ()
    allowed_ports: Ports = ALLOWED_PORTS
    allow_ip_literals: bool = False
    resolve: Resolver = resolve_with_getaddrinfo


async def probe(
    target: ProbeTarget,
    *,
    network: ProbeNetwork,
    script: Script | None = None,
    limits: Limits | None = None,
) -> Transcript:
    """Attempt one handshake and the script; the transcript says how far it got, and what stopped
    it.
    """
    return await _Probe(target, network, script or Script(), limits or Limits()).run()


def probe_blocking(
    target: ProbeTarget,
    *,
    network: ProbeNetwork,
    script: Script | None = None,
    limits: Limits | None = None,
) -> Transcript:
    """`probe` for a Celery task, whose thread waits. Raises Interrupted when the worker shuts
    down.
    """
    return interruptible.probes.run(probe(target, network=network, script=script, limits=limits))


class _Probe:
    """One run. Each method is a phase, and raises Stop to end the run."""

    def __init__(
        self, target: ProbeTarget, network: ProbeNetwork, script: Script, limits: Limits
    ) -> None:
        self._target, self._network, self._script, self._limits = target, network, script, limits
        self._clock = Clock(limits.total_s)
        self._nonce = secrets.token_hex(8)
        self._url: AllowedUrl | None = None
        self._destination: Destination | None = None
        self._answers: Sequence[str] = ()
        self._attempts: list[Attempt] = []
        self._connected = ""
        self._tls: TlsFacts | None = None
        self._request: HandshakeRequest | None = None
        self._response: ResponseHead | None = None
        self._annotated = False
        self._findings: tuple[Finding, ...] = ()
        self._body = ""
        self._body_truncated = False
        self._timing: dict[str, float] = {}
        self._stream = Stream(limits.bytes_in)
        self._runner: ScriptRunner | None = None

    async def run(self) -> Transcript:
        """All phases in order; the transcript so far, whatever ends them, without credentials."""
        stopped: tuple[Failure, ...] = ()
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        try:
            await self._phases()
        except Stop as stop:
            stopped = (stop.failure,)
        finally:
            self._stream.abort()
        self._annotate()
        said = self._runner
        transcript = Transcript(
            url=self._target.url,
            started_at=started_at,
            route=self._route(),
            tls=self._tls,
            request=self._request,
            response=self._response,
            late=said.late if said else None,
            findings=self._findings,
            body=said.body.text if said and said.body else self._body,
            body_truncated=said.body.truncated if said and said.body else self._body_truncated,
            frames=said.frames if said else (),
            steps=tuple(said.steps) if said else (),
            close=said.close if said else None,
            timing=Timing(
                **self._timing,
                **(said.timing if said else {}),
                total=milliseconds(self._clock.began),
            ),
            failures=(*(said.failures if said else ()), *stopped),
            nonce=self._nonce,
            asked_echo=bool(self._script.message),
        )
        return transcript.masked(KnownSecrets(self._target.secrets))

    async def _phases(self) -> None:
        url = judge_url(
            self._target.url,
            schemes=("ws", "wss"),
            ports=self._network.allowed_ports,
            allow_ip_literals=self._network.allow_ip_literals,
        )
        if isinstance(url, RefusedUrl):
            raise Stop(Phase.URL, Reason.BAD_URL, url.reason)
        self._url = url
        request = self._request = self._build(url)
        context = self._trust() if url.secure else None
        destination = self._destination = pick(self._network.connect_to, url.host, url.port)
        addresses = await self._resolve(destination)
        sock, address = await self._connect(destination, addresses)
        if context is None:
            self._stream.open_plain(sock, request.to_bytes())
        else:
            await self._open_tls(sock, context, request, url.host, (address, destination.port))
        head, rest = await self._answer(request)
        if request.upgrade:
            await self._upgrade(request, head, rest)

    def _build(self, url: AllowedUrl) -> HandshakeRequest:
        asked = self._target
        headers = asked.headers
        if asked.client:
            headers = CLIENTS[asked.client].lines(headers)
        try:
            if not asked.upgrade:
                return build_plain_get(url, origin=asked.origin, extra_headers=headers)
            return build_request(
                url,
                key_bytes=secrets.token_bytes(16),
                subprotocols=asked.subprotocols,
                extensions=asked.extensions,
                origin=asked.origin,
                extra_headers=headers,
            )
        except RequestError as error:
            raise Stop(Phase.URL, Reason.BAD_REQUEST, str(error)) from error

    def _trust(self) -> ssl.SSLContext:
        try:
            return tls_context(self._network.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Stop(
                Phase.TLS, Reason.PROBE_ERROR, f"PROBE_CA_FILE cannot be used: {error}"
            ) from error

    async def _resolve(self, destination: Destination) -> tuple[AllowedAddress, ...]:
        answers: Sequence[str]
        if _is_address(destination.host):
            answers = (destination.host,)
        else:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(self._clock.left(self._limits.dns_s)):
                    answers = await self._network.resolve(destination.host, destination.port)
            except TimeoutError as error:
                detail = f"no answer within {self._limits.dns_s:g} s for {destination.host}"
                raise Stop(Phase.DNS, Reason.DNS_TIMEOUT, detail) from error
            except (OSError, UnicodeError) as error:
                detail = f"{destination.host}: {getattr(error, 'strerror', None) or error}"
                raise Stop(Phase.DNS, Reason.DNS_FAILURE, detail) from error
            self._timing["dns"] = milliseconds(began)
        judged = judge_addresses(answers, self._network.allowed_networks)
        self._answers = answers
        if isinstance(judged, RefusedAddress):
            raise Stop(Phase.GUARD, Reason.ADDRESS_REFUSED, f"{destination.host}: {judged.reason}")
        return judged

    def _route(self) -> NetworkRoute | None:
        """The way to the other side, as far as it is known."""
        url, destination = self._url, self._destination
        if url is None or destination is None:
            return None
        return NetworkRoute(
            url.host,
            url.port,
            destination.host,
            destination.port,
            destination.rule,
            tuple(dict.fromkeys(self._answers)),
            self._connected,
            tuple(self._attempts),
        )

    async def _connect(
        self, destination: Destination, addresses: Sequence[AllowedAddress]
    ) -> tuple[socket.socket, str]:
        """Try the judged addresses in the resolver's order; each gets an equal share of the
        time.
        """
        until = time.perf_counter() + self._clock.left(self._limits.connect_s)
        tried = addresses[:MAX_ADDRESSES]
        stop = Stop(Phase.TCP, Reason.CONNECT_TIMEOUT, "no time left to connect")
        for index, allowed in enumerate(tried):
            began = time.perf_counter()
            share = (until - began) / (len(tried) - index)
            try:
                sock = await connect_tcp(allowed.address, destination.port, share)
            except TimeoutError:
                detail = (
                    f"{allowed.address} port {destination.port}: no answer within {share:.1f} s"
                )
                stop = Stop(Phase.TCP, Reason.CONNECT_TIMEOUT, detail)
            except ConnectionRefusedError:
                detail = f"{allowed.address} port {destination.port}: connection refused"
                stop = Stop(Phase.TCP, Reason.CONNECT_REFUSED, detail)
            except ConnectionResetError:
                detail = f"{allowed.address} port {destination.port}: reset immediately"
                stop = Stop(Phase.TCP, Reason.RESET, detail)
            except OSError as error:
                detail = f"{allowed.address} port {destination.port}: {error.strerror or error}"
                stop = Stop(Phase.TCP, Reason.CONNECT_UNREACHABLE, detail)
            else:
                self._timing["tcp"] = milliseconds(began)
                self._attempts.append(Attempt(allowed.address, "connected", self._timing["tcp"]))
                self._connected = allowed.address
                return sock, allowed.address
            self._attempts.append(
                Attempt(allowed.address, stop.failure.reason.value, milliseconds(began))
            )
        raise stop

    async def _open_tls(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        request: HandshakeRequest,
        host: str,
        address: tuple[str, int],
    ) -> None:
        """TLS over the connection; the request follows as soon as it is up."""
        began = time.perf_counter()
        self._tls = TlsFacts(host)
        seconds = self._clock.left(self._limits.tls_s)
        try:
            secured = await self._stream.open_tls(
                sock,
                request.to_bytes(),
                context=context,
                server_name=host,
                deadline=began + seconds,
            )
        except TimeoutError as error:
            detail = f"the TLS handshake did not finish within {seconds:.1f} s"
            raise Stop(Phase.TLS, Reason.TLS_TIMEOUT, detail) from error
        except ssl.SSLCertVerificationError as error:
            self._tls = await self._read_untrusted_certificate(address, host)
            raise Stop(Phase.TLS, verify_reason(error), error.verify_message) from error
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise Stop(
                Phase.TLS, Reason.CLOSED_EARLY, "the connection ended during the TLS handshake"
            ) from error
        except ssl.SSLError as error:
            raise Stop(Phase.TLS, Reason.TLS_PROTOCOL, error.reason or str(error)) from error
        except OSError as error:
            # A socket that was reset before TLS began is no longer connected.
            raise Stop(
                Phase.TLS, Reason.RESET, "the connection was reset during the TLS handshake"
            ) from error
        self._timing["tls"] = milliseconds(began, self._stream.made)
        self._tls = tls_facts(secured, host, trusted=True)

    async def _read_untrusted_certificate(self, address: tuple[str, int], host: str) -> TlsFacts:
        """Read the certificate that was not trusted, in another TLS handshake to the same address.
        Nothing is sent.
        """
        stream = Stream(0)
        deadline = time.perf_counter() + self._clock.left(self._limits.tls_s)
        try:
            sock = await connect_tcp(address[0], address[1], deadline - time.perf_counter())
            secured = await stream.open_tls(
                sock, b"", context=distrusting_context(), server_name=host, deadline=deadline
            )
            return tls_facts(secured, host, trusted=False)
        except OSError:
            return TlsFacts(host)
        finally:
            stream.abort()

    async def _answer(self, request: HandshakeRequest) -> tuple[ResponseHead, bytes]:
        """The response's head and the bytes after it; for a refusal, its body is read too."""
        stream = self._stream
        sent = stream.made
        parser = HeadParser(max_bytes=self._limits.head_bytes, max_lines=self._limits.head_lines)
        try:
            while parser.head is None:
                if not await stream.wait(self._clock.until):
                    seen = "part of an answer" if parser.started else "no byte of an answer"
                    detail = f"{seen} within {time.perf_counter() - sent:.1f} s"
                    raise Stop(Phase.UPGRADE, Reason.UPGRADE_TIMEOUT, detail)
                if data := stream.read():
                    parser.feed(data)
                elif stream.was_reset:
                    raise Stop(
                        Phase.UPGRADE,
                        Reason.RESET,
                        "the connection was reset before the answer was complete",
                    )
                elif isinstance(stream.error, ssl.SSLError):
                    raise Stop(
                        Phase.TLS, Reason.TLS_PROTOCOL, stream.error.reason or str(stream.error)
                    )
                elif stream.eof:
                    detail = "the connection ended before the answer was complete"
                    raise Stop(Phase.UPGRADE, Reason.CLOSED_EARLY, detail)
                # An endless drip always has bytes waiting, so the clock is looked at here too.
                if parser.head is None and time.perf_counter() >= self._clock.until:
                    raise Stop(
                        Phase.UPGRADE, Reason.UPGRADE_TIMEOUT, "the answer did not end in time"
                    )
        except HeadError as error:
            raise Stop(Phase.UPGRADE, error.reason, error.detail) from error
        finally:
            if stream.first_arrived:
                self._timing["first_byte"] = milliseconds(sent, stream.first_arrived)
        self._timing["upgrade"] = milliseconds(sent, stream.arrived)
        self._response = parser.head
        if not request.upgrade or parser.head.status != 101:
            await self._read_body(parser.head, parser.rest)
        return parser.head, parser.rest

    async def _read_body(self, head: ResponseHead, rest: bytes) -> None:
        body = RefusedBody(head, limit=self._limits.body_bytes)
        await self._stream.read_body(
            body, rest, min(self._clock.until, time.perf_counter() + self._limits.body_s)
        )
        self._body, self._body_truncated = body.text, body.truncated

    async def _upgrade(self, request: HandshakeRequest, head: ResponseHead, rest: bytes) -> None:
        """Judge the answer by RFC 6455; when it opens a WebSocket, talk."""
        self._findings = judge(request, head)
        if head.status != 101:
            raise Stop(
                Phase.UPGRADE, Reason.UPGRADE_REFUSED, f"{head.status} {head.reason}".rstrip()
            )
        for finding in self._findings:
            if not finding.ok:
                raise Stop(Phase.UPGRADE, Reason.BAD_HANDSHAKE, f"{finding.rule}: {finding.text}")
        try:
            extensions = head.get("sec-websocket-extensions")
            deflate = negotiate(extensions, self._limits.bytes_in)
        except ValueError as error:
            raise Stop(Phase.UPGRADE, Reason.BAD_HANDSHAKE, f"extensions: {error}") from error
        self._runner = ScriptRunner(
            self._stream,
            script=self._script,
            nonce=self._nonce,
            limits=self._limits,
            clock=self._clock,
            deflate=deflate,
        )
        await self._runner.run(rest, farewell=self._annotate)

    def _annotate(self) -> None:
        """Annotate the response's headers, best while the other side is busy."""
        if self._response is not None and not self._annotated:
            self._annotated = True
            self._response = annotate_headers(self._response, self._findings)


@functools.lru_cache(maxsize=256)
def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
