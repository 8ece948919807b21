"""The frame of the command line: help, arguments, streams and what a terminal shows."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scenarios.foreign import german, ok, orders, refused, typed
from whenbuy.cli import run, whenbuy
from whenbuy.core.errors import BusyError
from whenbuy.ingest import layouts
from whenbuy.pipeline.learning.forecaster import Choice
from whenbuy.pipeline.telling import screen
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.verbs import report

HEAVY = ("torch", "sklearn", "lightgbm", "numba", "polars", "numpy", "scipy", "altair", "pyarrow", "rich", "jinja2")
VERBS = [
    "demo", "init", "check", "quarantine", "fit", "predict", "explain", "segment", "paths", "churn", "reviews", "report",
    "questions", "recommend", "plan", "win-back", "audience", "bids", "queue", "result", "forecast", "trends", "prices",
    "assortment", "stock", "backtest", "stress", "learning-curve", "ingest", "serve", "keys", "models", "runs", "doctor",
    "completion",
]  # fmt: skip
ENDING = [verb for verb in VERBS if verb != "serve"]
"""The verbs that come to an end."""
WITHOUT_A_SHOP = ["completion"]
MODELS = ["list", "show", "compare", "promote", "verify"]
RUNS = ["list", "show", "compare"]
QUARANTINE = ["list", "replay"]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[int, str, str]:
    out, err = Terminal(), Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        code = run([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


def answers(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `whenbuy report` answer this."""
    monkeypatch.setattr(report, "report", lambda *_, **__: result)


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    script = (
        "import sys, time\nfrom whenbuy.cli import run\nassert run(['--help']) == 0\n"
        f"print([name for name in {HEAVY} if name in sys.modules], time.process_time(), file=sys.stderr)"
    )
    for _ in range(3):  # the first may compile the modules
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        heavy, seconds = done.stderr.strip().rsplit(" ", 1)
        assert heavy == "[]"
        if float(seconds) <= 0.3:
            return
    pytest.fail(f"--help took {seconds} s of CPU")


def test_help_lists_the_verbs_in_order() -> None:
    listed = ok("--help").out.split("Begin:\n")[1]
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "] == VERBS
    assert whenbuy.list_commands(None) == VERBS  # type: ignore[arg-type]
    assert "..." not in listed
    for verb in VERBS:
        said = ok(verb, "-h")
        assert "--json" in said.out
        assert ("--shop" in said.out) == (verb not in WITHOUT_A_SHOP)
    for group, verbs in (("models", MODELS), ("runs", RUNS), ("quarantine", QUARANTINE)):
        for verb in verbs:
            said = ok(group, verb, "-h")
            assert "--json" in said.out
            assert "--shop" in said.out
    assert ok("--version").out.startswith("whenbuy ")


def test_nothing_typed_shows_the_help_and_is_no_success() -> None:
    said = typed()
    assert said.code == 2
    assert said.out == ""
    assert "Look after:" in said.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["fitt"], "'fit'"),
        (["fit", "--as-off", "x"], "'--as-of'"),
        (["fit", "--seed", "-1"], "--seed"),
        (["fit", "--seed", "1.5"], "--seed"),
        (["fit", "--seed", str(2**63)], "--seed"),
        (["fit", "extra"], "extra"),
        (["fit", "--shop", ""], "empty"),
        (["backtest", "--weeks", "0"], "--weeks"),
        (["predict", "--out"], "--out"),
        (["init", "--column", "x", "a.csv"], "NAME=VALUE"),
        (["init", "--kind", "=x", "a.csv"], "NAME=VALUE"),
        (["predict", "a\0b"], "NUL"),
        (["predict", "a\udcffb"], "UTF-8"),
        (["predict", "--out", "x.xls"], ".parquet"),
        (["queue"], "Choose from: service, risk"),
    ],
)
def test_what_is_typed_wrong(words: list[str], named: str) -> None:
    assert named in refused(2, *words)


