"""Keys are shown once, kept hashed, and refused the moment that they are revoked (S6)."""

import json
import stat

import pytest

from tests.unit.serve.doubles import NOW, Bench, played
from whenbuy.core.errors import DamagedError, NotFoundError, UsageError
from whenbuy.serve import keys as keeping
from whenbuy.serve.keys import ROLES, SCOPES, Key, KeyFile, Keys, digest


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


async def wrong_steps(client, bench):
    """What is not as it should be in the life of a key: made, used, used wrongly, run out, revoked."""
    key, secret = bench.key("forecasts:read", expires=NOW + 100)
    wrong = []

    async def asked(step, status, method="GET", path="/v1/forecasts/u1", said=f"Bearer {secret}", words=""):
        answer = await client.request(method, path, headers=[(b"authorization", said.encode("latin-1"))] if said else [])
        if answer.status_code != status or words not in answer.text or secret in answer.text:
            wrong.append((step, answer.status_code))
        if status == 401 and answer.headers.get("www-authenticate") != "Bearer":
            wrong.append((step, "says not what is needed"))

    if secret in bench.file.path.read_text() or secret.rpartition("_")[2] in bench.file.path.read_text():
        wrong.append(("kept", "readable"))
    await asked("good", 200)
    await asked("good, said otherwise", 200, said=f"bearer  {secret} ")
    for said in ("", secret, f"Basic {secret}", "Bearer", f"Bearer {secret[:-1]}", f"Bearer {key.id}", "Bearer \xff"):
        await asked(f"wrong: {said[:10]}", 401, said=said)
    await asked("more than it may", 403, "POST", "/v1/events")
    bench.clock.now = NOW + 100
    await asked("run out", 401, words="expired")
    bench.clock.now = NOW
    bench.file.revoke(key.id, NOW)
    await asked("revoked", 401, words="revoked")
    return wrong


def lived(folder):
    bench = Bench(folder, required=True)
    return played(bench, lambda client: wrong_steps(client, bench))


def test_the_life_of_a_key_over_http(tmp_path):
    assert lived(tmp_path) == []


class Forgetful:
    """Planted bugs, one each: what a key's keeper may not do."""

    @staticmethod
    def remembers_revoked_keys(patch):
        patch.setattr(Keys, "_stamp", lambda self: 0)

    @staticmethod
    def looks_at_no_scope(patch):
        patch.setattr(Key, "may", lambda self, permission: True)

    @staticmethod
    def looks_at_no_end(patch):
        patch.setattr(Key, "state", lambda self, now: "good" if self.revoked is None else "revoked")

    @staticmethod
    def keeps_the_key_itself(patch):
        patch.setattr(keeping, "digest", lambda secret: secret)

    @staticmethod
    def finds_by_the_beginning(patch):
        patch.setattr(keeping, "digest", lambda secret: digest(secret[:50]))


@pytest.mark.parametrize("bug", [name for name in vars(Forgetful) if not name.startswith("_")])
def test_the_harness_finds_a_keeper_that_is_wrong(tmp_path, monkeypatch, bug):
    getattr(Forgetful, bug)(monkeypatch)
    assert lived(tmp_path)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_a_set_of_scopes_and_nothing_more(tmp_path, role):
    key, _ = KeyFile(tmp_path).issue("x", [role], NOW)
    assert set(key.scopes) == set(ROLES[role])
    assert [scope for scope in SCOPES if key.may(scope)] == (list(SCOPES) if role == "admin" else list(ROLES[role]))
    both, _ = KeyFile(tmp_path).issue("y", [role, "metrics:read"], NOW)
    assert set(both.scopes) == {*ROLES[role], "metrics:read"}


def test_scopes_say_what_a_key_may():
    assert set(SCOPES) == {"events:write", "forecasts:read", "metrics:read", "admin"}
