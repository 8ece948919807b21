"""Which column of a stranger's table is what: by its name in eight languages, and by what it holds."""

from __future__ import annotations

import difflib
import shlex
from collections import abc
from dataclasses import dataclass
from typing import Final

import polars as pl

from whenbuy.core.errors import ColumnError, UsageError
from whenbuy.core.log import CODED, ORDERS, SCALES
from whenbuy.ingest.mapping import Guess, kind_of
from whenbuy.ingest.parse import numbers
from whenbuy.ingest.times import TimeReader, epoch_unit
from whenbuy.ingest.words import COLUMN_NAMES, NEUTRAL_WORDS, plain

SURE: Final = 0.5
"""A needed column is taken only when its guess is at least this sure."""
OPTIONAL: Final = 0.6
"""So is any other column that has a meaning."""
CANONICAL: Final = ("user_id", "kind", "time", "known_at", *CODED, *SCALES)
"""The columns that have a meaning, needed or not."""

_WHO = {"user_id": "who the customer is", "time": "when it happened"}
_MOST_KINDS = 100
_JOINERS = frozenset(["de", "da", "do", "del", "della", "du", "des", "d", "der", "la", "le", "l", "of", "the"])
_SERIAL = 0.85
"""How far numbers that could be a workbook's days are times: enough where the name says so, too little where only they themselves do."""
_CANCELLED: Final = frozenset(["c", "r", "s", "g", "st", "gs", "cn", "rma", "ret", "cancel"])
_LETTERED = r"^([A-Za-z]{1,6})[-_ ]?\d+$"
_JOINED = {name.replace("_", ""): name for name in reversed(COLUMN_NAMES)}
_RANK = {name: [n for n, m in COLUMN_NAMES.items() if m == meaning].index(name) for name, meaning in COLUMN_NAMES.items()}


@dataclass(frozen=True, slots=True)
class _Look:
    """What a sample of one column looks like."""

    filled: bool
    distinct: int
    rows: int
    time: float
    number: float
    decimals: bool
    known_kinds: float
    words: bool


def map_columns(sample: pl.DataFrame, given: abc.Mapping[str, str], named: bool = True) -> list[Guess]:
    """Return the guesses for the columns of a sample.

    Parameters
    ----------
    sample
        Some rows of the source.
    given
        What the user said: our column -> the source's column; an empty name means that there is none.
    named
        Whether the source has a header.

    Raises
    ------
    ColumnError
        When a column that the user named is not there, or nothing is sure enough to be the customer or the time.
    """
    _check_given(sample.columns, given)
    guesses = [Guess("columns", key, source, 1.0, "you said so") for key, source in given.items() if source]
    looks = {name: _look(sample[name]) for name in sample.columns}
    taken, told = {g.value for g in guesses}, set(given)
    scored = sorted(
        (-score, place, key, name, reason)
        for place, name in enumerate(sample.columns)
        for key, score, reason in _by_name(name, looks[name])
        if name not in taken and key not in told
    )
    for score, _, key, name, reason in scored:
        if -score >= OPTIONAL and key not in told and name not in taken:
            rivals = [other for s, _, k, other, _ in scored if k == key and other != name and s - score < 0.05]
            confidence, more = (
                (round(-score * 0.9, 3), f"; so could {', '.join(map(repr, rivals[:3]))}") if rivals else (round(-score, 3), "")
            )
            guesses.append(Guess("columns", key, name, confidence, reason + more))
            told.add(key)
            taken.add(name)
    rest = {name: look for name, look in looks.items() if name not in taken and look.filled}
    guesses += _by_content(rest, told, named)
    _check_needed(guesses, sample, looks)
    order = {key: place for place, key in enumerate(CANONICAL)}
    return sorted(guesses, key=lambda g: order.get(g.key, len(order)))


def _check_given(columns: list[str], given: abc.Mapping[str, str]) -> None:
    for key, source in given.items():
        if key == ORDERS:
            raise UsageError(
                f"No column can be called {ORDERS!r}.", "whenbuy marks the first line of an order in it.", "Choose another name."
            )
        if source and source not in columns:
            near = difflib.get_close_matches(source, columns, 3, 0.5)
            raise ColumnError(
                f"There is no column {source!r} (named for {key}); there are {_listed(columns)}.",
                "A named column must be there, spelt alike.",
                f"Perhaps {' or '.join(map(repr, near))} was meant." if near else "Name one of these.",
            )


