"""Simulated shops as a merchant's table, with columns of their own: some honest, some that know the future."""

from functools import cache

import numpy as np
import polars as pl

from whenbuy.core.history import History
from whenbuy.ingest.read import read
from whenbuy.ingest.simulate import simulate

UTC = pl.Datetime("us", "UTC")


@cache
def table(seed: int, users: int = 500, days: int = 270) -> pl.DataFrame:
    """Return the rows of a simulated shop in the order of time, with its profile of users, and its end."""
    history = simulate(users, days, seed).history
    frame = history.log.frame().drop("orders")
    profile = history.users.table.rename({"id": "user_id"})
    frame = frame.join(profile, on="user_id", how="left", maintain_order="left")
    end = pl.lit(history.log.end).cast(UTC)
    return frame.sort("time", maintain_order=True).with_columns(end=end)


def orders(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row per order: user, time, amount, and what comes next."""
    bought = frame.filter(pl.col("kind") == "purchase")
    one = bought.group_by("user_id", "order_id").agg(pl.col("time").min(), pl.col("amount").sum()).sort("user_id", "time")
    return one.with_columns(
        next_time=pl.col("time").shift(-1).over("user_id"),
        next_amount=pl.col("amount").shift(-1).over("user_id"),
        so_far=pl.col("time").cum_count().over("user_id"),
        spent=pl.col("amount").cum_sum().over("user_id").round(2),
    )


def of_user(frame: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """Return the rows with something of each user's whole history beside them."""
    per_user = orders(frame).group_by("user_id").agg(**columns)
    return frame.join(per_user, on="user_id", how="left", maintain_order="left")


def of_order(frame: pl.DataFrame, *columns: pl.Expr) -> pl.DataFrame:
    """Return the rows with something of their order beside the purchases."""
    one = orders(frame).select("user_id", "order_id", *columns)
    joined = frame.join(one, on=["user_id", "order_id"], how="left", maintain_order="left")
    names = [expression.meta.output_name() for expression in columns]
    return joined.with_columns(pl.when(pl.col("kind") == "purchase").then(pl.col(name)).alias(name) for name in names)


def total_orders(frame: pl.DataFrame) -> pl.DataFrame:
    return of_user(frame, leak=pl.len())


def last_purchase_date(frame: pl.DataFrame) -> pl.DataFrame:
    return of_user(frame, leak=pl.col("time").max().dt.strftime("%d.%m.%Y"))


def churned(frame: pl.DataFrame) -> pl.DataFrame:
    last = of_user(frame, last=pl.col("time").max())
    return last.with_columns(leak=(pl.col("end") - pl.col("last")) > pl.duration(days=75)).drop("last")


def next_order_amount(frame: pl.DataFrame) -> pl.DataFrame:
    return of_order(frame, pl.col("next_amount").alias("leak"))


def segment(frame: pl.DataFrame) -> pl.DataFrame:
    """Recency and spend at the end of the log, in three and three parts."""
    per_user = orders(frame).group_by("user_id").agg(last=pl.col("time").max(), spend=pl.col("amount").sum())
    thirds = [pl.col(name).rank() * 3 // (pl.len() + 1) for name in ("last", "spend")]
    per_user = per_user.select("user_id", leak=pl.concat_str(*(part.cast(pl.Int64).cast(pl.String) for part in thirds), separator="-"))
    return frame.join(per_user, on="user_id", how="left", maintain_order="left")


def item_total_sales(frame: pl.DataFrame) -> pl.DataFrame:
    sold = frame.filter(pl.col("kind") == "purchase").group_by("item_id").agg(leak=pl.len())
    return frame.join(sold, on="item_id", how="left", maintain_order="left")


def returned(frame: pl.DataFrame) -> pl.DataFrame:
    """Whether the line is given back later."""
    back = frame.filter(pl.col("kind") == "refund").select("user_id", "order_id", "item_id").unique().with_columns(back=True)
    joined = frame.join(back, on=["user_id", "order_id", "item_id"], how="left", maintain_order="left")
    status = pl.when(pl.col("kind") == "purchase").then(pl.when("back").then(pl.lit("returned")).otherwise(pl.lit("kept")))
    return joined.with_columns(leak=status).drop("back")


def orders_next_30_days(frame: pl.DataFrame) -> pl.DataFrame:
    one = orders(frame)
    pairs = one.select("user_id", "order_id", "time").join(one.select("user_id", later="time"), on="user_id")
    ahead = pl.col("later") - pl.col("time")
    counted = pairs.group_by("user_id", "order_id").agg(leak=ahead.is_between(pl.duration(seconds=1), pl.duration(days=30)).sum())
    joined = frame.join(counted, on=["user_id", "order_id"], how="left", maintain_order="left")
    return joined.with_columns(leak=pl.when(pl.col("kind") == "purchase").then("leak"))


def delivery_status(frame: pl.DataFrame) -> pl.DataFrame:
    """On its way while the order is younger than five days, as the export says it."""
    young = pl.col("end") - pl.col("time") < pl.duration(days=5)
    status = pl.when(young).then(pl.lit("on its way")).otherwise(pl.lit("delivered"))
    return frame.with_columns(leak=pl.when(pl.col("kind") == "purchase").then(status))


def delivered_at(frame: pl.DataFrame) -> pl.DataFrame:
    """The day of delivery, empty where it has not come yet."""
    rng = np.random.default_rng(0)
    at = pl.col("time") + pl.Series(rng.gamma(4, 1.2, len(frame)) * 86_400e6).cast(pl.Int64).cast(pl.Duration("us"))
    return frame.with_columns(leak=pl.when((pl.col("kind") == "purchase") & (at < pl.col("end"))).then(at))


def customer_value(frame: pl.DataFrame) -> pl.DataFrame:
    """A noisy score of the spend of the whole history."""
    rng = np.random.default_rng(1)
    per_user = orders(frame).group_by("user_id", maintain_order=True).agg(spend=pl.col("amount").sum())
    per_user = per_user.with_columns(leak=pl.col("spend") * pl.Series(np.exp(rng.normal(0, 0.05, len(per_user)))))
    return frame.join(per_user.select("user_id", "leak"), on="user_id", how="left", maintain_order="left")


def mean_order(frame: pl.DataFrame) -> pl.DataFrame:
    return of_user(frame, leak=pl.col("amount").mean().round(2))


def days_to_next(frame: pl.DataFrame) -> pl.DataFrame:
    return of_order(frame, (pl.col("next_time") - pl.col("time")).dt.total_days().alias("leak"))


LEAKS = {
    make.__name__: make
    for make in (
        total_orders, last_purchase_date, churned, next_order_amount, segment, item_total_sales, returned, orders_next_30_days,
        delivery_status, delivered_at, customer_value, mean_order, days_to_next,
    )
}  # fmt: skip
"""Each adds a column ``leak``."""


def honest(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the rows with many columns of which each was known at its row."""
    rng = np.random.default_rng(seed)
    n = len(frame)
    users = frame["user_id"].unique().sort()
    per_user = pl.DataFrame({
        "user_id": users, "age": rng.integers(18, 80, len(users)), "newsletter": rng.random(len(users)) < 0.4,
        "acquired_by": rng.choice(["ads", "friend", "search"], len(users)),
    })  # fmt: skip
    frame = frame.join(per_user, on="user_id", how="left", maintain_order="left")
    frame = of_order(frame, pl.col("so_far").alias("order_number"), pl.col("spent").alias("spent_so_far"))
    tier = pl.when(pl.col("spent_so_far") > 300).then(pl.lit("gold")).when(pl.col("spent_so_far") > 100).then(pl.lit("silver"))
    promised = pl.col("time") + pl.Series(rng.integers(2, 6, n) * 86_400_000_000).cast(pl.Duration("us"))
    bought = pl.col("kind") == "purchase"
    first = pl.col("time").min().over("user_id")
    return frame.with_columns(
        device=pl.Series(rng.choice(["phone", "tablet", "desktop"], n, p=[0.6, 0.1, 0.3])),
        price=pl.col("unit_price") * 1.19,
        discount=pl.when(bought).then(pl.Series(rng.choice([0.0, 0.05, 0.1, 0.2], n))),
        stock=pl.Series(rng.poisson(40, n)),
        weekday=pl.col("time").dt.strftime("%A"),
        is_weekend=pl.col("time").dt.weekday() > 5,
        tier=tier.otherwise(pl.lit("basic")),
        signup_date=first.dt.strftime("%Y-%m-%d"),
        cohort=first.dt.strftime("%Y-%m"),
        days_since_signup=(pl.col("time") - first).dt.total_days(),
        first_channel=pl.col("channel").first().over("user_id"),
        event_number=pl.col("time").cum_count().over("user_id"),
        promised_on=pl.when(bought).then(promised),
        voucher_until=pl.when(bought).then(pl.col("time").dt.month_end().dt.strftime("%Y-%m-%d")),
        sold_so_far=bought.cast(pl.Int64).cum_sum().over("item_id"),
        is_first_order=pl.when(bought).then(pl.col("order_number") == 1),
        sensor=pl.Series(rng.normal(0, 1, n)),
    )


def history(frame: pl.DataFrame) -> History:
    """Return the history of a table that has our names."""
    return read(frame.drop("end"), columns={name: name for name in ("user_id", "time", "kind", "known_at")}, lateness_days=3.0).history
