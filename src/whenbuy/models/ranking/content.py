"""By what things are: more of the categories, brands and prices that she likes. It can name things that nobody has bought yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Codes, Floats, Ints, Singles
from whenbuy.core.errors import NotEnoughDataError, SettingsError
from whenbuy.core.examples import Examples
from whenbuy.core.kernel import kernel
from whenbuy.core.ranking import Ranking, Shelf
from whenbuy.models.ranking.best import write_best
from whenbuy.models.ranking.reading import FIRST, age_days, answered, learned_from, log_prices, require_first, seen_until, trails_of


@dataclass(frozen=True, slots=True)
class Content:
    """Things that share the attributes of those that she met.

    Of each word (a category, a brand) the things most wanted, by how much of her trail is of it, less where the price is another than she
    is used to.

    Every thing is lent ``lent`` steps, so one that is new on the shelf is named beside the others of its kind.

    Parameters
    ----------
    attributes
        The attributes of the shelf that speak, where it has them.
    halflife_days
        A step counts half after so many days, hers and everybody's.
    lent
        How many steps each thing is lent.
    price
        How strongly another price holds back: the word for a thing is multiplied by exp(-price * |log of its price over hers|).
    keep
        How many things are kept for each word.
    first
        How many things a list has.
    """

    attributes: tuple[str, ...] = ("category", "brand")
    halflife_days: float = 60.0
    lent: float = 1.0
    price: float = 0.5
    keep: int = 200
    first: int = FIRST

    def __post_init__(self) -> None:
        require_first(self.name, self.first)
        if not self.attributes or not self.halflife_days > 0 or self.lent < 0 or self.price < 0 or self.keep < 1:
            raise SettingsError(f"Things were to be chosen by {self}.", "An attribute, and no negative number.", "Change it.")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "content"

    def fit(self, train: Examples, valid: Examples | None = None) -> ContentModel:
        """Return the things of each word, the most wanted first.

        Raises
        ------
        NotEnoughDataError
            When nobody met anything, or the shelf tells no such attribute.
        """
        del valid
        trails = learned_from(train, self.name)
        moment = seen_until(trails)
        shelf = trails.shelf
        told = [name for name in self.attributes if name in shelf.attributes and (shelf.attributes[name] >= 0).any()]
        if not told:
            raise NotEnoughDataError(
                f"The shelf tells nothing of {', '.join(self.attributes)}.", "Things are alike by what they are.", "Read that column too."
            )
        speed = np.log(2.0) / self.halflife_days
        worth = trails.strength * np.exp(-age_days(trails, moment) * speed)
        weight: Floats = np.bincount(trails.item, worth, len(shelf)).astype(np.float64) + self.lent
        words = {name: _words(shelf.attributes[name], weight, len(shelf.words[name]), self.keep) for name in told}
        return ContentModel(self, shelf, words, moment)


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """The things of word w are ``item[offsets[w] : offsets[w + 1]]``, the most wanted first, with their share of all of the word."""

    offsets: Ints
    item: Codes
    share: Singles


@dataclass(frozen=True, eq=False)
class ContentModel:
    """The things of each word, by attribute."""

    settings: Content
    shelf: Shelf
    words: Mapping[str, Words]
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def speak(self, examples: Examples) -> tuple[Codes, Floats]:
        """Return the things of each key's own words (n x m each)."""
        trails, settings = trails_of(examples, self.shelf), self.settings
        days = np.maximum(np.repeat(trails.at, np.diff(trails.offsets)) - trails.time, 0) / DAY
        worth = trails.strength.astype(np.float64) * np.exp(-days * np.log(2.0) / settings.halflife_days)
        return of_her_words(trails.offsets, trails.item, worth, *self._table, self.settings.first)

    @cached_property
    def _table(self) -> tuple[Codes, Singles, Ints, Ints, Codes, Singles, Floats, Floats]:
        """What `of_her_words` reads of the shelf, from the word of each thing on, in its order."""
        parts = list(self.words.values())
        shift = np.concatenate([[0], np.cumsum([len(part.offsets) - 1 for part in parts])]).astype(np.int64)
        before = np.concatenate([[0], np.cumsum([len(part.item) for part in parts])]).astype(np.int64)
        offsets = np.concatenate([*(part.offsets[:-1] + start for part, start in zip(parts, before, strict=False)), before[-1:]])
        item, share = np.concatenate([part.item for part in parts]), np.concatenate([part.share for part in parts])
        own = np.zeros((len(parts), len(self.shelf)), np.float32)
        for mine, part in zip(own, parts, strict=True):
            mine[part.item] = part.share
        price = self.settings.price * log_prices(self.shelf).astype(np.float64)
        return np.stack([self.shelf.attributes[name] for name in self.words]), own, shift, offsets, item, share, price, np.exp(price)

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Ranking:
        """Return the ranking of each key."""
        return answered(self, examples, self.settings.first, in_sample=in_sample)


