"""The report: one HTML page that says who will buy, when and for how much, and how far to trust it."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Floats
from whenbuy.core.chart import printable
from whenbuy.core.errors import AccessError, WhenbuyError
from whenbuy.core.history import History
from whenbuy.core.outlook import Outlook
from whenbuy.pipeline.telling import pictures
from whenbuy.pipeline.telling.words import THIN, Calendar, Name, count, days, money, percent, signed

SCORES: Final[Mapping[str, Any]] = {
    "answer": pl.String, "score": pl.String, "ours": pl.Float64, "floor": pl.Float64, "difference": pl.Float64, "low": pl.Float64,
    "high": pl.Float64, "verdict": pl.String, "better": pl.String, "definition": pl.String,
}  # fmt: skip
"""The columns of Findings.scores."""
CALIBRATION: Final = ("horizon", "mean_probability", "share_bought", "n")
"""The columns of Findings.calibration."""

_LISTED, _SHOWN_FIRST = 50, 15
_VERDICTS: Final = {"better": ("▲", "good"), "worse": ("▼", "bad"), "no clear difference": ("≈", "even")}


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What the report shows.

    Parameters
    ----------
    shop
        The shop's name.
    currency
        Its ISO currency code, such as USD; empty where amounts have no unit.
    history
        The cleaned log with its clock.
    outlook
        All answers for all customers, as of one instant.
    scores
        One row per (answer, score) with the columns ``SCORES``: ours beside the floor, the difference (ours - floor) with the ``low`` and
        ``high`` end of its 95 % interval, the ``verdict`` (better, worse, no clear difference), which way is ``better`` (lower, higher) and
        the ``definition`` in words. Everything from ``floor`` to ``verdict`` may be null.
    chosen
        A sentence per answer on which model was chosen and against what.
    learning, cleaning, reading
        Sentences on what learning, cleaning and reading found.
    calibration
        ``horizon`` (days), ``mean_probability``, ``share_bought``, ``n``: a row per bucket of promised chances, on unseen weeks.
    tag
        A word to stand beside the shop's name, such as "demo data".

    Raises
    ------
    WhenbuyError
        When a column of the scores or of the calibration is missing.
    """

    shop: str
    currency: str
    history: History
    outlook: Outlook
    scores: pl.DataFrame
    chosen: Mapping[str, str]
    learning: tuple[str, ...] = ()
    cleaning: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    calibration: pl.DataFrame | None = None
    tag: str = ""

    def __post_init__(self) -> None:
        for what, table, columns in (("scores", self.scores, SCORES), ("calibration", self.calibration, CALIBRATION)):
            missing = [] if table is None else [name for name in columns if name not in table.columns]
            if missing:
                raise WhenbuyError(f"The {what} of a report lack the columns {missing}.", f"They need {list(columns)}.")

    @property
    def horizons(self) -> tuple[float, ...]:
        """The horizons asked about, rising."""
        return tuple(sorted(self.outlook.horizons))

    @property
    def horizon(self) -> float:
        """The middle horizon: the one that the headline and the list are about."""
        return self.horizons[len(self.horizons) // 2]

    @property
    def cutoff(self) -> int:
        """The instant as of which the answers hold."""
        return int(self.outlook.keys.cutoff.max()) if len(self.outlook) else self.history.end


def render(findings: Findings) -> str:
    """Return the report as one HTML page: no script, no network, every name escaped."""
    source = resources.files("whenbuy.pipeline.telling").joinpath("report.html.jinja").read_text("utf-8")
    world = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    world.filters |= {"percent": percent, "count": count, "days": days}
    return printable(world.from_string(source).render(_page(findings))) + "\n"


def write(findings: Findings, path: Path | str) -> Path:
    """Write the report and return where it lies; a reader finds the old page or the new one, never half of one.

    Raises
    ------
    AccessError
        When the file system does not let us write there.
    """
    page, target = render(findings), Path(path)
    draft: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        draft = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:
        raise AccessError(
            f"The report could not be written to {target} ({error.strerror}).",
            "whenbuy needs a folder it may write to.",
            "Name another file.",
        ) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)
    return target


def _page(findings: Findings) -> dict[str, Any]:
    history, outlook, horizon = findings.history, findings.outlook, findings.horizon
    calendar = Calendar(history.clock, findings.cutoff)
    chances = {horizon: outlook.purchase.probability(horizon) for horizon in findings.horizons}
    orders, amount = outlook.purchase.count_at(horizon), outlook.amount
    revenue = None if amount is None else orders * amount.mean
    spend = None if revenue is None else money(float(revenue.sum()), findings.currency, short=True)
    top = np.argsort(-(chances[horizon] if revenue is None else revenue), kind="stable")[:_LISTED]
    log, data = history.log, pictures.activity(history)
    span = f"{calendar.date(log.start, year=True)} to {calendar.date(int(log.time.max()), year=True)}" if len(log) else ""
    return {
        "shop": Name.of(findings.shop), "tag": findings.tag, "version": _version(), "zone": history.clock.zone,
        "as_of": calendar.moment(findings.cutoff), "customers": len(outlook), "horizon": horizon, "horizons": findings.horizons,
        "buyers": float(chances[horizon].sum()), "orders": float(orders.sum()), "spend": spend, "currency": findings.currency,
        "tiles": _tiles(findings, chances, float(orders.sum()), spend),
        "rows": [_row(findings, calendar, outlook.take(slice(place, place + 1))) for place in top.tolist()], "first": _SHOWN_FIRST,
        "curves": pictures.curves(outlook, calendar, chances[horizon]), "histogram": pictures.histogram(chances[horizon], horizon),
        "daily": pictures.daily(history, outlook, calendar),
        "reliability": pictures.reliability(findings.calibration),
        "answers": _answers(findings), "tally": _tally(findings.scores), "chosen": findings.chosen,
        "score_words": findings.scores.unique("definition", keep="first", maintain_order=True).select("score", "definition").rows(),
        "learning": findings.learning, "cleaning": findings.cleaning, "reading": findings.reading,
        "data": data, "events": len(log), "known": len(log.users), "span": span, "grid_days": float(outlook.purchase.grid_days[-1]),
        "models": {answer: forecast.model for answer, forecast in sorted(outlook.answers.items())},
    }  # fmt: skip


