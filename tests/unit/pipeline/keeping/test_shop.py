"""A shop's folder: made, found, private, and written whole or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from whenbuy.config import Settings, ShopSettings
from whenbuy.core.errors import AccessError, BusyError, NotFoundError, UsageError
from whenbuy.pipeline.keeping.shop import FOLDERS, Shop, write

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions are the system's own there")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_shop_has_its_settings_and_folders(tmp_path):
    shop = Shop.create(tmp_path / "new" / "shop", Settings(ShopSettings(name="corner")))
    assert shop.settings().shop.name == "corner"
    assert {path.name for path in shop.folder.iterdir()} == {*FOLDERS, "whenbuy.toml"}
    assert [getattr(shop, name).is_dir() for name in FOLDERS] == [True] * 6
    with pytest.raises(UsageError, match="already is a shop"):
        Shop.create(shop.folder, Settings())
    assert shop.settings().shop.name == "corner"


@posix
def test_only_the_owner_can_read_it(tmp_path):
    old = os.umask(0)
    try:
        shop = Shop.create(tmp_path / "shop", Settings())
        write(shop.runs / "a" / "run.json", b"{}")
    finally:
        os.umask(old)
    assert mode(shop.folder) == 0o700
    assert {mode(shop.folder / name) for name in FOLDERS} == {0o700}
    assert mode(shop.file) == mode(shop.runs / "a" / "run.json") == 0o600
    assert mode(shop.runs / "a") == 0o700


@posix
def test_a_folder_that_was_there_keeps_its_permissions(tmp_path):
    tmp_path.chmod(0o755)
    Shop.create(tmp_path, Settings())
    assert mode(tmp_path) == 0o755


def test_a_shop_is_found_from_within(tmp_path):
    shop = Shop.create(tmp_path, Settings())
    deep = shop.models / "a" / "b"
    deep.mkdir(parents=True)
    assert Shop.find(deep) == Shop.find(tmp_path) == shop


def test_no_shop_says_what_to_do(tmp_path):
    with pytest.raises(NotFoundError, match=r"whenbuy init.*--shop DIR"):
        Shop.find(tmp_path)
    with pytest.raises(NotFoundError, match="is not a shop"):
        Shop(tmp_path)


def test_sources_are_seen_from_the_shop(tmp_path):
    shop = Shop.create(tmp_path, Settings.parse("source.paths = ['a.csv', '/data/b.csv']"))
    assert shop.sources(shop.settings()) == (shop.folder / "a.csv", Path("/data/b.csv"))


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    file = tmp_path / "x.json"
    write(file, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AccessError, match="No space left"):
        write(file, b"new")
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_shop_that_another_process_writes_to_is_busy(tmp_path):
    shop = Shop.create(tmp_path, Settings())
    code = """if True:
        import sys
        from whenbuy.pipeline.keeping.shop import Shop
        with Shop.find(sys.argv[1]).writing():
            print("inside", flush=True)
            input()
    """
    path = os.pathsep.join(part for part in sys.path if part)
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    with other:
        assert other.stdout.readline() == "inside\n"
        with pytest.raises(BusyError, match=str(other.pid)), shop.writing():
            pass
        other.kill()
    with shop.writing():  # what a killed process held is free
        pass


def test_a_shop_where_a_file_stands_in_the_way(tmp_path):
    (tmp_path / "log").write_text("in the way")
    with pytest.raises(AccessError):
        Shop.create(tmp_path, Settings())
