"""What each verb of the command line does to a shop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from whenbuy.clean import DEFAULT, RULES, clean
from whenbuy.config import Settings, ShopSettings, SourceSettings
from whenbuy.core.errors import NotFoundError, SettingsError, UsageError
from whenbuy.core.history import History
from whenbuy.features import Feature, Holiday, Payday
from whenbuy.ingest.read import Reading
from whenbuy.ingest.read import read as read_source
from whenbuy.ingest.store import open_log, write_log
from whenbuy.pipeline import backtest as backtesting
from whenbuy.pipeline import bundle, learn, track
from whenbuy.pipeline.backtest import Backtest
from whenbuy.pipeline.catalogue import types
from whenbuy.pipeline.export import require_ending, write_frame
from whenbuy.pipeline.forecaster import Choice, Forecaster
from whenbuy.pipeline.grid import has_clock_times
from whenbuy.pipeline.shop import Shop, write

Say = Callable[[str], None]
MODEL: Final = "latest"
_FOUND, _SCORES, _CALIBRATION = "found.json", "scores.parquet", "calibration.parquet"
_SHOWN: Final = ("auc", "logloss", "ece", "brier")
"""The scores of each horizon that are shown; all of them are kept with the run."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a verb did: facts for machines and, where there is one, a table for people."""

    facts: Mapping[str, Any]
    table: pl.DataFrame | None = None

    def plain(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {**self.facts} | ({} if self.table is None else {"rows": self.table.to_dicts()})


def read(source: object = None, *, cleaned: bool = True, **options: Any) -> History:
    """Return the history of a source, cleaned by the default rules unless ``cleaned`` is False.

    ``options`` are those of ``whenbuy.ingest.read.read``: columns, kinds, timezone, layout, currency, lateness_days, now.
    """
    history = read_source(source, **options).history
    return clean(history, _rules(history), now=options.get("now")).history if cleaned else history


def init(
    folder: Path,
    source: str | None,
    *,
    columns: Mapping[str, str],
    kinds: Mapping[str, str],
    say: Say,
    timezone: str = "UTC",
    currency: str = "",
    layout: str = "",
) -> Result:
    """Make a shop of a source: read, clean and store its log; keep every row that was taken out, with the reason."""
    if (folder / "whenbuy.toml").exists():
        Shop.create(folder, Settings())  # raises: a shop is made once
    paths = () if source is None else (str(Path(source).resolve()),)
    settings = Settings(
        ShopSettings(name=folder.resolve().name, timezone=timezone, currency=currency),
        SourceSettings(paths, layout), dict(columns), dict(kinds),
    )  # fmt: skip
    return _import(folder, settings, say)


def _import(folder: Path, settings: Settings, say: Say) -> Result:
    say("reading")
    now = datetime.now(UTC)
    source = settings.source
    reading = read_source(
        (source.paths[0] if len(source.paths) == 1 else list(source.paths)) if source.paths else None,
        columns=settings.columns, kinds=settings.kinds, timezone=settings.shop.timezone, layout=source.layout or None,
        currency=settings.shop.currency or None, lateness_days=settings.shop.lateness_days, now=now,
    )  # fmt: skip
    history = reading.history
    say(f"cleaning {len(history.log):,} events")
    cleaned = clean(history, _rules(history, settings.clean), now=now)
    found = {"reading": _read_words(reading), "cleaning": list(cleaned.report.sentences())}
    named = {} if source.layout else reading.mapping.columns
    shop = Shop(folder) if (folder / "whenbuy.toml").exists() else Shop.create(folder, _understood(settings, history, named))
    with shop.writing():
        write_log(cleaned.history, shop.log)
        write_frame(cleaned.quarantine, shop.quarantine / "cleaning.parquet")
        write_frame(reading.rejects.frame, shop.quarantine / "reading.parquet")
        write(shop.quarantine / _FOUND, json.dumps(found, ensure_ascii=False).encode())
    log = cleaned.history.log
    facts = {
        "shop": str(shop.folder), "rows": reading.rows, "events": len(log), "users": len(log.users), "rejected": len(reading.rejects),
        "quarantined": len(cleaned.quarantine), "first": history.clock.show(log.start), "end": history.clock.show(log.end),
    }  # fmt: skip
    for sentence in (*found["reading"], *found["cleaning"]):
        say("  " + sentence)
    say(f"{shop.folder} holds {len(log):,} events of {len(log.users):,} users, {facts['first']} to {facts['end']}")
    return Result(facts, pl.DataFrame({"kind": log.kinds, "events": [log.count(kind) for kind in log.kinds]}))


def _understood(settings: Settings, history: History, named: Mapping[str, str]) -> Settings:
    """Return the settings with what reading found out, so that the next import reads the same way."""
    shop = replace(settings.shop, timezone=history.clock.zone)
    return replace(settings, shop=shop, columns={**named, **settings.columns})


def fit(folder: Path | None, as_of: str | None, *, seed: int | None, say: Say) -> Result:
    """Learn every answer of a shop and keep the models as its latest bundle."""
    shop = Shop.find(folder or Path.cwd())
    settings, history, started = shop.settings(), open_log(shop.log), time.time()
    seed = settings.shop.seed if seed is None else seed
    with shop.writing():
        forecaster = learn.fit(
            history, as_of, horizons=settings.shop.horizons, further=_further(settings), seed=seed,
            closed=settings.calendar.closed, say=say,
        )  # fmt: skip
        bundle.save(shop.models / MODEL, forecaster, {"zone": history.clock.zone, "known_until": forecaster.known_until})
        scores = {f"{choice.answer}/{choice.model}": (choice.value, float("nan"), float("nan")) for choice in forecaster.choices}
        run = _record(shop, settings, history, "fit", forecaster, scores, (forecaster.known_until,), seed, started)
    for note in forecaster.notes:
        say(note)
    facts = {
        "model": str(shop.models / MODEL), "known_until": history.clock.show(forecaster.known_until), "run": run.id,
        "chosen": _chosen(forecaster), "notes": list(forecaster.notes),
    }  # fmt: skip
    return Result(facts, _choices(forecaster.choices))


def predict(folder: Path | None, as_of: str | None, *, users: Iterable[str] | None, out: Path | None, say: Say) -> Result:
    """Forecast with the latest models; everybody's forecast is kept as forecasts/latest.parquet."""
    if out is not None:
        require_ending(out)
    shop = Shop.find(folder or Path.cwd())
    forecaster, history = _model(shop), open_log(shop.log)
    outlook = forecaster.predict(history, as_of, users)
    frame = outlook.frame()
    place = shop.forecasts / "latest.parquet" if users is None else None
    for path in {path for path in (place, out) if path is not None}:
        write_frame(frame, path)
        say(f"{len(frame):,} forecasts are in {path}")
    return Result({"as_of": history.clock.show(int(outlook.keys.cutoff[0])), "forecasts": len(frame)}, frame)


def backtest(folder: Path | None, as_of: str | None, *, weeks: int, say: Say) -> Result:
    """Score forecasts of the last weeks beside the floor's, and keep the scores for the report."""
    shop = Shop.find(folder or Path.cwd())
    settings, history, started = shop.settings(), open_log(shop.log), time.time()
    with shop.writing():
        found = backtesting.backtest(
            history, as_of, weeks=weeks, horizons=settings.shop.horizons, further=_further(settings), seed=settings.shop.seed,
            closed=settings.calendar.closed, say=say,
        )  # fmt: skip
        table = _shown(found)
        write_frame(table, shop.reports / _SCORES)
        write_frame(found.calibration(), shop.reports / _CALIBRATION)
        scores = {row.name: (row.ours, float("nan"), float("nan")) for row in found.comparison.rows}
        run = _record(shop, settings, history, "backtest", found.forecaster, scores, found.cutoffs, settings.shop.seed, started)
    facts = {
        "cutoffs": [history.clock.show(cutoff) for cutoff in found.cutoffs], "forecasts": len(found.ours), "floor": found.comparison.floor,
        "chosen": _chosen(found.forecaster), "run": run.id,
    }  # fmt: skip
    return Result(facts, table)


def report(folder: Path | None, *, say: Say) -> Result:
    """Write the report of a shop from its log, its latest models and its latest backtest."""
    from whenbuy.pipeline.report import SCORES, Findings
    from whenbuy.pipeline.report import write as write_report

    shop = Shop.find(folder or Path.cwd())
    settings, history, forecaster = shop.settings(), open_log(shop.log), _model(shop)
    outlook = forecaster.predict(history)
    found = json.loads((shop.quarantine / _FOUND).read_text()) if (shop.quarantine / _FOUND).exists() else {}
    scored = (shop.reports / _SCORES).exists()
    scores = pl.read_parquet(shop.reports / _SCORES) if scored else pl.DataFrame(schema=dict(SCORES))
    findings = Findings(
        settings.shop.name, settings.shop.currency, history, outlook, scores, _sentences(forecaster),
        learning=forecaster.notes, cleaning=tuple(found.get("cleaning", ())), reading=tuple(found.get("reading", ())),
        calibration=pl.read_parquet(shop.reports / _CALIBRATION) if scored else None,
    )  # fmt: skip
    path = write_report(findings, shop.reports / "index.html")
    say(f"the report is {path}")
    return Result({"report": str(path), "customers": len(outlook)})


def demo(folder: Path, *, say: Say) -> Result:
    """Make the shop of the Complete Journey data, score it on its last weeks, forecast everybody and write the report."""
    started = time.process_time()
    settings = Settings(ShopSettings(name="Complete Journey", currency="USD"), SourceSettings(layout="complete_journey"))
    _import(folder, settings, say)
    scored = backtest(folder, None, weeks=8, say=say)
    fit(folder, None, seed=None, say=say)
    forecast = predict(folder, None, users=None, out=None, say=say)
    page = report(folder, say=say)
    say(f"done in {time.process_time() - started:.0f} CPU seconds. Open {page.facts['report']}, then try:")
    user = str((forecast.table if forecast.table is not None else pl.DataFrame({"user_id": ["1"]}))["user_id"][0])
    for command in (f"predict {user} --shop {folder}", f"backtest --weeks 4 --shop {folder}", "init your-events.csv --shop my-shop"):
        say(f"  whenbuy {command}")
    return Result({**page.facts, "scores": scored.facts}, scored.table)


# ------------------------------------------------------------------------------------------- what they share


def _model(shop: Shop) -> Forecaster:
    if not (shop.models / MODEL).exists():
        raise NotFoundError(f"{shop.folder} has no model yet.", "A forecast needs one.", "Run `whenbuy fit` there first.")
    forecaster, _ = bundle.load(shop.models / MODEL, types())
    if not isinstance(forecaster, Forecaster):
        raise UsageError(
            f"{shop.models / MODEL} holds a {type(forecaster).__name__}.", "A forecaster is needed.", "Run `whenbuy fit` again."
        )
    return forecaster


def _rules(history: History, said: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
    """Return the cleaning rules: the default ones, changed as the shop's settings say.

    In a log of bare days equal rows may be two real purchases of one day, so they stay. Under [clean], ``rule = false`` leaves a rule out,
    and ``rule = {…}`` sets it, or adds it behind the default ones.
    """
    exact = has_clock_times(history) or "event_id" in history.log.columns
    rules = {name: rule for name, kind in RULES.items() for rule in DEFAULT if type(rule) is kind and (exact or name != "duplicates")}
    for name, value in (said or {}).items():
        if value is False:
            rules.pop(name, None)
            continue
        try:
            rules[name] = RULES[name](**{key: tuple(v) if isinstance(v, list) else v for key, v in (value or {}).items()})
        except (TypeError, AttributeError, KeyError) as error:
            raise SettingsError(
                f"[clean] {name} = {value!r} is not understood ({error}).", f"The rules are {', '.join(RULES)}.", "Give false or a table."
            ) from error
    return tuple(rules.values())


def _further(settings: Settings) -> tuple[Feature, ...]:
    """Return the features of the shop's own calendar, which stand beside the default ones."""
    calendar = settings.calendar
    holidays = (Holiday(tuple(day.isoformat() for day in calendar.holidays)),) if calendar.holidays else ()
    return (*holidays, Payday(calendar.pay_days)) if calendar.pay_days else holidays


def _record(
    shop: Shop, settings: Settings, history: History, verb: str, forecaster: Forecaster,
    scores: Mapping[str, tuple[float, float, float]], cutoffs: tuple[int, ...], seed: int, started: float,
) -> track.Run:  # fmt: skip
    return track.record(
        shop.runs,
        track.Run(
            verb, "; ".join(f"{answer}: {model}" for answer, model in _chosen(forecaster).items()),
            {"horizons": list(forecaster.horizons), "settings": settings.fingerprint()}, seed, track.fingerprint(history),
            track.code_version(), cutoffs, scores, round(started * 1e6), time.time() - started,
        ),
    )  # fmt: skip


def _chosen(forecaster: Forecaster) -> dict[str, str]:
    return {choice.answer: choice.model for choice in forecaster.choices if choice.chosen}


def _sentences(forecaster: Forecaster) -> dict[str, str]:
    said = {}
    for answer, model in _chosen(forecaster).items():
        tried = [choice for choice in forecaster.choices if choice.answer == answer]
        others = ", ".join(f"{choice.model} {choice.value:.4g}" for choice in tried if not choice.chosen)
        best = next(choice for choice in tried if choice.chosen)
        said[answer] = (
            f"{model} answers: {best.score} {best.value:.4g} on later weeks, against {others}." if others else f"{model} answers."
        )
    return said


def _choices(choices: Iterable[Choice]) -> pl.DataFrame:
    rows = [(c.answer, c.model, c.score, None if c.value != c.value else c.value, c.chosen, c.note) for c in choices]
    return pl.DataFrame(rows, ["answer", "model", "score", "value", "chosen", "note"], orient="row", infer_schema_length=None)


def _shown(found: Backtest) -> pl.DataFrame:
    """Return the scores that a person reads: one row per answer and score, ours beside the floor's."""
    horizons = [f"{days:g}d" for days in found.ours.horizons]
    wanted = [f"{score}_{days}" for days in horizons for score in _SHOWN]
    wanted += [f"ibs_{horizons[-1]}", "c_index", f"mae_{horizons[-1]}", "coverage_80", "orders_rmse", "orders_bias"]
    wanted += ["amount_rmse", "amount_mae", "amount_bias", "amount_coverage_80"]
    frame = found.comparison.frame()
    rows = pl.DataFrame({"name": wanted}).join(frame, on="name", how="inner", maintain_order="left")
    answer = pl.col("name").str.extract("^(orders|amount)_").fill_null("purchase")
    return rows.select(
        answer.alias("answer"),
        pl.col("name").alias("score"),
        "ours",
        "floor",
        "difference",
        "low",
        "high",
        "verdict",
        "better",
        "definition",
    )


def _read_words(reading: Reading) -> list[str]:
    said = [
        f"{row['key']} is {row['value']} ({row['reason']}; confidence {row['confidence']:.0%})."
        for row in reading.mapping.frame().iter_rows(named=True)
    ]
    said += [f"{count:,} rows were rejected: {reason}." for reason, count in reading.rejects.counts().iter_rows()]
    return [f"{reading.rows:,} rows were read.", *said]
