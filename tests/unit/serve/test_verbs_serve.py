"""The verbs `serve` and `keys`, as they are typed and as they are called."""

import io
import json
import threading
import time

import httpx
import pytest
from click.testing import CliRunner

from tests.unit.pipeline import quick
from whenbuy.cli.verbs import whenbuy
from whenbuy.config import Settings
from whenbuy.core.errors import NotFoundError, UsageError
from whenbuy.ingest.store import write_log
from whenbuy.pipeline.keeping.audit import Audit
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.serve.server import Address
from whenbuy.serve.verbs_serve import key_file, list_keys, new_key, revoke_key, serve


@pytest.fixture
def shop(tmp_path):
    return Shop.create(tmp_path / "shop", Settings())


@pytest.fixture(scope="module")
def learned():
    return quick.shop(), quick.learn(quick.shop())


def typed(*words, code=0):
    said = CliRunner().invoke(whenbuy, ["keys", *map(str, words)], catch_exceptions=False)
    assert said.exit_code == code, said.output
    return said


def test_the_life_of_a_key_as_it_is_typed(shop):
    said = typed("new", "till", "--may", "events:write", "--days", "30", "--shop", shop.folder)
    secret = said.stdout.strip()
    assert secret.startswith("wb_")
    assert "only time" in said.stderr
    listed = json.loads(typed("--shop", shop.folder, "--json").stdout)["keys"]
    assert [(key["name"], key["may"], key["state"]) for key in listed] == [("till", "events:write", "good")]
    assert secret not in json.dumps(listed)
    typed("revoke", listed[0]["id"], "--shop", shop.folder)
    acts = json.loads(typed("audit", "--json", "--shop", shop.folder).stdout)["acts"]
    assert [act["what"] for act in acts] == ["key.made", "key.revoked"]
    assert secret.rpartition("_")[2] not in (shop.folder / "audit" / "audit.jsonl").read_text()
    assert json.loads(typed("list", "--json", "--shop", shop.folder).stdout)["keys"][0]["state"] == "revoked"


def test_a_key_may_everything_but_admin_where_nothing_is_said(shop):
    assert new_key(shop.folder, "x", (), None).facts["may"] == ["events:write", "forecasts:read", "metrics:read"]
    assert new_key(shop.folder, "x", ("admin",), None).facts["may"] == ["admin"]
    with pytest.raises(UsageError, match="scope"):
        new_key(shop.folder, "x", ("everything",), None)
    with pytest.raises(NotFoundError):
        revoke_key(shop.folder, "00000000")
    assert "keys new" in list_keys(Shop.create(shop.folder / "other", Settings()).folder).after[0]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example"])
def test_no_public_address_without_keys(shop, host):
    with pytest.raises(UsageError, match="no key"):
        serve(shop.folder, Address(host=host, port=0), say=print)
    gone = key_file(shop).issue("x", ["admin"], 1, 2)  # one that has expired is none
    assert gone
    with pytest.raises(UsageError, match="no key"):
        serve(shop.folder, Address(host=host, port=0), say=print)


def test_half_of_what_tls_needs_is_refused(tmp_path):
    with pytest.raises(UsageError, match="TLS"):
        Address(certificate=tmp_path / "cert.pem")


def test_serve_says_what_it_can_do():
    said = CliRunner().invoke(whenbuy, ["serve", "--help"])
    assert said.exit_code == 0
    assert "/v1/events" in said.output


def serving(shop, **options):
    """Serve in a thread; return the address, what ends it, and the thread."""
    told, stop, found = [], [], []

    def run():
        found.append(serve(shop.folder, Address(port=0), say=told.append, stops=stop.append, **options))

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 120
    while not any(" answers at " in text for text in told):
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return told[-1].partition(" answers at ")[2].partition(";")[0], stop[0], thread, found


def test_a_shop_is_served_with_its_real_parts(shop, learned):
    history, forecaster = learned
    write_log(history, shop.log)
    registry = Registry(shop.models)
    first = registry.keep(forecaster, {"made": 1}, 1_700_000_000_000_000)
    registry.promote(first, "force", 1)
    log = io.StringIO()
    url, stop, thread, found = serving(shop, log=log, compact_s=0.2)
    try:
        with httpx.Client(base_url=url, timeout=30) as client:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            sent = [
                {"event_id": i, "user_id": "new one", "kind": "purchase", "time": now, "amount": "9.5", "order_id": i} for i in range(3)
            ]
            answer = client.post("/v1/events?forecast=true", json=sent).json()
            assert answer["forecasts"][0]["known_events"] == 3
            described = client.get("/v1/openapi.json").json()["components"]["schemas"]
            whole = client.get("/v1/forecasts/new one").json()["forecast"]
            for told, name in ((answer["forecasts"][0], "When"), (whole, "Answer")):
                assert set(told) == set(described[name]["properties"])
            deadline = time.monotonic() + 30
            while '"compacted"' not in log.getvalue() or '"added":3' not in log.getvalue():
                assert time.monotonic() < deadline, log.getvalue()
                time.sleep(0.05)
            after = client.get("/v1/forecasts/new one").json()  # the log was moved under the state
            assert (after["forecast"]["known_events"], after["degraded"], after["model_id"]) == (3, None, first)
            (registry.folder / "champion.json").write_text("{}")  # what says which model answers is damaged
            deadline = time.monotonic() + 30
            while client.get("/v1/health/ready").json()["degraded"] is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert client.get("/v1/forecasts/new one").json()["forecast"]["known_events"] == 3
    finally:
        stop()
        thread.join(30)
    assert found[0].facts["accepted"] == 3
    assert json.loads(log.getvalue().splitlines()[-1])["what"] == "ended"
    assert [act.what for act in Audit(shop.folder).acts()] == ["model.answers", "server.started", "server.ended"]
    assert "new one" not in log.getvalue()
