"""What other policies would have earned, judged on what came of a plan whose decisions were drawn with known propensities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.effect import NONE
from whenbuy.core.errors import ColumnError, InputError, NotEnoughDataError, NotFoundError
from whenbuy.core.history import History
from whenbuy.evaluate.off_policy import Value, off_policy
from whenbuy.pipeline.deciding.experience import Rewards, arms_of, rewards, ridge
from whenbuy.pipeline.deciding.kept import Kept

NOTHING: Final = "nothing for anybody"
_FEWEST: Final = 30
"""Decisions without which an arm is judged as the others are."""
_CERTAIN: Final = 3.0
"""By how many standard errors the mean weight must differ from 1 before it is said that a value is not to be trusted."""
_COLUMNS: Final = ("user_id", "offer_id", "channel")
_SCHEMA: Final = {
    "policy": pl.String, "estimator": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "total": pl.Float64,
    "decisions": pl.Float64, "note": pl.String,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What policies would have earned.

    Parameters
    ----------
    table
        One row per policy and estimator: policy, estimator (ips, snips, dr), value (profit per customer; the margin of all that she buys
        less what is spent on her), low, high (its 95 % interval), total (of all customers), decisions (of the policy itself that the log
        is worth), note.
    logged
        What the log's own policy earned per customer.
    customers
        How many decisions there are.
    notes
        What the reader should know, in sentences.
    """

    table: pl.DataFrame
    logged: float
    customers: int
    notes: tuple[str, ...]


def judged(history: History, plan: Kept, policies: Mapping[str, pl.DataFrame], days: float | None = None) -> Judged:
    """Return what policies would have earned, had they decided in place of a plan.

    Beside those named stand sending nothing, and, where some customers were drawn by lot, each offer on each channel for everybody. Each
    is judged by inverse propensities (IPS), normalised ones (SNIPS), and doubly robust (DR) with a regression on what was known before that
    was learned from the other half of the customers.

    Parameters
    ----------
    history
        The shop, as it is known now.
    plan
        The plan whose decisions are the log.
    policies
        Decisions by the name of their policy: user_id, offer_id (null or "none": nothing), channel. Customers of the plan whom a policy
        does not name get nothing by it.
    days
        How long what is bought counts; as long as the plan's effects look, after its last day, by default.

    Raises
    ------
    ImmatureError
        When the time has not passed yet.
    NotEnoughDataError
        When nothing in the log is what a policy would have done.
    ColumnError
        When decisions lack a column.
    """
    seen = rewards(history, plan, days)
    arms = tuple(sorted(set(seen.arm)))
    propensity = plan.decisions["propensity"].to_numpy()
    asked, strangers = _asked(plan, policies)
    if float(plan.about["guards"]["explore"]) > 0:
        asked |= {f"{name} for everybody": (name,) * len(seen.arm) for name in arms if name != NONE}
    said = _said(seen, arms)
    logged = np.array([arms.index(name) for name in seen.arm], np.int64)
    rows: list[dict[str, object]] = []
    notes = [strangers] if strangers else []
    for name, wanted in asked.items():
        match = np.array([mine == other for mine, other in zip(seen.arm, wanted, strict=True)])
        found = _values(seen.reward, propensity, match, said, logged, wanted, arms, name)
        short = _short(match, propensity)
        rows += [
            {"policy": name, "estimator": one.name, "value": one.value, "low": one.low, "high": one.high, "total": one.value * len(match),
             "decisions": one.effective, "note": "; ".join(filter(None, (one.note, short)))}
            for one in found
        ]  # fmt: skip
        if short and name in policies:
            notes.append(f"{name}: {short}.")
    return Judged(pl.DataFrame(rows, schema=_SCHEMA), float(seen.reward.mean()), len(seen.arm), tuple(notes))


def decisions_in(path: Path) -> pl.DataFrame:
    """Return the decisions in a file: .parquet, .csv or .jsonl by its ending.

    Raises
    ------
    NotFoundError
        When there is no such file.
    InputError
        When it cannot be read, or holds no such table.
    """
    readers: dict[str, Callable[[Path], pl.DataFrame]] = {".parquet": pl.read_parquet, ".csv": _csv, ".jsonl": pl.read_ndjson}
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.", "A policy is a file of decisions, as `whenbuy plan --out` writes it.", "Check it.")
    read = readers.get(path.suffix.lower())
    try:
        table = None if read is None else read(path)
    except (PolarsError, OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({next(iter(str(error).splitlines()), '')}).", "It must be a table.", "Check it."
        ) from error
    if table is None:
        raise InputError(f"{path.name} has the ending {path.suffix!r}.", f"Decisions are read from {', '.join(readers)}.", "Choose one.")
    if absent := [name for name in _COLUMNS if name not in table.columns]:
        raise ColumnError(
            f"{path} has no column {', '.join(absent)}.", f"Decisions need {', '.join(_COLUMNS)}.", "Write it with `whenbuy plan --out`."
        )
    return table.select(pl.col(name).cast(pl.String) for name in _COLUMNS)


