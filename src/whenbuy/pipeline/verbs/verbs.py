"""What each verb of the command line does to a shop."""

from __future__ import annotations

import errno
import json
import math
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
from polars.exceptions import PolarsError

from whenbuy.clean import RULES, clean
from whenbuy.config import FILE, Settings, ShopSettings, SourceSettings
from whenbuy.core.errors import AccessError, DamagedError, NotFoundError, UsageError
from whenbuy.core.history import History
from whenbuy.evaluate.scores import Comparison, Duel
from whenbuy.features import Feature, Holiday, Payday
from whenbuy.ingest.read import read as read_source
from whenbuy.ingest.store import open_log
from whenbuy.ingest.times import EARLIEST, LATEST
from whenbuy.pipeline.judging import backtest as backtesting
from whenbuy.pipeline.keeping import track
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.learning import learn
from whenbuy.pipeline.learning.forecaster import Choice, Forecaster
from whenbuy.pipeline.telling import screen
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.screen import Result
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.intake import FOUND, Say, founding, rules, take_in

DEMO: Final = "complete_journey"
"""The layout of the demo's data."""
_SCORES, _CALIBRATION = "scores.parquet", "calibration.parquet"
_SHOWN: Final = ("auc", "logloss", "ece", "brier")
"""The scores of each horizon that are shown; all of them are kept with the run."""
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_COLUMNS: Final = ("ours", "floor", "difference", "low", "high", "verdict", "better", "definition")


def read(source: object = None, *, cleaned: bool = True, **options: Any) -> History:
    """Return the history of a source, cleaned by the default rules unless ``cleaned`` is False.

    ``options`` are those of ``whenbuy.ingest.read.read``: columns, kinds, timezone, layout, currency, lateness_days, now.
    """
    history = read_source(source, **options).history
    return clean(history, rules(history), now=options.get("now")).history if cleaned else history


# ----------------------------------------------------------------------------------------------- a shop's log


def init(
    folder: Path,
    sources: Sequence[Path | str] = (),
    *,
    columns: Mapping[str, str],
    kinds: Mapping[str, str],
    timezone: str | None = None,
    currency: str | None = None,
    layout: str | None = None,
    say: Say,
    now: datetime | None = None,
) -> Result:
    """Make a shop of its sources: read, clean and store its log; keep every row that was taken out, with the reason.

    Where nothing but an existing shop is named, it is read again, as its whenbuy.toml says now.

    Parameters
    ----------
    folder
        What becomes the shop. Where making it fails, nothing is left there that was not there before.
    sources
        Files, folders or patterns.
    columns, kinds
        What is not to be guessed: our column -> the source's, the source's event -> our kind.
    timezone, currency, layout
        As for ``read``.
    say
        Where words about the progress go.
    now
        The instant after which nothing can have happened yet; this moment by default.

    Raises
    ------
    UsageError
        When a source is named for a folder that already is a shop, or none for one that is not.
    """
    if (folder / FILE).is_file() and not any((sources, columns, kinds, timezone, currency, layout)):
        result = _read_again(folder, say, now)
    else:
        paths = tuple(str(Path(source).absolute()) for source in sources)
        shop = ShopSettings(folder.resolve().name, timezone or "UTC", currency or "")
        result = _make(folder, Settings(shop, SourceSettings(paths, layout or ""), dict(columns), dict(kinds)), say, now)
    return replace(result, after=(*result.after, f"Next: whenbuy fit{at(folder)}"))


def _make(folder: Path, settings: Settings, say: Say, now: datetime | None = None) -> Result:
    """Make a shop, whole or not at all: its settings, which make it one, come last."""
    with founding(folder):
        result, understood = take_in(folder, settings, say, now)
        Shop.create(folder, understood)
    return result


def _read_again(folder: Path, say: Say, now: datetime | None = None) -> Result:
    shop = Shop(folder.resolve())
    with shop.writing():
        settings = shop.settings(RULES)
        sources = replace(settings.source, paths=tuple(map(str, shop.sources(settings))))
        return take_in(shop.folder, replace(settings, source=sources), say, now)[0]


# ------------------------------------------------------------------------------------------------ learning


