"""From a shop's event log to when each customer buys next, how many orders come, and for how much.

    import whenbuy as wb
    history = wb.read("events.parquet")
    forecast = wb.fit(history).predict(history)
    forecast.frame()

Every name is imported when it is first used, so that starting up costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whenbuy.core.clock import Clock as Clock
    from whenbuy.core.decision import Decisions as Decisions
    from whenbuy.core.effect import CurveEffect as CurveEffect
    from whenbuy.core.effect import Effect as Effect
    from whenbuy.core.errors import WhenbuyError as WhenbuyError
    from whenbuy.core.forecast import Amount as Amount
    from whenbuy.core.forecast import TimeToEvent as TimeToEvent
    from whenbuy.core.history import Future as Future
    from whenbuy.core.history import History as History
    from whenbuy.core.history import Past as Past
    from whenbuy.core.keys import Keys as Keys
    from whenbuy.core.log import EventLog as EventLog
    from whenbuy.core.outlook import Outlook as Outlook
    from whenbuy.core.profile import Profile as Profile
    from whenbuy.core.ranking import Ranking as Ranking
    from whenbuy.core.segments import Segments as Segments
    from whenbuy.core.series_forecast import SeriesForecast as SeriesForecast
    from whenbuy.features import Features as Features
    from whenbuy.ingest.simulate import simulate as simulate
    from whenbuy.ingest.store import open_log as open_log
    from whenbuy.pipeline.explaining.explaining import explain as explain
    from whenbuy.pipeline.judging.backtest import backtest as backtest
    from whenbuy.pipeline.learning.forecaster import Forecaster as Forecaster
    from whenbuy.pipeline.learning.learn import fit as fit
    from whenbuy.pipeline.tables.tabular import TableModel as TableModel
    from whenbuy.pipeline.tables.tabular import fit_table as fit_table
    from whenbuy.pipeline.verbs.checkup import check as check
    from whenbuy.pipeline.verbs.init import read as read

_HOMES = {
    "Amount": "core.forecast", "Clock": "core.clock", "CurveEffect": "core.effect", "Decisions": "core.decision",
    "Effect": "core.effect", "EventLog": "core.log", "Features": "features", "Forecaster": "pipeline.learning.forecaster",
    "Future": "core.history", "History": "core.history", "Keys": "core.keys", "Outlook": "core.outlook", "Past": "core.history",
    "Profile": "core.profile", "Ranking": "core.ranking", "Segments": "core.segments", "SeriesForecast": "core.series_forecast",
    "TableModel": "pipeline.tables.tabular",
    "TimeToEvent": "core.forecast", "WhenbuyError": "core.errors", "backtest": "pipeline.judging.backtest",
    "check": "pipeline.verbs.checkup", "explain": "pipeline.explaining.explaining", "fit": "pipeline.learning.learn",
    "fit_table": "pipeline.tables.tabular", "open_log": "ingest.store", "read": "pipeline.verbs.init", "simulate": "ingest.simulate",
}  # fmt: skip

__all__ = [*_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"whenbuy has no {name!r}; it has: {', '.join(__all__)}.")
    found = getattr(import_module(f"whenbuy.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
