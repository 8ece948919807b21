"""Verbs that act: plan, win-back, audience, bids, result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from whenbuy.cli.options import AS_OF, JSON, SHOP, Place, Share, listed
from whenbuy.cli.printing import answer, progress

if TYPE_CHECKING:
    from whenbuy.pipeline.verbs.standing import Wish

_BUDGET = click.option(
    "--budget", type=click.FloatRange(0), default=None, metavar="MONEY", help="What may be spent (default: [budget] money)."
)
_HOLD_OUT = click.option(
    "--hold-out", type=Share(ends=True), default=None, metavar="SHARE", help="Left alone by lot, to measure against, e.g. 10%."
)
_OFFERS = click.option(
    "--offers", type=Place(), default=None, metavar="FILE", help="A TOML file with further [offers.NAME] and [channels.NAME]."
)
_ONLY = click.option("--only", multiple=True, metavar="OFFER", help="Send this offer only; repeatable (default: all that are described).")
_RELEARN = click.option("--relearn", is_flag=True, help="Learn what offers do anew, whatever is kept of it.")
_OUT = click.option("--out", type=Place(), metavar="FILE", default=None, help="Write it here: .parquet, .csv or .jsonl by its ending.")


def _wish(asked: dict[str, Any]) -> Wish:
    """Return what the verbs share of what was typed; it is taken out of the rest."""
    from whenbuy.pipeline.verbs.standing import Wish

    told = {name: asked.pop(name) for name in ("budget", "hold_out", "days", "offers", "relearn")}
    return Wish(**told, only=listed(asked.pop("only")))


@click.command(short_help="Decide whom to send what, how and when.")
@SHOP
@AS_OF
@_BUDGET
@_HOLD_OUT
@click.option("--explore", type=Share(ends=True), default=None, metavar="SHARE", help="Of the others: get an offer by lot, e.g. 2%.")
@click.option("--thompson", is_flag=True, help="Draw the lot by what earlier plans brought (Thompson sampling), not evenly.")
@click.option("--days", type=click.IntRange(1, 366), default=None, help="How many days ahead messages may go out (default: 14).")
@_OFFERS
@_ONLY
@click.option("--pilot", is_flag=True, help="Draw by lot who is sent what, where nothing is known of what offers do.")
@_RELEARN
@_OUT
@JSON
def plan(shop: Path | None, as_of: str | None, pilot: bool, as_json: bool, **asked: Any) -> int:
    """Decide for every customer: which offer or none, on which channel, on which day.

    The plan is expected to earn most within the budget, the stock and what each channel carries; it keeps consent, quiet hours and the
    cap of contacts per customer. What offers do is learned from what was shown before, or from earlier plans. Offers, channels, budget
    and guards are described in whenbuy.toml: [offers.NAME], [channels.NAME], [budget], [guards].

    The decisions are kept under plans/, and reports/plan.html shows them. Nothing is sent: that is yours to do.
    """
    from whenbuy.pipeline.verbs import plan as verb

    with progress() as say:
        found = verb.plan(shop, as_of, _wish(asked), by_lot=pilot, say=say, **asked)
    return answer(found, as_json)


@click.command(short_help="Find who is lapsing, and what would save them.")
@SHOP
@AS_OF
@click.option("--fallen-to", type=Share(), default=0.5, show_default="50%", metavar="SHARE", help="Of her usual orders: she is lapsing.")
@click.option("--least-orders", type=click.IntRange(1), default=2, show_default=True, metavar="N", help="Fewer make no habit yet.")
@_BUDGET
@_HOLD_OUT
@click.option("--days", type=click.IntRange(1, 366), default=None, help="How many days ahead messages may go out (default: 14).")
@_OFFERS
@_ONLY
@_RELEARN
@_OUT
@JSON
def win_back(shop: Path | None, as_of: str | None, as_json: bool, **asked: Any) -> int:
    """Find the customers who fall behind their own habit, the one with whom most is lost first, and decide what each is sent.

    Expected are the orders that come if nothing is sent; usual are those of her own pace. Which offer is worth it is decided as in a
    plan, with its budget, consent and hold-out, for these customers alone; `whenbuy result` says later what it earned. Where nothing is
    known of what offers do, the customers are named all the same.
    """
    from whenbuy.pipeline.verbs import win_back as verb

    with progress() as say:
        found = verb.win_back(shop, as_of, _wish(asked), say=say, **asked)
    return answer(found, as_json)


@click.command(short_help="Say whom to show an advertisement, and what to bid.")
@SHOP
@AS_OF
@click.option("--channel", required=True, metavar="NAME", help="Where it is shown: a channel of whenbuy.toml.")
@_BUDGET
@_HOLD_OUT
@click.option("--days", type=click.IntRange(1, 366), default=None, help="For how many days the budget is to last (default: 14).")
@click.option(
    "--spent",
    multiple=True,
    type=click.FloatRange(0),
    metavar="MONEY",
    help="What was spent on a day so far; repeatable, the first day first.",
)
@click.option("--keep", type=Share(ends=True), default=0.0, metavar="SHARE", help="Of an impression's value: must remain as profit.")
@click.option(
    "--email", metavar="COLUMN", default=None, help="Customers' attribute with e-mail addresses: their sha256 goes into the file."
)
@_OFFERS
@_ONLY
@_RELEARN
@_OUT
@JSON
def audience(shop: Path | None, as_of: str | None, as_json: bool, **asked: Any) -> int:
    """Say which customers to show an offer to, what an impression and a click of each is worth, and what to spend on each day.

    An impression is worth the margin of the orders that it adds, less what the offer costs: who buys anyway is worth nothing. Only who
    agreed to the channel is named; who is held out has hold_out, no bid, and is to be excluded. Addresses are hashed, and only if --email
    names their column.
    """
    from whenbuy.pipeline.verbs import audience as verb

    with progress() as say:
        found = verb.audience(shop, as_of, _wish(asked), say=say, **asked)
    return answer(found, as_json)


@click.command(short_help="Say what a message may cost at each customer.")
@SHOP
@AS_OF
@click.option(
    "--margin", type=Share(ends=True), default=None, metavar="SHARE", help="Of an order's amount: is earned (default: [budget] margin)."
)
@click.option("--keep", type=Share(ends=True), default=0.0, metavar="SHARE", help="Of a message's worth: must remain as profit.")
@_OUT
@JSON
def bids(shop: Path | None, as_of: str | None, margin: float | None, keep: float, out: Path | None, as_json: bool) -> int:
    """Say what a message or an advertisement may cost at each customer, where no trial says how many orders it adds.

    It is worth P(she clicks) x P(she buys after a click) x what an order earns. The model must answer both chances: `whenbuy fit --ask
    usual,response,conversion`.
    """
    from whenbuy.pipeline.verbs import bids as verb

    with progress() as say:
        found = verb.bids(shop, as_of, margin=margin, keep=keep, out=out, say=say)
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
@click.option(
    "--policy", "policies", multiple=True, type=Place(), metavar="FILE",
    help="Say what the decisions in this file would have earned in its place; repeatable.",
)  # fmt: skip
@JSON
def result(plan: str | None, shop: Path | None, horizon: float | None, policies: tuple[Path, ...], as_json: bool) -> int:
    """Compare those whom PLAN (the latest, where none is named) sent something with those like them who were held out.

    What both did before the plan is taken into account. Orders that came early and were missing later do not count.

    With --policy other decisions about the same customers are judged by the propensities of PLAN's: a file with user_id, offer_id and
    channel, as `whenbuy plan --out` writes it. The more of PLAN was drawn by lot (`plan --explore`), the more it can tell.
    """
    from whenbuy.pipeline.verbs import result as verb

    return answer(verb.result(shop, plan, horizon=horizon, policies=policies), as_json)