def fit(folder: Path | None, as_of: str | None, *, seed: int | None, say: Say, like: Forecaster | None = None) -> Result:
    """Learn every answer of a shop, keep what was learned, and let it answer from now on where it passes the gate.

    Raises
    ------
    GateError
        When it does not: it is kept, and who answered before answers on.
    """
    shop, started = find_shop(folder), time.time()
    with shop.writing():
        settings, history = shop.settings(RULES), open_log(shop.log, verify=True)
        before = Registry(shop.models).champion()  # that this cannot be read is said before the work, not after it
        seed = settings.shop.seed if seed is None else seed
        if like is not None:
            forecaster = learn.refit(like, history, _moment(history, as_of, say), seed=seed, say=say)
        else:
            forecaster = learn.fit(
                history, _moment(history, as_of, say), horizons=settings.shop.horizons, further=_further(settings), seed=seed,
                closed=settings.calendar.closed, say=say,
            )  # fmt: skip
        scores = {f"{choice.answer}/{choice.model}": (choice.value, choice.low, choice.high) for choice in forecaster.choices}
        run = _record(shop, settings, history, "fit", forecaster, scores, (forecaster.known_until,), seed, started)
        id = champion.keep(shop, forecaster, run, history.clock.zone)
        if before not in (None, id):
            say("comparing with the champion")
        promoted, words = champion.succeed(shop, id, forecaster, history)
    known = history.clock.show(forecaster.known_until)
    facts = {
        "model": str(shop.models / id), "id": id, "promoted": promoted, "gate": list(words), "known_until": known, "run": run.id,
        "chosen": _chosen(forecaster), "notes": list(forecaster.notes),
    }  # fmt: skip
    learned = f"Learned from what was known before {known}, in {time.time() - started:.0f} s. Next: whenbuy predict{at(folder)}"
    table = choice_table(forecaster.choices)
    return Result(facts, table, "choices", (screen.choices(forecaster.choices),), after=(*forecaster.notes, *words, learned))


def backtest(folder: Path | None, as_of: str | None, *, weeks: int, say: Say) -> Result:
    """Score forecasts of the last weeks beside the floor's, and keep the scores for the report."""
    return _scored(folder, as_of, weeks, say)[0]


def _scored(folder: Path | None, as_of: str | None, weeks: int, say: Say) -> tuple[Result, Forecaster]:
    """Return what a backtest says, and the model that was scored."""
    shop, started = find_shop(folder), time.time()
    with shop.writing():
        settings, history = shop.settings(RULES), open_log(shop.log, verify=True)
        found = backtesting.backtest(
            history, _moment(history, as_of, say), weeks=weeks, horizons=settings.shop.horizons, further=_further(settings),
            seed=settings.shop.seed, closed=settings.calendar.closed, say=say,
        )  # fmt: skip
        duels = shown(found.comparison, found.ours.horizons)
        table = score_table(found.comparison, [duel.name for duel in duels])
        write_frame(table, shop.reports / _SCORES)
        write_frame(found.calibration(), shop.reports / _CALIBRATION)
        scores = {row.name: (row.ours, row.ours_low, row.ours_high) for row in found.comparison.rows}
        run = _record(shop, settings, history, "backtest", found.forecaster, scores, found.cutoffs, settings.shop.seed, started)
    cutoffs = [history.clock.show(cutoff) for cutoff in found.cutoffs]
    facts = {
        "cutoffs": cutoffs, "forecasts": len(found.ours), "floor": found.comparison.floor, "chosen": _chosen(found.forecaster),
        "run": run.id, "notes": list(found.forecaster.notes),
    }  # fmt: skip
    span = cutoffs[0] if len(cutoffs) == 1 else f"{len(cutoffs)} weekly cutoffs, {cutoffs[0]} to {cutoffs[-1]}"
    page = screen.scores(duels, f"{len(found.ours):,} forecasts as of {span}, against what came:", found.comparison.floor)
    return Result(facts, table, "scores", (page,), after=found.forecaster.notes), found.forecaster


# ----------------------------------------------------------------------------------------------- answering


