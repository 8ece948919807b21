"""A question of yes and no about the rows of a plain table: no event log, no cutoffs. Learned, chosen and scored out of fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.errors import ColumnError, NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.forecast import Probability
from whenbuy.core.keys import Keys
from whenbuy.core.learner import Learner
from whenbuy.core.log import Dictionary
from whenbuy.evaluate.probability import Ranked
from whenbuy.evaluate.scores import Score, Scores, score
from whenbuy.features import encode, select
from whenbuy.features.encode import NAMES, Encode, FittedEncoding, Names
from whenbuy.features.select import Rule, Select, Selection
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.trees.forest import Forest
from whenbuy.models.whether import chance
from whenbuy.models.whether.chance import BaseChance, LogisticChance, TreesChance
from whenbuy.models.wrapping import blend, prepared
from whenbuy.models.wrapping.prepared import AnyStep, Prepared, PreparedModel, learn_steps
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.tables import sheet
from whenbuy.pipeline.tables.contest import Contest, Entrant, Folds, Tried
from whenbuy.pipeline.tables.sheet import Sheet, Target, read_frame

LEAST: Final = 10
"""Rows of each kind without which nothing is learned."""
ROWS: Final = 200_000
"""Rows above this number are sampled: it bounds the time of a fit."""
LEAK: Final = 0.99
"""A column that alone ranks the target better than this is reported as a leak."""
_SCORES: Final = ("auc", "pr_auc", "logloss", "brier", "ece", "base_rate")
_TOLD: Final = ("f1", "precision", "recall", "accuracy")


def members(question: str, seed: int = 0) -> tuple[Learner[Probability], ...]:
    """Return the candidates for a question of yes and no, the floor first; the others also answer together."""
    return (
        BaseChance(question),
        LogisticChance(question, seed=seed),
        TreesChance(question, Boosting(trees=200, learning_rate=0.03, feature_fraction=0.5, seed=seed)),
        TreesChance(question, Forest(trees=100, min_leaf=20, feature_fraction=0.5, seed=seed)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Chances:
    """The forecast of each row of a table: how likely yes is, and whether that is enough to say yes.

    Parameters
    ----------
    target
        What is forecast.
    chance
        P(yes) (n).
    threshold
        The chance from which on ``told`` says yes: the one with the best F1 in training.
    notes
        What should be known of these rows, in sentences.
    """

    target: Target
    chance: Floats
    threshold: float
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.chance)

    @property
    def told(self) -> Bools:
        """Whether the chance reaches the threshold (n)."""
        return np.asarray(self.chance >= self.threshold)

    def frame(self) -> pl.DataFrame:
        """Return one row per row of the table: row (the first being 0), probability, told."""
        return pl.DataFrame({"row": np.arange(len(self)), "probability": self.chance, "told": self.told})

    def _repr_html_(self) -> str:
        return self.frame()._repr_html_()


@dataclass(frozen=True, slots=True, eq=False)
class TableModel:
    """What a table teaches about its target.

    Parameters
    ----------
    target, sheet
        What is forecast, and how the columns are read.
    model
        The chosen model behind its preparations.
    threshold
        The chance from which on a row is told yes.
    scores
        Scores out of fold, with 95 % intervals over resampled rows (or groups). Each row was forecast by models that had not seen it (nor
        its group, nor anything later where a time was given), with a blend's weights and the threshold chosen on other folds.
    tried
        How every candidate fared.
    notes
        What the reader should know, in sentences: leaks first.
    rows
        How many rows were learned from.
    """

    target: Target
    sheet: Sheet
    model: PreparedModel[Probability]
    threshold: float
    scores: Scores
    tried: tuple[Tried, ...]
    notes: tuple[str, ...]
    rows: int

    def predict(self, source: object) -> Chances:
        """Return the chance of each row of a table: a path, or a pandas, polars or Arrow table. The target need not be in it.

        Raises
        ------
        ColumnError
            When a column that was learned from is missing or has become something else.
        """
        frame, _, _ = read_frame(source)
        asked = _examples(*self.sheet.read(frame))
        notes = []
        if self.encoding is not None:
            strange = self.encoding.unknown(asked.block(NAMES, Names))
            notes = [f"{name}: {rows:,} of {len(asked):,} rows have a rare or unknown name." for name, rows in strange.items() if rows]
        return Chances(self.target, self.model.predict(asked).chance, self.threshold, tuple(notes))

    @property
    def encoding(self) -> FittedEncoding | None:
        """How columns of names are read, where there are any."""
        return next((step for step in self.model.steps if isinstance(step, FittedEncoding)), None)

    @property
    def selections(self) -> tuple[Selection, ...]:
        """Which features were dropped, and why, rule by rule."""
        return tuple(step for step in self.model.steps if isinstance(step, Selection))

    def frame(self) -> pl.DataFrame:
        """Return one row per candidate: model, logloss, auc, pr_auc (out of fold), chosen, note."""
        names = ("model", "logloss", "auc", "pr_auc", "chosen", "note")
        return pl.DataFrame({name: [getattr(one, name) for one in self.tried] for name in names}).fill_nan(None)

    def save(self, folder: Path | str) -> None:
        """Write the model as a bundle; see `pipeline.bundle.save`."""
        bundle.save(folder, self, {"target": self.target.column, "rows": self.rows, "model": self.model.name})

    @classmethod
    def load(cls, folder: Path | str) -> TableModel:
        """Return a model from its bundle, every byte of which is checked first; see `pipeline.bundle.load`."""
        found, _ = bundle.load(folder, TYPES)
        if not isinstance(found, cls):
            raise UsageError(f"{folder} holds a {type(found).__name__}.", "A table's model is needed.", "Open it with Forecaster instead.")
        return found

    def _repr_html_(self) -> str:
        parts = [f"<h3>{escape(self.target.column)} = {escape(self.target.yes)}, learned from {self.rows:,} rows</h3>"]
        parts += [f"<p>{escape(note)}</p>" for note in self.notes]
        parts += [self.scores._repr_html_(), self.frame()._repr_html_()]
        parts += [step._repr_html_() for step in (self.encoding, *self.selections) if step is not None]
        return "\n".join(parts)


def fit_table(
    source: object,
    target: str,
    *,
    yes: object = None,
    drop: Sequence[str] = (),
    group: str | None = None,
    time: str | None = None,
    folds: int = 10,
    encodings: Mapping[str, str] | None = None,
    selection: Sequence[Rule] = ("variance",),
    rounds: int = 1000,
    seed: int = 0,
    candidates: Callable[[str, int], tuple[Learner[Any], ...]] = members,
) -> TableModel:
    """Return what a plain table, one row per case, teaches about a column of yes and no.

    The floor, a crossed logistic regression, boosted trees, a forest and their blends forecast every row out of fold. The blend of equal
    weights learns again from all rows, unless another has a lower log-loss by more than chance. No row is ever copied or weighted up:
    chances stay chances.

    Parameters
    ----------
    source
        A path to CSV, JSONL or Parquet, or a pandas, polars or Arrow table.
    target
        The column to forecast: two values.
    yes
        Which of them means yes; found out by default (1, true, yes; or the later one).
    drop
        Columns that must not be learned from: those that are known only after the target.
    group
        Column of who a row belongs to: all rows of a group are in one fold. It is no feature.
    time
        Column by which rows came one after the other (its values are sorted): folds then forecast later rows from earlier ones only. It is
        no feature: what held before need not hold after.
    folds
        How many; fewer where there are few rows of a kind.
    encodings
        Encoding by column of names, ``auto`` for the usual one; see `Encode`. Numbers of a column named here are names, such as a region's.
    selection
        Rules by which features are dropped, in turn; see `Select`.
    rounds
        Resamples for the intervals of the scores.
    seed
        Where chance starts.
    candidates
        Makes the candidates, the floor first.

    Raises
    ------
    ColumnError
        When a column is not there, or the target has more than two values.
    NotEnoughDataError
        When there are fewer than ten rows of a kind.
    EmptyError, NotFoundError, AccessError, InputError
        When there is no table.
    """
    if folds < 2:
        raise UsageError(f"folds={folds} was asked for.", "Rows are forecast by models that have not seen them.", "Say 2 or more.")
    frame, decimal, broken = read_frame(source)
    if absent := [name for name in (*drop, *(encodings or {}), group, time) if name is not None and name not in frame.columns]:
        raise ColumnError(
            f"The table has no column {', '.join(map(repr, absent))}.", f"It has: {', '.join(frame.columns)}.", "Correct the name."
        )
    found = Target.find(frame, target, yes)
    notes = [f"{broken:,} rows could not be read."] if broken else []
    frame, came = _known(frame, found, notes, seed)
    if min(came.sum(), (~came).sum()) < LEAST:
        raise NotEnoughDataError(
            f"{int(came.sum()):,} of {len(came):,} rows have {target} = {found.yes}.",
            f"At least {LEAST} rows of each kind are needed.",
            "Give more rows.",
        )
    learned, told = Sheet.learn(frame, {target, *drop, group or target, time or target}, encodings or {}, decimal)
    owner = np.arange(len(came)) if group is None else frame[group].rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    train = _examples(*learned.read(frame), came=came, question=target, owner=owner)
    steps = _steps(learned, target, encodings or {}, selection, seed)
    parts = (
        Folds.random(came, owner, folds, seed) if time is None else Folds.onward(frame[time].rank("dense").fill_null(0).to_numpy(), folds)
    )
    contest = Contest.hold(candidates(target, seed), steps, train, came, parts)
    chosen = contest.best()
    model = Prepared(chosen.learner, steps).fit(train)
    scores = _scores(contest, chosen, train, rounds, seed)
    notes = [*_leaks(steps, train, came), *notes, *told]
    return TableModel(found, learned, model, contest.threshold(chosen), scores, contest.tried(chosen), tuple(notes), len(came))


def _known(frame: pl.DataFrame, target: Target, notes: list[str], seed: int) -> tuple[pl.DataFrame, Bools]:
    """Return the rows whose target is known, at most as many as are learned from, and what came true."""
    came, known = target.read(frame)
    rows = np.flatnonzero(known)
    if len(rows) < len(came):
        notes.append(f"{len(came) - len(rows):,} of {len(came):,} rows have no {target.column} and are left out.")
    if len(rows) > ROWS:
        notes.append(f"{ROWS:,} of {len(rows):,} rows are learned from, drawn at random.")
        rows = np.sort(np.random.default_rng(seed).choice(rows, ROWS, replace=False))
    return (frame, came) if len(rows) == len(came) else (frame[rows], came[rows])


def _examples(table: Table, names: Names, *, came: Bools | None = None, question: str = "", owner: Ints | None = None) -> Examples:
    """Return the rows of a table as examples that all stand at one instant, before which nothing was known."""
    n = len(table)
    code = np.arange(n, dtype=np.int32) if owner is None else owner.astype(np.int32)
    who = Dictionary.of(map(str, range(int(code.max(initial=-1)) + 1)))
    keys = Keys("user", code, np.zeros(n, np.int64), who)
    labels = {} if came is None else {question: Labels(came.astype(np.float64), np.ones(n, np.bool_), np.zeros(n, np.int64))}
    return Examples(keys, table, labels, lambda days, rows: table.take(rows), None, {NAMES: names})  # noqa: ARG005 - a row does not age


def _steps(learned: Sheet, target: str, methods: Mapping[str, str], rules: Sequence[Rule], seed: int) -> tuple[AnyStep, ...]:
    steps: list[AnyStep] = [learned.cyclic] if learned.instants else []
    if learned.names:
        steps.append(Encode(target, methods, seed=seed))
    return (*steps, *(Select(target, rule, seed=seed) for rule in rules))


def _scores(contest: Contest, chosen: Entrant, train: Examples, rounds: int, seed: int) -> Scores:
    """Return the scores out of fold of the chosen candidate; what is told by a threshold is told by that of the other folds."""
    asked = train.take(contest.folds.rows)
    (labels,) = asked.labels.values()
    answer = Probability(asked.keys, chosen.chance, chosen.name)
    told = replace(answer, chance=contest.told(chosen).astype(np.float64))
    found = score(answer, labels, names=_SCORES, rounds=rounds, seed=seed)
    by_threshold = score(told, labels, names=_TOLD, rounds=rounds, seed=seed).rows
    words = [replace(row, definition=row.definition.replace("threshold 0.5", "threshold chosen on other folds")) for row in by_threshold]
    return replace(found, rows=(*found.rows, *words))


def _leaks(steps: Sequence[AnyStep], train: Examples, came: Bools) -> list[str]:
    """Return a warning for each column that alone all but gives the target away."""
    _, made = learn_steps(steps, train)
    found = []
    for name, column in zip(made.table.names, made.table.values.T, strict=True):
        rank = np.unique(column, return_inverse=True)[1].astype(np.float64)
        auc = Ranked.of(came.astype(np.float64), rank).auc(np.ones(len(came)))
        if max(auc, 1 - auc) > LEAK:
            found.append(
                f"LEAK? {name} alone ranks the target with an AUC of {max(auc, 1 - auc):.3f}. If it is known only after the target, "
                "name its column in drop=(…) and fit again: the scores below say nothing then."
            )
    return found


TYPES: Final[dict[str, type]] = {
    **blend.TYPES, **chance.TYPES, **prepared.TYPES, **encode.TYPES, **select.TYPES, **sheet.TYPES,
    **{kind.__name__: kind for kind in (TableModel, Tried, Score, Scores)},
}  # fmt: skip
"""What a stored model of a table may be made of."""
