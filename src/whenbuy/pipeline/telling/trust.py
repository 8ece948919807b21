"""How far to trust the forecast: scores beside floors, week by week, by segment, weak spots, and how the models were chosen."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Final

import polars as pl

from whenbuy.core.chart import scores
from whenbuy.pipeline.learning.forecaster import Choice
from whenbuy.pipeline.telling.evidence import WEEKLY, answer_of
from whenbuy.pipeline.telling.findings import Findings
from whenbuy.pipeline.telling.pictures import MINI, drawn
from whenbuy.pipeline.telling.words import THIN, Calendar, Name, score_words, signed

FEW: Final = 30
"""A segment with fewer customers than this says nothing."""
NEAR: Final = 0.05
"""What was promised is nearly right when it is off by less than this share."""
WEAK: Final = 8
"""How many weak spots the page lists."""

_LONG: Final = 64
_VERDICTS: Final = {"better": ("▲", "good"), "worse": ("▼", "bad"), "no clear difference": ("≈", "even")}
_BY: Final = {
    "customer": "New or old", "orders": "Orders in 84 days", "recency": "Last order", "amount": "Amount per order",
    "category": "Favourite category", "channel": "Channel",
}  # fmt: skip
_FEATURES: Final = {
    "event_recency_days": "days since the last event", "recency_days": "days since the last order",
    "tenure_days": "days since the first order", "orders_84d": "orders in 84 days", "orders_7d": "orders in 7 days",
    "gap_mean_days": "days between orders", "frequency": "repeat orders", "mean_amount": "amount per order",
}  # fmt: skip


# --------------------------------------------------------------------------------------------------------- scores


def tally(scores: pl.DataFrame | None) -> dict[str, int]:
    """Return how many scores are clearly better and worse than the floor's, how many are too close to call, and how many were compared."""
    verdicts = [] if scores is None else scores["verdict"].to_list()
    found = {name: verdicts.count(verdict) for name, verdict in (("better", "better"), ("worse", "worse"), ("even", "no clear difference"))}
    return found | {"compared": sum(found.values())}


def answers(scores: pl.DataFrame | None) -> list[dict[str, Any]]:
    """Return the scores by answer, as the table shows them."""
    rows = () if scores is None else scores.fill_nan(None).iter_rows(named=True)
    return [{"answer": answer, "scores": [_score(row) for row in part]} for answer, part in groupby(rows, key=lambda row: row["answer"])]


def definitions(scores: pl.DataFrame | None) -> list[tuple[str, str]]:
    """Return what each score means, those of one meaning once; where a name has several, with the answers that each is for."""
    if scores is None:
        return []
    rows = scores.filter(pl.col("definition") != "").group_by("definition", maintain_order=True)
    found = rows.agg(pl.col("score").first(), pl.col("answer").unique(maintain_order=True)).select("score", "answer", "definition").rows()
    names = [score_words(answer_of(score)[1]).partition(",")[0] for score, _, _ in found]
    return [
        (f"{name} ({', '.join(answers)})" if names.count(name) > 1 else name, definition)
        for name, (_, answers, definition) in zip(names, found, strict=True)
    ]


