"""What counts in a series of demand, orders and visits, beside slow twins on random logs."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whenbuy import features as f
from whenbuy.ingest.read import read

FAST = settings(max_examples=15, deadline=None)


def random_lines(seed, n=80):
    rng = np.random.default_rng(seed)
    order = rng.integers(0, n // 3, n)
    user, day = order % 5, (order * 7) % 20
    table = pl.DataFrame(
        {
            "user_id": [f"u{k}" for k in user], "time": np.datetime64("2024-03-20T00:00:00", "us") + day * np.timedelta64(1, "D")
            + (order % 20) * np.timedelta64(1, "h"), "kind": rng.choice(["purchase", "purchase", "view", "shown"], n),
            "order_id": [f"o{k}" for k in order], "session_id": [f"s{k}" if k % 3 else None for k in order],
            "item_id": [f"i{k}" for k in rng.integers(0, 4, n)], "category": [f"c{k}" for k in rng.integers(0, 2, n)],
            "offer_id": [f"a{k}" for k in rng.integers(0, 2, n)],
            "quantity": pl.Series(rng.choice([1.0, 2.0, 3.5, np.nan], n), nan_to_null=True),
        },
        strict=False,
    )  # fmt: skip
    return table.with_columns(pl.when(pl.col("kind") == "purchase").then("order_id").alias("order_id"))


@FAST
@given(seed=st.integers(0, 100_000), entity=st.sampled_from(["item", "category", "campaign", "shop"]))
def test_units_orders_and_visits_equal_their_slow_twins(seed, entity):
    table = random_lines(seed)
    history = read(table).history
    keys = f.everything(history, entity)
    column = {"item": "item_id", "category": "category", "campaign": "offer_id"}.get(entity)
    rows = table.with_columns(day=pl.col("time").cast(pl.Date).cast(pl.Int32), name=pl.lit("shop") if column is None else pl.col(column))
    bought = rows.filter(kind="purchase")
    met = rows.filter(pl.col("kind").is_in(["view", "purchase"])).with_columns(
        visit=pl.coalesce("session_id", pl.concat_str("user_id", "day", separator="-"))
    )
    wanted = {
        "units": bought.group_by("name", "day").agg(value=pl.col("quantity").fill_null(1.0).sum()),
        "baskets": bought.unique(["name", "order_id"]).group_by("name", "day").agg(value=pl.len()),
        "sessions": met.unique(["name", "visit"]).group_by("name", "day").agg(value=pl.len()),
    }
    for measure, slow in wanted.items():
        kinds = "purchase" if measure != "sessions" else ("view", "purchase", "unheard")
        block = f.Daily(kinds, (measure,)).block(history, keys)
        name = keys.ids().gather(np.repeat(np.arange(len(keys)), np.diff(block.offsets)))
        ours = pl.DataFrame({"name": name, "day": block.day.astype(np.int32), "value": block.values[:, 0]})
        assert ours.sort("name", "day").rows() == [(a, b, float(c)) for a, b, c in slow.sort("name", "day").rows()]


def test_a_log_without_quantities_counts_lines_and_what_comes_back_is_no_demand():
    lines = pl.DataFrame({"user_id": ["u", "u", "v"], "time": ["2024-01-01", "2024-01-01", "2024-01-02"], "item_id": ["a", "a", "a"]})
    history = read(lines, kinds={"*": "purchase"}).history
    assert f.Daily("purchase", ("units",)).block(history, f.everything(history, "item")).values.ravel().tolist() == [2.0, 1.0]
    back = read(lines.with_columns(quantity=pl.Series([3.0, -2.0, -1.0])), kinds={"*": "purchase"}).history
    block = f.Daily("purchase", ("units",)).block(back, f.everything(back, "item"))
    assert block.values.sum() == 3.0


def test_users_have_no_series():
    history = read(pl.DataFrame({"user_id": ["u"], "time": ["2024-01-01"]}), kinds={"*": "purchase"}).history
    with pytest.raises(Exception, match="items, categories, campaigns"):
        f.everything(history, "user")