def _version() -> str:
    try:
        return metadata.version("whenbuy")
    except metadata.PackageNotFoundError:  # run from a checkout that was never installed
        return ""


def _tiles(findings: Findings, chances: Mapping[float, Floats], orders: float, spend: str | None) -> list[dict[str, str]]:
    n, tiles = len(findings.outlook), []
    if not n:
        return []
    for horizon, chance in chances.items():
        total, spread = float(chance.sum()), 1.2816 * math.sqrt(float((chance * (1 - chance)).sum()))
        low, high = max(total - spread, 0.0), min(total + spread, n)
        note = f"{percent(total / n)} of all; 80{THIN}% range {low:,.0f}–{high:,.0f}"
        tiles.append({"label": f"Buyers in {horizon:g} days", "value": count(total), "note": note})
    tiles.append({"label": f"Orders in {findings.horizon:g} days", "value": count(orders), "note": "expected, all customers"})
    if spend is not None:
        tiles.append({"label": f"Revenue in {findings.horizon:g} days", "value": spend, "note": "expected orders × amount"})
    tally = _tally(findings.scores)
    if tally["compared"]:
        note = f"scores; {tally['worse']} worse, {tally['even']} too close to call"
        tiles.append({"label": "Beats the floor", "value": f"{tally['better']} of {tally['compared']}", "note": note})
    return tiles


def _row(findings: Findings, calendar: Calendar, one: Outlook) -> dict[str, Any]:
    curve, amount = one.purchase, one.amount
    middle, reach = calendar.expected(one)
    last, gap = _last_orders(findings, int(one.keys.code[0]))
    orders = float(curve.count_at(findings.horizon)[0])
    price = 0.0 if amount is None else float(amount.mean[0])
    return {
        "name": Name.of(one.keys.ids()[0]), "prior": curve.prior is not None and bool(curve.prior[0]),
        "chances": [float(curve.probability(horizon)[0]) for horizon in findings.horizons],
        "date": middle, "range": reach, "last": last, "gap": gap, "orders": f"{orders:.2f}" if orders < 9.995 else f"{orders:.1f}",
        "amount": money(price, findings.currency), "worth": money(orders * price, findings.currency),
    }  # fmt: skip


def _last_orders(findings: Findings, user: int) -> tuple[str, str]:
    """Return how long ago a customer ordered last, and how long she usually waits between two days with an order."""
    log = findings.history.log
    if user >= len(log.users):
        return "never", ""
    rows = slice(int(log.offsets[user]), int(log.offsets[user + 1]))
    bought = log.time[rows][(log.kind[rows] == log.code("purchase")) & (log.known_at[rows] < findings.cutoff)]
    if not len(bought):
        return "never", ""
    ago = (findings.cutoff - int(bought.max())) / DAY
    active = np.unique(findings.history.clock.days(bought))
    return f"{ago:,.0f}{THIN}d ago" if ago >= 1 else f"<1{THIN}d ago", days(round(np.median(np.diff(active)))) if len(active) > 3 else ""


def _answers(findings: Findings) -> list[dict[str, Any]]:
    rows = findings.scores.fill_nan(None).iter_rows(named=True)
    found = [{"answer": answer, "scores": [_score(row) for row in part]} for answer, part in groupby(rows, key=lambda row: row["answer"])]
    return [one | {"chosen": findings.chosen.get(str(one["answer"]), "")} for one in found]


def _score(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a score as the table shows it; in the picture right of the middle is always better."""
    ours, floor, difference, low, high = (row[name] for name in ("ours", "floor", "difference", "low", "high"))
    sizes = [abs(value) for value in (ours, floor) if value is not None]
    decimals = 4 if not sizes or max(sizes) < 10 else 2
    bar = None
    if difference is not None and low is not None and high is not None:
        side = -1 if row["better"] == "lower" else 1
        reach = max(abs(low), abs(high), abs(difference)) or 1.0
        left, right = sorted(50 + 44 * side * value / reach for value in (low, high))
        bar = {"left": f"{left:.1f}", "width": f"{max(right - left, 1):.1f}", "at": f"{50 + 44 * side * difference / reach:.1f}"}
    words = row["verdict"] or "not compared"
    sign, look = _VERDICTS.get(words, ("", "even"))
    return {
        "score": row["score"], "better": row["better"], "bar": bar, "sign": sign, "words": words, "class": look,
        "ours": "–" if ours is None else f"{ours:,.{decimals}f}", "floor": "–" if floor is None else f"{floor:,.{decimals}f}",
        "difference": "–" if difference is None else signed(difference, decimals),
        "interval": "" if low is None or high is None else f"{signed(low, decimals)} to {signed(high, decimals)}",
    }  # fmt: skip


def _tally(scores: pl.DataFrame) -> dict[str, int]:
    verdicts = scores["verdict"].to_list()
    tally = {name: verdicts.count(verdict) for name, verdict in (("better", "better"), ("worse", "worse"), ("even", "no clear difference"))}
    return tally | {"compared": sum(tally.values())}
