"""A checkup: everything that the data doctor found, with what it proposes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from whenbuy.config import Settings
from whenbuy.pipeline.checking import shown
from whenbuy.pipeline.checking.parts import ColumnFacts, Drift, Leak, Readiness, Remark
from whenbuy.pipeline.telling.result import Screen


@dataclass(frozen=True, slots=True, eq=False)
class Checkup:
    """What the data doctor found.

    Parameters
    ----------
    facts
        Rows, events, customers, the first and the last day.
    columns
        What each column is.
    questions
        Whether each question can be answered.
    remarks
        Everything to know about the data, and what was done with it.
    leaks
        Columns that know the future.
    tested
        How many columns were tested for that.
    drifts
        Months that differ from those before.
    settings
        The settings that it proposes.
    changes
        What they change, in words, one line each.
    """

    facts: Mapping[str, Any]
    columns: tuple[ColumnFacts, ...]
    questions: tuple[Readiness, ...]
    remarks: tuple[Remark, ...]
    leaks: tuple[Leak, ...]
    tested: int
    drifts: tuple[Drift, ...]
    settings: Settings
    changes: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether at least one question can be answered."""
        return any(question.grade != "not possible" for question in self.questions)

    def frame(self) -> pl.DataFrame:
        """Return one row per finding.

        ``part`` (column, question, remark, leak, drift), ``name``, ``level`` (what the column was taken for; ready, thin, not possible;
        fine, note, warning; sure, suspected; small, moderate, large), ``value`` (confidence; rows; effect), ``words``.
        """
        rows: list[tuple[str, str, str, float | None, str]] = []
        rows += [("column", one.name, one.role or "not used", one.confidence, _column_words(one)) for one in self.columns]
        rows += [("question", one.question, one.grade, None, one.words) for one in self.questions]
        rows += [("remark", one.topic, one.level, one.rows, one.words) for one in self.remarks]
        rows += [("leak", one.column, one.certainty, None, f"{one.why}: {one.evidence}. {one.do}.") for one in self.leaks]
        rows += [("drift", f"{one.month} {one.what}", one.size, one.effect, one.words) for one in self.drifts]
        schema = {"part": pl.String, "name": pl.String, "level": pl.String, "value": pl.Float64, "words": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def plain(self) -> dict[str, Any]:
        """Return everything as plain data."""
        parts: dict[str, tuple[ColumnFacts | Readiness | Remark | Leak | Drift, ...]] = {
            "columns": self.columns, "questions": self.questions, "remarks": self.remarks, "leaks": self.leaks, "drifts": self.drifts,
        }  # fmt: skip
        return {
            **self.facts, "usable": self.usable, **{name: [asdict(one) for one in found] for name, found in parts.items()},
            "columns_tested_for_leaks": self.tested, "changes": list(self.changes), "proposed": self.settings.text(),
        }  # fmt: skip

    def screens(self) -> tuple[Screen, ...]:
        """Return the tables that a terminal shows."""
        parts = (
            shown.column_screen(self.columns), shown.readiness_screen(self.questions), shown.remark_screen(self.remarks),
            shown.leak_screen(self.leaks, self.tested), shown.drift_screen(self.drifts),
        )  # fmt: skip
        return tuple(part for part in parts if part is not None)

    def text(self) -> str:
        """Return everything as plain text, tables aligned."""
        return shown.text(self.screens())

    def _repr_html_(self) -> str:
        return shown.html(self.screens())

    def __repr__(self) -> str:
        grades = ", ".join(f"{one.question} {one.grade}" for one in self.questions)
        return f"Checkup({self.facts.get('events', 0):,} events; {grades}; {len(self.leaks)} leaks)"


def _column_words(one: ColumnFacts) -> str:
    values = f"{one.low} … {one.high}" if one.low else ", ".join(one.examples)
    return f"{one.type}; {one.missing:.1%} missing; {one.distinct:,} distinct; {values}; {one.reason}; {one.serves}"
