"""The laws by which people answer the offers that a shop sends them in rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import SettingsError
from whenbuy.ingest.simulated.bounds import above_zero, lengths, shares

RESPONSES: Final = ("incremental", "pulled forward", "none", "harmed")
"""How somebody answers: she buys more, she buys earlier what she would have bought anyway, she does not care, or it drives her away."""
LOGGINGS: Final = ("random", "biased", "deterministic")


@dataclass(frozen=True, slots=True)
class Promotions:
    """Offers that are sent in rounds, and what they do to those who open them.

    For ``length_days`` after an offer is sent, the shop time of somebody who opens it and answers "incremental" or "pulled forward" runs
    faster by its boost, 1 + appeal × (notice × (1 - discount) ** -elasticity - 1), the appeal being that of the offer to her segment. For
    the ``payback_days`` after that it runs so much slower for "pulled forward" that the days gained are given back. For "harmed" it runs
    ``harm`` slower over both. Everybody has one way to answer, drawn by the shares of her segment. The chance to open is that of segment
    and channel, times ``fatigue`` for every contact in the ``fatigue_days`` before.

    Parameters
    ----------
    logging
        Who is sent what. "random": a ``share`` of the customers, offer and channel by lot. "biased": likelier for those who bought lately
        (the log-odds lean by ``tilt`` for 30 days) and for the offer that suits a price class; everybody can get everything.
        "deterministic": whoever bought in the last 45 days, the offer by her price class, on the first channel.
    first_day, every_days, rounds
        When offers are sent, at midnight (UTC).
    discounts, notices
        Of each offer. The discount of a threshold offer is its mean over orders.
    order_cost_shares, order_costs
        What an order under each offer costs: a share of its value, and an amount.
    contact_costs
        What one message costs on each channel.
    opens, appeals
        Chance to open, for each segment on each channel; appeal of each offer to each segment.
    response_shares
        Shares of the RESPONSES in each segment.
    margin
        Share of an order's value that is earned.
    """

    logging: str
    first_day: int
    every_days: int
    rounds: int
    share: float
    tilt: float
    length_days: float
    payback_days: float
    offers: tuple[str, ...]
    discounts: tuple[float, ...]
    notices: tuple[float, ...]
    order_cost_shares: tuple[float, ...]
    order_costs: tuple[float, ...]
    channels: tuple[str, ...]
    contact_costs: tuple[float, ...]
    segments: tuple[str, ...]
    segment_shares: tuple[float, ...]
    opens: tuple[tuple[float, ...], ...]
    appeals: tuple[tuple[float, ...], ...]
    response_shares: tuple[tuple[float, ...], ...]
    harm: float
    fatigue: float
    fatigue_days: float
    margin: float

    def __post_init__(self) -> None:
        for name in ("discounts", "notices", "order_cost_shares", "order_costs"):
            lengths(f"promotions.{name}", getattr(self, name), len(self.offers))
        for name in ("segment_shares", "opens", "appeals", "response_shares"):
            lengths(f"promotions.{name}", getattr(self, name), len(self.segments))
        lengths("promotions.contact_costs", self.contact_costs, len(self.channels))
        shares("promotions", self, (
            "share", "discounts", "order_cost_shares", "segment_shares", "opens", "response_shares", "harm", "fatigue", "margin",
        ))  # fmt: skip
        above_zero("promotions", self, ("every_days", "rounds", "length_days", "payback_days", "notices", "appeals", "fatigue_days"))
        if self.logging not in LOGGINGS:
            raise SettingsError(f"promotions.logging is {self.logging!r}.", f"It is one of {', '.join(LOGGINGS)}.")
        for row in (self.segment_shares, *self.response_shares):
            if abs(sum(row) - 1) > 1e-9:
                raise SettingsError(f"Shares of the promotions sum to {sum(row):g}.", "Shares sum to 1.", "Mend them.")

    def paces(self, elasticities: tuple[float, ...]) -> Floats:
        """Return how fast shop time runs while an offer works and while it is paid back.

        By price class, segment, offer and response (p x g x m x 4 x 2).

        Raises
        ------
        SettingsError
            When so much is to be paid back that time would stand still.
        """
        price = (1 - np.array(self.discounts))[None, :] ** -np.array(elasticities)[:, None]
        gain = (price * np.array(self.notices)[None, :] - 1)[:, None, :] * np.array(self.appeals)[None, :, :]
        back = gain * self.length_days / self.payback_days
        if back.max() >= 0.95:
            raise SettingsError(
                f"An offer gives {back.max():.2f} days a day to be paid back.", "Below .95 people still buy meanwhile.",
                "Lengthen payback_days, or lower its notice or appeal.",
            )  # fmt: skip
        slow = np.full(gain.shape, 1 - self.harm)
        first = np.stack([1 + gain, 1 + gain, np.ones(gain.shape), slow], axis=-1)
        then = np.stack([np.ones(gain.shape), 1 - back, np.ones(gain.shape), slow], axis=-1)
        return np.stack([first, then], axis=-1)
