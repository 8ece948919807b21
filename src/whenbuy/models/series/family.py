"""What a family of series models is: forecasts from every origin, each made from what stood before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from whenbuy.core.arrays import Ints, Singles
from whenbuy.core.panel import Panel

Rolling = Callable[[Ints], Singles]
"""From rows of a panel (r) to what is expected in each step from each origin on (r x o x horizon): never below 0, NaN if it cannot say."""


class Family(Protocol):
    """The settings of a way to forecast series.

    A rolling backtest and a forecast are one call: the forecast is the answer from the last origin, ``panel.steps``.
    """

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""

    @property
    def cost_s(self) -> float:
        """Processor seconds that one series costs per origin, about; 0 for what is compiled and costs next to nothing."""

    def learn(self, panel: Panel, origins: Ints, horizon: int) -> Rolling:
        """Return the forecasts from each origin on; the answer from an origin rests on the values before it alone.

        Parameters
        ----------
        panel
            The series (n x t). What all series teach is learned from its pool.
        origins
            Steps from which a forecast is made (o), rising, at most t: the values before them are known.
        horizon
            How many steps ahead.
        """
