"""Score what is learned from fewer customers and weeks."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.progress import stepwise
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.judging import learning_curve as curve
from whenbuy.pipeline.judging.trial import headline
from whenbuy.pipeline.telling import screen
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.verbs.backtest import learning
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment
from whenbuy.pipeline.verbs.recording import Work


def learning_curve(folder: Path | None, as_of: str | None, *, weeks: int, say: Say) -> Result:
    """Return how forecasts from fewer customers and from fewer weeks score beside those from everything."""
    shop = find_shop(folder)
    with shop.writing():
        settings, history = shop.settings(RULES), open_log(shop.log, verify=True)
        work = Work("learning-curve", shop, settings, history, settings.shop.seed, {"weeks": weeks})
        sizes = (0.0, 1.0, *curve.SHARES, *(0.4 for _ in curve.WEEKS))
        found = curve.learning_curve(
            history, moment(history, as_of, say), learn=learning(work), weeks=weeks, horizon_days=max(settings.shop.horizons),
            seed=work.seed, say=stepwise(say, sizes),
        )  # fmt: skip
        scores = {
            f"{point.size} {point.of}/{duel.name}": (duel.ours, duel.ours_low, duel.ours_high)
            for point in found.points
            for duel in point.scores
        }
        run = work.record(scores, ())
    table, names = found.frame(), headline(settings.shop.horizons)
    notes = tuple(f"From {point.size:,} {point.of} nothing could be learned: {point.note}" for point in found.points if point.note)
    return Result({"weeks": weeks, "run": run.id}, table, "scores", (_page(table, names),), after=notes)


def _page(table: pl.DataFrame, names: tuple[str, ...]) -> Screen:
    """Return the scores that a person looks at first, a row per size."""
    shown = [name for name in (*names[:4], "orders_rmse", "amount_mae") if name in set(table["name"].drop_nulls())]
    rows, everything = [], [""] * len(shown)
    for (of, size), group in table.filter(pl.col("name").is_not_null()).group_by(["of", "size"], maintain_order=True):
        scored = {row["name"]: row for row in group.iter_rows(named=True)}
        rows.append((f"{size:,} {of}", *(_cell(scored[name]) if name in scored else "" for name in shown)))
        everything = [
            screen.number(scored[name]["everything"], 4) if name in scored else cell for name, cell in zip(shown, everything, strict=True)
        ]
    return Screen(
        "What is learned from less:", ("learned from", *(f"{name}>" for name in shown)), (*rows, ("everything", *everything)),
        ("! worse than from everything, beyond doubt: more of it still helps.",),
    )  # fmt: skip


def _cell(row: dict[str, object]) -> str:
    value = row["value"]
    return screen.number(value if isinstance(value, float) else None, 4) + ("!" if row["verdict"] == "worse" else "")