def _score(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a score as the table shows it; in the picture right of the middle is always better."""
    ours, floor, difference, low, high = (row[name] for name in ("ours", "floor", "difference", "low", "high"))
    digits = _digits(ours, floor)
    bar = None
    if difference is not None and low is not None and high is not None:
        side = 1 if row["better"] == "higher" else -1
        reach = max(abs(low), abs(high), abs(difference)) or 1.0
        left, right = sorted(50 + 44 * side * value / reach for value in (low, high))
        bar = {"left": f"{left:.1f}", "width": f"{max(right - left, 1):.1f}", "at": f"{50 + 44 * side * difference / reach:.1f}"}
    words = row["verdict"] or "not compared"
    sign, look = _VERDICTS.get(words, ("", "even"))
    return {
        "score": score_words(answer_of(row["score"])[1]), "better": row["better"], "bar": bar, "sign": sign, "words": words, "class": look,
        "ours": _number(ours, digits), "ours_range": _range(row["ours_low"], row["ours_high"], digits), "floor": _number(floor, digits),
        "difference": "–" if difference is None else signed(difference, digits),
        "interval": "" if low is None or high is None else f"{signed(low, digits)} to {signed(high, digits)}",
    }  # fmt: skip


def _digits(*values: float | None) -> int:
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    return 3 if largest < 10 else 1 if largest < 1000 else 0


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:,.{digits}f}".replace("-", "−")


def _range(low: float | None, high: float | None, digits: int) -> str:
    return "" if low is None or high is None else f"{_number(low, digits)} to {_number(high, digits)}"


# --------------------------------------------------------------------------------------------------- week by week


def weeks(findings: Findings, calendar: Calendar) -> dict[str, Any]:
    """Return some scores at each cutoff of the backtest: a picture each, and the table behind them."""
    frame = findings.evidence.cutoffs
    if frame is None or not frame.height:
        return {}
    middle = f"_{findings.horizon:g}d"
    known = set(frame["name"])
    names = [name for each in WEEKLY for name in (f"{each}{middle}", each) if name in known]
    moments = frame["as_of"].unique().sort().dt.epoch("us").to_list()
    days = [calendar.local(moment).date() for moment in moments]
    pictures = [_week(frame.filter(pl.col("name") == name).sort("as_of"), name, days) for name in names]
    lines = []
    for moment, day in zip(moments, days, strict=True):
        at = frame.filter(pl.col("as_of").dt.epoch("us") == moment)
        cells = {row["name"]: row for row in at.iter_rows(named=True)}
        shown = [_cell(cells.get(name)) for name in names]
        lines.append({"day": calendar.date(moment, year=True), "n": int(at["n"][0]), "cells": shown, "iso": day.isoformat()})
    return {"pictures": pictures, "names": [_title(name) for name in names], "lines": lines, "count": len(moments)}


def _cell(row: Mapping[str, Any] | None) -> dict[str, str]:
    if row is None:
        return {"ours": "–", "range": "", "floor": ""}
    digits = _digits(row["ours"], row["floor"])
    return {
        "ours": _number(row["ours"], digits),
        "range": _range(row["ours_low"], row["ours_high"], digits),
        "floor": _number(row["floor"], digits),
    }


def _week(part: pl.DataFrame, name: str, days: list[Any]) -> dict[str, Any]:
    better = str(part["better"][0])
    aim = float(better.removeprefix("near ")) if better.startswith("near ") else None
    known = part.with_columns(day=pl.Series(days[: part.height], dtype=pl.Date)).filter(pl.col("ours").is_not_null())
    wins = int((known["verdict"] == "better").sum())
    said = f"{_title(name)} at {known.height} cutoffs, ours beside the floor's: clearly better at {wins}"
    frame = known.select("day", "ours", pl.col("ours_low").alias("low"), pl.col("ours_high").alias("high"), "floor")
    picture = drawn(scores.by_cutoff(frame, said, aim, MINI)) if known.height else ""
    way = f"should be near {aim:g}" if aim is not None else f"{better} is better" if better else ""
    return {"title": _title(name), "way": way, "wins": wins, "n": known.height, "svg": picture}


def _title(name: str) -> str:
    answer, rest = answer_of(name)
    words = score_words(rest)
    return words if answer == "purchase" else f"{answer.capitalize()}: {words}"


# -------------------------------------------------------------------------------------- for whom it is right or wrong


def segments(findings: Findings) -> list[dict[str, Any]]:
    """Return how the chance of the middle horizon fares by segment: what was promised over what came, and the order of buyers."""
    frame = findings.evidence.slices
    if frame is None or not frame.height:
        return []
    bias, auc = (f"{name}_{findings.horizon:g}d" for name in ("bias", "auc"))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in frame.filter(pl.col("name").is_in([bias, auc])).iter_rows(named=True):
        found.setdefault(row["by"], {}).setdefault(row["segment"], {})[row["name"]] = row
    return [
        {"by": _BY.get(by, Name.of(by).short), "segments": [_segment(name, rows.get(bias), rows.get(auc)) for name, rows in parts.items()]}
        for by, parts in found.items()
    ]


def _segment(name: str, bias: Mapping[str, Any] | None, auc: Mapping[str, Any] | None) -> dict[str, Any]:
    size = bias or auc or {"n": 0, "users": 0}
    bias, auc = (None if row is None or row["users"] < FEW or row["value"] is None or row["low"] is None else row for row in (bias, auc))
    words, look, sign = ("too few to say", "even", "") if bias is None else _kept(bias["value"], bias["low"], bias["high"])
    return {
        "name": Name.of(name, _LONG), "n": size["n"], "users": size["users"], "words": words, "class": look, "sign": sign,
        "bias": "" if bias is None else _number(bias["value"], 2),
        "bias_range": "" if bias is None else _range(bias["low"], bias["high"], 2),
        "auc": "" if auc is None else _number(auc["value"], 2), "auc_range": "" if auc is None else _range(auc["low"], auc["high"], 2),
    }  # fmt: skip


def classes(findings: Findings) -> list[dict[str, Any]]:
    """Return how the chance to buy from each class fares, the most bought first."""
    frame = findings.evidence.classes
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in () if frame is None else frame.iter_rows(named=True):
        found.setdefault(row["class"], {})[row["name"]] = row | {"n": 0, "users": FEW}
    return [_segment(name, rows.get("bias"), rows.get("auc")) for name, rows in found.items()]


def _kept(value: float, low: float, high: float) -> tuple[str, str, str]:
    """Return whether a promise was kept, in words, with its look and its sign: what was promised over what came, and its interval."""
    if low <= 1 <= high:
        return "right", "good", "✓"
    if abs(value - 1) < NEAR:
        return "nearly right", "even", "≈"
    return ("promised too much", "bad", "▲") if value > 1 else ("promised too little", "bad", "▼")


def weak_spots(findings: Findings) -> list[dict[str, Any]] | None:
    """Return groups for whom the forecast is clearly off, or clearly worse than the floor's; None where nobody has looked."""
    frame = findings.evidence.weak_spots
    if frame is None:
        return None
    loss = pl.col("of").str.starts_with("log-loss")
    wrong = frame.filter(pl.col("clear") & (~loss | (pl.col("difference") > 0)))
    ranked = wrong.with_columns(weight=pl.col("difference").abs() / pl.col("expected").abs().clip(1e-9) * pl.col("n")).sort(
        "weight", descending=True
    )
    return [_spot(row) for row in ranked.head(WEAK).iter_rows(named=True)]


def _spot(row: Mapping[str, Any]) -> dict[str, Any]:
    digits = 2 if max(abs(row["expected"]), abs(row["found"])) < 10 else 1
    beside_floor = str(row["of"]).startswith("log-loss")
    way = "worse than the floor" if beside_floor else "promised too much" if row["difference"] < 0 else "promised too little"
    return {
        "of": row["of"], "who": rule_words(row["rule"]), "n": row["n"], "users": row["users"], "way": way,
        "expected": _number(row["expected"], digits), "found": _number(row["found"], digits),
        "difference": signed(row["difference"], digits), "interval": f"{signed(row['low'], digits)} to {signed(row['high'], digits)}",
    }  # fmt: skip


def rule_words(rule: str) -> str:
    """Return the rule of a group with its features in words: ``orders_84d ≥ 7`` is "orders in 84 days ≥ 7"."""
    said = re.sub(r"\w+", lambda found: _FEATURES.get(found[0], found[0]), rule)
    return said.replace(" or unknown", " (or unknown)")


# ------------------------------------------------------------------------------------------------- how it was learned


def candidates(choices: Iterable[Choice]) -> list[dict[str, Any]]:
    """Return how the candidates of each answer fared, the one that answers first."""
    parts: dict[str, list[Choice]] = {}
    for one in choices:
        parts.setdefault(one.answer, []).append(one)
    found = []
    for answer, part in parts.items():
        tried = sorted(part, key=lambda one: (not one.chosen, math.isnan(one.value), one.value))
        floor = next((one.value for one in tried if one.floor and not math.isnan(one.value)), None)
        found.append({"answer": answer, "score": tried[0].score, "floor": floor, "tried": [_candidate(one, floor) for one in tried]})
    return found


def _candidate(one: Choice, floor: float | None) -> dict[str, Any]:
    digits = 4 if math.isnan(one.value) or abs(one.value) < 10 else 2
    beside = "the floor" if one.floor else ""
    if not one.floor and floor and not math.isnan(one.value):
        beside = f"{signed(100 * (one.value / floor - 1), 1)}{THIN}%"
    return {
        "model": one.model.replace("+", " + "), "value": _number(one.value, digits), "chosen": one.chosen, "beside": beside,
        "interval": "" if math.isnan(one.low) else f"{signed(one.low, digits)} to {signed(one.high, digits)}", "note": one.note,
    }  # fmt: skip
