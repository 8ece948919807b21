"""Webhooks: signed messages to an address of the shop's choice, which never reach into the network on which the server stands.

The name is resolved once a try; every address that it stands for must be a public one, and exactly the address that was checked is
connected to, so no second look-up can lead elsewhere. Redirects are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from whenbuy.core.errors import AccessError, DependencyError, UsageError
from whenbuy.serve.wire import encode

SIGNATURE: Final = "X-Whenbuy-Signature"
"""``t=<seconds>,v1=<hex>``: HMAC-SHA256, under the secret, of the seconds, a dot and the body."""
MESSAGE: Final = "X-Whenbuy-Message"
"""The number of a message; a message that is sent again keeps it."""
LEAST_SECRET: Final = 16
"""The shortest secret, in bytes."""
_MOST_BYTES: Final = 1 << 20
_MOST_ANSWER: Final = 1 << 16
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_AGAIN: Final = frozenset({408, 425, 429, *range(500, 600)})
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address that is told.

    Parameters
    ----------
    url
        The address; ``https`` unless `plain` is said.
    secret
        What messages are signed with; at least 16 bytes.
    plain
        Whether ``http`` is allowed.
    inside
        Whether addresses that are not public are allowed: of this machine, of its network.
    limit_s
        How long one try may take, in seconds.
    tries
        How often a message is tried.

    Raises
    ------
    UsageError
        When the address is none that may be told, or the secret is short.
    """

    url: str
    secret: bytes
    plain: bool = False
    inside: bool = False
    limit_s: float = 10.0
    tries: int = 5

    def __post_init__(self) -> None:
        parts = _split(self.url)
        if parts.scheme not in (("https", "http") if self.plain else ("https",)):
            raise UsageError(f"{self.url[:200]!r} is not https.", "What is told must not be read on the way.", "Name an https address.")
        if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment:
            raise UsageError(
                f"{self.url[:200]!r} is no address for a webhook.", "https://host/path is needed.", "Take out user, password and #."
            )
        if len(self.secret) < LEAST_SECRET:
            raise UsageError("The webhook's secret is short.", f"At least {LEAST_SECRET} bytes are needed.", "Take 32 random ones.")

    def send(
        self,
        event: str,
        facts: Mapping[str, Any],
        number: str,
        *,
        now: Callable[[], int],
        stop: threading.Event,
        resolve: Resolve | None = None,
    ) -> int:
        """Send one message; try again, ever more slowly, where the other side is not there or asks to. Return its status.

        Parameters
        ----------
        event
            What happened, such as ``model.changed``.
        facts
            More about it.
        number
            The number of the message.
        now
            Says what time it is, as an instant.
        stop
            Set to give up.
        resolve
            Returns the addresses of a name; the system's own by default.

        Raises
        ------
        UsageError
            When the name stands for an address that may not be reached.
        DependencyError
            When it was not taken.
        """
        body = encode({"event": event, "number": number, "at": now() / 1e6, **facts})
        if len(body) > _MOST_BYTES:
            raise UsageError(f"The message has {len(body):,} bytes.", f"At most {_MOST_BYTES:,} are sent.", "Send it in parts.")
        wait_s, status = 1.0, 0
        for attempt in range(self.tries):
            if attempt and stop.wait(wait_s := wait_s if attempt == 1 else 2 * wait_s):
                break
            try:
                status = self._post(body, number, now() // 1_000_000, resolve or resolved)
            except (OSError, http.client.HTTPException):
                status = 0
            if status and status not in _AGAIN:
                break
        if 200 <= status < 300:
            return status
        said = f"answered {status}" if status else "did not answer"
        raise DependencyError(
            f"{_split(self.url).hostname} {said}.", "A message is taken with a status from 200 to 299.", "Look at the other side."
        )

    def _post(self, body: bytes, number: str, now_s: int, resolve: Resolve) -> int:
        parts = _split(self.url)
        host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
        address = self._allowed(host, resolve(host, port))
        connection = _Pinned(host, port, address, self.limit_s, secure=parts.scheme == "https")
        alarm = threading.Timer(self.limit_s, connection.cut)  # a slow answer, byte by byte, keeps every time-out from firing
        alarm.daemon = True
        alarm.start()
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {
                "Content-Type": "application/json", "User-Agent": "whenbuy", MESSAGE: number, "Connection": "close",
                SIGNATURE: f"t={now_s},v1={signed(self.secret, now_s, body)}",
            }  # fmt: skip
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read(_MOST_ANSWER)
            return answer.status
        finally:
            alarm.cancel()
            connection.close()

    def _allowed(self, host: str, found: list[str]) -> str:
        """Return the address to connect to, after all of them were looked at."""
        if not found:
            raise OSError(f"{host} has no address")
        if not self.inside and (bad := next((each for each in found if not is_public(each)), None)):
            raise UsageError(
                f"{host} stands for {bad}, which is not a public address.", "A webhook does not reach into the server's own network.",
                "Name a public address.",
            )  # fmt: skip
        return found[0]


def signed(secret: bytes, seconds: int, body: bytes) -> str:
    """Return the signature of a body at a moment, in hexadecimal."""
    return hmac.new(secret, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()


def resolved(host: str, port: int) -> list[str]:
    """Return the addresses that a name stands for.

    Raises
    ------
    OSError
        When it stands for none.
    """
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_public(address: str) -> bool:
    """Return whether an address is one of the public network, also where it is wrapped in another one."""
    try:
        found: _Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast and not found.is_reserved and not found.is_unspecified


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the name stands for meanwhile."""

    def __init__(self, host: str, port: int, address: str, limit_s: float, *, secure: bool) -> None:
        super().__init__(host, port, timeout=limit_s)
        self._address, self._secure = address, secure
        self._raw: socket.socket | None = None
        self.default_port = 443 if secure else 80

    def connect(self) -> None:
        """Connect to the address, and speak TLS with the name."""
        raw = self._raw = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=self.host) if self._secure else raw

    def cut(self) -> None:
        """End it at once."""
        with suppress(OSError):
            if self._raw is not None:
                self._raw.shutdown(socket.SHUT_RDWR)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{url[:200]!r} is no address ({error}).", "https://host/path is needed.", "Correct it.") from error
    if any(letter <= " " or letter == "\x7f" for letter in url):
        raise UsageError(f"{url[:200]!r} is no address.", "An address has no spaces and no control characters.", "Correct it.")
    return parts


def hooks_of(urls: tuple[str, ...], environ: Mapping[str, str]) -> tuple[Webhook, ...]:
    """Return the webhooks at some addresses, signed with the secret in ``WHENBUY_HOOK_SECRET``.

    Raises
    ------
    AccessError
        When there are addresses and no secret.
    """
    if not urls:
        return ()
    secret = environ.get("WHENBUY_HOOK_SECRET", "")
    if not secret:
        raise AccessError("There is no secret for webhooks.", "Messages are signed.", "Set WHENBUY_HOOK_SECRET to 32 random bytes.")
    return tuple(Webhook(url, secret.encode()) for url in urls)
