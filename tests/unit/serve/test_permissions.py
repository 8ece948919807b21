"""Every route is asked with every role: who may is answered, everybody else is refused (S4)."""

import re

import pytest

from tests.unit.serve.doubles import NOW, Bench, client, played
from whenbuy.core.errors import UsageError
from whenbuy.serve.keys import SCOPES
from whenbuy.serve.rest import PERMISSION, routes_of
from whenbuy.serve.routes import PUBLIC, Reply, Route, Table

ROLES = ("nobody", "a guesser", "an expired key", "a revoked key", *SCOPES)
FOREIGN = ("nobody", "a guesser", "an expired key", "a revoked key")
BODIES = {"/v1/events": b'{"time": "2026-10-31T09:00:00Z"}', "/v1/forecasts": b'{"users": ["u"]}'}


def secrets_of(bench):
    found = {scope: bench.key(scope)[1] for scope in SCOPES}
    found["a guesser"] = "wb_00000000_" + "A" * 43
    found["an expired key"] = bench.file.issue("old", ["admin"], NOW - 10, NOW - 5)[1]
    key, found["a revoked key"] = bench.key("admin")
    bench.file.revoke(key.id, NOW)
    return found


def cells(document):
    """Every (method, path, permission) that the description names."""
    return [
        (method.upper(), path, operation[PERMISSION], operation["security"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


async def wrong_cells(asked, secrets):
    """The cells of route x role that are not as the description says."""
    document = (await asked.get("/v1/openapi.json")).json()
    wrong = []
    for method, path, permission, security in cells(document):
        for role in ROLES:
            headers = {"authorization": f"Bearer {secrets[role]}"} if role != "nobody" else {}
            address = re.sub(r"\{\w+\}", "u1", path)
            status = (await asked.request(method, address, headers=headers, content=BODIES.get(path))).status_code
            may = permission == PUBLIC or role in (permission, "admin")
            expected = 200 if may else 401 if role in FOREIGN else 403
            if status != expected or bool(security) == (permission == PUBLIC):
                wrong.append((method, path, role, status, expected))
    return wrong


def test_every_route_is_asked_with_every_role(tmp_path):
    bench = Bench(tmp_path, required=True)

    async def play(asked):
        document = (await asked.get("/v1/openapi.json")).json()
        described = {(method, path) for method, path, _, _ in cells(document)}
        served = {(route.method, route.path) for route in bench.app.table.routes}
        assert described == served
        assert len(served) >= 8
        assert served >= {(route.method, route.path) for route in routes_of(bench.app._behind)}
        assert await wrong_cells(asked, secrets_of(bench)) == []

    played(bench, play)


def test_the_harness_finds_a_route_that_asks_nobody(tmp_path, monkeypatch):  # a planted bug
    from whenbuy.serve.api import Api

    real = Api._admitted
    monkeypatch.setattr(Api, "_admitted", lambda self, scope, route: None if route.path == "/metrics" else real(self, scope, route))
    bench = Bench(tmp_path, required=True)

    async def play(asked):
        found = await wrong_cells(asked, secrets_of(bench))
        assert {path for _, path, _, _, _ in found} == {"/metrics"}

    played(bench, play)


async def answered(request):
    return Reply(200, b"{}")


@pytest.mark.parametrize("permission", [None, "", "anybody", "Admin"])
def test_a_route_that_does_not_say_who_may_ask_cannot_be_served(tmp_path, permission):
    with pytest.raises(UsageError, match="declares"):
        Bench(tmp_path, further=(Route("GET", "/v1/further", permission, answered),))


def test_a_route_of_the_application_behind_must_say_it_too(tmp_path):
    behind = Bench(tmp_path).app._behind
    Table(routes_of(behind))

    @behind.get("/v1/open")
    def opened():
        return {}

    with pytest.raises(UsageError, match="/v1/open"):
        Table(routes_of(behind))


def test_a_folder_of_files_behind_must_say_it_too(tmp_path):
    from starlette.staticfiles import StaticFiles

    behind = Bench(tmp_path).app._behind
    behind.mount("/static", StaticFiles(directory=tmp_path))
    with pytest.raises(UsageError, match="/static"):
        Table(routes_of(behind))


def test_a_route_is_there_once():
    with pytest.raises(UsageError, match="twice"):
        Table([Route("GET", "/x", PUBLIC), Route("GET", "/x", PUBLIC)])


def test_a_further_route_is_served_with_its_permission(tmp_path):
    bench = Bench(tmp_path, required=True, further=(Route("GET", "/v1/further/{what}", "admin", answered),))

    async def play(asked):
        assert (await asked.get("/v1/further/x")).status_code == 401
        own = {"authorization": f"Bearer {bench.key('admin')[1]}"}
        assert (await asked.get("/v1/further/x", headers=own)).status_code == 200

    played(bench, play)


def test_a_client_is_given_no_other_protocol(tmp_path):
    import asyncio

    bench, sent = Bench(tmp_path), []

    async def send(message):
        sent.append(message)

    asyncio.run(bench.app({"type": "websocket"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert client(bench)
    bench.journal.close()
