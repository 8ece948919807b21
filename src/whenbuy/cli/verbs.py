"""The command `whenbuy` and its verbs, in the order in which a newcomer needs them."""

from __future__ import annotations

import click

from whenbuy.cli.answering import churn, queue
from whenbuy.cli.data import check, demo, init
from whenbuy.cli.deciding import audience, bids, plan, result, win_back
from whenbuy.cli.demand import assortment, forecast, prices, trends
from whenbuy.cli.ingest import ingest
from whenbuy.cli.judging import backtest, learning_curve, stress
from whenbuy.cli.keys import keys
from whenbuy.cli.learning import explain, fit, predict, questions, report
from whenbuy.cli.machine import completion, doctor
from whenbuy.cli.models import models
from whenbuy.cli.options import Verbs
from whenbuy.cli.quarantine import quarantine
from whenbuy.cli.recommending import recommend
from whenbuy.cli.reviews import reviews
from whenbuy.cli.runs import runs
from whenbuy.cli.segmenting import paths, segment
from whenbuy.cli.serve import serve
from whenbuy.cli.stock import stock


def _version(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    del param
    if asked:
        from importlib import metadata

        try:
            click.echo(f"whenbuy {metadata.version('whenbuy')}")
        except metadata.PackageNotFoundError:
            click.echo("whenbuy 0+source")
        ctx.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit.")
def whenbuy() -> None:
    """From a shop's event log to when each customer buys next, how many orders come, and for how much.

    A shop is a folder with whenbuy.toml. To begin:

    \b
      whenbuy init events.csv --shop my-shop
      cd my-shop
      whenbuy fit
      whenbuy predict --out forecasts.csv
    """  # noqa: D301 - click reads the \\b


whenbuy.under("Begin", demo, init, check, quarantine)
whenbuy.under("Learn and ask", fit, predict, explain, segment, paths, churn, reviews, report, questions)
whenbuy.under("Act", recommend, plan, win_back, audience, bids, queue, result)
whenbuy.under("Stock", forecast, trends, prices, assortment, stock)
whenbuy.under("Judge", backtest, stress, learning_curve)
whenbuy.under("Run it live", ingest, serve, keys)
whenbuy.under("Look after", models, runs, doctor, completion)
