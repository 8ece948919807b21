"""Webhooks: signed, tried again, and never into the server's own network."""

import asyncio
import hashlib
import hmac
import http.server
import io
import json
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.serve.doubles import NOW
from whenbuy.core.errors import AccessError, DependencyError, UsageError
from whenbuy.serve.logs import Log
from whenbuy.serve.telling import Telling
from whenbuy.serve.webhooks import MESSAGE, SIGNATURE, Webhook, hooks_of, is_public

SECRET = b"0123456789abcdef0123456789abcdef"
PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1", "198.18.0.1", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:db8::1", "not an address", "",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_not_reached(address):
    assert not is_public(address)
    hook = Webhook("https://shop.example/hook", SECRET)
    with pytest.raises((UsageError, DependencyError)):
        send(hook, resolve=lambda host, port: ["93.184.216.34", address])  # one bad address among good ones is enough


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_one(address):
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_that_is_wrapped_is_what_is_inside(address):
    assert (
        is_public(f"::ffff:{address}") == is_public(f"64:ff9b::{int(address) >> 16:x}:{int(address) & 0xFFFF:x}") == is_public(str(address))
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/", "ftp://shop.example/", "file:" + "///etc/passwd", "https://", "https://user:word@shop.example/",
        "https://a b/", "//x",
        "https://shop.example:99999/", "https://[::1/", "https://shop.example/#x", "https://shop.example/\n", "gopher://127.0.0.1:6379/_x",
    ],
)  # fmt: skip
def test_what_is_no_address_for_a_webhook_is_refused(url):
    with pytest.raises(UsageError):
        Webhook(url, SECRET)


def test_a_short_secret_is_refused():
    with pytest.raises(UsageError):
        Webhook("https://shop.example/", b"short")
    with pytest.raises(AccessError):
        hooks_of(("https://shop.example/",), {})
    assert hooks_of((), {}) == ()
    assert hooks_of(("https://shop.example/",), {"WHENBUY_HOOK_SECRET": "x" * 32})[0].secret == b"x" * 32


def send(hook, event="model.changed", stop=None, resolve=None, **facts):
    return hook.send(event, facts, "n1", now=lambda: NOW, stop=stop or set_event(), resolve=resolve)


def set_event():
    """A stop that waits for nothing: tries follow each other at once."""

    class Never(threading.Event):
        def wait(self, timeout=None):
            return False

    return Never()


@contextmanager
def other_side(*statuses, slow=False, location=""):
    """A server on this machine that answers with these statuses, one after the other, and keeps what it was sent."""
    found, left = [], list(statuses)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            found.append((dict(self.headers), body, self.path))
            self.send_response(left.pop(0) if left else 200)
            if location:
                self.send_header("Location", location)
            self.end_headers()
            for _ in range(200 if slow else 0):
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return
                time.sleep(0.05)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://shop.example:{server.server_port}/hook?a=1", found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def here(host, port):
    return ["127.0.0.1"]


def test_a_message_is_signed_and_names_itself():
    with other_side() as (url, found):
        assert send(Webhook(url, SECRET, plain=True, inside=True), resolve=here, model="m2") == 200
    (headers, body, path), *more = found
    assert (more, path) == ([], "/hook?a=1")
    assert json.loads(body) == {"event": "model.changed", "number": "n1", "at": NOW / 1e6, "model": "m2"}
    seconds, _, signature = headers[SIGNATURE].partition(",v1=")
    assert hmac.compare_digest(signature, hmac.new(SECRET, seconds[2:].encode() + b"." + body, hashlib.sha256).hexdigest())
    assert headers[MESSAGE] == "n1"
    assert headers["Host"].startswith("shop.example:")


def test_the_name_is_asked_once_a_try_and_what_was_checked_is_connected_to():
    asked = []

    def rebinding(host, port):  # a name that stands for a public address first and for this machine then
        asked.append(host)
        return ["93.184.216.34"] if len(asked) == 1 else ["127.0.0.1"]

    with other_side() as (url, found):
        hook = Webhook(url, SECRET, plain=True, limit_s=0.2)
        with pytest.MonkeyPatch.context() as patch:
            connected = []

            def connect(place, timeout):
                connected.append(place[0])
                raise OSError("unreachable")

            patch.setattr(socket, "create_connection", connect)
            with pytest.raises(UsageError, match=r"127\.0\.0\.1"):
                send(hook, resolve=rebinding)
        assert connected == ["93.184.216.34"]
        assert not found


def test_a_redirect_is_not_followed():
    with other_side() as (inner, reached), other_side(302, location=inner) as (url, found):
        with pytest.raises(DependencyError, match="302"):
            send(Webhook(url, SECRET, plain=True, inside=True), resolve=here)
        assert (len(found), reached) == (1, [])


@pytest.mark.parametrize(("statuses", "tries"), [((500, 503, 200), 3), ((429, 204), 2), ((400,), 1), ((500,) * 9, 5)])
def test_it_is_tried_again_where_that_may_help(statuses, tries):
    with other_side(*statuses) as (url, found):
        hook = Webhook(url, SECRET, plain=True, inside=True)
        if statuses[tries - 1] < 300:
            send(hook, resolve=here)
        else:
            with pytest.raises(DependencyError):
                send(hook, resolve=here)
        assert len(found) == tries
        assert len({headers[MESSAGE] for headers, _, _ in found}) == 1


def test_a_slow_other_side_is_cut_off():
    with other_side(slow=True) as (url, _):
        begun = time.monotonic()
        assert send(Webhook(url, SECRET, plain=True, inside=True, limit_s=0.3, tries=1), resolve=here) == 200  # its body is of no interest
        assert time.monotonic() - begun < 5  # it would have taken ten


def test_a_message_that_is_too_long_is_not_sent():
    with pytest.raises(UsageError, match="bytes"):
        send(Webhook("https://shop.example/", SECRET), text="x" * 2_000_000)


def test_a_server_tells_and_waits_for_nobody():
    written = io.StringIO()
    with other_side() as (url, found):
        hooks = [
            Webhook(url.replace("shop.example", "127.0.0.1"), SECRET, plain=True, inside=True),
            Webhook("https://localhost:1/", SECRET),
        ]
        telling = Telling(hooks, Log(written, lambda: NOW), lambda: NOW)
        asyncio.run(telling.tell("model.changed", {"model": "m2"}))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not (found and written.getvalue()):
            time.sleep(0.01)
        telling.end()
    assert json.loads(found[0][1])["model"] == "m2"
    assert "not a public address" in json.loads(written.getvalue())["error"]
