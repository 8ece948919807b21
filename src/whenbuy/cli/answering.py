"""The verbs `churn` and `queue`: who is lost and why, and whom to look at first."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.demand import Days
from whenbuy.cli.options import AS_OF, JSON, SHOP, Place, listed
from whenbuy.cli.printing import answer, progress


@click.command(short_help="Say who is lost, since when, and why.")
@click.argument("users", nargs=-1, metavar="[USER]...")
@SHOP
@AS_OF
@click.option(
    "--cause",
    "causes",
    multiple=True,
    metavar="CAUSE=KIND",
    help="Events of KIND tell of this cause, e.g. delivery=parcel_late; repeatable.",
)
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write a row per customer: .parquet, .csv or .jsonl by its ending.")
@JSON
def churn(users: tuple[str, ...], shop: Path | None, as_of: str | None, causes: tuple[str, ...], out: Path | None, as_json: bool) -> int:
    """Say who is lost, since when, and why: what the shop can change, and what it cannot.

    A reason is shown only where its 80 % interval excludes zero. The log must tell what went wrong: events price_raised, delivered_late,
    out_of_stock, badly_served, and messages shown; --cause names other kinds.
    """
    from whenbuy.pipeline.verbs import churn as verb

    with progress() as say:
        result = verb.churn(shop, listed(users), as_of, causes=causes, out=out, say=say)
    return answer(result, as_json)


@click.command(short_help="Say who waits for an answer, or what looks wrong, the most urgent first.")
@SHOP
@AS_OF
@click.option("--for", "what", type=click.Choice(["service", "risk"]), required=True, help="Enquiries to answer, or what to check.")
@click.option("--days", type=Days(), default=14, show_default=True, metavar="DAYS", help="For risk: orders of so many days.")
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write the table here: .parquet, .csv or .jsonl by its ending.")
@JSON
def queue(shop: Path | None, as_of: str | None, what: str, days: float, out: Path | None, as_json: bool) -> int:
    """Say who waits for an answer: who is about to buy, what she needs and what to show; or what looks wrong, and why.

    Risk: orders likely to come back, customers who live on offers or returns, accounts that may be machines.
    """
    from whenbuy.pipeline.verbs import queue as verb

    with progress() as say:
        result = verb.queue(shop, as_of, what=what, days=days, out=out, say=say)  # type: ignore[arg-type]
    return answer(result, as_json)