def _csv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def _asked(plan: Kept, policies: Mapping[str, pl.DataFrame]) -> tuple[dict[str, tuple[str, ...]], str]:
    """Return what each policy would have sent to the customers of a plan, and how many others it speaks of, in words."""
    users, n = plan.decisions.select("user_id"), len(plan.decisions)
    asked: dict[str, tuple[str, ...]] = {NOTHING: (NONE,) * n}
    others = 0
    for name, table in policies.items():
        if absent := [column for column in _COLUMNS if column not in table.columns]:
            raise ColumnError(f"The policy {name} has no column {', '.join(absent)}.", f"It needs {', '.join(_COLUMNS)}.", "Add it.")
        told = table.with_columns(pl.col("offer_id").replace(NONE, None))
        if told["user_id"].is_duplicated().any():
            raise InputError(f"The policy {name} decides twice about a customer.", "One row each is needed.", "Keep one of them.")
        mine = users.join(told, on="user_id", how="left", maintain_order="left")
        asked[name] = arms_of(mine["offer_id"].to_list(), mine["channel"].to_list())
        others += len(told.join(users, on="user_id", how="anti"))
    words = f"{others:,} customers in the files are not in the plan {plan.id}: left out." if others else ""
    return asked, words


def _values(
    reward: Floats, propensity: Floats, match: Bools, said: Floats, logged: Ints, wanted: tuple[str, ...], arms: tuple[str, ...], name: str
) -> tuple[Value, ...]:  # fmt: skip
    """Return the values of one policy by every estimator."""
    if not match.any():
        raise NotEnoughDataError(
            f"Nobody was sent what the policy {name} would have sent.", "A policy can be judged only where the log did what it would do.",
            "Plan with more chance in it (`whenbuy plan --explore 10%`), and judge it on that.",
        )  # fmt: skip
    every = np.arange(len(reward))
    place = np.array([arms.index(arm) if arm in arms else -1 for arm in wanted], np.int64)
    of_target = np.where(place >= 0, said[every, place], said[every, arms.index(NONE)] if NONE in arms else said.mean(axis=1))
    return off_policy(reward, propensity, match.astype(float), said=said[every, logged], said_of_target=of_target)


def _short(match: Bools, propensity: Floats) -> str:
    """Return why the value of a policy is not to be trusted, in words; empty where it is.

    The weights of a policy that the log could have carried out, and that was not made from its draws, have the mean 1.
    """
    weight = match / propensity
    mean, error = float(weight.mean()), float(weight.std() / np.sqrt(len(weight)))
    if mean + _CERTAIN * error < 1:
        return f"about {100 * (1 - mean):.0f} % of what it does could not have been drawn in this log and is not in its value"
    if mean - _CERTAIN * error > 1:
        return "it agrees with the draws of this log more often than chance allows, so it was made from them, and its value is too high"
    return ""


def _said(seen: Rewards, arms: tuple[str, ...]) -> Floats:
    """Return what a regression says of every arm for each customer (n x arms), learned from the other half of the customers.

    The context says what she brings anyway; an arm adds its mean difference from that, shrunk where it was rarely drawn.
    """
    n, said = len(seen.reward), np.empty((len(seen.reward), len(arms)))
    arm = np.array([arms.index(name) for name in seen.arm], np.int64)
    for half in (0, 1):
        rest, mine = np.flatnonzero(np.arange(n) % 2 != half), np.flatnonzero(np.arange(n) % 2 == half)
        weights = ridge(seen.context[rest], seen.reward[rest])
        left = seen.reward[rest] - seen.context[rest] @ weights
        count = np.bincount(arm[rest], minlength=len(arms))
        added = np.bincount(arm[rest], left, minlength=len(arms)) / (count + _FEWEST)
        said[mine] = (seen.context[mine] @ weights)[:, None] + added
    return said
