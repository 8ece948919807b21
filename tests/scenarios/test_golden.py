"""What the command line says, word by word: every help text, an error of each kind, and the shape of every JSON object.

`WHENBUY_GOLDEN=write` writes the texts anew; git shows what changed.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tests.scenarios import small
from tests.scenarios.foreign import ok, typed
from whenbuy.cli import whenbuy

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("WHENBUY_GOLDEN") == "write"


def commands(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    """Every command that can be typed, in the order of the help."""
    for name, verb in group.commands.items():
        yield (*before, name)
        if isinstance(verb, click.Group):
            yield from commands(verb, *before, name)


COMMANDS = [(), *commands(whenbuy)]


def same(name: str, found: str) -> None:
    """A text is the one that is kept."""
    file = GOLDEN / name
    if WRITE:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(found, encoding="utf-8", newline="\n")
    assert file.is_file(), f"{file} is missing: write it with WHENBUY_GOLDEN=write"
    assert found == file.read_text("utf-8")


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: "-".join(words) or "whenbuy")
def test_help(words: tuple[str, ...]) -> None:
    same(f"help/{'-'.join(words) or 'whenbuy'}.txt", ok(*words, "--help").out)


def test_every_help_text_is_of_a_command() -> None:
    assert {file.stem for file in (GOLDEN / "help").iterdir()} == {"-".join(words) or "whenbuy" for words in COMMANDS}


# ------------------------------------------------------------------------------------------------ errors


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.shop(tmp_path_factory.mktemp("golden"))


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a source, a shop with a champion and one without a model."""
    shutil.copytree(made, tmp_path / "shop")
    shutil.copytree(made, tmp_path / "new", ignore=lambda folder, names: names if Path(folder).name in ("models", "runs") else [])
    shutil.copy(made.parent / "till.csv", tmp_path)
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


ERRORS = [
    "fitt", "fit --seed x", "predict --out x.xls", "fit --ask sales --shop shop", "fit --budget soon",
    "fit --as-of yesterday --shop shop", "fit --as-of 1900-01-01 --shop shop", "fit --as-of 2024-01-02 --shop shop",
    "init --shop shop till.csv", "init nowhere.csv --shop x", "init empty.csv --shop x", "init notes.csv --shop x",
    "init --column x till.csv",
    "predict", "predict --shop nowhere", "predict --shop new", "predict --as-of 2010-01-01 --shop shop",
    "backtest --folds 3 --by customer --shop shop", "backtest --by colour --shop shop", "backtest --weeks 0 --shop shop",
    "models show x --shop shop", "models promote --shop shop", "models promote --back --shop shop",
    "quarantine replay nosuch --shop shop", "runs show x --shop shop", "runs compare --shop shop", "completion tcsh",
]  # fmt: skip


def test_errors(home: Path) -> None:
    said = []
    for line in ERRORS:
        found = typed(*line.split())
        assert found.out == ""
        error = found.err[found.err.rindex("Error: ") :]
        assert len(error.rstrip("\n").split("\n")) == 3, found.err
        said.append(f"$ whenbuy {line}\n{error}[{found.code}]\n")
    text = "\n".join(said).replace(str(home.resolve()), "HOME").replace(str(home), "HOME")
    same("errors.txt", re.sub(r"\d{8}-\d{6}-[0-9a-f]{8}", "ID", text))


# ------------------------------------------------------------------------------------------------ JSON


def shape(value: Any) -> Any:
    """What a JSON value is made of: names and kinds, without what changes from shop to shop."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        parts = [shape(part) for part in value]
        return [merged(parts)] if parts else []
    kinds = {bool: "yes or no", int: "number", float: "number", str: "text"}
    return "nothing" if value is None else kinds[type(value)]


def merged(parts: list[Any]) -> Any:
    """One shape for all elements of a list."""
    if all(isinstance(part, dict) for part in parts):
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: merged([part[name] for part in parts if name in part]) for name in names}
    if all(isinstance(part, list) for part in parts):
        inside = [each for part in parts for each in part]
        return [merged(inside)] if inside else []
    kinds = sorted({part if isinstance(part, str) else json.dumps(part) for part in parts})
    return " or ".join(kinds)


JSON = {
    "init": "init till.csv --shop other", "check": "check till.csv", "fit": "fit --shop shop", "predict": "predict --shop shop",
    "predict-out": "predict --shop shop --out x.csv", "explain": "explain --shop shop", "report": "report --shop shop",
    "questions": "questions --shop shop", "quarantine": "quarantine --shop shop", "backtest": "backtest --weeks 2 --shop shop",
    "backtest-by": "backtest --weeks 2 --by customer --shop shop", "backtest-folds": "backtest --folds 2 --shop shop",
    "stress": "stress --weeks 1 --shop shop", "learning-curve": "learning-curve --weeks 1 --shop shop", "models": "models --shop shop",
    "models-show": "models show --shop shop", "models-verify": "models verify --shop shop", "runs": "runs --shop shop",
    "runs-show": "runs show --shop shop", "doctor": "doctor --shop shop", "completion": "completion bash",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", JSON)
def test_json(name: str, home: Path) -> None:
    with small.quick():
        said = ok(*JSON[name].split(), "--json")
    same(f"json/{name}.json", json.dumps(shape(json.loads(said.out)), indent=1, ensure_ascii=False) + "\n")


@pytest.mark.slow
def test_json_of_comparisons(home: Path) -> None:
    with small.quick():
        first = json.loads(ok("fit", "--shop", "shop", "--as-of", "2024-04-15", "--json").out)["id"]
    for name, words in (("models-compare", ["models", "compare", first]), ("runs-compare", ["runs", "compare"])):
        found = json.loads(ok(*words, "--shop", "shop", "--json").out)
        if name == "runs-compare":
            found["differs"] = sorted(found["differs"])
        same(f"json/{name}.json", json.dumps(shape(found), indent=1, ensure_ascii=False) + "\n")
