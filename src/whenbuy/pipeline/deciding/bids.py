"""Bids: what a message or an advertisement may cost at each customer."""

from __future__ import annotations

import polars as pl

from whenbuy.core.errors import UsageError
from whenbuy.core.forecast import Probability
from whenbuy.core.outlook import Outlook
from whenbuy.decide.audience import bids


def response_bids(outlook: Outlook, margin: float, *, keep: float = 0.0) -> pl.DataFrame:
    """Return what may be bid for each customer: P(click) x P(buys | click) x what an order earns, the highest first.

    It counts every order that follows a click, also of those who would have bought without it: where a trial says how many orders a
    message adds, bid by that (``decide.audience.bids``).

    Parameters
    ----------
    outlook
        With the answers ``response``, ``conversion`` and ``amount``.
    margin
        The share of an order's amount that is earned, above 0 and at most 1.
    keep
        Share of the value that must remain as profit, in [0, 1).

    Returns
    -------
    DataFrame
        user_id; value and bid of a message shown; bid_click: the same per click.

    Raises
    ------
    UsageError
        When an answer is missing, or the margin is impossible.
    """
    click, buys, amount = outlook.answers.get("response"), outlook.answers.get("conversion"), outlook.amount
    if not isinstance(click, Probability) or not isinstance(buys, Probability) or amount is None:
        raise UsageError(
            f"A bid was asked for of an outlook that answers {', '.join(outlook.answers)}.",
            "It is made of response, conversion and amount.",
            "Fit with --ask usual,response,conversion.",
        )
    if not 0 < margin <= 1:
        raise UsageError(f"The margin is {margin:g} of an order's amount.", "It lies above 0 and at most at 1.", "Give such as 0.3.")
    return bids(outlook.keys.ids(), click.chance * buys.chance, margin * amount.mean, click.chance, keep=keep)
