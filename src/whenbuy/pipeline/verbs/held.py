"""What `whenbuy quarantine` does: say which rows were set aside and why, and put some back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.pipeline.keeping.quarantine import CLEANING, PROFILES
from whenbuy.pipeline.keeping.quarantine import READING as REJECTED
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.verbs import replay as putting_back
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import at, find_shop, stored

ALL: Final = "all"
"""The name that stands for every rule of cleaning."""
_SHOWN: Final = 30
_COLUMNS: Final = {"rule": pl.String, "done": pl.String, "reason": pl.String, "rows": pl.UInt32}


def list_held(folder: Path | None) -> Result:
    """Return how many rows were set aside or changed, by rule and reason."""
    shop = find_shop(folder)
    parts = [pl.DataFrame(schema=_COLUMNS)]
    for file, rule in ((REJECTED, putting_back.READING), (PROFILES, "profiles"), (CLEANING, None)):
        table = stored(shop.quarantine / file, pl.read_parquet, "init")
        if table is not None and len(table):
            named = table if rule is None else table.with_columns(pl.lit(rule).alias("rule"), pl.lit("rejected").alias("done"))
            parts.append(named.group_by("rule", "done", "reason", maintain_order=True).len("rows").cast(_COLUMNS))
    table = pl.concat(parts).sort("rows", descending=True, maintain_order=True)
    rows = tuple((rule, done, f"{count:,}", reason) for rule, done, reason, count in table.head(_SHOWN).iter_rows())
    more = (f"and {len(table) - _SHOWN:,} further reasons: `whenbuy quarantine --json` has them all.",) if len(table) > _SHOWN else ()
    page = Screen("Rows that were set aside or changed:", ("rule", "what became of them", "rows>", "why"), rows, more)
    said = f"To put rows back: whenbuy quarantine replay RULE{at(folder)}" if rows else "No row was set aside."
    return Result({"folder": str(shop.quarantine)}, table, "reasons", (page,) if rows else (), after=(said,))


def replay(folder: Path | None, rule: str, reason: str | None, *, say: Say) -> Result:
    """Put back the rows of a rule; see ``whenbuy.pipeline.verbs.replay.replay``."""
    return putting_back.replay(find_shop(folder).folder, None if rule == ALL else rule, reason, say=say)
