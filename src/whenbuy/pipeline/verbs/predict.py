"""Forecast customers."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.errors import AccessError
from whenbuy.core.history import History
from whenbuy.core.holdout import hold_out
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.learning.forecaster import asked_about
from whenbuy.pipeline.telling import screen
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

BLOCK: Final = 100_000
"""So many customers' answers are held at once where they go to a file: what is held of a million would be gigabytes."""
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


def predict(
    folder: Path | None, as_of: str | None, *, users: Iterable[str] | None, out: Path | None, say: Say, share: float | None = None,
) -> Result:  # fmt: skip
    """Forecast with the latest models; everybody's forecast as of the log's end is kept as forecasts/latest.parquet too.

    Where a share is held out, a column ``hold_out`` says who: by a hash of the id under the shop's seed, so each time the same customers.
    """
    if out is not None:
        require_ending(out)
    shop, named = find_shop(folder), None if users is None else list(users)
    settings, history = shop.settings(RULES), open_log(shop.log)
    instant = moment(history, as_of, say)
    id, forecaster = champion.answering(shop, instant)
    keys, frames = asked_about(history, instant, named), []
    for block in [keys] if out is None else keys.chunks(BLOCK):
        outlook = forecaster.answer(history, block)
        frames.append(outlook.frame())
    whole = pl.concat(frames)
    frame, files = _with_hold_out(whole, share, settings.shop.seed), [] if out is None else [out]
    for path in files:
        write_frame(frame, path)
    if named is None and as_of is None and _kept(whole, shop.forecasts / "latest.parquet", say):
        files.insert(0, shop.forecasts / "latest.parquet")
    stands = history.clock.show(int(keys.cutoff[0]))
    facts = {"as_of": stands, "model": id, "customers": len(frame), "files": [str(path) for path in files]}
    if share is not None:
        facts["held_out"] = int(frame["hold_out"].sum())
        say(f"{facts['held_out']:,} of {len(frame):,} customers are held out")
    after = [*_strangers(history, named or []), *(f"{len(frame):,} forecasts as of {stands} are in {path}" for path in files)]
    if out is not None:
        return Result(facts, after=tuple(after))
    page = screen.customers(outlook, history, settings.shop.currency, named=named is not None)
    return Result(facts, frame, "forecasts", (page,), after=tuple(after))


def _with_hold_out(frame: pl.DataFrame, share: float | None, seed: int) -> pl.DataFrame:
    return frame if share is None else frame.with_columns(pl.Series("hold_out", hold_out(frame["user_id"].to_list(), share, str(seed))))


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
