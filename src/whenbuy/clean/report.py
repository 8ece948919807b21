"""What cleaning did, in counts and in words."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows one rule took out, changed or added for one reason, with a few of them in words."""

    done: str
    rows: int
    reason: str
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        verb = {"removed": "taken out into quarantine", "changed": "changed", "added": "added"}[self.done]
        return f"{self.rows:,} {'row was' if self.rows == 1 else 'rows were'} {verb}, because {self.reason}."


@dataclass(frozen=True, slots=True)
class RuleReport:
    """What one rule did.

    Parameters
    ----------
    rule
        Its name.
    before, after
        Rows of the log before and after it.
    counts
        What it did, by reason.
    facts
        Further counts, each with its words.
    """

    rule: str
    before: int
    after: int
    counts: tuple[Count, ...] = ()
    facts: tuple[tuple[str, int], ...] = ()

    def rows(self, done: str) -> int:
        """Return how many rows the rule removed, changed or added."""
        return sum(count.rows for count in self.counts if count.done == done)


@dataclass(frozen=True, slots=True)
class Report:
    """What cleaning did, rule by rule, in the order in which the rules ran.

    Parameters
    ----------
    before, after
        Rows of the log before and after cleaning.
    rules
        One part per rule.
    """

    before: int
    after: int
    rules: tuple[RuleReport, ...]

    def frame(self) -> pl.DataFrame:
        """Return one row per rule: rows before and after it, and how many it removed, changed and added."""
        return pl.DataFrame(
            [
                {"rule": part.rule, "before": part.before, "after": part.after}
                | {done: part.rows(done) for done in ("removed", "changed", "added")}
                | {"remarks": "; ".join(f"{number:,} {words}" for words, number in part.facts)}
                for part in self.rules
            ],
            schema={
                "rule": pl.String, "before": pl.Int64, "after": pl.Int64, "removed": pl.Int64, "changed": pl.Int64, "added": pl.Int64,
                "remarks": pl.String,
            },
        )  # fmt: skip

    def sentences(self) -> tuple[str, ...]:
        """Return the report in words: what each rule did and why, then what remains."""
        said = [f"{part.rule}: {count}" for part in self.rules for count in part.counts]
        said += [f"{part.rule}: {number:,} {words}." for part in self.rules for words, number in part.facts]
        silent = [part.rule for part in self.rules if not part.counts and not part.facts]
        if silent:
            said.append(f"Nothing was found by {', '.join(silent)}.")
        return (*said, f"{self.before:,} rows came in, {self.after:,} went on.")


def examples_of(quarantine: pl.DataFrame, rule: str, reason: str) -> tuple[str, ...]:
    """Return a few quarantined rows of one reason in words."""
    some = quarantine.lazy().filter(pl.col("rule") == rule, pl.col("reason") == reason).head(_SHOWN).collect()
    return tuple(_words(row) for row in some.iter_rows(named=True))


def _words(row: dict[str, object]) -> str:
    who = "somebody" if row["user_id"] is None else f"user {row['user_id']}"
    what = f"{row['kind']} of {row['item_id']}" if row.get("item_id") is not None else f"{row['kind']}"
    change = "" if row["column"] is None else f", {row['column']} {row['original'] or 'empty'} → {row['became'] or 'empty'}"
    return f"{who}: {what} at {row['time']:%Y-%m-%d %H:%M:%S} UTC{change}"
