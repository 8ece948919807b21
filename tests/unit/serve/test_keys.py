"""Keys are shown once, kept hashed, and refused the moment that they are revoked (S6)."""

import json
import stat

import pytest

from tests.unit.serve.doubles import NOW, Bench, played
from whenbuy.core.errors import DamagedError, NotFoundError, UsageError
from whenbuy.serve.keys import SCOPES, KeyFile, Keys, digest


def test_what_is_kept_is_not_the_key(tmp_path):
    file = KeyFile(tmp_path / "keys")
    key, secret = file.issue("till", ["events:write"], NOW)
    kept = file.path.read_text()
    assert secret not in kept
    assert secret.rpartition("_")[2] not in kept
    assert json.loads(kept)["keys"][0]["digest"] == digest(secret) == key.digest
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.folder.stat().st_mode) == 0o700


def test_keys_are_256_bits_of_chance(tmp_path):
    file = KeyFile(tmp_path)
    secrets = {file.issue("x", ["admin"], NOW)[1] for _ in range(50)}
    assert len(secrets) == 50
    assert all(len(secret.split("_", 2)[2]) == 43 for secret in secrets)  # 32 bytes in base 64


@pytest.mark.parametrize(
    ("name", "scopes", "expires"),
    [("x", [], None), ("x", ["root"], None), ("x\n", ["admin"], None), ("", ["admin"], None), ("x", ["admin"], NOW)],
)
def test_a_key_that_makes_no_sense_is_not_made(tmp_path, name, scopes, expires):
    with pytest.raises(UsageError):
        KeyFile(tmp_path).issue(name, scopes, NOW, expires)
    assert not (tmp_path / "keys.json").exists()


def test_a_key_is_found_until_it_is_revoked(tmp_path):
    file = KeyFile(tmp_path)
    key, secret = file.issue("x", ["admin"], NOW)
    keys = Keys(file, required=False)
    found = keys.find(secret)
    assert found == key
    assert keys.find(secret + "x") is None
    file.revoke(key.id, NOW + 1)
    found = keys.find(secret)  # at the next request
    assert found is not None
    assert found.state(NOW + 2) == "revoked"
    with pytest.raises(NotFoundError):
        file.revoke("00000000", NOW)


def test_a_key_made_while_a_server_runs_is_known_and_needed(tmp_path):
    file = KeyFile(tmp_path)
    keys = Keys(file, required=False)
    assert not keys.required
    _, secret = file.issue("x", ["admin"], NOW)
    assert keys.required
    assert keys.find(secret)
    file.path.unlink()
    assert keys.required  # taking the file away opens no door
    assert keys.find(secret) is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 2, "keys": []}', b'{"format": 1, "keys": [{"id": 1}]}', b"\xff"])
def test_a_damaged_file_lets_nobody_in(tmp_path, content):
    file = KeyFile(tmp_path)
    _, secret = file.issue("x", ["admin"], NOW)
    keys = Keys(file, required=False)
    file.path.write_bytes(content)
    assert keys.find(secret) is None
    assert keys.required
    with pytest.raises(DamagedError):
        file.keys()


def test_the_life_of_a_key_over_http(tmp_path):
    bench = Bench(tmp_path, required=True)
    key, secret = bench.key("forecasts:read", expires=NOW + 100)

    async def play(client):
        async def asked(method="GET", path="/v1/forecasts/u1", said=f"Bearer {secret}"):
            return await client.request(method, path, headers={"authorization": said} if said else {})

        assert (await asked()).status_code == 200
        assert (await asked(said=f"bearer  {secret} ")).status_code == 200
        for wrong in ("", secret, f"Basic {secret}", "Bearer", f"Bearer {secret[:-1]}", f"Bearer {key.id}", "Bearer \xff"):
            answer = await client.get("/v1/forecasts/u1", headers=[(b"authorization", wrong.encode("latin-1"))] if wrong else [])
            assert answer.status_code == 401, wrong
            assert answer.headers["www-authenticate"] == "Bearer"
        assert (await asked("POST", "/v1/events")).status_code == 403
        bench.clock.now = NOW + 100
        answer = await asked()
        assert (answer.status_code, "expired" in answer.text) == (401, True)
        bench.clock.now = NOW
        bench.file.revoke(key.id, NOW)
        answer = await asked()
        assert (answer.status_code, "revoked" in answer.text) == (401, True)
        assert secret not in answer.text

    played(bench, play)


def test_scopes_say_what_a_key_may():
    assert set(SCOPES) == {"events:write", "forecasts:read", "metrics:read", "admin"}
