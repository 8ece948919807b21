"""Verbs that learn and answer: fit, predict, explain, report, questions."""

from __future__ import annotations

from pathlib import Path

import click

from whenbuy.cli.options import AS_OF, JSON, SHOP, Budget, Place, Share, listed
from whenbuy.cli.printing import answer, progress


@click.command(short_help="Learn from what was known before --as-of.")
@SHOP
@AS_OF
@click.option("--ask", multiple=True, metavar="QUESTION", help="Learn this answer, or all or usual; repeatable (default: usual).")
@click.option("--models", "models", multiple=True, metavar="NAME", help="Try this candidate only, beside the floors; repeatable.")
@click.option("--budget", type=Budget(), default=None, metavar="TIME", help="CPU time for trying candidates, e.g. 90s, 10m (default: 30m).")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=None, help="Where chance starts (default: the shop's setting).")
@JSON
def fit(
    shop: Path | None,
    as_of: str | None,
    ask: tuple[str, ...],
    models: tuple[str, ...],
    budget: float | None,
    seed: int | None,
    as_json: bool,
) -> int:
    """Learn the model of every answer from what was known before --as-of.

    What was learned is kept, and answers from now on if it beats its floor and is not worse than the model that answers now; otherwise the
    exit code is 5 and `whenbuy models` shows why. `whenbuy questions` lists the answers, `whenbuy models show` the candidates by name.
    """
    from whenbuy.pipeline.verbs import fit as verb

    with progress() as say:
        result = verb.fit(shop, as_of, seed=seed, ask=listed(ask), only=listed(models), budget_s=budget, say=say)
    return answer(result, as_json)


@click.command(short_help="Forecast everybody, or the customers named.")
@click.argument("users", nargs=-1)
@SHOP
@AS_OF
@click.option("--out", type=Place(), metavar="FILE", default=None, help="Write the forecasts here: .parquet, .csv or .jsonl by its ending.")
@click.option(
    "--hold-out", "share", type=Share(), metavar="SHARE", default=None,
    help="Add a column hold_out: this share (10%) is to be left alone, each time the same customers.",
)  # fmt: skip
@click.option("--without-action", is_flag=True, help="Forecast what comes if nothing is sent from then on; offers still at work are named.")
@JSON
def predict(
    users: tuple[str, ...], shop: Path | None, as_of: str | None, out: Path | None, share: float | None, without_action: bool, as_json: bool
) -> int:  # fmt: skip
    """Forecast USERS (everybody, where none is named).

    A terminal shows a short table, a pipe gets CSV with all columns and exact values. Everybody's forecast as of the log's end is
    kept as forecasts/latest.parquet as well. For a moment before what the champion knows, the kept model that knew most by then answers.

    In a CSV file a name that a spreadsheet would run as a formula (it begins with =, +, -, @ or a tab) gets an apostrophe in front;
    Parquet, JSONL and pipes hold it as it is.
    """
    from whenbuy.pipeline.verbs import predict as verb
    from whenbuy.pipeline.verbs import without_action as idle

    if without_action and share is not None:
        raise click.UsageError("--hold-out is a column of the usual forecast: leave out one of --hold-out and --without-action.")
    with progress() as say:
        if without_action:
            return answer(idle.without_action(shop, as_of, users=users or None, out=out, say=say), as_json)
        result = verb.predict(shop, as_of, users=users or None, out=out, say=say, share=share)
    return answer(result, as_json)


@click.command(short_help="Say why: for customers in words, and what counts for everybody.")
@click.argument("users", nargs=-1)
@SHOP
@AS_OF
@click.option(
    "--horizon", type=click.FloatRange(0, 3650, min_open=True), default=None, metavar="DAYS", help="Explain the chance of so many days."
)
@JSON
def explain(users: tuple[str, ...], shop: Path | None, as_of: str | None, horizon: float | None, as_json: bool) -> int:
    """Say in words what raises and lowers the chance that each of USERS buys, with sizes, and what would change it.

    Where nobody is named: what counts for everybody.
    """
    from whenbuy.pipeline.verbs import explain as verb

    with progress() as say:
        result = verb.explain(shop, users or None, as_of=as_of, horizon=horizon, say=say)
    return answer(result, as_json)


@click.command(short_help="Write reports/index.html.")
@SHOP
@JSON
def report(shop: Path | None, as_json: bool) -> int:
    """Write reports/index.html: who is about to buy, how sure that is, and how it was learned."""
    from whenbuy.pipeline.verbs import report as verb

    with progress() as say:
        result = verb.report(shop, say=say)
    return answer(result, as_json)


@click.command(short_help="List what can be asked, and what this shop can answer.")
@SHOP
@JSON
def questions(shop: Path | None, as_json: bool) -> int:
    """List every question: which data it needs, whether this shop has them, which model answers, and how it scored beside its floor."""
    from whenbuy.pipeline.verbs import questions as verb

    return answer(verb.questions(shop), as_json)
