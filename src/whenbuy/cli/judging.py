"""Verbs that judge: backtest, stress, learning-curve."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.options import AS_OF, JSON, SHOP
from whenbuy.cli.printing import answer, progress

_WEEKS = click.IntRange(1, 52)


@click.command(short_help="Score forecasts of past weeks against what came.")
@SHOP
@AS_OF
@click.option("--weeks", type=_WEEKS, default=None, help="How many weekly cutoffs are scored (default: 8; 1 with --folds).")
@click.option(
    "--folds", type=click.IntRange(2, 50), default=None, metavar="K", help="Judge on customers never seen: K folds, K times the work."
)
@click.option("--by", default=None, metavar="SEGMENT", help="Score by segment too: customer, orders, recency, amount, category, channel …")
@JSON
def backtest(shop: Path | None, as_of: str | None, weeks: int | None, folds: int | None, by: str | None, as_json: bool) -> int:
    """Score forecasts of the last weeks against what really happened, beside the floor.

    --by says how good they are for each segment of the customers, and for which groups they are wrong; an attribute of the customers is a
    segment too. --folds learns K times from the customers of the other folds, and judges on those left out.
    """
    from whenbuy.pipeline.verbs import backtest as verb

    with progress() as say:
        result = verb.judged(shop, as_of, weeks=weeks, folds=folds, by=by, say=say)
    return answer(result, as_json)


@click.command(short_help="Say how much worse forecasts become with faults in the data.")
@SHOP
@AS_OF
@click.option("--weeks", type=_WEEKS, default=2, show_default=True, help="How many weekly cutoffs are scored.")
@JSON
def stress(shop: Path | None, as_of: str | None, weeks: int, as_json: bool) -> int:
    """Plant faults into the log one at a time (lost events, outages, doubles, shifted clocks …) and score the forecasts from it.

    The shop itself is not changed.
    """
    from whenbuy.pipeline.verbs import stress as verb

    with progress() as say:
        result = verb.stress(shop, as_of, weeks=weeks, say=say)
    return answer(result, as_json)


@click.command("learning-curve", short_help="Say how much more customers or weeks would help.")
@SHOP
@AS_OF
@click.option("--weeks", type=_WEEKS, default=4, show_default=True, help="How many weekly cutoffs are scored.")
@JSON
def learning_curve(shop: Path | None, as_of: str | None, weeks: int, as_json: bool) -> int:
    """Learn from fewer customers and from fewer weeks, and score that beside what is learned from everything.

    It learns about seven times.
    """
    from whenbuy.pipeline.verbs import learning_curve as verb

    with progress() as say:
        result = verb.learning_curve(shop, as_of, weeks=weeks, say=say)
    return answer(result, as_json)
