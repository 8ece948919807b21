"""The benchmark harness: verdicts, tables, the file that keeps the rows, and honest counting of cost."""

import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CalledProcessError
from types import SimpleNamespace

import pytest

from benchmarks import run
from benchmarks.rows import DATA, YARDSTICK, Row, costs, cpu_seconds, data_folder, merge, table, yardstick_folder

RATIO = Row(area="spine", name="group_vs_polars", unit="×", better="higher", peer=2.4e6, target=3)
TIME = Row(area="live", name="http_us", unit="µs", better="lower", peer=560, target=190)
AUC = Row(area="forecast", name="cdnow_auc", unit="", better="higher", floor=0.74)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (RATIO, "no value"),
        (RATIO.got(3.0, peer_measured=2.4e6), "met"),
        (RATIO.got(2.9, peer_measured=2.4e6), "missed"),
        (RATIO.got(9.0, peer_measured=0.69 * 2.4e6), "void"),
        (TIME.got(190, peer_measured=560), "met"),
        (TIME.got(191, peer_measured=560), "missed"),
        (TIME.got(100, peer_measured=560 / 0.69), "void"),
        (TIME.got(100, peer_measured=300), "met"),
        (AUC.got(0.77), ""),
    ],
)
def test_verdicts(row: Row, verdict: str) -> None:
    assert row.verdict == verdict


def test_a_ratio_is_void_when_a_peer_counted_in_time_is_slow() -> None:
    row = Row(area="live", name="http_vs_fastapi", unit="×", better="higher", peer=560, target=3, peer_better="lower")
    assert row.got(5, peer_measured=600).verdict == "met"
    assert row.got(5, peer_measured=900).verdict == "void"


def test_a_row_checks_itself() -> None:
    with pytest.raises(ValueError, match="the areas are spine"):
        Row(area="spin", name="x", unit="", better="lower")
    for figure in (math.nan, math.inf):
        with pytest.raises(ValueError, match="give a finite figure"):
            RATIO.got(figure)


def test_the_table_is_aligned_and_says_everything() -> None:
    text = table([RATIO.got(4.83, peer_measured=2.31e6), AUC.without(DATA), TIME.got(250, note="one worker")])
    head, *lines = text.splitlines()
    assert lines[0] == "group_vs_polars  4.83   ×     ≥ 3            2,400,000  2,310,000  met"
    assert head.index("peer here") == lines[0].index("2,310,000")
    assert "no value" in lines[1]
    assert "missed" in lines[2]
    assert lines[3].startswith("cdnow_auc: WHENBUY_DATA")
    assert lines[4] == "http_us: one worker"


def test_an_area_replaces_its_own_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    second = Row(area="spine", name="help_s", unit="s", better="lower", target=0.3)
    merge(path, "live", [TIME.got(150, peer_measured=550)])
    merge(path, "spine", [RATIO.got(4, peer_measured=2e6), second.got(0.1)])
    merge(path, "spine", [RATIO.got(5, peer_measured=2e6)])
    records = json.loads(path.read_text())
    assert [(record["area"], record["name"], record["value"]) for record in records] == [
        ("spine", "group_vs_polars", 5.0),
        ("live", "http_us", 150.0),
    ]
    assert list(records[0]) == ["area", "name", "value", "unit", "better", "floor", "peer", "peer_measured", "target"]
    assert [file.name for file in path.parent.iterdir()] == ["bench.json"]


def test_a_figure_that_could_not_be_had_is_null(tmp_path: Path) -> None:
    merge(tmp_path / "quality.json", "forecast", [AUC.without(DATA)])
    assert json.loads((tmp_path / "quality.json").read_text())[0]["value"] is None


def test_a_killed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bench.json"
    merge(path, "live", [TIME.got(150)])
    old = path.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        merge(path, "live", [TIME.got(160)])
    assert path.read_bytes() == old