WORDS = st.one_of(
    st.sampled_from([
        *ENDING, *MODELS, *RUNS, *QUARANTINE, "--force", "--back", "--ask", "--models",
        "--budget", "--folds", "--by", "--fix", "--horizon", "amount", "customer", "bash", "10m",
        "--shop", "--as-of", "--json", "--out", "--weeks", "--seed", "--column", "--kind", "--layout", "--timezone", "--currency",
        "--help", "-h", "--version", "--", "-", "", "shop", "file.csv", "broken", "nowhere", "cdnow", "complete_journey", "user_id=Kunde",
        "2017-11-01", "0001-01-01", "3", "-3", "x.csv", "x.parquet", ".", "..", "/", "~nobody", "*", "=", "EUR", "UTC", "Europe/Berlin",
    ]),
    st.text(max_size=8),
)  # fmt: skip


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(verb=st.sampled_from([*ENDING, ""]), words=st.lists(WORDS, max_size=6))
def test_no_argument_list_prints_a_traceback(verb: str, words: list[str], place: Path) -> None:
    said = typed(*([verb] if verb else []), *words)
    assert "Traceback" not in said.err + said.out
    assert said.code in (0, 2, 3, 4, 6, 7), (verb, words, said.err)
    if said.code and "Error: " in said.err:
        assert len(said.err[said.err.rindex("Error: ") :].rstrip("\n").split("\n")) == 3, said.err


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small source, a shop without a log, and no public data at hand."""
    german(tmp_path / "file.csv", orders(3, 60))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "whenbuy.toml").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "whenbuy.toml").write_text("[nosuch]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(layouts, "find_spec", lambda _: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_json_is_one_object_and_holds_no_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pl.DataFrame({"a": [1.5, float("nan"), float("inf"), None], "b": ["ü", "\x1b[2J", "\n", None]})
    answers(Result({"x": 1}, table, "things", after=("words",)), monkeypatch)
    said = ok("report", "--json")
    assert said.out.count("\n") == 1
    found = json.loads(said.out)
    assert found == {"x": 1, "things": [{"a": 1.5, "b": "ü"}, {"a": None, "b": "\x1b[2J"}, {"a": None, "b": "\n"}, {"a": None, "b": None}]}
    assert said.err == "words\n"


def test_a_pipe_gets_exact_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pl.DataFrame({"a": [1 / 3], "b": ["\x1b[2J,"]})
    answers(Result({}, table, screens=(Screen("title", ("a>",), (("0.33",),)),)), monkeypatch)
    assert ok("report").out == 'a,b\n0.3333333333333333,"\x1b[2J,"\n'


def test_a_terminal_gets_an_aligned_table(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (("a", "1.0", "x"), ("漢字", "10.0", "\x1b[2J"))
    answers(Result({}, pl.DataFrame({"a": [1]}), screens=(Screen("Title:", ("name", "n>", "why"), rows, ("below",)),)), monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    _, out, _ = on_terminal(monkeypatch, "report")
    assert out == "Title:\nname     n  why\na      1.0  x\n漢字  10.0  \ufffd[2J\nbelow\n"
    monkeypatch.delenv("NO_COLOR")
    _, styled, _ = on_terminal(monkeypatch, "report")
    assert "\x1b[1mTitle:" in styled


def test_an_error_is_red_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ("predict", "--shop", tmp_path)
    assert "\x1b[31m" in on_terminal(monkeypatch, *words)[2]
    assert "\x1b" not in typed(*words).err
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in on_terminal(monkeypatch, *words)[2]


def test_long_and_steering_words_are_shown_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any, **__: Any) -> Result:
        raise BusyError("\x1b]0;title\x07" + "x" * 100_000, "\u202ewaiting", "a\rb")

    monkeypatch.setattr(report, "report", busy)
    message = refused(8, "report")
    assert len(message) < 1000
    assert not any(steering in message for steering in "\x1b\x07\u202e\r")


def test_a_reader_who_goes_away_does_no_harm(tmp_path: Path) -> None:
    script = (
        "import polars as pl\nfrom whenbuy import cli\nfrom whenbuy.pipeline.verbs import report\n"
        "from whenbuy.pipeline.telling.result import Result\n"
        "report.report = lambda *_, **__: Result({}, pl.DataFrame({'a': range(200_000)}), after=('done',))\ncli.main(['report'])"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as other:
        assert other.stdout is not None
        assert other.stderr is not None
        assert other.stdout.readline() == "a\n"
        other.stdout.close()
        assert (other.stderr.read(), other.wait()) == ("done\n", 0)


def test_streams_that_are_closed_or_not_utf_8(tmp_path: Path) -> None:
    german(tmp_path / "läden.csv", orders(3, 60))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "whenbuy.cli", "init", "läden.csv"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert "läden.csv" in done.stderr.decode()
    if os.name == "posix":
        closed = subprocess.run(["sh", "-c", f"{sys.executable} -m whenbuy.cli predict >&- 2>&-"], cwd=tmp_path, check=False)
        assert closed.returncode == 6


def test_choices_are_shown_best_first() -> None:
    tried = [Choice("purchase", "slow", "loss", 0.5), Choice("purchase", "best", "loss", 0.1, chosen=True)]
    tried.append(Choice("purchase", "no", "loss", float("nan"), note="too short"))
    assert [row[1:] for row in screen.choices(tried).rows] == [
        ("best", "0.1000", "chosen"),
        ("slow", "0.5000", ""),
        ("no", "–", "too short"),
    ]


def test_a_terminal_shows_customers_in_peoples_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shop = tmp_path / "shop"
    code, out, err = on_terminal(
        monkeypatch, "init", german(tmp_path / "x.csv", orders(30, 90)), "--shop", shop, "--timezone", "Europe/Berlin", "--currency", "EUR"
    )
    assert code == 0
    assert "Kunde" in out
    assert "semicolons between fields" in err
    assert err.splitlines()[-1] == f"Next: whenbuy fit --shop {shop}"
    code, out, err = on_terminal(monkeypatch, "fit", "--shop", shop)
    assert code == 0
    assert out.count("chosen") == 4
    code, out, err = on_terminal(monkeypatch, "predict", "--shop", shop)
    lines = out.splitlines()
    assert lines[0] == "30 customers as of 1 Apr 2023; the 20 expected to spend most in 28 d:"
    assert lines[1].split() == ["customer", "7", "d", "14", "d", "28", "d", "next", "order", "80", "%", "range", "orders", "spend"]
    assert len(lines) == 23
    assert max(map(len, lines[:22])) <= 90
    spent = [float(line.rsplit("€", 1)[1]) for line in lines[2:22]]
    assert spent == sorted(spent, reverse=True)
    assert "latest.parquet" in err
    code, out, _ = on_terminal(monkeypatch, "predict", "--shop", shop, *[f"K{user:04}" for user in range(25)])
    assert [line.split()[0] for line in out.splitlines()[2:27]] == [f"K{user:04}" for user in range(25)]
