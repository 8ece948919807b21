"""Whether each question can be answered, and whether a fit thinks so too."""

from dataclasses import replace

import polars as pl
import pytest

from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.history import History
from whenbuy.ingest.read import read
from whenbuy.ingest.simulate import simulate
from whenbuy.pipeline.checking.readiness import MANY, RULES, Counts, judged
from whenbuy.pipeline.learning.plan import plan

HORIZONS = (7.0, 14.0, 28.0)


def shop(days: float, users: int = 12, **more: object) -> History:
    """Return a shop in which everybody buys twice a week."""
    table = pl.DataFrame({"user_id": [f"u{i % users}" for i in range(int(users * days * 2 / 7) + 2)]}).with_row_index("row")
    start = pl.datetime(2023, 1, 1, 9, time_zone="UTC")
    step = pl.duration(minutes=(pl.col("row") * (days * 1440 / len(table))).cast(pl.Int64))
    return read(table.select("user_id", (start + step).alias("time"), kind=pl.lit("purchase"), **more)).history


def grades(history: History) -> dict[str, str]:
    return {one.question: one.grade for one in judged(Counts.of(history, HORIZONS))}


def test_every_answer_that_a_fit_plans_has_a_rule_and_the_others_are_not_possible() -> None:
    full = simulate(150, 150, 8).history
    bare = shop(60)
    redeemed = pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("redeemed")).otherwise(pl.lit("purchase"))
    offers = read(shop(60).log.frame().select("user_id", "time", kind=redeemed)).history
    for history in (full, bare, offers):
        planned = set(plan(history, None, HORIZONS, None, (), 0).answers)
        assert planned <= set(RULES)
        assert {name for name, grade in grades(history).items() if grade != "not possible"} == planned


@pytest.mark.parametrize("days", [0.3, 1, 1.6, 2, 2.6, 3, 4, 6, 9, 20])
def test_a_log_is_too_short_exactly_where_a_fit_cannot_plan(days: float) -> None:
    history = shop(days)
    possible = grades(history)["purchase"] != "not possible"
    if possible:
        assert plan(history, None, HORIZONS, None, (), 0).end
    else:
        with pytest.raises(NotEnoughDataError):
            plan(history, None, HORIZONS, None, (), 0)
        assert set(grades(history).values()) == {"not possible"}


def counts(**changed: object) -> Counts:
    enough = Counts(2_000, 5_000, 1_500, 5_000, 5_000, 5_000, 20, 15, 400, 900, 300.0, 28.0, True)
    return replace(enough, **changed)


def words(question: str, **changed: object) -> tuple[str, str]:
    found = {one.question: one for one in judged(counts(**changed))}[question]
    return found.grade, found.words


def test_what_is_lacking_is_said_in_counts() -> None:
    assert {one.grade for one in judged(counts())} == {"ready"}
    assert words("purchase", orders=412) == ("thin", "needs 1,000 purchases, has 412: wide intervals")
    assert words("purchase", orders=MANY)[0] == "ready"
    assert "needs 98 days to be checked over 28 days, has 60" in words("orders", days=60.0)[1]
    assert words("amount", priced=0) == ("not possible", "no purchase has an amount")
    assert "40% of the orders have none" in words("spend", priced=3_000)[1]
    assert words("redemption", shown=0)[0] == "thin"
    assert words("redemption", redeemed=0)[0] == "not possible"
    assert words("classes", classes=1) == ("not possible", "the purchases have only one category")
    assert "needs two categories with 100 purchases, has 1" in words("classes", common=1)[1]


def test_without_a_purchase_nothing_can_be_answered() -> None:
    found = judged(counts(orders=0, repeats=0))
    assert {one.grade for one in found} == {"not possible"}
    assert all("[kinds]" in one.missing for one in found)
