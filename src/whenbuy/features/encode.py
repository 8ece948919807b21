"""Encodings: columns of names as numbers, learned from training rows."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Codes, Floats, Ints
from whenbuy.core.errors import ColumnError, NotEnoughDataError, SettingsError, WhenbuyError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.log import Dictionary

NAMES: Final = "names"
"""The block of examples that holds their columns of names."""
METHODS: Final = ("auto", "onehot", "ordinal", "target", "hash", "skip")
OTHER, MISSING = "(other)", "(missing)"


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """Columns of names of each key: her device, her region, the category of the last view.

    Parameters
    ----------
    columns
        Names of the columns (c).
    codes
        Position in the column's dictionary (n x c); -1 where no name is known.
    dictionaries
        The names of each column (c).
    """

    columns: tuple[str, ...]
    codes: Codes
    dictionaries: tuple[Dictionary, ...]

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or not self.codes.shape[1] == len(self.columns) == len(self.dictionaries):
            raise WhenbuyError(f"{len(self.columns)} columns of names were made with codes of shape {self.codes.shape}.")

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Names:
        """Return the columns of a frame, each value as its text."""
        texts = [column.cast(pl.String) for column in frame]
        dictionaries = tuple(Dictionary(text.drop_nulls().unique(maintain_order=True).alias("id")) for text in texts)
        codes = np.full((frame.height, frame.width), -1, np.int32)
        for place, (text, dictionary) in enumerate(zip(texts, dictionaries, strict=True)):
            codes[:, place] = dictionary.codes(text)
        return cls(tuple(frame.columns), codes, dictionaries)

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: slice | Ints) -> Names:
        """Return the names of some of the keys."""
        return Names(self.columns, self.codes[rows], self.dictionaries)

    def column(self, name: str) -> tuple[Codes, Dictionary]:
        """Return the codes (n) and the dictionary of one column.

        Raises
        ------
        ColumnError
            When there is no such column.
        """
        if name not in self.columns:
            raise ColumnError(f"There is no column of names {name!r}.", f"There are: {', '.join(self.columns) or 'none'}.", "Add it.")
        place = self.columns.index(name)
        return self.codes[:, place], self.dictionaries[place]


@dataclass(frozen=True, slots=True)
class Encode:
    """Puts the columns of names, as numbers, behind the other features.

    Parameters
    ----------
    question
        The question whose label ``target`` reads.
    columns
        Method by column. ``onehot``: a column of 0 and 1 for each common name. ``ordinal``: the place of the name in its order (see
        ``orders``), the commonest first without one. ``target``: the mean label of the rows with that name, drawn towards the mean of all
        (Micci-Barreca 2001, s. 3); a training row sees the rows of other users only (out of fold). ``hash``: a column of 0 and 1 for each
        bucket, the name's CRC-32 modulo ``buckets``. ``skip``: none. ``auto``: one-hot up to ``most`` names, else target (hash without a
        question).
    default
        The method of all other columns.
    orders
        The names of a column in their own order, for ``ordinal``.
    least
        A name with fewer training rows counts as other.
    most
        The most columns of a one-hot encoding: the commonest names get one, all others are other.
    limit
        The most names that ``target`` and ``ordinal`` keep: it bounds what is stored, however many there are.
    buckets
        Of ``hash``.
    strength
        Rows of the mean label that every name is lent.
    folds
        Of the out-of-fold means.
    seed
        Deals users to folds.

    Raises
    ------
    SettingsError
        When a method is not known, or a number is out of its range.
    """

    question: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    default: str = "auto"
    orders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    least: int = 5
    most: int = 20
    limit: int = 50_000
    buckets: int = 32
    strength: float = 20.0
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for method in (*self.columns.values(), self.default):
            if method not in METHODS:
                raise SettingsError(f"There is no encoding {method!r}.", f"There are: {', '.join(METHODS)}.", "Name one of these.")
        if "target" in (*self.columns.values(), self.default) and not self.question:
            raise SettingsError("A target encoding was asked for without a question.", "It reads a label.", "Say question=….")
        if min(self.least, self.most, self.limit, self.buckets) < 1 or self.folds < 2 or not self.strength > 0:
            raise SettingsError(
                f"An encoding has least={self.least}, most={self.most}, limit={self.limit}, buckets={self.buckets}, folds={self.folds} and "
                f"strength={self.strength}.",
                "Counts are 1 or more, folds 2 or more, the strength is above 0.",
                "Leave out what should be as usual.",
            )

    def learn(self, train: Examples) -> tuple[FittedEncoding, Examples]:
        """Return the encoding as learned, and the training examples with their target encodings made out of fold.

        Raises
        ------
        NotEnoughDataError
            When there is no row, or none whose label was seen.
        ColumnError
            When a method was chosen for a column that is not there.
        """
        names = train.block(NAMES, Names)
        if strange := sorted({*self.columns, *self.orders} - {*names.columns}):
            raise ColumnError(
                f"An encoding was chosen for {', '.join(strange)}.",
                f"The columns of names are {', '.join(names.columns) or 'none'}.",
                "Correct the name.",
            )
        if not len(train):
            raise NotEnoughDataError("An encoding was given no training row.", "It learns from one or more.", "Choose a later cutoff.")
        learned, made = [], []
        for column in names.columns:
            one, values = self._learn(column, names, train)
            if one is not None:
                learned.append(one)
                made.append(values)
        fitted = FittedEncoding(tuple(learned))
        return fitted, _beside(train, fitted.made, np.hstack([np.empty((len(train), 0)), *made]))

    def _learn(self, column: str, names: Names, train: Examples) -> tuple[FittedColumn | None, Floats]:
        """Return one column as learned, and what it is for each training row."""
        codes, dictionary = names.column(column)
        count = np.bincount(codes[codes >= 0], minlength=len(dictionary))
        missing = int((codes < 0).sum())
        method = self._method(column, int((count > 0).sum()))
        if method == "skip":
            return None, np.empty((len(train), 0))
        if method == "hash":
            made = tuple(f"{column}#{bucket}" for bucket in range(self.buckets))
            values, seen = np.eye(self.buckets + 1, self.buckets), int((count > 0).sum())
            one = FittedColumn(column, method, made, Dictionary.of(()), values, seen, 0, 0)
            return one, one.numbers(codes, dictionary)
        kept = self._kept(column, method, count, dictionary)
        known = Dictionary(dictionary.ids.gather(kept).alias("id"))
        told = np.isin(np.arange(len(dictionary)), kept)
        merged = int(((count > 0) & ~told).sum()), int(count[~told].sum())
        if method == "target":
            return self._target(column, known, (int((count > 0).sum()), *merged), train, codes, dictionary)
        if method == "ordinal":
            values, made = np.append(np.arange(len(kept) + 1.0), np.nan)[:, None], (column,)
        else:
            values, made = _one_hot(column, known, rare=merged[0] > 0, missing=missing > 0)
        one = FittedColumn(column, method, made, known, values, int((count > 0).sum()), *merged)
        return one, one.numbers(codes, dictionary)

    def _method(self, column: str, distinct: int) -> str:
        method = self.columns.get(column, self.default)
        if method != "auto":
            return method
        return "onehot" if distinct <= self.most else "target" if self.question else "hash"

    def _kept(self, column: str, method: str, count: Ints, dictionary: Dictionary) -> Ints:
        """Return the codes of the names that are told apart: the commonest first (equally common by name), or in the order given."""
        if order := self.orders.get(column):
            codes = dictionary.codes(order)
            return codes[codes >= 0].astype(np.int64)
        common = np.flatnonzero(count >= self.least)
        order_of = pl.DataFrame({"code": common, "count": -count[common], "name": dictionary.ids.gather(common)}).sort("count", "name")
        found: Ints = order_of["code"].to_numpy()[: self.most if method == "onehot" else self.limit].astype(np.int64)
        return found

    def _target(
        self, column: str, known: Dictionary, told: tuple[int, int, int], train: Examples, codes: Codes, dictionary: Dictionary
    ) -> tuple[FittedColumn, Floats]:
        """Return the mean label of each name, drawn towards the mean of all, and for each training row that of the other folds."""
        label = train.label(self.question)
        weight = np.where(label.observed, 1.0 if train.weight is None else train.weight, 0.0)
        if not weight.sum() > 0:
            raise NotEnoughDataError(
                f"No label of {self.question!r} was seen.", "A target encoding averages labels.", "Learn from earlier cutoffs."
            )
        answer = np.where(label.observed, label.value, 0.0)
        overall = float(weight @ answer / weight.sum())
        place, fold = _places(codes, dictionary, known), _folds(train.keys.code, self.folds, self.seed)
        size = len(known) + 2
        sums, rows = (
            np.bincount(place * self.folds + fold, part, minlength=size * self.folds).reshape(size, self.folds)
            for part in (weight * answer, weight)
        )
        whole = (sums.sum(axis=1) + self.strength * overall) / (rows.sum(axis=1) + self.strength)
        others = (sums.sum(axis=1, keepdims=True) - sums + self.strength * overall) / (
            np.maximum(rows.sum(axis=1, keepdims=True) - rows, 0) + self.strength
        )
        one = FittedColumn(column, "target", (f"{column}_mean_{self.question}",), known, whole[:, None], *told)
        return one, others[place, fold][:, None]


@dataclass(frozen=True, slots=True, eq=False)
class FittedColumn:
    """How one column of names is read.

    Parameters
    ----------
    column, method
        Which one, and how.
    made
        Names of the columns made of it (m).
    known
        The names that are told apart (k).
    values
        What each of them becomes (k + 2 rows of m numbers): last but one any other name, last no name. For ``hash`` one row per bucket,
        then no name.
    seen
        How many names training had.
    merged_names, merged_rows
        How many of them count as other, and in how many training rows.
    """

    column: str
    method: str
    made: tuple[str, ...]
    known: Dictionary
    values: Floats
    seen: int
    merged_names: int
    merged_rows: int

    def numbers(self, codes: Codes, dictionary: Dictionary) -> Floats:
        """Return what the names become (n x m)."""
        if self.method == "hash":
            return np.asarray(self.values[_buckets(codes, dictionary, len(self.made))])
        return np.asarray(self.values[_places(codes, dictionary, self.known)])


@dataclass(frozen=True, slots=True, eq=False)
class FittedEncoding:
    """A learned encoding, column by column."""

    columns: tuple[FittedColumn, ...]

    @property
    def made(self) -> tuple[str, ...]:
        """Names of all columns that it makes."""
        return tuple(name for one in self.columns for name in one.made)

    def prepare(self, examples: Examples) -> Examples:
        """Return the examples with the encoded names behind their other features, in silence too: a name does not age.

        Raises
        ------
        ColumnError
            When a column of names that was learned from is not there.
        """
        names = examples.block(NAMES, Names)
        parts = [one.numbers(*names.column(one.column)) for one in self.columns]
        return _beside(examples, self.made, np.hstack([np.empty((len(examples), 0)), *parts]))

    def unknown(self, names: Names) -> dict[str, int]:
        """Return in how many rows each column has a name that is not told apart: a rare one, or one never seen."""
        found = {}
        for one in self.columns:
            if one.method != "hash":
                found[one.column] = int((_places(*names.column(one.column), one.known) == len(one.known)).sum())
        return found

    def frame(self) -> pl.DataFrame:
        """Return one row per column: column, method, made, names, merged_names, merged_rows."""
        return pl.DataFrame(
            {
                "column": [one.column for one in self.columns],
                "method": [one.method for one in self.columns],
                "made": [len(one.made) for one in self.columns],
                "names": [one.seen for one in self.columns],
                "merged_names": [one.merged_names for one in self.columns],
                "merged_rows": [one.merged_rows for one in self.columns],
            },
            schema_overrides={"column": pl.String, "method": pl.String},
        )

    def says(self) -> tuple[str, ...]:
        """Return in words how each column is read."""
        words = {"onehot": "one column per name", "ordinal": "its place", "target": "its mean label", "hash": "a bucket"}
        found = []
        for one in self.columns:
            merged = f"; {one.merged_names:,} rare names in {one.merged_rows:,} rows count as one" if one.merged_names else ""
            found.append(f"{one.column}: {one.seen:,} names, each read as {words[one.method]}{merged}.")
        return tuple(found)

    def _repr_html_(self) -> str:
        return self.frame()._repr_html_()


def silenced(examples: Examples, through: Callable[[Table, Ints], Table]) -> Examples:
    """Return the examples with every table, read in silence too, sent ``through`` a function of the table and the numbers of its rows."""

    def silence(days: Floats, rows: Ints) -> Table:
        return through(examples.silence(days, rows), rows)

    return replace(examples, table=through(examples.table, np.arange(len(examples))), silence=silence)


def _beside(examples: Examples, made: Sequence[str], values: Floats) -> Examples:
    further = values.astype(np.float32)
    return silenced(examples, lambda table, rows: table.beside(Table(tuple(made), further[rows])))


def _one_hot(column: str, known: Dictionary, *, rare: bool, missing: bool) -> tuple[Floats, tuple[str, ...]]:
    """Return a row of 0 and 1 for each name, for any other and for none, and the columns' names; what training lacks has no column."""
    made = [*known.ids.to_list(), *([OTHER] if rare else []), *([MISSING] if missing else [])]
    values = np.zeros((len(known) + 2, len(made)))
    values[np.arange(len(known)), np.arange(len(known))] = 1.0
    if rare:
        values[-2, len(known)] = 1.0
    if missing:
        values[-1, -1] = 1.0
    return values, tuple(f"{column}={name}" for name in made)


def _places(codes: Codes, dictionary: Dictionary, known: Dictionary) -> Ints:
    """Return the place of each name among the known ones (n): their number for any other, one more for none."""
    used, back = np.unique(codes, return_inverse=True)
    places = known.codes(dictionary.names(used)).astype(np.int64)
    places[places < 0] = len(known)
    places[used < 0] = len(known) + 1
    return np.asarray(places[back])


def _buckets(codes: Codes, dictionary: Dictionary, buckets: int) -> Ints:
    """Return the bucket of each name (n), ``buckets`` for none. CRC-32 is the same on every machine and in every version."""
    used, back = np.unique(codes, return_inverse=True)
    names = dictionary.names(used).to_list()
    found = np.array([buckets if name is None else zlib.crc32(name.encode()) % buckets for name in names], np.int64)
    return np.asarray(found[back])


def _folds(code: Codes, folds: int, seed: int) -> Ints:
    """Return the fold of each row (n): all rows of a user have one."""
    users, back = np.unique(code, return_inverse=True)
    return np.asarray((np.random.default_rng(seed).permutation(len(users)) % folds)[back], np.int64)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Encode, FittedColumn, FittedEncoding)}
"""What a stored encoding may be made of."""
