"""Screens: what verbs find as short tables in people's units, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.history import History
from whenbuy.core.outlook import Outlook
from whenbuy.evaluate.scores import Duel
from whenbuy.pipeline.learning.forecaster import Choice
from whenbuy.pipeline.telling.result import Screen

if TYPE_CHECKING:
    from whenbuy.ingest.mapping import Guess

LISTED: Final = 20
"""How many customers are shown where everybody was asked about."""
_SIGNS: Final = {"higher": "↑", "lower": "↓", "near": "≈"}
_EVERY: Final = "*"
_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def guesses(found: Iterable[Guess]) -> Screen | None:
    """Return what a person should look at in how a source was understood: what is not certain. None where everything is."""
    doubtful = [guess for guess in found if guess.confidence < 1 and guess.table != "source"]
    rows = [(_ours(one), _theirs(one), f"{100 * one.confidence:.0f} %", one.reason) for one in doubtful]
    if not rows:
        return None
    return Screen("Guessed, so please look:", ("here", "in the source", "sure>", "why"), tuple(rows))


def writing(found: Iterable[Guess]) -> str:
    """Return how the text of a source is written, in one line; empty where the source is no text."""
    words = []
    for guess in found:
        if guess.table == "source":
            said = _written(guess.key, guess.value)
            words.append(said if guess.confidence >= 0.9 or not said else f"{said} ({guess.confidence:.0%} sure)")
    return ", ".join(filter(None, words))


def _written(key: str, value: str | bool) -> str:
    if key == "separator":
        return f"{_SEPARATORS.get(str(value), value)} between fields"
    if key == "day_first":
        return "day before month" if value else "month before day"
    return {"encoding": f"{value} text", "decimal": f"decimal {'comma' if value == ',' else 'point'}"}.get(key, "")


def _ours(guess: Guess) -> str:
    return f"kind {guess.value}" if guess.table == "kinds" else guess.key


def _theirs(guess: Guess) -> str:
    if guess.table == "kinds":
        return "every row" if guess.key == _EVERY else guess.key
    return str(guess.value)


def choices(tried: Sequence[Choice]) -> Screen:
    """Return how every candidate fared, the best of each answer first."""
    rows: list[tuple[str, ...]] = []
    answers = list(dict.fromkeys(choice.answer for choice in tried))
    for answer in answers:
        ranked = sorted((one for one in tried if one.answer == answer), key=lambda one: (not one.chosen, math.isnan(one.value), one.value))
        for place, one in enumerate(ranked):
            value = "–" if math.isnan(one.value) else f"{one.value:.4f}"
            beside = "the floor" if one.floor else "" if math.isnan(one.low) else f"{one.low:+.4f} … {one.high:+.4f}"
            rows.append((answer if place == 0 else "", one.model, value, "chosen" if one.chosen else _short(one.note), beside))
    errors = {one.answer: one.score for one in tried}
    below = [f"{answer}: {error}" for answer, error in errors.items()]
    title, heads = "Errors on later weeks, lower is better:", ("answer", "model", "error>", "")
    if not any(row[-1] for row in rows):
        return Screen(title, heads, tuple(row[:-1] for row in rows), tuple(below))
    below.append("Beside the floor: the 95 % interval of the difference; what lies below 0 is better beyond doubt.")
    return Screen(title, (*heads, "beside the floor>"), tuple(rows), tuple(below))


def scores(duels: Sequence[Duel], title: str, floor: str, ours: str = "") -> Screen:
    """Return our scores beside the floor's, or those of one model beside another's."""
    rows = []
    for one in duels:
        digits = 2 if max(abs(one.ours), abs(one.floor)) >= 10 else 4
        interval = "" if math.isnan(one.low) else f"{one.low:+.{digits}f} … {one.high:+.{digits}f}"
        name = f"{one.name} {_SIGNS.get(one.better, '')}" + (f" {one.aim:g}" if one.better == "near" else "")
        verdict = {"better": "better", "worse": "worse"}.get(one.verdict, "")
        rows.append((name, *(number(value, digits) for value in (one.ours, one.floor)), interval, verdict))
    won = [sum(one.verdict == verdict for one in duels) for verdict in ("better", "worse", "no clear difference")]
    other = floor if ours else "the floor"
    below = (f"{won[0]} better than {other}, {won[1]} worse, {won[2]} too close to call (the 95 % interval of the difference holds 0).",)
    return Screen(title, ("score", f"{ours or 'ours'}>", f"{floor}>", "difference>", ""), tuple(rows), below)


def number(value: float | None, digits: int) -> str:
    """Return a number with so many decimals; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def signed(value: float | None, digits: int) -> str:
    """Return a difference with its sign; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:+,.{digits}f}"


def customers(outlook: Outlook, history: History, currency: str, *, named: bool) -> Screen:
    """Return the forecasts of the customers named, or of those who are worth most within the longest horizon.

    Worth is the expected number of orders times the amount of an order; the chance to buy where the log has no amounts.
    """
    from whenbuy.pipeline.telling.words import Calendar, money, percent

    calendar, longest = Calendar(history.clock, int(outlook.keys.cutoff[0])), max(outlook.horizons)
    most = len(outlook) if named else LISTED
    shown = outlook if named else outlook.take(np.argsort(-_worth(outlook, longest), kind="stable")[:most])
    orders, amount = shown.purchase.count_at(longest), shown.amount
    ids, rows = shown.keys.ids().to_list(), []
    for place in range(len(shown)):
        one = shown.take(slice(place, place + 1))
        chances = [percent(float(one.purchase.probability(days)[0])) for days in shown.horizons]
        spend = () if amount is None else (money(float(orders[place] * amount.mean[place]), currency),)
        rows.append(tuple(map(_plain, (_short(ids[place], 28), *chances, *calendar.expected(one), f"{orders[place]:.1f}", *spend))))
    days = [f"{horizon:g} d" for horizon in outlook.horizons]
    heads = ("customer", *(f"{each}>" for each in days), "next order>", "80 % range", "orders>", *(() if amount is None else ("spend>",)))
    count, moment = f"{len(outlook):,} customer{'s' * (len(outlook) != 1)}", calendar.moment(int(outlook.keys.cutoff[0]))
    who = "" if len(outlook) <= most else f"; the {most} expected to {'buy' if amount is None else 'spend'} most in {days[-1]}"
    return Screen(
        f"{count} as of {moment}{who}:", heads, tuple(rows),
        (f"Chance to buy within {', '.join(days)}; date by which the next order comes with 50 %; orders and spend of {days[-1]}.",),
    )  # fmt: skip


def _worth(outlook: Outlook, days: float) -> Floats:
    if outlook.amount is None:
        return outlook.purchase.probability(days)
    return np.asarray(outlook.purchase.count_at(days) * outlook.amount.mean)


def _plain(text: str) -> str:
    """Return a text with ordinary spaces: narrow ones are a page's, not a terminal's."""
    return text.replace("\u202f", " ")


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 8]}…{text[-7:]}"