def test_folders_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, folder in ((DATA, data_folder), (YARDSTICK, yardstick_folder)):
        monkeypatch.delenv(variable, raising=False)
        assert folder() is None
        assert "is not set" in AUC.without(variable).note
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
        assert folder() is None
        assert "names no folder" in AUC.without(variable).note
        monkeypatch.setenv(variable, str(tmp_path))
        assert folder() == tmp_path.resolve()


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one good area, one that breaks half-way and one that yields a stranger's row."""
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "RESULTS", {"speed": tmp_path / "build" / "bench.json", "quality": tmp_path / "build" / "quality.json"})
    (tmp_path / "benchmarks" / "speed").mkdir(parents=True)

    def good() -> Iterator[Row]:
        yield RATIO.got(4, peer_measured=2.4e6)

    def broken() -> Iterator[Row]:
        yield TIME.got(4)
        raise OSError("the server did not start")

    for area, rows in {"spine": good, "live": broken, "people": good}.items():
        (tmp_path / "benchmarks" / "speed" / f"{area}.py").touch()
        monkeypatch.setitem(sys.modules, f"benchmarks.speed.{area}", SimpleNamespace(rows=rows))
    return tmp_path


def test_a_good_area_prints_and_stores(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["speed", "spine"]) == 0
    assert "group_vs_polars" in capsys.readouterr().out
    assert len(json.loads((project / "build" / "bench.json").read_text())) == 1


def test_a_broken_area_hides_no_other(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    merge(project / "build" / "bench.json", "live", [TIME.got(150)])
    assert run.main(["speed"]) == 1
    told = capsys.readouterr()
    assert "speed live: broken" in told.out
    assert "speed people: broken" in told.out
    assert "the server did not start" in told.err
    assert {record["area"]: record["value"] for record in json.loads((project / "build" / "bench.json").read_text())} == {
        "spine": 4.0,
        "live": 150.0,
    }


def test_an_area_without_a_file_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["speed", "craft"]) == 0
    assert run.main(["quality"]) == 0
    assert capsys.readouterr().out.count("nothing to measure yet") == 2
    assert not (project / "build").exists()


@pytest.mark.parametrize("arguments", [[], ["fast"], ["speed", "spin"]])
def test_a_call_without_sense_lists_the_areas(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(arguments) == 2
    assert "spine forecast people nets live answers demand decide craft renewal" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ cost


def test_a_function_is_counted_without_its_imports() -> None:
    (cost,) = costs("statistics:mean", [1, 2, 6], times=1)
    assert cost.answer == 3
    assert 0 <= cost.cpu_s < 0.05


def test_children_are_counted_and_sleep_is_not() -> None:
    busy = "import time\nwhile time.process_time() < .3: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}]); import time; time.sleep(.2)"
    (cost,) = costs([sys.executable, "-c", child], times=1)
    assert 0.28 < cost.cpu_s < cost.wall_s + 0.1
    assert cpu_seconds("time:sleep", 0.05, times=2, take="median") < 0.04


def test_the_peak_belongs_to_the_work_alone() -> None:
    ballast = bytearray(os.urandom(1 << 20) * 256)  # 256 MiB in this process must not show in another's peak
    (small,) = costs([sys.executable, "-c", "pass"], times=1)
    (large,) = costs([sys.executable, "-c", "b = bytearray(b'x') * (128 << 20)"], times=1)
    assert len(ballast) == 256 << 20
    assert small.peak_mib < 100
    assert large.peak_mib > 128


WORK = """
import time

CALLS = []

def spin():
    end = time.process_time() + .2
    while time.process_time() < end:
        pass

def load(size):
    spin()
    return {"size": size}

def work(data):
    if not CALLS:
        spin()
    CALLS.append(data["size"])
    return CALLS
"""


def test_set_up_and_warm_calls_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_piece_of_work.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (cold,) = costs("a_piece_of_work:work", 10, times=1, setup="a_piece_of_work:load")
    (warm,) = costs("a_piece_of_work:work", 10, times=1, setup="a_piece_of_work:load", warm=1)
    assert cold.answer == [10]
    assert warm.answer == [10, 10]
    assert warm.cpu_s < 0.1
    assert 0.19 < cold.cpu_s < 0.3


def test_work_that_breaks_is_an_error() -> None:
    with pytest.raises(CalledProcessError):
        costs([sys.executable, "-c", "raise SystemExit(3)"], times=1)