def _check_needed(guesses: list[Guess], sample: pl.DataFrame, looks: abc.Mapping[str, _Look]) -> None:
    found = {guess.key: guess for guess in guesses}
    for key, meaning in _WHO.items():
        if key in found and found[key].confidence >= SURE:
            continue
        candidates = _candidates(key, looks, {str(g.value) for g in guesses if g.key != key and g.confidence >= OPTIONAL})
        best = candidates[0][1] if candidates else "YOUR COLUMN"
        shown = ", ".join(f"{name!r} ({score:.0%}: {why})" for score, name, why in candidates[:3]) or "none"
        raise ColumnError(
            f"No column says {meaning}; there are {_listed(sample.columns)}.",
            f"whenbuy needs one for {key} and must be at least {SURE:.0%} sure of it. Best candidates: {shown}.",
            f"Say it: --column {shlex.quote(f'{key}={best}')} on the command line, {Guess('columns', key, best, 1, '').toml()} under "
            f'[columns] in whenbuy.toml, or columns={{"{key}": "{best}"}} in Python.',
        )


def _candidates(key: str, looks: abc.Mapping[str, _Look], taken: set[str]) -> list[tuple[float, str, str]]:
    fits = _time_fit if key == "time" else _id_fit
    named = (
        (max((s for k, s, _ in _by_name(n, look) if k == key), default=0.0), fits(look), n) for n, look in looks.items() if n not in taken
    )
    scored = [
        (round(max(name, 0.45 * fit), 2), n, "its name" if name > 0.45 * fit else "its content")
        for name, fit, n in named
        if max(name, fit) > 0
    ]
    return sorted(scored, key=lambda one: -one[0])


def cancellations(sample: pl.DataFrame, columns: abc.Mapping[str, str]) -> Guess | None:
    """Return with which letters the numbers of cancelled orders begin, None where nothing says that they are marked.

    They are where a few numbers begin with letters and most of these have a negative quantity or amount, which others hardly have; or,
    where nothing is negative, when the letters are those that shops use (C, R, S, G, …) before numbers that are else plain.
    """
    money = [columns[key] for key in ("quantity", "amount") if key in columns]
    if "order_id" not in columns or "kind" in columns or not money:
        return None
    orders = sample[columns["order_id"]].cast(pl.String).str.strip_chars()
    letters = orders.str.extract(_LETTERED)
    minus = sample.select(pl.any_horizontal(pl.col(money).cast(pl.String).str.contains(r"^\s*[-(]|-\s*$"))).to_series().fill_null(False)
    for prefix, count in letters.drop_nulls().value_counts(sort=True).iter_rows():
        mine = (letters == prefix).fill_null(False)
        if count > 0.3 * len(sample):
            continue
        own, other = float(minus.filter(mine).mean() or 0), float(minus.filter(~mine).mean() or 0)  # type: ignore[arg-type]
        if own > 0.5 and other < 0.05:
            return Guess(
                "source", "cancelled", prefix, 0.9, f"{own:.0%} of the lines of such orders are negative, {other:.1%} of the others"
            )
        plain_else = orders.filter(letters.is_null()).drop_nulls().str.contains(r"^\d+(?:\.0)?$")
        if not minus.any() and prefix.lower() in _CANCELLED and len(plain_else) and plain_else.all():
            return Guess("source", "cancelled", prefix, 0.6, "few numbers begin so, and the others are plain")
    return None


def _listed(columns: list[str]) -> str:
    return ", ".join(map(repr, columns[:20])) + (f" and {len(columns) - 20} more" if len(columns) > 20 else "")


def _by_name(name: str, look: _Look) -> list[tuple[str, float, str]]:
    """Return what a column could be by its name, its content permitting: our column, how sure, and why."""
    word, whole = known_word(plain(name))
    late = name == "offer_id"  # the first offer may come long after the rows that are looked at
    if word is None or not (look.filled or late):
        return []
    key = COLUMN_NAMES[word]
    score = (0.97 if whole else 0.8) - 0.002 * min(_RANK[word], 80)
    fit = _fit(key, look)
    if fit < OPTIONAL:
        return []
    return [(key, score * (0.7 + 0.3 * fit), f"its name says so{'' if whole else f' ({word})'}, and its content agrees")]


def known_word(name: str) -> tuple[str | None, bool]:
    """Return the word of our vocabulary in a plain name, and whether it is all of it."""
    if name in COLUMN_NAMES or name.replace("_", "") in _JOINED:
        return (name if name in COLUMN_NAMES else _JOINED[name.replace("_", "")]), True
    tokens = name.split("_")
    short = "_".join(token for token in tokens if token not in _JOINERS)
    if short != name and short in COLUMN_NAMES:
        return short, True
    for size in range(len(tokens) - 1, 0, -1):
        for start in range(len(tokens) - size + 1):
            word = "_".join(tokens[start : start + size])
            rest = tokens[:start] + tokens[start + size :]
            if word in COLUMN_NAMES and word not in NEUTRAL_WORDS and all(token in NEUTRAL_WORDS or token.isdigit() for token in rest):
                return word, False
    return None, False