def predict(folder: Path | None, as_of: str | None, *, users: Iterable[str] | None, out: Path | None, say: Say) -> Result:
    """Forecast with the latest models; everybody's forecast as of the log's end is kept as forecasts/latest.parquet too."""
    if out is not None:
        require_ending(out)
    shop, named = find_shop(folder), None if users is None else list(users)
    settings, history = shop.settings(RULES), open_log(shop.log)
    instant = _moment(history, as_of, say)
    id, forecaster = champion.answering(shop, instant)
    outlook = forecaster.predict(history, instant, named)
    frame, files = outlook.frame(), [] if out is None else [out]
    for path in files:
        write_frame(frame, path)
    if named is None and as_of is None and _kept(frame, shop.forecasts / "latest.parquet", say):
        files.insert(0, shop.forecasts / "latest.parquet")
    moment = history.clock.show(int(outlook.keys.cutoff[0]))
    facts = {"as_of": moment, "model": id, "customers": len(frame), "files": [str(path) for path in files]}
    after = [*_strangers(history, named or []), *(f"{len(frame):,} forecasts as of {moment} are in {path}" for path in files)]
    if out is not None:
        return Result(facts, after=tuple(after))
    page = screen.customers(outlook, history, settings.shop.currency, named=named is not None)
    return Result(facts, frame, "forecasts", (page,), after=tuple(after))


def _kept(frame: pl.DataFrame, path: Path, say: Say) -> bool:
    """Return whether the shop's copy could be kept. Where nobody may write to the shop the forecast goes where it was asked for alone."""
    try:
        write_frame(frame, path)
    except AccessError as error:
        if getattr(error.__cause__, "errno", None) not in _FORBIDDEN:
            raise
        say(f"Not kept as {path}, since nobody may write there.")
        return False
    return True


def _strangers(history: History, named: Sequence[str]) -> list[str]:
    """Return a line about the users named of whom the log knows nothing."""
    unknown = [name for name, code in zip(named, history.log.users.codes(named).tolist(), strict=True) if code < 0]
    if not unknown:
        return []
    shown = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5:,} more" if len(unknown) > 5 else "")
    return [f"Not in the log, so what is usual for a newcomer answers: {shown}."]


def report(folder: Path | None, *, say: Say) -> Result:
    """Write the report of a shop from its log, its latest models and its latest backtest."""
    from whenbuy.pipeline.telling.report import SCORES, Findings
    from whenbuy.pipeline.telling.report import write as write_report

    shop = find_shop(folder)
    settings, history, forecaster = shop.settings(RULES), open_log(shop.log), champion.answering(shop)[1]
    say("forecasting everybody")
    outlook = forecaster.predict(history)
    found = _stored(shop.quarantine / FOUND, lambda path: json.loads(path.read_text("utf-8")), "init") or {}
    scores, calibration = (_stored(shop.reports / name, pl.read_parquet, "backtest") for name in (_SCORES, _CALIBRATION))
    findings = Findings(
        settings.shop.name, settings.shop.currency, history, outlook, pl.DataFrame(schema=dict(SCORES)) if scores is None else scores,
        _sentences(forecaster), learning=forecaster.notes, cleaning=tuple(found.get("cleaning", ())),
        reading=tuple(found.get("reading", ())), calibration=calibration,
    )  # fmt: skip
    path = write_report(findings, shop.reports / "index.html")
    unscored = () if scores is not None else (f"It has no scores yet: run `whenbuy backtest{at(folder)}` first for those.",)
    return Result({"report": str(path), "customers": len(outlook)}, line=str(path), after=unscored)


