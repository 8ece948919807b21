"""The verb of stock."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.demand import Days
from whenbuy.cli.options import AS_OF, JSON, SHOP, Place, Share, listed
from whenbuy.cli.printing import answer, progress


@click.command(short_help="Say what to order today, how much, and what runs out when.")
@SHOP
@AS_OF
@click.option(
    "--lead-time", type=Days(), default=7, show_default=True, metavar="DAYS", help="From an order to the shelf, such as 7d or 2w."
)
@click.option("--review", type=Days(), default=7, show_default=True, metavar="DAYS", help="Between two chances to order.")
@click.option("--service", type=Share(), default=None, metavar="SHARE", help="The chance to have enough (default: 95%).")
@click.option("--over", type=float, default=None, metavar="COST", help="Cost of a unit left; with --under, instead of --service.")
@click.option("--under", type=float, default=None, metavar="COST", help="Cost of a unit asked for and not there.")
@click.option("--item", "items", multiple=True, metavar="NAME", help="This item only; repeatable (default: every item).")
@click.option("--category", "categories", multiple=True, metavar="NAME", help="This category; repeatable.")
@click.option("--by-category", is_flag=True, help="Every category instead of every item.")
@click.option("--stock", "stock_file", type=Place(), metavar="FILE", default=None, help="What is on the shelves: item_id and on_hand.")
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write the plan here: .parquet, .csv or .jsonl by its ending.")
@JSON
def stock(  # noqa: PLR0913, PLR0917 - click passes each option
    shop: Path | None,
    as_of: str | None,
    lead_time: int,
    review: int,
    service: float | None,
    over: float | None,
    under: float | None,
    items: tuple[str, ...],
    categories: tuple[str, ...],
    by_category: bool,
    stock_file: Path | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Say what to order today, from the demand that the series and the customers themselves let expect.

    The file of --stock has a row per item (or category) with item_id (or category) and on_hand; on_order, lead_days, pack and region may
    stand beside them. Without it quantities are for empty shelves.
    """
    from whenbuy.pipeline.verbs import stock as verb

    entity, names = verb.shelves(listed(items), listed(categories), by_category=by_category)
    asked = verb.Shelves(entity, names, verb.rule_of(lead_time, review, service, over, under), stock_file)
    with progress() as say:
        result = verb.stock(shop, as_of, asked, out=out, say=say)
    return answer(result, as_json)