def _fit(key: str, look: _Look) -> float:
    if key in ("time", "known_at"):
        return _time_fit(look)
    if key in SCALES:
        return look.number if look.time < 1 or look.number == 1 else 0.0
    if key == "kind":
        return (
            1.0 if look.distinct <= _MOST_KINDS and not look.decimals and (look.words or look.known_kinds or look.distinct <= 30) else 0.0
        )
    if key in ("text", "event_id", "offer_id"):
        return 1.0
    if key in ("currency", "channel"):
        return 1.0 if look.distinct <= _MOST_KINDS and not look.decimals else 0.0
    return _id_fit(look)


def _time_fit(look: _Look) -> float:
    return look.time


def _id_fit(look: _Look) -> float:
    return 0.0 if look.decimals or (look.words and look.time > 0.5) else 1.0


def _by_content(rest: dict[str, _Look], told: set[str], named: bool) -> list[Guess]:
    """Return guesses for what no name told, among the columns that are left; each is taken out of them."""
    found: list[Guess] = []

    def take(key: str, names: list[str], confidence: float, reason: str) -> None:
        if key not in told and len(names) == 1:
            found.append(Guess("columns", key, names[0], confidence, reason))
            rest.pop(names[0])

    take("time", [n for n, look in rest.items() if look.time >= 0.9 and look.words], 0.75, "it is the only column that holds dates")
    take(
        "kind",
        [n for n, look in rest.items() if look.distinct <= _MOST_KINDS and look.known_kinds >= 0.5],
        0.7,
        "most of its words name events",
    )
    if not named:
        take("time", [n for n, look in rest.items() if look.time >= 0.9], 0.65, "it is the only column that can hold instants")
        if not told & {"amount", "unit_price"}:
            take(
                "amount",
                [n for n, look in rest.items() if look.decimals],
                0.6,
                "it is the only column with decimals, and there is no header",
            )
    ids = [n for n, look in rest.items() if _id_fit(look) and look.distinct > 1]
    whom = [n for n in ids if rest[n].distinct < rest[n].rows] or ids
    if len(rest) == 1 or (not named and whom):
        take("user_id", whom[:1], 0.6 if len(whom) == 1 else SURE, "of the columns that are left it is the first that can name customers")
    return found


def _look(column: pl.Series) -> _Look:
    known = column.drop_nulls()
    if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Binary) or not len(known):
        return _Look(False, 0, len(column), 0, 0, False, 0, False)
    if column.dtype in (pl.Categorical, pl.Enum):
        known = known.cast(pl.String)
    if known.dtype != pl.String:
        return _typed_look(known, len(column))
    known = known.str.strip_chars()
    known = known.filter(known != "")
    few = known.unique(maintain_order=True).head(500)
    if not len(few):
        return _Look(False, 0, len(column), 0, 0, False, 0, False)
    points, commas = (_share(numbers(few, mark)[0]) for mark in ".,")
    decimals = (
        bool(few.str.contains(r"\d[.,]\d{1,2}\D{0,4}$").mean() or 0)
        and max(points, commas) > 0.9
        and not few.str.contains(r"^\d+\.0+$").all()
    )
    return _Look(
        True,
        known.n_unique(),
        len(column),
        _time_share(few),
        max(points, commas),
        decimals,
        _kind_share(known),
        points < 0.9 and commas < 0.9,
    )


def _typed_look(known: pl.Series, rows: int) -> _Look:
    temporal, number = known.dtype.is_temporal(), known.dtype.is_numeric()
    unit = epoch_unit(known) if number else None
    time = _SERIAL if unit == "excel" else float(known.dtype in (pl.Date, pl.Datetime) or unit is not None)
    decimals = known.dtype.is_decimal() or (
        known.dtype.is_float() and bool((known.fill_nan(0).replace([float("inf"), -float("inf")], 0) % 1 != 0).any())
    )
    return _Look(True, known.n_unique(), rows, time, float(number), decimals, 0.0, temporal)


def _share(found: pl.Series) -> float:
    return 1 - found.null_count() / len(found)


def _time_share(few: pl.Series) -> float:
    reader = TimeReader(few.name)
    try:
        share = _share(reader.read(few))
        return min(share, _SERIAL) if reader.unit == "excel" else share
    except ColumnError:  # naive and aware times are mixed: times they are
        return 1.0


def _kind_share(known: pl.Series) -> float:
    counts = known.value_counts(sort=True).head(_MOST_KINDS)
    told = [count for name, count in counts.iter_rows() if kind_of(name).confidence >= OPTIONAL]
    return float(sum(told) / len(known))
