"""Cleaning: causal rules that change the log, and fitted preparations that live inside the learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from whenbuy.clean.bound import Bound, FittedBound
from whenbuy.clean.cleaning import DEFAULT, Cleaned, clean
from whenbuy.clean.draft import Rule
from whenbuy.clean.duplicates import DoubleClicks, Duplicates
from whenbuy.clean.fill import Fill, FittedFill
from whenbuy.clean.impossible import Impossible
from whenbuy.clean.missing import Missing
from whenbuy.clean.nearest import NearestRows
from whenbuy.clean.outliers import Outliers
from whenbuy.clean.people import BOT, Bots, TestOrders
from whenbuy.clean.quarantine import put_back, replay
from whenbuy.clean.refunds import REFUND_OF, Refunds
from whenbuy.clean.regression import ChainedRidge
from whenbuy.clean.report import Count, Report, RuleReport
from whenbuy.clean.scale import FittedScale, Scale
from whenbuy.clean.strange import FittedIsolation, FittedLocalOutliers, Isolation, LocalOutliers
from whenbuy.clean.strange_rows import StrangeRows
from whenbuy.clean.units import Currencies, MixedUnits, Rate, Rescale, ShiftClock

__all__ = [
    "BOT", "DEFAULT", "REFUND_OF", "RULES", "STEPS", "TYPES", "Bots", "Bound", "Cleaned", "Count", "Currencies", "DoubleClicks",
    "Duplicates", "Fill", "FittedBound", "FittedFill", "FittedIsolation", "FittedLocalOutliers", "FittedScale", "Impossible", "Isolation",
    "LocalOutliers", "Missing", "MixedUnits", "Outliers", "Rate", "Refunds", "Report", "Rescale", "Rule", "RuleReport", "Scale",
    "ShiftClock", "StrangeRows", "TestOrders", "clean", "put_back", "replay",
]  # fmt: skip

RULES: Final[Mapping[str, type]] = {
    "duplicates": Duplicates, "double_clicks": DoubleClicks, "impossible": Impossible, "test_orders": TestOrders, "refunds": Refunds,
    "bots": Bots, "currencies": Currencies, "mixed_units": MixedUnits, "rescale": Rescale, "shift_clock": ShiftClock, "missing": Missing,
    "outliers": Outliers, "strange": StrangeRows,
}  # fmt: skip
"""The causal rules by the names that settings use."""

STEPS: Final[Mapping[str, type]] = {"fill": Fill, "scale": Scale, "bound": Bound, "isolation": Isolation, "local_outliers": LocalOutliers}
"""The fitted preparations by the names that settings use."""

_LEARNED = (FittedFill, FittedScale, FittedBound, FittedIsolation, FittedLocalOutliers, NearestRows, ChainedRidge)
TYPES: Final[Mapping[str, type]] = {
    made.__name__: made for made in (*RULES.values(), *STEPS.values(), *_LEARNED, Rate, Report, RuleReport, Count)
}  # fmt: skip
"""Everything of this stage that a file may hold, by class name, for the codec."""
LEARNED = {made.__name__: made for made in (*STEPS.values(), *_LEARNED)}
"""What a stored model may hold of cleaning: the preparations inside a learner, as settings and as learned."""
