"""Every bad input ends in a stated behaviour or in an error of three parts with its exit code, and nothing is lost."""

import errno
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.scenarios.foreign import content, german, ok, orders, plain, refused, typed
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.learning import learn
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.verbs import predict


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return german(tmp_path_factory.mktemp("source") / "laden.csv", orders(30, 120))


@pytest.fixture(scope="module")
def fitted(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "laden"
    ok("init", file, "--shop", folder)
    ok("fit", "--shop", folder)
    ok("predict", "--shop", folder)
    return folder


@pytest.fixture
def shop(fitted: Path, tmp_path: Path) -> Path:
    """A shop of the test's own, with a model and a forecast."""
    return Path(shutil.copytree(fitted, tmp_path / "laden"))


@pytest.fixture
def quick(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> Forecaster:
    """Learning that takes no time: fit saves this forecaster, which differs from the shop's own."""
    old = champion(fitted)
    new: Forecaster = replace(old, notes=(*old.notes, "new"))
    monkeypatch.setattr(learn, "fit", lambda *_, **__: new)
    return new


def champion(shop: Path) -> Forecaster:
    """Return the model that answers."""
    found = Registry(shop / "models").answering(types())[1]
    assert isinstance(found, Forecaster)
    return found


def accounts(shop: Path) -> dict[str, int]:
    """Return what became of every row, after it was checked against the files."""
    counts: dict[str, int] = json.loads((shop / "quarantine" / "found.json").read_text())["counts"]
    assert len(pl.read_parquet(shop / "quarantine" / "reading.parquet")) == counts["rejected"]
    cleaning = pl.read_parquet(shop / "quarantine" / "cleaning.parquet")
    assert cleaning.filter(pl.col("done") == "removed")["row"].n_unique() == counts["removed"]
    assert len(open_log(shop / "log").log) == counts["events"]
    assert counts["events"] - counts["added"] + counts["rejected"] + counts["removed"] == counts["rows"]
    return counts


# ------------------------------------------------------------------------------------------------ the file


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", "user_id,time,amount\n", "user_id,time\n,\n"])
def test_a_file_without_events(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    refused(3, "init", tmp_path / "x.csv", "--shop", tmp_path / "shop")
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.csv", b"user_id,time\n" + bytes(range(256)) * 20),
        ("x.parquet", b"PAR1 this is none PAR1"),
        ("x.csv.gz", gzip.compress(b"user_id,time\n" + b"a,2023-01-01\n" * 100_000)[:-900]),
        ("x.jsonl", b'{"user_id": "a"'),
        ("x.bin", os.urandom(5000)),
    ],
)
def test_a_file_that_is_no_table(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    refused(3, "init", tmp_path / name, "--shop", tmp_path / "shop")
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize("head", ["user_id,colour,shape", "colour,time,shape"])
def test_a_missing_column(head: str, tmp_path: Path) -> None:
    rows = [(f"red{i % 7}", "2023-01-01 10:00" if "time" in head else "blue", "round") for i in range(50)]
    message = refused(3, "init", plain(tmp_path / "x.csv", rows, head), "--shop", tmp_path / "shop")
    assert "colour" in message
    assert not (tmp_path / "shop").exists()


def test_a_column_that_does_not_exist(file: Path, tmp_path: Path) -> None:
    assert "nosuch" in refused(3, "init", file, "--column", "user_id=nosuch", "--shop", tmp_path / "shop")


def test_times_that_cannot_be_read_are_rejected_with_their_reason(tmp_path: Path) -> None:
    rows = [(f"u{i % 7}", f"2023-01-{1 + i % 28:02} 10:00", 5 + i) for i in range(60)]
    rows[1], rows[2], rows[3] = ("b", "yesterday", 6), ("c", "", 7), ("d", "2023-02-30", 8)
    said = ok("init", plain(tmp_path / "x.csv", rows), "--shop", tmp_path / "shop")
    assert accounts(tmp_path / "shop")["rejected"] == 3
    assert "time is not a time" in said.err
    rejects = pl.read_parquet(tmp_path / "shop" / "quarantine" / "reading.parquet")
    assert rejects["row"].to_list() == [2, 3, 4]
    assert "yesterday" in rejects["raw"][0]


def test_no_time_can_be_read(tmp_path: Path) -> None:
    rows = [(f"u{i}", "soon", 5) for i in range(9)]
    refused(3, "init", plain(tmp_path / "x.csv", rows), "--column", "time=time", "--shop", tmp_path / "shop")


def test_times_with_and_without_a_zone_are_not_mixed(tmp_path: Path) -> None:
    rows = [("a", "2023-01-01T10:00:00", 5), ("b", "2023-01-01T10:00:00+02:00", 6)] * 5
    assert "zone" in refused(3, "init", plain(tmp_path / "x.csv", rows), "--shop", tmp_path / "shop")


def test_the_future_is_rejected(tmp_path: Path) -> None:
    rows = [("a", "2023-01-01 10:00", 5), ("a", "2150-01-01 10:00", 5), ("b", "2023-01-02 10:00", 5), ("b", "9999-12-31 10:00", 5)]
    ok("init", plain(tmp_path / "x.csv", rows), "--shop", tmp_path / "shop")
    assert accounts(tmp_path / "shop")["rejected"] == 2
    assert open_log(tmp_path / "shop" / "log").clock.show(open_log(tmp_path / "shop" / "log").end) == "2023-01-03"


def test_amounts_that_are_no_numbers(tmp_path: Path) -> None:
    amounts = ["5.5", "nan", "inf", "-inf", "1e400", "", "cheap", "6.5", "1e18", "-3"]
    rows = [(f"u{i}", f"2023-01-0{1 + i % 9} 10:00", amount) for i, amount in enumerate(amounts)]
    ok("init", plain(tmp_path / "x.csv", rows), "--shop", tmp_path / "shop", "--column", "amount=amount")
    counts = accounts(tmp_path / "shop")
    assert counts["rows"] == len(amounts)
    known = open_log(tmp_path / "shop" / "log").log.columns["amount"].numbers()
    assert set(known[~np.isnan(known)].tolist()) <= {5.5, 6.5, 3.0}  # what is not finite is no amount; a refund's is positive


def test_ids_that_repeat_are_one_event(tmp_path: Path) -> None:
    rows = [("e1", "a", "2023-01-01 10:00", 5), ("e1", "a", "2023-01-01 10:00", 5), ("e2", "a", "2023-01-02 10:00", 5)]
    ok("init", plain(tmp_path / "x.csv", rows, "event_id,user_id,time,amount"), "--shop", tmp_path / "shop")
    assert accounts(tmp_path / "shop")["removed"] == 1


def test_equal_rows_of_a_log_of_days_stay_unless_the_shop_says_otherwise(tmp_path: Path) -> None:
    rows = [("a", "2023-01-01", 5), ("a", "2023-01-01", 5), ("b", "2023-01-02", 5), ("b", "2023-02-02", 7)]
    shop = tmp_path / "shop"
    ok("init", plain(tmp_path / "x.csv", rows), "--shop", shop)
    assert accounts(shop)["removed"] == 0
    text = (shop / "whenbuy.toml").read_text()
    (shop / "whenbuy.toml").write_text(text.replace("[clean]", "[clean]\nduplicates = {}"))
    ok("init", "--shop", shop)
    assert accounts(shop)["removed"] == 1


def test_equal_rows_of_a_log_of_times_are_one_unless_the_shop_says_otherwise(tmp_path: Path) -> None:
    rows = [("a", "2023-01-01 10:00", 5), ("a", "2023-01-01 10:00", 5), ("b", "2023-01-02 11:00", 5)]
    shop = tmp_path / "shop"
    ok("init", plain(tmp_path / "x.csv", rows), "--shop", shop)
    assert accounts(shop)["removed"] == 1
    text = (shop / "whenbuy.toml").read_text()
    (shop / "whenbuy.toml").write_text(text.replace("[clean]", "[clean]\nduplicates = false\ndouble_clicks = false"))
    ok("init", "--shop", shop)
    assert accounts(shop)["removed"] == 0


def test_ids_that_cannot_be_names(tmp_path: Path) -> None:
    rows = [
        ("a", "2023-01-01 10:00", 5),
        ("nul\0", "2023-01-01 10:00", 5),
        ("x" * 100_000, "2023-01-02 10:00", 5),
        ("b", "2023-01-02 10:00", 5),
    ]
    said = ok("init", plain(tmp_path / "x.csv", rows), "--shop", tmp_path / "shop")
    assert accounts(tmp_path / "shop")["rejected"] == 2
    assert len(said.err) < 2000
    assert open_log(tmp_path / "shop" / "log").log.users.ids.to_list() == ["a", "b"]


def test_ids_that_would_steer_the_terminal_or_a_spreadsheet(tmp_path: Path) -> None:
    names = ("\x1b[2Jred", "\u202eder", "=1+1")
    rows = [(name, f"2023-0{1 + i % 6}-1{i % 9} 10:00", 5.0 + i) for i in range(60) for name in names]
    pl.DataFrame(rows, ["user_id", "time", "amount"], orient="row").write_parquet(tmp_path / "x.parquet")
    shop = tmp_path / "shop"
    assert "60 rows rejected" in ok("init", tmp_path / "x.parquet", "--shop", shop).err  # control characters are no name
    ok("fit", "--shop", shop)
    ok("predict", "--shop", shop, "--out", tmp_path / "out.csv")
    assert sorted(pl.read_csv(tmp_path / "out.csv")["user_id"]) == ["'=1+1", "\u202eder"]
    assert sorted(pl.read_csv(ok("predict", "--shop", shop).out.encode())["user_id"]) == ["=1+1", "\u202eder"]
    assert "\x1b" not in ok("predict", "--shop", shop, "\x1b[2Jnew").err
    assert "\u202e" not in ok("predict", "--shop", shop, "\u202enew").err


# ------------------------------------------------------------------------------------------ too little


def test_one_customer_alone(tmp_path: Path) -> None:
    rows = [("a", f"2023-{month:02}-{day:02} 10:00", 5 + day) for month in range(1, 7) for day in (3, 13, 23)]
    ok("init", plain(tmp_path / "x.csv", rows), "--shop", tmp_path / "shop")
    said = typed("fit", "--shop", tmp_path / "shop")
    assert said.code in (0, 4), said.err
    if said.code == 0:
        assert len(ok("predict", "--shop", tmp_path / "shop").out.splitlines()) == 2


def test_no_purchase_at_all(tmp_path: Path) -> None:
    rows = [(f"u{i % 9}", f"2023-0{1 + i % 6}-1{i % 9} 10:00", "view") for i in range(90)]
    said = ok("init", plain(tmp_path / "x.csv", rows, "user_id,time,event"), "--shop", tmp_path / "shop")
    assert "--kind" in said.err
    assert "--kind" in refused(4, "fit", "--shop", tmp_path / "shop")
    refused(4, "backtest", "--shop", tmp_path / "shop")
    refused(6, "predict", "--shop", tmp_path / "shop")


@pytest.mark.parametrize("days", [0.5, 3, 20])
def test_a_log_shorter_than_the_horizon(days: float, tmp_path: Path) -> None:
    rows = orders(20, days)
    ok("init", german(tmp_path / "x.csv", rows), "--shop", tmp_path / "shop")
    refused(4, "backtest", "--shop", tmp_path / "shop")
    said = typed("fit", "--shop", tmp_path / "shop")
    assert said.code in (0, 4), said.err
    if said.code == 0:
        assert "too few" in said.err  # to check what it says, and it says so
        ok("predict", "--shop", tmp_path / "shop")


def test_before_the_first_event(shop: Path) -> None:
    refused(4, "fit", "--shop", shop, "--as-of", "1990-01-01")
    refused(4, "backtest", "--shop", shop, "--as-of", "1990-01-01")


@pytest.mark.parametrize("moment", ["morgen", "2023-13-01", "0001-01-01", "9999-12-31", "1969-12-31", "2200-01-02", "", " "])
def test_moments_that_are_none(moment: str, shop: Path) -> None:
    for verb in ("fit", "predict", "backtest"):
        refused(2, verb, "--shop", shop, "--as-of", moment)


# ------------------------------------------------------------------------------------------------ places


def test_there_is_no_such_file_or_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(6, "init", tmp_path / "no.csv", "--shop", tmp_path / "shop")
    refused(6, "init", tmp_path / "no-*.csv", "--shop", tmp_path / "shop")
    refused(2, "init", "--shop", tmp_path / "shop")
    refused(2, "init", "", "--shop", tmp_path / "shop")
    refused(2, "init", tmp_path / "no.csv", "--layout", "nosuch", "--shop", tmp_path / "shop")
    refused(2, "init", tmp_path / "no.csv", "--timezone", "Nowhere/None", "--shop", tmp_path / "shop")
    refused(2, "init", tmp_path / "no.csv", "--currency", "Euro", "--shop", tmp_path / "shop")
    for verb in ("fit", "backtest", "predict", "report"):
        refused(6, verb, "--shop", tmp_path / "shop")
        refused(6, verb)
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_went_away(shop: Path) -> None:
    text = (shop / "whenbuy.toml").read_text()
    (shop / "whenbuy.toml").write_text(text.replace("laden.csv", "gone.csv"))
    before = content(shop)
    refused(6, "init", "--shop", shop)
    assert content(shop) == before


def test_a_folder_instead_of_a_file_and_the_other_way_round(file: Path, shop: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(3, "init", tmp_path / "empty", "--shop", tmp_path / "new")
    (tmp_path / "file").write_text("no folder")
    refused(7, "init", file, "--shop", tmp_path / "file")
    refused(7, "init", file, "--shop", tmp_path / "file" / "below")
    refused(6, "predict", "--shop", tmp_path / "file")
    (tmp_path / "out.csv").mkdir()
    refused(7, "predict", "--shop", shop, "--out", tmp_path / "out.csv")
    refused(7, "predict", "--shop", shop, "--out", tmp_path / "file" / "out.csv")
    refused(2, "predict", "--shop", shop, "--out", tmp_path / "out.xlsx")
    refused(2, "predict", "--shop", shop, "--out", "")
    assert (tmp_path / "file").read_text() == "no folder"


def test_a_shop_is_made_once(file: Path, shop: Path) -> None:
    before = content(shop)
    refused(2, "init", file, "--shop", shop)
    assert content(shop) == before


def test_a_failed_init_leaves_a_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    (tmp_path / "mine" / "reports").mkdir()
    refused(6, "init", tmp_path / "no.csv", "--shop", tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir() if path.name != "log.lock") == ["letter.txt", "reports"]


def test_folders_that_may_not_be_written(file: Path, shop: Path, tmp_path: Path) -> None:
    (tmp_path / "sealed").mkdir(mode=0o500)
    if os.access(tmp_path / "sealed", os.W_OK):
        pytest.skip("whoever runs this may write everywhere")
    refused(7, "init", file, "--shop", tmp_path / "sealed" / "shop")
    refused(7, "predict", "--shop", shop, "--out", tmp_path / "sealed" / "x.csv")
    (tmp_path / "secret.csv").write_text("user_id,time\n")
    (tmp_path / "secret.csv").chmod(0)
    refused(7, "init", tmp_path / "secret.csv", "--shop", tmp_path / "new")
    for folder in ("models", "reports", "forecasts"):
        (shop / folder).chmod(0o500)
    assert "nobody may write there" in ok("predict", "--shop", shop).err  # reading goes on
    refused(7, "report", "--shop", shop)
    ok("predict", "--shop", shop, "K0001")
    for folder in ("models", "reports", "forecasts"):
        (shop / folder).chmod(0o700)


# ---------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("was", "becomes", "named"),
    [
        ("seed = 0", "sead = 0", "sead"),
        ("seed = 0", 'seed = "a"', "seed"),
        ("horizons = [7, 14, 28]", "horizons = 7", "horizons"),
        ("horizons = [7, 14, 28]", "horizons = [-1]", "horizons"),
        ("[calendar]", "[kalender]", "kalender"),
        ("[clean]", "[clean]\nduplicate = false", "duplicates"),
        ("[clean]", "[clean]\nbots = {nosuch = 1}", "bots"),
        ('timezone = "UTC"', 'timezone = "Mars/Base"', "timezone"),
        ("[shop]", "[shop", "TOML"),
    ],
)
def test_settings_that_do_not_say_what_they_must(was: str, becomes: str, named: str, shop: Path) -> None:
    text = (shop / "whenbuy.toml").read_text()
    assert was in text
    (shop / "whenbuy.toml").write_text(text.replace(was, becomes, 1))
    before = content(shop)
    verbs_ = [["init"]] if "nosuch" in becomes else [["fit"], ["backtest"], ["predict"], ["report"], ["init"]]
    for verb in verbs_:
        assert named in refused(2, *verb, "--shop", shop)
    assert content(shop) == before


def test_settings_that_are_no_text(shop: Path) -> None:
    (shop / "whenbuy.toml").write_bytes(b"\xff\xfe\x00")
    refused(2, "fit", "--shop", shop)


# ---------------------------------------------------------------------------------------------- damage


def test_a_bundle_with_one_byte_changed(shop: Path) -> None:
    for name in ("manifest.json", "model.json", "arrays.safetensors"):
        (path,) = (shop / "models").glob(f"*/{name}")
        whole = path.read_bytes()
        for place in range(0, len(whole), 1 + len(whole) // 5):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert "Fit the model again" in refused(3, "predict", "--shop", shop)
        path.write_bytes(whole)
    ok("predict", "--shop", shop)


def test_a_log_with_one_byte_changed_is_not_learned_from(shop: Path, quick: Forecaster) -> None:
    for path in sorted((shop / "log").rglob("*.*")):
        whole = path.read_bytes()
        if path.name == "log.lock" or not whole:
            continue
        place = len(whole) // 2
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused(3, "fit", "--shop", shop)
        path.write_bytes(whole)
    ok("fit", "--shop", shop)


@pytest.mark.parametrize("name", ["reports/scores.parquet", "reports/calibration.parquet", "quarantine/found.json"])
def test_what_a_verb_left_is_damaged(name: str, shop: Path) -> None:
    (shop / name).write_bytes(b"PAR1{")
    refused(3, "report", "--shop", shop)
    ok("predict", "--shop", shop)


# ------------------------------------------------------------------------------------------ interruptions


@contextmanager
def somebody_writes(shop: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the shop."""
    held = f"import sys\nfrom whenbuy.ingest.lock import writing\nwith writing({str(shop)!r}): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield other
        finally:
            other.kill()


def test_a_shop_that_another_process_is_writing(file: Path, shop: Path, tmp_path: Path, quick: Forecaster) -> None:
    with somebody_writes(shop) as other:
        for verb in (["fit"], ["backtest"], ["init"]):
            assert f"Process {other.pid}" in refused(8, *verb, "--shop", shop)
        ok("predict", "--shop", shop)
        ok("report", "--shop", shop)
    ok("fit", "--shop", shop)  # the lock of the dead is taken over
    with somebody_writes(tmp_path / "new"):
        refused(8, "init", file, "--shop", tmp_path / "new")
    ok("init", file, "--shop", tmp_path / "new")


def failing(nth: int, code: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the nth fsync fail; return the count of all that were tried."""
    tried = [0]
    real = os.fsync

    def fsync(handle: int) -> None:
        tried[0] += 1
        if tried[0] == nth:
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return tried


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_while_a_shop_is_made(code: int, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for nth in range(1, 100):
        with monkeypatch.context() as patch:
            tried = failing(nth, code, patch)
            said = typed("init", file, "--shop", tmp_path / "shop")
        if tried[0] < nth:
            assert said.code == 0
            break
        assert said.code == 7, said.err
        assert os.strerror(code) in said.err
        if (tmp_path / "shop").exists():  # the last sync of all may fail when everything stands
            assert (tmp_path / "shop" / "whenbuy.toml").exists()
            accounts(tmp_path / "shop")
            shutil.rmtree(tmp_path / "shop")
    assert nth > 10


@pytest.mark.parametrize("verb", ["init", "fit", "predict", "report"])
def test_a_full_disk_in_a_shop(verb: str, shop: Path, quick: Forecaster, monkeypatch: pytest.MonkeyPatch) -> None:
    ok("report", "--shop", shop)
    users = open_log(shop / "log").log.users.ids.to_list()
    for nth in range(1, 100):
        with monkeypatch.context() as patch:
            tried = failing(nth, errno.ENOSPC, patch)
            said = typed(verb, "--shop", shop)
        if tried[0] < nth:
            assert said.code == 0
            break
        assert said.code == 7, said.err
        assert len(said.err.strip().split("Error: ")[1].split("\n")) == 3
        assert open_log(shop / "log", verify=True).log.users.ids.to_list() == users
        ok("predict", "--shop", shop)
        assert (shop / "reports" / "index.html").read_text().endswith("</html>\n")
    assert nth > 1


class Killed(BaseException):
    """The process is dead."""


def killed(nth: int, *words: object) -> bool:
    """Run a command line that dies before its nth change of the disk, as by SIGKILL: no handler changes anything after it."""
    left = [nth]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "ftruncate"):
            patch.setattr(os, name, counted(getattr(os, name)))
        said = typed(*words)
    assert (said.code == 0) == (left[0] >= 0), said.err
    return left[0] < 0


def killed_everywhere(shop: Path | None, target: Path, *words: object) -> list[Path]:
    """Return the folders that processes left which died at every step; the last one came to its end."""
    target.mkdir()
    for nth in range(200):
        place = target / str(nth)
        if shop is not None:
            shutil.copytree(shop, place)
        if not killed(nth, *words, "--shop", place):
            break
    assert nth > 8
    return [target / str(step) for step in range(nth + 1)]


def test_an_import_killed_at_any_step_leaves_no_shop_or_the_whole_one(file: Path, tmp_path: Path) -> None:
    left = killed_everywhere(None, tmp_path / "left", "init", file)
    whole = [data for name, data in content(left[-1] / "log").items() if name.endswith(".arrow")]
    for folder in left:
        if not (folder / "whenbuy.toml").exists():
            refused(6, "predict", "--shop", folder)
            ok("init", file, "--shop", folder)  # the lock of the dead is taken over, their remains do not matter
            assert [data for name, data in content(folder / "log").items() if name.endswith(".arrow")] == whole
        accounts(folder)


def test_an_import_killed_at_any_step_leaves_the_old_log_or_the_new_one(shop: Path, tmp_path: Path) -> None:
    text = (shop / "whenbuy.toml").read_text()
    (shop / "whenbuy.toml").write_text(text.replace('"*" = "purchase"', '"*" = "view"'))
    seen = []
    for folder in killed_everywhere(shop, tmp_path / "left", "init"):
        seen.append(open_log(folder / "log", verify=True).log.kinds)
        ok("predict", "K0001", "--shop", folder)
        ok("init", "--shop", folder)
        accounts(folder)
        assert len(list((folder / "log").glob("log-*"))) == 1
    assert set(seen) == {("purchase",), ("view",)}
    assert seen == sorted(seen)


def test_a_fit_killed_at_any_step_leaves_the_old_model_or_the_new_one(shop: Path, tmp_path: Path, quick: Forecaster) -> None:
    seen = []
    for folder in killed_everywhere(shop, tmp_path / "left", "fit"):
        said = ok("predict", "K0001", "--json", "--shop", folder)
        assert len(json.loads(said.out)["forecasts"]) == 1
        seen.append(champion(folder).notes == quick.notes)
        ok("fit", "--shop", folder)
        assert champion(folder).notes == quick.notes
        assert [path.name for path in (folder / "models").iterdir() if path.name.startswith(".")] == []
    assert set(seen) == {False, True}
    assert seen == sorted(seen)


def killed_after(seconds: float, *words: object) -> None:
    """Run a command line in a process of its own and kill it for real."""
    command = [sys.executable, "-m", "whenbuy.cli", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        with suppress(subprocess.TimeoutExpired):
            other.wait(seconds)
        other.kill()


@pytest.mark.slow
def test_processes_killed_at_random_moments(file: Path, shop: Path, tmp_path: Path) -> None:
    before, rng = content(shop), np.random.default_rng()
    for seconds in rng.uniform(0.5, 9, 4):
        killed_after(seconds, "fit", "--shop", shop)
        assert [name for name in before if name not in content(shop)] == []
        ok("predict", "--shop", shop)
    for seconds in rng.uniform(0.5, 4, 4):
        folder = tmp_path / f"after-{seconds}"
        killed_after(seconds, "init", file, "--shop", folder)
        if not (folder / "whenbuy.toml").exists():
            ok("init", file, "--shop", folder)
        accounts(folder)


def test_an_interruption_is_no_error(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    before = content(shop)
    monkeypatch.setattr(learn, "fit", interrupted)
    said = typed("fit", "--shop", shop)
    assert said.code == 130
    assert "Interrupted" in said.err
    assert "Traceback" not in said.err
    assert content(shop) == before


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("a\nb"), 1), (MemoryError(), 1), (RecursionError("deep"), 1), (PermissionError(13, "no", "x"), 7),
        (OSError(errno.ENOSPC, "No space left on device"), 7), (EOFError("short"), 3), (AssertionError(), 1),
        (pl.exceptions.PanicException("rust"), 1), (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), 1),
    ],
)  # fmt: skip
def test_whatever_happens_inside_no_traceback_comes_out(
    error: BaseException, code: int, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(predict, "predict", broken)
    message = refused(code, "predict", "--shop", shop)
    assert ("WHENBUY_DEBUG" in message) == (code == 1 and not isinstance(error, MemoryError))
    if code == 1:
        monkeypatch.setenv("WHENBUY_DEBUG", "1")
        with pytest.raises(type(error)):
            typed("predict", "--shop", shop)
