"""What a shop can be asked: which data each question needs, whether they are there, and who answers how well."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.errors import NotFoundError
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.checking.parts import Readiness
from whenbuy.pipeline.checking.readiness import Counts, judged
from whenbuy.pipeline.extending.extensions import extensions
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.learning.answers import ANSWERS, Answer
from whenbuy.pipeline.learning.forecaster import Choice, Forecaster
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.place import at, find_shop

NAMES: Final = tuple(ANSWERS)
"""The names of all answers."""


def questions(folder: Path | None) -> Result:
    """Return every question: what it needs, whether the shop has it, which model answers, and its score beside the floor's.

    Outside of a shop: what there is to ask.
    """
    try:
        shop = find_shop(folder)
    except NotFoundError:
        if folder is not None:
            raise
        every = [_row(asked, None, None) for asked in ANSWERS.values()]
        return _result(every, "From inside a shop it is said which of them its data can answer.")
    history, forecaster = open_log(shop.log), _champion(shop)
    table = extensions(shop.folder).table
    found = {one.question: one for one in judged(Counts.of(history, shop.settings(RULES).shop.horizons), history, table)}
    rows = [_row(asked, found[asked.name], forecaster) for asked in table.values()]
    able = sum(row["grade"] != "not possible" for row in rows)
    following = "" if forecaster is not None else f" Next: whenbuy {'fit' if able else 'check'}{at(folder)}"
    named = next(name for name, answer in ANSWERS.items() if not answer.usual)
    by_name = f" Those from {named} on are learned where they are named: whenbuy fit --ask usual,{named}{at(folder)}."
    return _result(rows, f"This shop's data can answer {able} of {len(rows)} questions.{by_name}{following}")


def _champion(shop: Shop) -> Forecaster | None:
    try:
        return champion.answering(shop)[1]
    except NotFoundError:
        return None


def _row(asked: Answer, found: Readiness | None, forecaster: Forecaster | None) -> dict[str, Any]:
    tried = [] if forecaster is None else [choice for choice in forecaster.choices if choice.answer == (asked.rests or asked.name)]
    best, floor = next((each for each in tried if each.chosen), None), next((each for each in tried if each.floor), None)
    return {
        "question": asked.name, "words": asked.words, "needs": asked.needs, "grade": found.grade if found else None,
        "has": found.words if found else None, "missing": found.missing or None if found else None,
        "model": best.model if best else None, "score": best.score if best else None, "value": _value(best), "floor": _value(floor),
        "low": _known(best.low) if best else None, "high": _known(best.high) if best else None,
    }  # fmt: skip


def _value(choice: Choice | None) -> float | None:
    return None if choice is None else _known(choice.value)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


_COLUMNS: Final[Mapping[str, Any]] = {
    "question": pl.String, "words": pl.String, "needs": pl.String, "grade": pl.String, "has": pl.String, "missing": pl.String,
    "model": pl.String, "score": pl.String, "value": pl.Float64, "floor": pl.Float64, "low": pl.Float64, "high": pl.Float64,
}  # fmt: skip


def _result(rows: list[dict[str, Any]], said: str) -> Result:
    asked = Screen(
        "What can be asked:", ("question", "in words", "needs"), tuple((row["question"], row["words"], row["needs"]) for row in rows)
    )  # fmt: skip
    here = Screen(
        "What this shop's data say to that:", ("question", "", "because"),
        tuple((row["question"], row["grade"] or "", row["has"] or "") for row in rows),
    )  # fmt: skip
    answers = Screen(
        "Who answers, and the error on later weeks (lower is better):", ("question", "model", "error>", "floor>"),
        tuple((row["question"], row["model"], _shown(row["value"]), _shown(row["floor"])) for row in rows if row["model"]),
    )  # fmt: skip
    pages = (asked, *((here,) if rows[0]["grade"] else ()), *((answers,) if answers.rows else ()))
    return Result({}, pl.DataFrame(rows, schema=dict(_COLUMNS)), "questions", pages, after=(said,))


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
