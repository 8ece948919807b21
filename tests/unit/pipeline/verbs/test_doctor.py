"""What a doctor finds: in the installation, on the machine, in a shop."""

import json
import os
import subprocess
import sys
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenarios import small
from tests.scenarios.foreign import content, german, ok, orders, typed
from whenbuy.config import Settings
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.verbs import doctor, health


def found(*words: object, code: int = 0) -> dict[str, dict[str, Any]]:
    said = typed("doctor", *words, "--json")
    assert said.code == code, said.err
    plain = json.loads(said.out)
    assert plain["well"] == (code == 0)
    return {one["name"]: one for one in plain["findings"]}


def installed(monkeypatch: pytest.MonkeyPatch, *requires: str, python: str = ">=3.11", extras: tuple[str, ...] = ()) -> None:
    about = Message()
    about["Version"], about["Requires-Python"] = "9.9", python
    for line in requires:
        about["Requires-Dist"] = line
    for extra in extras:
        about["Provides-Extra"] = extra
    monkeypatch.setattr(metadata, "metadata", lambda _: about)


def test_this_installation_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = found()
    assert rows["Python"]["state"] == rows["libraries"]["state"] == "well"
    assert "in no shop" in rows["folder"]["found"]
    assert not {"extra dev", "extra bench"} & set(rows)


def test_a_missing_and_an_old_library_are_named_with_what_mends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "nosuchlibrary>=1.0", "polars>=99,<100", "click>=1", 'whatever>=1; extra == "more"', extras=("more", "dev"))
    rows = found(code=8)
    assert rows["libraries"]["found"] == "1 of 3 as needed"
    assert rows["nosuchlibrary"]["do"] == 'python -m pip install "nosuchlibrary>=1.0"'
    assert f"{metadata.version('polars')}; needed: >=99,<100" in rows["polars"]["found"]
    assert (rows["extra more"]["state"], rows["extra more"]["do"]) == ("note", 'python -m pip install "whenbuy[more]"')
    assert "extra dev" not in rows
    assert "nosuchlibrary" in typed("doctor").err


def test_an_old_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, python=">=99")
    assert "needed: >=99" in found(code=8)["Python"]["found"]


def test_it_runs_where_nothing_is_installed(tmp_path: Path) -> None:
    script = (
        "import sys\nfor name in ('polars', 'numpy', 'numba'):\n    sys.modules[name] = None\nfrom importlib import metadata\n"
        "real = metadata.version\n"
        "def version(name):\n    if name == 'polars':\n        raise metadata.PackageNotFoundError(name)\n    return real(name)\n"
        "metadata.version = version\nfrom whenbuy.cli import main\nmain(['doctor', '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 8, done.stderr
    assert "polars" in {one["name"] for one in json.loads(done.stdout)["findings"] if one["state"] == "bad"}


@given(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30)), st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_versions_are_compared_as_numbers(version: tuple[int, ...], limit: tuple[int, ...]) -> None:
    text, wanted = ".".join(map(str, version)), ".".join(map(str, limit))
    assert doctor._enough(text, f">={wanted}") == (version >= (*limit, 0))
    assert doctor._enough(text, f"<{wanted}") == (version < (*limit, 0))
    assert doctor._enough(f"{text}+cpu", f"=={wanted}") == (version == (*limit, 0))
    assert doctor._enough(text, "") is True


def test_requirements_are_read() -> None:
    assert doctor._parsed("pyarrow>=25,<26") == ("pyarrow", ">=25,<26", "")
    assert doctor._parsed("lifelines>=0.30; extra == 'survival'") == ("lifelines", ">=0.30", "survival")
    assert doctor._parsed('vl-convert-python (>=1.9) ; extra == "a" and python_version > "3"') == ("vl-convert-python", ">=1.9", "a")


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "cache_folder", lambda: tmp_path / "nowhere")
    assert "WHENBUY_CACHE" in found(code=7)["compiled loops"]["do"]
    monkeypatch.setattr(health, "cache_folder", lambda: tmp_path)
    assert found()["compiled loops"]["state"] == "note"
    if os.name == "posix":
        tmp_path.chmod(0o777)
        assert found(code=7)["compiled loops"]["do"] == f"chmod 700 {tmp_path}"


def test_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LEAST_DISK", 1e18)
    monkeypatch.setattr(doctor, "_LEAST_MEMORY", 1e18)
    rows = found(code=7)
    assert rows["disk free"]["do"] == "Make room."
    assert rows.get("memory free", {"state": "note"})["state"] == "note"


def test_sizes() -> None:
    assert [doctor._size(number) for number in (0, 999, 1000, 2.5e9, 1e13)] == ["0 B", "999 B", "1 KB", "2.5 GB", "10 TB"]


# ------------------------------------------------------------------------------------------------ a shop


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("doctor")
    ok("init", german(home / "x.csv", orders(20, 120)), "--shop", home / "shop")
    with small.quick():
        ok("fit", "--shop", home / "shop")
    return home / "shop"


def test_a_whole_shop_is_well_and_is_not_changed(made: Path) -> None:
    before = content(made)
    rows = found("--shop", made)
    assert rows["log"]["found"].startswith("whole: ")
    assert rows["models"]["found"].startswith("1 whole; ")
    assert rows["runs"]["found"] == "1 recorded"
    assert rows["writing"]["found"] == "nobody is writing"
    assert content(made) == before


def test_a_shop_without_a_log_and_without_models(tmp_path: Path) -> None:
    shop = Shop.create(tmp_path / "shop", Settings())
    rows = found("--shop", shop.folder, code=6)
    assert rows["log"]["state"] == "bad"
    assert (rows["models"]["state"], rows["models"]["do"]) == ("note", "whenbuy fit")
    assert found("--shop", tmp_path / "nowhere", code=6)["folder"]["state"] == "bad"


def test_who_is_writing_is_named(made: Path) -> None:
    script = (
        f"import time\nfrom whenbuy.ingest.store import writing\nwith writing({str(made)!r}):\n"
        "    print('in', flush=True)\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        row = found("--shop", made)["writing"]
        other.kill()
    assert (row["state"], str(other.pid) in row["found"]) == ("note", True)


def test_damage_is_found(made: Path, tmp_path: Path) -> None:
    import shutil

    for part, name, code in (("models/*/manifest.json", "models", 3), ("log/log.json", "log", 3), ("runs/*/run.json", "runs", 3)):
        shop = Path(shutil.copytree(made, tmp_path / name))
        file = next(shop.glob(part))
        file.write_bytes(file.read_bytes()[:-5])
        row = found("--shop", shop, code=code)[name]
        assert row["state"] == "bad"
        assert row["do"]
    (made / "whenbuy.toml").read_text()
    shop = Path(shutil.copytree(made, tmp_path / "settings"))
    (shop / "whenbuy.toml").write_text("[nosuch]\n")
    assert found("--shop", shop, code=2)["settings"]["state"] == "bad"


def test_a_model_of_another_version_is_found(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "types", dict)  # this version knows none of its parts
    row = found("--shop", made, code=3)["models"]
    assert "is whole, but another version of whenbuy wrote it (0.1.0" in row["found"]
    assert (row["state"], row["do"]) == ("bad", "Fit again: `whenbuy fit`.")
