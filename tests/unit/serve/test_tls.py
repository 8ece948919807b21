"""TLS: with a certificate a server speaks nothing else, and a certificate that cannot be used is named before it starts."""

import shutil
import socket
import ssl
import subprocess

import httpx
import pytest

from tests.unit.serve.doubles import Bench
from whenbuy.core.errors import InputError
from whenbuy.serve.server import Server, bound

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


def certified(folder, name, *more):
    """A certificate for 127.0.0.1 and its key, made by openssl."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", certificate,
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", *(more or ("-nodes",)),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    return {
        "own": certified(folder, "own"), "other": certified(folder, "other"),
        "locked": certified(folder, "locked", "-passout", "pass:secret"),
    }  # fmt: skip


def test_it_speaks_tls_and_nothing_else(tmp_path, files):
    import threading

    bench, place = Bench(tmp_path, required=True), bound("127.0.0.1", 0)
    secret = bench.key("operator")[1]
    server = Server(bench.app, bench.engine, place, certificate=files["own"][0], private_key=files["own"][1], grace_s=2.0)
    thread = threading.Thread(target=server.run)
    thread.start()
    server.started.wait(10)
    host = f"127.0.0.1:{place.getsockname()[1]}"
    try:
        own = ssl.create_default_context(cafile=str(files["own"][0]))
        with httpx.Client(verify=own, headers={"authorization": f"Bearer {secret}"}) as client:
            event = {"event_id": 1, "user_id": "u", "kind": "view", "time": "2026-10-31T09:00:00Z"}
            answer = client.post(f"https://{host}/v1/events?forecast=1", json=event)
            assert answer.json()["forecasts"][0]["events"] == 1
            assert client.post(f"https://{host}/v1/events", content=b"[" + b" " * 300_000 + b"]").status_code == 422  # in many pieces
        with httpx.Client(verify=ssl.create_default_context(cafile=str(files["other"][0]))) as stranger, pytest.raises(httpx.ConnectError):
            stranger.get(f"https://{host}/v1/health/live")
        with socket.create_connection(("127.0.0.1", place.getsockname()[1]), timeout=10) as plain:
            plain.sendall(b"GET /v1/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            with plain.makefile("rb") as read:
                assert not read.read().startswith(b"HTTP/")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", place.getsockname()[1]), timeout=10) as link, pytest.raises((ssl.SSLError, OSError)):
            old.wrap_socket(link)
    finally:
        server.stop()
        thread.join(20)
        bench.journal.close()


@pytest.mark.parametrize("which", ["a key of another", "no file", "no certificate", "a key with a password"])
def test_what_cannot_be_used_is_named_before_it_starts(tmp_path, files, which):
    certificate, key = {
        "a key of another": (files["own"][0], files["other"][1]), "no file": (tmp_path / "none.pem", files["own"][1]),
        "no certificate": (files["own"][1], files["own"][1]), "a key with a password": files["locked"],
    }[which]  # fmt: skip
    bench, place = Bench(tmp_path), bound("127.0.0.1", 0)
    with pytest.raises(InputError, match="cannot be used"):
        Server(bench.app, bench.engine, place, certificate=certificate, private_key=key)
    place.close()
    bench.journal.close()
