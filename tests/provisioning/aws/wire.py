"""An endpoint that answers what a test tells it to, and remembers every request: for what no
healthy AWS does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

HANG_UP = "hang up"


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Wire:
    """`replies` are used up one by one; the last one is repeated."""

    url: str
    replies: list[Reply | str]
    requests: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)

    def next_reply(self) -> Reply | str:
        """The next answer, or HANG_UP."""
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def listening(*replies: Reply | str) -> Iterator[Wire]:
    """An endpoint on a free port, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            wire.requests.append((self.command, self.path, parse_qs(body)))
            wire.signatures.append(self.headers.get("Authorization", ""))
            reply = wire.next_reply()
            if isinstance(reply, str):
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body.encode())))
            self.end_headers()
            self.wfile.write(reply.body.encode())

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            pass

        def finish(self) -> None:
            # After a hang-up there is nothing left to flush into.
            if self.connection.fileno() != -1:
                super().finish()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    wire = Wire(f"http://127.0.0.1:{server.server_address[1]}", list(replies))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def cloudfront_error(code: str, status: int, message: str = "No.", **headers: str) -> Reply:
    """A refusal as CloudFront writes it."""
    body = (
        "<ErrorResponse "
        'xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{message}</Message></Error><RequestId>req-1</RequestId></ErrorResponse>"
    )
    return Reply(status, body, headers)


def assumed_role(key: str, expires: str) -> Reply:
    """AssumeRole's answer."""
    return Reply(
        200,
        "<AssumeRoleResponse "
        'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
        f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>"
        f"<Expiration>{expires}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
    )


def no_vpc_origins() -> Reply:
    """ListVpcOrigins of an empty account."""
    return Reply(
        200,
        '<VpcOriginList xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Marker></Marker>'
        "<MaxItems>100</MaxItems><IsTruncated>false</IsTruncated><Quantity>0</Quantity></VpcOriginList>",
    )
