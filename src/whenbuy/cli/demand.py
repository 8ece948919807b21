"""Verbs of demand: forecast, trends, prices, assortment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whenbuy.cli.options import AS_OF, JSON, SHOP, Budget, Place, listed
from whenbuy.cli.printing import answer, progress

MEASURES = ("demand", "orders", "visits", "views", "clicks", "shown", "opened", "clicked", "redeemed")


class Days(click.ParamType[int]):
    """A number of days: ``28``, ``28d`` or ``4w``."""

    name = "days"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return days."""
        if isinstance(value, int):
            return value
        text = value.strip().lower()
        times = 7 if text.endswith("w") else 1
        digits = text.removesuffix("w").removesuffix("d").strip()
        if not digits.isdigit() or not 1 <= len(digits) <= 5 or not int(digits):
            self.fail(f"{value!r} is not a number of days such as 28d or 4w.", param, ctx)
        return int(digits) * times


@click.command(short_help="Forecast demand, orders, visits or clicks, day by day or week by week.")
@SHOP
@AS_OF
@click.option("--item", "items", multiple=True, metavar="NAME", help="Forecast this item; repeatable.")
@click.option("--category", "categories", multiple=True, metavar="NAME", help="Forecast this category; repeatable.")
@click.option("--campaign", "campaigns", multiple=True, metavar="NAME", help="Forecast the answers to this campaign; repeatable.")
@click.option("--all", "every", is_flag=True, help="Forecast every item (default: every category).")
@click.option("--shop-total", "total", is_flag=True, help="Forecast the whole shop as one series.")
@click.option("--horizon", type=Days(), default=28, show_default=True, metavar="DAYS", help="How far ahead, such as 28d or 8w.")
@click.option("--step", type=click.Choice(["day", "week"]), default="day", show_default=True, help="Length of a step.")
@click.option("--measure", type=click.Choice(MEASURES), default="demand", show_default=True, help="What is counted; demand is in units.")
@click.option("--models", multiple=True, metavar="NAME", help="Try this model too, such as AutoARIMA or 'global LSTM'; repeatable.")
@click.option(
    "--budget", type=Budget(), default=60.0, metavar="TIME", help="CPU time for models of statsforecast, e.g. 90s, 10m (default: 60s)."
)
@click.option("--customers", is_flag=True, help="Join the series with what the customers' curves let expect; say who is behind it.")
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write all steps here: .parquet, .csv or .jsonl by its ending.")
@JSON
def forecast(  # noqa: PLR0913, PLR0917 - click passes each option
    shop: Path | None,
    as_of: str | None,
    items: tuple[str, ...],
    categories: tuple[str, ...],
    campaigns: tuple[str, ...],
    every: bool,
    total: bool,
    horizon: int,
    step: Any,
    measure: Any,
    models: tuple[str, ...],
    budget: float,
    customers: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Forecast what is sold (or ordered, visited, clicked) in each of the next days or weeks, with ranges that hold.

    Many models are tried on earlier weeks; the best answers for each series. A terminal shows totals and how the models did, a pipe gets
    CSV with every step and level.
    """
    from whenbuy.pipeline.verbs import forecast as verb

    entity, names = verb.asked_of(listed(items), categories, listed(campaigns), every=every, total=total)
    asked = verb.Asked(entity, names, horizon, step, measure, listed(models), budget, customers)
    with progress() as say:
        result = verb.forecast(shop, as_of, asked, out=out, say=say)
    return answer(result, as_json)


@click.command(short_help="Say where demand stands and goes: growth, season, what is hot, what stands out.")
@SHOP
@AS_OF
@click.option("--item", "items", multiple=True, metavar="NAME", help="This item; repeatable.")
@click.option("--category", "categories", multiple=True, metavar="NAME", help="This category; repeatable.")
@click.option("--all", "every", is_flag=True, help="Every item (default: every category).")
@click.option("--shop-total", "total", is_flag=True, help="The whole shop as one series.")
@click.option("--horizon", type=Days(), default=28, show_default=True, metavar="DAYS", help="How far ahead days that stand out are sought.")
@click.option("--measure", type=click.Choice(MEASURES), default="demand", show_default=True, help="What is counted; demand is in units.")
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write the table here: .parquet, .csv or .jsonl by its ending.")
@JSON
def trends(
    shop: Path | None,
    as_of: str | None,
    items: tuple[str, ...],
    categories: tuple[str, ...],
    every: bool,
    total: bool,
    horizon: int,
    measure: Any,
    out: Path | None,
    as_json: bool,
) -> int:
    """Say of each series its level, its growth and its season, when it changed, what may be hot next week and which days will stand out.

    What holidays and offers did to a usual day stands below.
    """
    from whenbuy.pipeline.verbs import trends as verb
    from whenbuy.pipeline.verbs.forecast import Asked, asked_of

    entity, names = asked_of(listed(items), categories, (), every=every, total=total)
    with progress() as say:
        result = verb.trend(shop, as_of, Asked(entity, names, horizon, "day", measure), out=out, say=say)
    return answer(result, as_json)


@click.command(short_help="Say how the demand for each category answers to its price.")
@SHOP
@AS_OF
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write the table here: .parquet, .csv or .jsonl by its ending.")
@JSON
def prices(shop: Path | None, as_of: str | None, out: Path | None, as_json: bool) -> int:
    """Say by how many per cent the demand for each category changes where its price changes by one, or why the log cannot say."""
    from whenbuy.pipeline.verbs import shelf as verb

    with progress() as say:
        result = verb.prices(shop, as_of, out=out, say=say)
    return answer(result, as_json)


@click.command(short_help="Say which items gain, lose, are new or gone, and what could be dropped or added.")
@SHOP
@AS_OF
@click.option(
    "--days", type=Days(), default=56, show_default=True, metavar="DAYS", help="Length of each of the two times that are compared."
)
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write the items here: .parquet, .csv or .jsonl by its ending.")
@JSON
def assortment(shop: Path | None, as_of: str | None, days: int, out: Path | None, as_json: bool) -> int:
    """Compare the last weeks with those before: what gains, loses, is new or gone, what could be dropped, where more could be added."""
    from whenbuy.pipeline.verbs import shelf as verb

    with progress() as say:
        result = verb.shelf(shop, as_of, days, out=out, say=say)
    return answer(result, as_json)