def _words(code: Codes, weight: Floats, words: int, keep: int) -> Words:
    """Return the things of each word."""
    item = np.flatnonzero(code >= 0)
    item = item[np.lexsort((item, -weight[item], code[item]))]
    total = np.bincount(code[item], weight[item], words)
    begin = np.searchsorted(code[item], np.arange(words))
    kept = np.arange(len(item)) - begin[code[item]] < keep
    item = item[kept]
    offsets = np.searchsorted(code[item], np.arange(words + 1)).astype(np.int64)
    return Words(offsets, item.astype(np.int32), (weight[item] / np.maximum(total[code[item]], 1e-300)).astype(np.float32))


@kernel
def of_her_words(
    offsets: Ints, item: Codes, worth: Floats, codes: Codes, own: Singles, shift: Ints, word_offsets: Ints, word_item: Codes,
    share: Singles, price: Floats, held: Floats, most: int,
) -> tuple[Codes, Floats]:  # fmt: skip
    """Return the things with the greatest sum over the words of her trail of (share of the word in it) * (share of the thing in the word).

    ``codes`` and ``own`` (attributes x k) tell the word of each thing and its share in it, ``shift`` where the words of an attribute begin
    among all; ``price`` and ``held`` the logarithm of what its price counts, and that itself. Not all things are summed up: of one among
    the best some word says as much at least as the last of the best gets, divided by the number of attributes.
    """
    n, things, words = len(offsets) - 1, codes.shape[1], len(word_offsets) - 1
    found, out = np.empty((n, most), np.int32), np.empty((n, most))
    score, touched = np.zeros(things), np.empty(things, np.int64)
    liked, named = np.zeros(words), np.empty(words, np.int64)
    for i in range(n):
        part, weight = item[offsets[i] : offsets[i + 1]], worth[offsets[i] : offsets[i + 1]]
        heard, usual = _taste(part, weight, codes, shift, price, liked, named)
        count, total, level = 0, max(weight.sum(), 1e-300), np.exp(-usual)
        for word in named[:heard]:
            liked[word] /= total
        least = _least(named[:heard], liked, shift, word_offsets, word_item, share, held, level, most) / len(codes)
        for word in named[:heard]:
            for place in range(word_offsets[word], word_offsets[word + 1]):
                if liked[word] * share[place] < least:
                    break
                thing = word_item[place]
                if score[thing] == 0.0:
                    touched[count] = thing
                    count += 1
                    score[thing] = 1.0
        for thing in touched[:count]:
            told = 0.0
            for a in range(len(codes)):
                if codes[a, thing] >= 0:
                    told += max(_at_price(liked[shift[a] + codes[a, thing]] * own[a, thing], held[thing] * level), 0.0)
            score[thing] = max(told, 1e-300)
        liked[named[:heard]] = 0.0
        write_best(score, touched, count, found[i], out[i])
    return found, out


@kernel
def _least(
    named: Ints, liked: Floats, shift: Ints, word_offsets: Ints, word_item: Codes, share: Singles, held: Floats, level: float, most: int
) -> float:
    """Return a score that the best things reach: so many get as much from the words of one attribute alone; 0 where they are fewer."""
    best, some = 0.0, np.empty(len(named) * most)
    for a in range(len(shift) - 1):
        count = 0
        for word in named:
            if shift[a] <= word < shift[a + 1]:
                for place in range(word_offsets[word], min(word_offsets[word] + most, word_offsets[word + 1])):
                    some[count] = _at_price(liked[word] * share[place], held[word_item[place]] * level)
                    count += 1
        if count >= most:
            best = max(best, np.partition(some[:count], count - most)[count - most])
    return best * (1 - 1e-9)


@kernel
def _at_price(worth: float, dearer: float) -> float:
    """Return a worth, held back by how much dearer or cheaper the thing is than hers; as it is, where that is not a number."""
    if dearer > 1.0:
        return worth / dearer
    return worth * dearer if dearer <= 1.0 else worth


@kernel
def _taste(item: Codes, worth: Floats, codes: Codes, shift: Ints, price: Floats, liked: Floats, named: Ints) -> tuple[int, float]:
    """Write how much each word is liked; return how many words are, and the mean logarithm of the prices (NaN where none is known)."""
    heard, logs, priced = 0, 0.0, 0.0
    for step in range(len(item)):
        thing = item[step]
        if not np.isnan(price[thing]):
            logs, priced = logs + worth[step] * price[thing], priced + worth[step]
        for a in range(len(codes)):
            if codes[a, thing] >= 0:
                word = shift[a] + codes[a, thing]
                if liked[word] == 0.0:
                    named[heard] = word
                    heard += 1
                liked[word] += max(worth[step], 1e-300)
    return heard, logs / priced if priced > 0 else np.nan


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Content, ContentModel, Words)}
"""What a stored model of this file may be made of."""