def demo(folder: Path, *, say: Say) -> Result:
    """Make the shop of the Complete Journey data, score it on its last weeks, forecast everybody and write the report.

    Raises
    ------
    UsageError
        When the folder is a shop of other data: its log would be lost.
    """
    started = time.process_time()
    if not (folder / FILE).is_file():
        settings = Settings(ShopSettings(name="Complete Journey", currency="USD"), SourceSettings(layout=DEMO))
        made = _make(folder, settings, say)
    elif Shop(folder.resolve()).settings(RULES).source.layout == DEMO:
        made = _read_again(folder, say)
    else:
        raise UsageError(f"{folder} is a shop of other data.", "The demo makes a shop of its own.", "Name another folder with --shop.")
    for line in made.after:
        say(line)
    say("learning as one would have weeks ago, to score it on what came since")
    scored, like = _scored(folder, None, 8, say)
    say("learning from everything, by what won")
    fit(folder, None, seed=None, say=say, like=like)
    forecast = predict(folder, None, users=None, out=None, say=say)
    page = report(folder, say=say)
    user = "1" if forecast.table is None else str(forecast.table["user_id"][0])
    return Result(
        {**page.facts, "forecasts": forecast.facts["files"][0], **{name: scored.facts[name] for name in ("cutoffs", "floor", "chosen")}},
        scored.table, "scores", (*scored.screens, *forecast.screens),
        after=(
            f"Done in {time.process_time() - started:.0f} CPU seconds. Open {page.line}, then try:",
            f"  whenbuy predict {shlex.quote(user)}{at(folder)}",
            f"  whenbuy predict --out forecasts.csv{at(folder)}",
            "  whenbuy init your-events.csv --shop my-shop",
        ),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- what they share


def find_shop(folder: Path | None) -> Shop:
    """Return the shop at a folder or above it; where one was named that does not exist, nothing above it is taken instead."""
    if folder is not None and not folder.is_dir():
        raise NotFoundError(f"There is no folder {folder}.", "A shop is a folder with a whenbuy.toml.", "Make one with `whenbuy init`.")
    return Shop.find(folder or Path.cwd())


def at(folder: Path | None) -> str:
    """Return how a command names this shop: not at all from inside."""
    return "" if folder is None or folder.resolve() == Path.cwd() else f" --shop {shlex.quote(str(folder))}"


def _moment(history: History, as_of: str | None, say: Say) -> int | None:
    """Return the instant that was asked for; the log's end where none was."""
    if as_of is None:
        return None
    try:
        instant = history.clock.instant(as_of)
    except OverflowError:
        instant = EARLIEST - 1
    if not EARLIEST <= instant < LATEST:
        raise UsageError(f"{as_of} is not between 1970 and 2200.", "A forecast stands on a log that reaches there.", "Name another date.")
    if instant > history.end:
        say(f"The log ends on {history.clock.show(history.end)}: what came between then and {as_of} is not known, and counts as silence.")
    return instant


def _stored(path: Path, parse: Callable[[Path], Any], verb: str) -> Any:
    """Return what a verb left in a file; None where it has not run."""
    try:
        return parse(path) if path.exists() else None
    except (PolarsError, ValueError) as error:
        raise DamagedError(
            f"{path} cannot be read ({next(iter(str(error).splitlines()), '')}).", "It must be as it was written.",
            f"Run `whenbuy {verb}` again, or delete that file.",
        ) from error  # fmt: skip


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


def choice_table(choices: Iterable[Choice]) -> pl.DataFrame:
    """Return how every candidate fared, a row each."""
    rows = [(c.answer, c.model, c.score, *map(_known, (c.value, c.low, c.high)), c.floor, c.chosen, c.note) for c in choices]
    names = ["answer", "model", "score", "value", "low", "high", "floor", "chosen", "note"]
    return pl.DataFrame(rows, names, orient="row", infer_schema_length=None)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def shown(comparison: Comparison, days: Iterable[float]) -> list[Duel]:
    """Return the scores that a person reads, in their order."""
    horizons = [f"{each:g}d" for each in days]
    wanted = [f"{score}_{days}" for days in horizons for score in _SHOWN]
    wanted += [f"ibs_{horizons[-1]}", "c_index", f"mae_{horizons[-1]}", "coverage_80", "orders_rmse", "orders_bias"]
    wanted += ["amount_rmse", "amount_mae", "amount_bias", "amount_coverage_80"]
    scored = {row.name: row for row in comparison.rows}
    return [scored[name] for name in wanted if name in scored]


def score_table(comparison: Comparison, names: Sequence[str], called: tuple[str, str] = ("ours", "floor")) -> pl.DataFrame:
    """Return one row per answer and score, ours beside the floor's; the two columns may be called otherwise."""
    rows = pl.DataFrame({"name": names}).join(comparison.frame(), on="name", maintain_order="left")
    answer = pl.col("name").str.extract("^(orders|amount)_").fill_null("purchase")
    return rows.select(answer.alias("answer"), pl.col("name").alias("score"), *_COLUMNS).rename(
        dict(zip(("ours", "floor"), called, strict=True))
    )
