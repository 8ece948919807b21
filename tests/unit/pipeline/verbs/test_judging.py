"""The verbs that judge, and the options that narrow a fit: what they pass on, what they record, what they refuse before the work."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios import small
from tests.scenarios.foreign import content, ok, refused, typed
from whenbuy.pipeline.keeping import track
from whenbuy.pipeline.learning import learn
from whenbuy.pipeline.learning.answers import wanted
from whenbuy.pipeline.learning.catalogue import learners
from whenbuy.pipeline.learning.grid import Grid


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.shop(tmp_path_factory.mktemp("judging"))


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "shop"))


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with small.quick():
        yield


def said(*words: object) -> Any:
    return json.loads(ok(*words, "--json").out)


def test_a_backtest_by_segment_scores_every_segment_and_names_weak_groups(shop: Path) -> None:
    found = said("backtest", "--weeks", 2, "--by", "channel", "--shop", shop)
    assert {row["by"] for row in found["slices"]} == {"channel"}
    assert len({row["segment"] for row in found["slices"]}) > 1
    assert {row["score"] for row in found["scores"]} >= {"auc_14d", "orders_rmse", "amount_mae"}
    assert all(set(spot) == {"of", "words", "n"} for spot in found["weak_spots"])
    run = track.show(shop / "runs", found["run"])
    assert (run.question, run.chosen) == ("backtest", found["chosen"])
    assert run.scores["auc_14d"][0] == next(row["ours"] for row in found["scores"] if row["score"] == "auc_14d")


def test_folds_judge_every_customer_once(shop: Path) -> None:
    found = said("backtest", "--folds", 3, "--shop", shop)
    assert {row["fold"] for row in found["scores"]} == {"1", "2", "3", "all"}
    sizes = {row["fold"]: row["n"] for row in found["scores"]}
    assert sizes["1"] + sizes["2"] + sizes["3"] == sizes["all"] == found["forecasts"]
    assert track.show(shop / "runs", found["run"]).question == "backtest --folds 3"


def test_stress_names_faults_and_changes_nothing_but_the_runs(shop: Path) -> None:
    before = content(shop)
    found = said("stress", "--weeks", 1, "--shop", shop)
    assert {"events lost", "rows doubled", "clocks wrong"} <= {row["harm"] for row in found["scores"]}
    assert {name for name in content(shop) if name not in before} == {f"runs/{found['run']}/run.json"}
    assert all(content(shop)[name] == data for name, data in before.items())


def test_a_learning_curve_says_what_less_would_give(shop: Path) -> None:
    found = said("learning-curve", "--weeks", 1, "--shop", shop)
    assert {row["of"] for row in found["scores"]} == {"users", "weeks"}
    assert all(row["everything"] is not None for row in found["scores"] if row["name"])


@pytest.mark.parametrize("verb", [["backtest"], ["backtest", "--folds", 2], ["stress"], ["learning-curve"]])
def test_a_log_too_short_to_judge_says_so(verb: list[object], shop: Path) -> None:
    refused(4, *verb, "--as-of", "2024-01-20", "--shop", shop)


# ------------------------------------------------------------------------------------------------ fit


def asked(shop: Path, *words: object, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a fit was called with."""
    calls: list[dict[str, Any]] = []

    def fit(*_: object, **options: Any) -> None:
        calls.append(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(learn, "fit", fit)
    assert typed("fit", "--shop", shop, *words).code == 130
    return calls[0]


def test_a_fit_is_narrowed_to_answers_and_candidates(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid((1.0, 7.0, 28.0), 1.0, (28.0,))
    options = asked(shop, "--ask", "amount", "--models", "bg-nbd,own-mean-amount", "--budget", "2m", monkeypatch=monkeypatch)
    narrowed = {answer: [one.name for one in options["candidates"](answer, grid)] for answer in ("purchase", "amount")}
    floor = learners("purchase", grid)[0].name
    assert narrowed == {
        "purchase": [floor, "bg-nbd"],
        "amount": [learners("amount", grid)[0].name, "own-mean-amount"],
    }
    assert wanted(options["ask"]) == ("purchase", "amount")
    assert options["budget_s"] == 120


def test_a_plain_fit_is_not_narrowed(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {"candidates", "budget_s"} & set(asked(shop, "--seed", 4, monkeypatch=monkeypatch))


def test_one_answer_is_learned_alone_and_the_run_says_so(shop: Path) -> None:
    for directory in ("models", "runs"):
        shutil.rmtree(shop / directory)
    found = said("fit", "--ask", "amount", "--models", "kaplan-meier-recency,mean-amount", "--budget", "1h", "--shop", shop)
    assert set(found["chosen"]) == {"purchase", "amount"}
    run = track.show(shop / "runs", found["run"])
    assert run.settings["options"] == {"ask": ["amount"], "models": ["kaplan-meier-recency", "mean-amount"], "budget_s": 3600.0}
    assert set(said("predict", "--shop", shop)["forecasts"][0]) >= {"p_purchase_7d", "amount_mean"}


def test_what_does_not_exist_is_said_before_the_work(shop: Path) -> None:
    before = content(shop)
    assert "Did you mean 'amount'?" in refused(2, "fit", "--ask", "amuont", "--shop", shop)
    assert "Did you mean 'bg-nbd'?" in refused(2, "fit", "--models", "bgnbd", "--shop", shop)
    assert "customer, orders" in refused(2, "backtest", "--by", "shoe_size", "--shop", shop)
    assert content(shop) == before
