"""Write the report of a shop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.config import CalendarSettings
from whenbuy.core.errors import NotEnoughDataError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.core.outlook import Outlook
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.demand.panels import Closed
from whenbuy.pipeline.demand.series import Outcome, forecast_series
from whenbuy.pipeline.explaining.explaining import explain
from whenbuy.pipeline.keeping import track
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.telling.evidence import COLUMNS, Evidence, lacking
from whenbuy.pipeline.telling.findings import Findings, Learned, middle
from whenbuy.pipeline.telling.people import FIRST, ranked
from whenbuy.pipeline.telling.result import Result
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.intake import FOUND, Say
from whenbuy.pipeline.verbs.place import at, find_shop, stored

DEMAND_DAYS: Final = 28
"""How far the report looks ahead at demand."""


def report(folder: Path | None, *, say: Say) -> Result:
    """Write the report of a shop from its log, its latest models and its latest backtest; where there are none, of its data alone."""
    from whenbuy.pipeline.telling.report import write

    shop = find_shop(folder)
    settings, history = shop.settings(RULES), open_log(shop.log)
    outlook, learned, reasons = _answers(shop, history, say)
    found = stored(shop.quarantine / FOUND, lambda path: json.loads(path.read_text("utf-8")), "init") or {}
    evidence = _evidence(shop)
    findings = Findings(
        settings.shop.name, settings.shop.currency, history, outlook, evidence, learned,
        cleaning=tuple(found.get("cleaning", ())), reading=tuple(found.get("reading", ())), reasons=reasons,
        demand=None if outlook is None else _demand(settings.calendar, history, say),
    )  # fmt: skip
    say("drawing")
    path = write(findings, shop.reports / "index.html")
    lacks = []
    if outlook is None:
        lacks.append(f"It has no forecast yet: run `whenbuy fit{at(folder)}` first for that.")
    if evidence.scores is None:
        lacks.append(f"It has no scores yet: run `whenbuy backtest{at(folder)}` first for those.")
    return Result({"report": str(path), "customers": 0 if outlook is None else len(outlook)}, line=str(path), after=tuple(lacks))


def _answers(shop: Shop, history: History, say: Say) -> tuple[Outlook | None, Learned, Mapping[str, str]]:
    """Return the forecast for everybody, how the models that answer were learned, and reasons by customer; nothing before the first fit."""
    registry = Registry(shop.models)
    if not registry.ids():
        return None, Learned(), {}
    id, forecaster = champion.answering(shop)
    say("forecasting everybody")
    facts = {"Model": id, "Learned from": f"what was known before {history.clock.show(forecaster.known_until)}"}
    outlook = forecaster.predict(history)
    say("asking for the reasons of those who stand first")
    return (
        outlook,
        Learned(forecaster.choices, forecaster.notes, facts | _origin(shop, registry, id)),
        _reasons(forecaster, history, outlook),
    )


def _demand(calendar: CalendarSettings, history: History, say: Say) -> Outcome | None:
    """Return what will be sold in the coming weeks, by category where there are several; none where the log cannot say."""
    say("forecasting demand")
    categories = history.log.columns.get("category")
    several = categories is not None and categories.dictionary is not None and len(categories.dictionary) > 1
    try:
        return forecast_series(history, "category" if several else "shop", DEMAND_DAYS, "week", days=Closed.of(calendar))
    except NotEnoughDataError:
        return None


def _reasons(forecaster: Forecaster, history: History, outlook: Outlook) -> Mapping[str, str]:
    """Return why those who stand first have the chance that they have, in a few words each."""
    users = outlook.keys.ids().gather(ranked(outlook)[:FIRST]).to_list()
    found = explain(forecaster, history, users, horizon_days=middle(outlook))
    return {user: found.why(user, 2) for user in users}


def _origin(shop: Shop, registry: Registry, id: str) -> dict[str, str]:
    """Return what is known of how a model was made."""
    manifest = registry.sound(id)
    about = {} if manifest is None else dict(manifest.about)
    found = {
        name: str(about[key])[:most]
        for name, key, most in (("Seed", "seed", 40), ("Data (sha256)", "data", 16), ("Code", "code", 60))
        if key in about
    }
    try:
        return {"It took": f"{track.show(shop.runs, str(about.get('run', ''))).seconds:,.0f} seconds"} | found
    except WhenbuyError:  # its run was taken away or cannot be read: the model answers without it
        return found


def _evidence(shop: Shop) -> Evidence:
    """Return what the latest backtest left; a table that an earlier version wrote with other columns counts as not there."""
    tables = {name: stored(shop.reports / f"{name}.parquet", pl.read_parquet, "backtest") for name in COLUMNS}
    return Evidence(**{name: table for name, table in tables.items() if table is not None and not lacking(name, table)})
