"""What ACM says about a certificate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Certificate:
    """A certificate of ACM. `kind` is AWS's Type (AMAZON_ISSUED, IMPORTED, PRIVATE), `status` AWS's
    too, `expires` a date (ISO 8601). One that ACM does not keep (an IAM server certificate) has no
    names and the status "".
    """

    arn: str
    names: tuple[str, ...] = ()
    status: str = ""
    kind: str = ""
    expires: str = ""

    @property
    def in_force(self) -> bool:
        """Whether CloudFront may take it: issued, and not by a private CA. Who signed an imported
        one is not known.
        """
        return self.status == "ISSUED" and self.kind != "PRIVATE"

    def covers(self, host: str) -> bool:
        """Whether one of its names is `host`, or `host` with a star for the first label (RFC 6125,
        6.4.3).
        """
        host = host.lower().rstrip(".")
        star = f"*.{host.partition('.')[2]}"
        return any(name.lower() in (host, star) for name in self.names)
