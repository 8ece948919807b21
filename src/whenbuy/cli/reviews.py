"""The verb `reviews`: what customers say."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.demand import Days
from whenbuy.cli.options import AS_OF, JSON, SHOP, Place, listed
from whenbuy.cli.printing import answer, progress


@click.command(short_help="Say what customers say of things, and where opinion falls.")
@SHOP
@AS_OF
@click.option("--item", "items", multiple=True, metavar="NAME", help="This item only; repeatable (default: every item).")
@click.option("--category", "categories", multiple=True, metavar="NAME", help="This category; repeatable.")
@click.option("--by", type=click.Choice(["item", "category", "month"]), default=None, help="What a row is (default: an item).")
@click.option("--customers", is_flag=True, help="Show instead who will review, and which rating she would give.")
@click.option("--horizon", type=Days(), default=28, show_default=True, metavar="DAYS", help="With --customers: within how many days.")
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write the table here: .parquet, .csv or .jsonl by its ending.")
@JSON
def reviews(
    shop: Path | None, as_of: str | None, items: tuple[str, ...], categories: tuple[str, ...], by: str | None, customers: bool,
    horizon: int, out: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Say what customers say of each item: ratings, how their texts read, what they speak of, and where opinion falls.

    Nothing that became known later than --as-of is read. A thing is said to fall only where that is more than luck, with care for how many
    things were looked at.
    """
    from whenbuy.pipeline.verbs import reviews as verb

    with progress() as say:
        if customers:
            result = verb.reviewers(shop, as_of, horizon=horizon, out=out, say=say)
        else:
            result = verb.reviews(shop, as_of, items=listed(items), categories=listed(categories), by=by, out=out, say=say)  # type: ignore[arg-type]
    return answer(result, as_json)
