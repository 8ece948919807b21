"""Load on a server of this machine: `python benchmarks/load.py http://127.0.0.1:8750 [--connections 32] [--seconds 10] [--batch 1]`.

It sends made-up views of made-up customers and asks for their forecasts, as fast as the server answers, and prints events a second and how
long answers took. Send it to a shop that is made for that: the events stay.
"""

import argparse
import ipaddress
import json
import os
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

PLACES = 500_000
"""So many pairs of a customer and an item there are in what is sent; a pair that comes again within two seconds is a double click."""


def body(number: int, batch: int, run: str) -> bytes:
    """Some events, as a till would send them."""
    at = datetime.now(UTC).isoformat()
    events = [
        {
            "event_id": f"{run}-{number}-{i}", "user_id": f"u{(number * batch + i) % 500}", "kind": "view", "time": at,
            "item_id": f"i{(number * batch + i) // 500 % 1000}", "category": "c1", "unit_price": "12.50", "channel": "web",
        }
        for i in range(batch)
    ]  # fmt: skip
    return json.dumps(events if batch > 1 else events[0]).encode()


def request(content: bytes, path: str, key: str) -> bytes:
    """A whole request, as it goes over the wire."""
    secret = f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{secret}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def talk(port: int, requests: Iterator[bytes], said: Callable[[int, float], None]) -> None:
    """Send requests on one connection, one after the other, and tell status and seconds of each answer."""
    with socket.create_connection(("127.0.0.1", port)) as link, link.makefile("rb") as read:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for each in requests:
            begun = time.perf_counter()
            link.sendall(each)
            status, length = int(read.readline().split()[1]), 0
            for line in iter(read.readline, b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            read.read(length)
            said(status, time.perf_counter() - begun)


def send(port: int, connections: int, requests: Callable[[int], Iterator[bytes]]) -> list[tuple[int, float]]:
    """Send on several connections at once; (status, seconds) of every answer."""
    found: list[tuple[int, float]] = []
    threads = [
        threading.Thread(target=talk, args=(port, requests(number), lambda status, took: found.append((status, took))), daemon=True)
        for number in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("url")
    options.add_argument("--key", default="")
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--batch", type=int, default=1)
    asked = options.parse_args()
    parts = urlsplit(asked.url)
    if parts.hostname != "localhost" and not ipaddress.ip_address(parts.hostname or "0.0.0.0").is_loopback:
        print("Load is sent to this machine alone: name http://127.0.0.1:PORT.", file=sys.stderr)
        return 2
    try:
        socket.create_connection((parts.hostname, parts.port or 80), 5).close()
    except OSError as error:
        print(f"Nothing answers at {asked.url} ({error}): start `whenbuy serve` first.", file=sys.stderr)
        return 2
    end, run = time.monotonic() + asked.seconds, f"{os.getpid()}-{time.time_ns()}"
    path = "/v1/events?forecast=true" if asked.batch == 1 else "/v1/events"

    def requests(number: int) -> Iterator[bytes]:
        count = number * (PLACES // asked.connections // asked.batch + 1)  # so far apart that none is a double click of another's
        while time.monotonic() < end:
            yield request(body(count, asked.batch, f"{run}-{number}"), path, asked.key)
            count += 1

    begun = time.monotonic()
    found = send(parts.port or 80, asked.connections, requests)
    seconds, good = time.monotonic() - begun, [took for status, took in found if status == 200]
    print(f"{len(good) * asked.batch / seconds:,.0f} events a second over {asked.connections} connections")
    if len(good) > 1:
        cuts = statistics.quantiles(good, n=100)
        print(f"answers: {cuts[49] * 1e3:.1f} ms half, {cuts[94] * 1e3:.1f} ms 95 %, {cuts[98] * 1e3:.1f} ms 99 %")
    print("statuses:", ", ".join(f"{status} × {count:,}" for status, count in sorted(Counter(status for status, _ in found).items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
