"""The hybrid: several rankers name candidates, and trees learn from what was really taken whom to believe when."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from whenbuy.core.arrays import Bools, Codes, Floats, Ints, Singles
from whenbuy.core.errors import NotEnoughDataError, SettingsError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.ranking import Ranking, Shelf, Taken, place_on
from whenbuy.models.ranking.best import best_of_each
from whenbuy.models.ranking.content import Content
from whenbuy.models.ranking.due import DueItems
from whenbuy.models.ranking.item_item import ItemItem
from whenbuy.models.ranking.neighbours import Neighbours
from whenbuy.models.ranking.own import OwnItems
from whenbuy.models.ranking.pairs import FEATURES, pair_features, union
from whenbuy.models.ranking.popularity import Popularity
from whenbuy.models.ranking.reading import FIRST, Voice, answered, learned_from, require_first, trails_of, trends_of
from whenbuy.models.trees import TYPES as TREES
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting

_BLOCK: Final = 1 << 10
"""So many keys are answered at once: it bounds the memory."""


class Part(Protocol):
    """A learner of rankings that can be one of several."""

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""

    def fit(self, train: Examples, valid: Examples | None = None) -> Voice:
        """Return what these examples teach."""


PARTS: Final[tuple[Part, ...]] = (
    OwnItems(first=60), DueItems(first=60), ItemItem(reach=1, recent=0.9, first=60), Content(first=40), Popularity(0, first=60),
    Popularity(1, first=40), Popularity(2, first=40),
)  # fmt: skip
"""For customers, who come again."""
SESSION_PARTS: Final[tuple[Part, ...]] = (
    OwnItems(math.inf, 3.0, first=30), ItemItem(first=80), ItemItem(reach=3, decay=0.5, back=0.1, recent=0.3, first=60),
    ItemItem(halflife_days=7.0, first=40), ItemItem(reach=8, steps=1, first=40), Neighbours(count=300, near=0.75, first=80),
    Content(first=40), Popularity(1, first=20),
)  # fmt: skip
"""For sessions, of which only what was just looked at is known."""


@dataclass(frozen=True, slots=True)
class Hybrid:
    """Stacked rankers (Wolpert 1992, "Stacked generalization").

    Boosted trees read of each candidate what every ranker says of it, what the key's own trail says, and the trends, and answer with the
    chance that it is taken.

    Parameters
    ----------
    parts
        The rankers. One that finds nothing to learn from stays silent.
    grow
        How the trees are grown.
    most
        Above this number of pairs whole keys are left out, chosen by ``seed``.
    share
        Of the candidates that were not taken the trees see this share, chosen by ``seed``, each counting for as many: so as many pairs hold
        more keys, which is worth more where lists are long.
    first
        How many things a list has.
    question
        Whose labels are read.
    """

    parts: tuple[Part, ...] = PARTS
    grow: Boosting = Boosting(trees=200, learning_rate=0.06, leaves=24, min_leaf=80, feature_fraction=0.5)
    most: int = 800_000
    share: float = 1.0
    first: int = FIRST
    question: str = "items"
    seed: int = 0

    def __post_init__(self) -> None:
        require_first(self.name, self.first)
        if not self.parts or self.most < 1 or not 0 < self.share <= 1 or self.grow.objective != "binary":
            raise SettingsError(
                f"A hybrid of {len(self.parts)} rankers that learns from a share of {self.share} was asked for.",
                "It takes one at least, a share from above 0 to 1, and trees that answer yes or no.",
                "Change it.",
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "hybrid"

    def fit(self, train: Examples, valid: Examples | None = None) -> HybridModel:
        """Return rankers that learned from ``train`` and trees that learned from what the keys of ``valid`` took.

        Where ``valid`` is absent its part is played by ``train``: the rankers then learn from the trails of the very keys whose labels the
        trees see. That is how it will be for customers who come again; where other keys will be asked, such as new sessions, give both.

        Raises
        ------
        NotEnoughDataError
            When nothing can be learned, or nothing was taken.
        """
        asked = train if valid is None else valid
        shelf, voices, spoken = learned_from(train, self.name).shelf, [], []
        for place, part in enumerate(self.parts):
            try:
                voices.append(part.fit(train))
            except NotEnoughDataError:
                continue
            spoken.append(place)
        if not voices:
            raise NotEnoughDataError(
                f"None of the rankers {', '.join(part.name for part in self.parts)} could learn.", "One must.", "Read more."
            )
        taken = asked.label(self.question)
        if not isinstance(taken, Taken):
            raise UsageError(f"The labels {self.question!r} do not say which things were taken.", "They must.", "Ask `NextItems`.")
        untaught = HybridModel(self, shelf, tuple(voices), tuple(spoken), Trees.constant(0.0, 0), 0)
        trees = self._trees(untaught, asked, taken)
        seen = taken.end[taken.observed].max(initial=0)
        return replace(untaught, trees=trees, known_until=max(int(seen), *(voice.known_until for voice in voices)))

    def _trees(self, voices: HybridModel, asked: Examples, taken: Taken) -> Trees:
        """Return the trees that what was taken teaches."""
        known = np.flatnonzero(taken.observed & (taken.value > 0))
        if not len(known):
            raise NotEnoughDataError(
                f"Of {len(asked):,} customers nobody took anything afterwards.", "What was taken teaches whom to believe.", "Look earlier."
            )
        rng = np.random.default_rng(self.seed)
        rows = rng.permutation(known)
        values, came, left = [], [], self.most
        for start in range(0, len(rows), _BLOCK):
            part = np.sort(rows[start : start + _BLOCK]).astype(np.int64)
            offsets, item, told = voices.told(asked.take(part))
            hit = _taken(taken.take(part), voices.shelf, offsets, item)
            kept = slice(None) if self.share == 1 else np.flatnonzero(hit | (rng.random(len(hit)) < self.share))
            values.append(told[kept])
            came.append(hit[kept])
            left -= len(came[-1])
            if left <= 0:
                break
        target = np.concatenate(came).astype(np.float64)
        weight = None if self.share == 1 else np.where(target > 0, 1.0, 1.0 / self.share)
        return self.grow.grow(np.concatenate(values), target, weight)


@dataclass(frozen=True, slots=True, eq=False)
class HybridModel:
    """Rankers that have learned, which of the settings' parts they are, and the trees that weigh their words."""

    settings: Hybrid
    shelf: Shelf
    voices: tuple[Voice, ...]
    spoken: tuple[int, ...]
    trees: Trees
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def update(self, later: Examples) -> HybridModel:
        """Return the same trees over rankers that have learned again, from all that is known of everybody at a later moment.

        Raises
        ------
        UsageError
            When these trails end before what the model knows.
        """
        voices = tuple(self.settings.parts[place].fit(later) for place in self.spoken)
        known_until = max(voice.known_until for voice in voices)
        if known_until < self.known_until:
            raise UsageError("These trails end before what the model knows.", "It goes on from there.", "Give later ones.")
        return replace(self, shelf=learned_from(later, self.name).shelf, voices=voices, known_until=known_until)

    def told(self, examples: Examples) -> tuple[Ints, Codes, Singles]:
        """Return the candidates of each key, and of each what is known (pairs x features): voices, pair, trends."""
        trails = trails_of(examples, self.shelf)
        said = [voice.speak(examples) for voice in self.voices]
        width = max(item.shape[1] for item, _ in said)
        items, scores = np.full((len(said), len(trails), width), -1, np.int32), np.full((len(said), len(trails), width), np.nan)
        for v, (item, score) in enumerate(said):
            items[v, :, : item.shape[1]] = self._placed(v, item)
            scores[v, :, : item.shape[1]] = score
        offsets, item, heard = union(items, scores, trails.offsets, trails.item, len(self.shelf))
        row, rate = trends_of(examples, self.shelf)
        trend = np.log(rate[np.repeat(row, np.diff(offsets)), item] + np.float32(1e-4))
        return offsets, item, np.hstack([heard, pair_features(trails, self.shelf, offsets, item), trend]).astype(np.float32)

    def _placed(self, voice: int, item: Codes) -> Codes:
        """Return what a voice names as positions on this shelf."""
        shelf = self.voices[voice].shelf
        return item if shelf is self.shelf else place_on(self.shelf.names, shelf.names)[item]

    def speak(self, examples: Examples) -> tuple[Codes, Floats]:
        """Return the candidates by the chance that they are taken (n x m each)."""
        parts = []
        for start in range(0, len(examples), _BLOCK):
            offsets, item, told = self.told(examples.take(slice(start, start + _BLOCK)))
            parts.append(best_of_each(offsets, item, self.trees.predict(told), len(self.shelf), self.settings.first))
        if not parts:
            return np.empty((0, self.settings.first), np.int32), np.empty((0, self.settings.first))
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Ranking:
        """Return the ranking of each key."""
        return answered(self, examples, self.settings.first, in_sample=in_sample)

    def importance(self) -> Mapping[str, float]:
        """Return what each feature gained in training."""
        voices = [f"{self.settings.parts[place].name}_{what}" for place in self.spoken for what in ("score", "place")]
        names = [*voices, *FEATURES, *(f"trend_{i}" for i in range(self.trees.features - len(voices) - len(FEATURES)))]
        return {f"{place}:{name}": float(gain) for place, (name, gain) in enumerate(zip(names, self.trees.importance(), strict=True))}


def _taken(taken: Taken, shelf: Shelf, offsets: Ints, item: Codes) -> Bools:
    """Return which candidates were taken (pairs)."""
    things = len(shelf)
    thing = place_on(shelf.names, taken.names)[taken.item].astype(np.int64)
    owner, known = taken.owner, thing >= 0
    asked = np.repeat(np.arange(len(taken)), np.diff(offsets)) * things + item
    return np.isin(asked, owner[known] * things + thing[known])


TYPES: Final[Mapping[str, type]] = {**TREES, **{kind.__name__: kind for kind in (Hybrid, HybridModel)}}
"""What a stored model of this file may be made of."""
