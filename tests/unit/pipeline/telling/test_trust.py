"""How trust is told: verdicts, rules in words, candidates."""

import polars as pl
import pytest

from whenbuy.pipeline.learning.forecaster import Choice
from whenbuy.pipeline.telling import trust


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (1.2, 0.9, 1.5, "right"), (1.02, 1.01, 1.03, "nearly right"), (0.97, 0.96, 0.98, "nearly right"),
        (1.2, 1.1, 1.3, "promised too much"),
        (0.8, 0.7, 0.9, "promised too little"), (1.0, 1.0, 1.0, "right"),
    ],
)  # fmt: skip
def test_a_promise_is_broken_only_beyond_doubt_and_by_enough(value: float, low: float, high: float, words: str) -> None:
    assert trust._kept(value, low, high)[0] == words


def test_rules_are_said_in_words() -> None:
    assert (
        trust.rule_words("8.2 < gap_mean_days ≤ 28 or unknown and own_score ≥ 3")
        == "8.2 < days between orders ≤ 28 (or unknown) and own_score ≥ 3"
    )
    assert trust.rule_words("everybody") == "everybody"


def test_candidates_stand_by_answer_the_one_that_answers_first() -> None:
    nan = float("nan")
    tried = (
        Choice("purchase", "floor", "loss", 0.5, floor=True),
        Choice("orders", "a", "error", 3.0),
        Choice("purchase", "b+c", "loss", 0.4, chosen=True, low=-0.12, high=-0.08),
        Choice("purchase", "late", "loss", nan, note="left out"),
    )
    first, second = trust.candidates(tried)
    assert [one["model"] for one in first["tried"]] == ["b + c", "floor", "late"]
    assert [one["beside"].replace("\u202f", " ") for one in first["tried"]] == ["−20.0 %", "the floor", ""]
    assert first["tried"][0]["interval"] == "−0.1200 to −0.0800"
    assert (second["answer"], second["tried"][0]["beside"]) == ("orders", "")  # without a floor there is nothing to stand beside


def test_nothing_is_told_of_nothing() -> None:
    assert (trust.tally(None)["compared"], trust.answers(None), trust.definitions(None), trust.candidates(())) == (0, [], [], [])


def test_a_name_with_several_meanings_says_of_which_answers():
    scores = pl.DataFrame(
        [("purchase", "auc_7d", "rank"), ("purchase", "auc_14d", "rank"), ("orders", "orders_bias", "sum"), ("spend", "spend_bias", "sum"),
         ("classes", "classes_bias", "chances")],
        schema=["answer", "score", "definition"], orient="row",
    )  # fmt: skip
    assert trust.definitions(scores) == [
        ("AUC", "rank"), ("promised ÷ came (orders, spend)", "sum"), ("promised ÷ came (classes)", "chances"),
    ]  # fmt: skip
