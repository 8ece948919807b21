"""Verbs that act: plan, result."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.options import AS_OF, JSON, SHOP, Place, Share, listed
from whenbuy.cli.printing import answer, progress


@click.command(short_help="Decide whom to send what, how and when.")
@SHOP
@AS_OF
@click.option("--budget", type=click.FloatRange(0), default=None, metavar="MONEY", help="What may be spent (default: [budget] money).")
@click.option("--hold-out", type=Share(ends=True), default=None, metavar="SHARE", help="Left alone by lot, to measure against, e.g. 10%.")
@click.option("--explore", type=Share(ends=True), default=None, metavar="SHARE", help="Of the others: get an offer by lot, e.g. 2%.")
@click.option("--days", type=click.IntRange(1, 366), default=None, help="How many days ahead messages may go out (default: 14).")
@click.option("--offers", type=Place(), default=None, metavar="FILE", help="A TOML file with further [offers.NAME] and [channels.NAME].")
@click.option("--only", multiple=True, metavar="OFFER", help="Send this offer only; repeatable (default: all that are described).")
@click.option("--pilot", is_flag=True, help="Draw by lot who is sent what, where nothing is known of what offers do.")
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write the decisions here: .parquet, .csv or .jsonl by its ending.")
@JSON
def plan(
    shop: Path | None, as_of: str | None, budget: float | None, hold_out: float | None, explore: float | None, days: int | None,
    offers: Path | None, only: tuple[str, ...], pilot: bool, out: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Decide for every customer: which offer or none, on which channel, on which day.

    The plan is expected to earn most within the budget, the stock and what each channel carries; it keeps consent, quiet hours and the
    cap of contacts per customer. What offers do is learned from what was shown before, or from earlier plans. Offers, channels, budget
    and guards are described in whenbuy.toml: [offers.NAME], [channels.NAME], [budget], [guards].

    The decisions are kept under plans/, and reports/plan.html shows them. Nothing is sent: that is yours to do.
    """
    from whenbuy.pipeline.verbs import plan as verb

    with progress() as say:
        found = verb.plan(
            shop, as_of, budget=budget, hold_out=hold_out, explore=explore, days=days, offers=offers, only=listed(only), by_lot=pilot,
            out=out, say=say,
        )  # fmt: skip
    return answer(found, as_json)


@click.command(short_help="Say what a plan has earned.")
@click.argument("plan", required=False)
@SHOP
@click.option(
    "--horizon",
    type=click.FloatRange(0, 3650, min_open=True),
    default=None,
    metavar="DAYS",
    help="Count orders for so long (default: as the plan did).",
)
@JSON
def result(plan: str | None, shop: Path | None, horizon: float | None, as_json: bool) -> int:
    """Compare those whom PLAN (the latest, where none is named) sent something with those like them who were held out.

    What both did before the plan is taken into account. Orders that came early and were missing later do not count.
    """
    from whenbuy.pipeline.verbs import result as verb

    return answer(verb.result(shop, plan, horizon=horizon), as_json)
