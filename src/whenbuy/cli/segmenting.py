"""The verbs `segment` and `paths`: who the customers are, and the ways they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whenbuy.cli.options import AS_OF, JSON, SHOP, Place, Share, listed
from whenbuy.cli.printing import answer, progress

_WAYS = ("rfm", "k-means", "mixture", "density")
_MANY = "How many segments k-means and mixture make (default: as many as are stable)."
_TABLES = ("transitions", "funnel", "sequences", "together")


@click.command(short_help="Divide the customers into segments with names, or draw the portrait of one.")
@click.argument("user", required=False)
@SHOP
@AS_OF
@click.option("--by", type=click.Choice(_WAYS), default="rfm", show_default=True, help="How they are divided.")
@click.option("--k", type=click.IntRange(1, 100), metavar="N", default=None, help=_MANY)
@click.option(
    "--hold-out", "share", type=Share(), metavar="SHARE", default=None, help="Mark a share of the customers as held out, e.g. 10%."
)
@click.option("--since", metavar="DATE", default=None, help="Show too who moved from which segment to which since then.")
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write a row per customer: .parquet, .csv or .jsonl by its ending.")
@JSON
def segment(shop: Path | None, as_of: str | None, as_json: bool, **asked: Any) -> int:
    """Divide the customers into segments: who they are, what sets them apart, and what is forecast of each segment.

    Segments keep their ids and names when the log grows: what was learned is kept in the shop's folder. With a USER, her portrait is drawn.
    """
    from whenbuy.pipeline.verbs import segment as verb

    with progress() as say:
        result = verb.divide(shop, as_of, say=say, **asked)
    return answer(result, as_json)


@click.command(short_help="Tell the paths that customers take: transitions, funnel, sequences, bought together.")
@SHOP
@AS_OF
@click.option("--what", type=click.Choice(_TABLES), default="transitions", show_default=True, help="The table.")
@click.option("--of", default="", metavar="COLUMN", help="The names that it is about, such as category or item_id.")
@click.option("--unit", type=click.Choice(["session", "user"]), default=None, help="Where funnel and sequences lie.")
@click.option("--steps", multiple=True, metavar="KINDS", help="The steps of the funnel (default: view,cart,purchase).")
@click.option("--support", type=Share(), metavar="SHARE", default=None, help="The least share of sessions, customers or orders, e.g. 1%.")
@click.option("--top", type=click.IntRange(1, 100_000), default=100, show_default=True, metavar="N", help="How many rows at most.")
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write the table here: .parquet, .csv or .jsonl by its ending.")
@JSON
def paths(shop: Path | None, as_of: str | None, steps: tuple[str, ...], out: Path | None, as_json: bool, **asked: Any) -> int:
    """Tell what customers do one after the other, and what they buy together."""
    from whenbuy.pipeline.verbs import paths as verb

    with progress() as say:
        result = verb.paths(shop, as_of, verb.Asked(steps=listed(steps), **asked), out=out, say=say)
    return answer(result, as_json)
