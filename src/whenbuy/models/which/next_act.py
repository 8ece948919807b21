"""The next act: what she does next, with what, within how long. A pooled Markov chain with gaps is the floor; trees read her own ways too.

The chance of act k within the horizon is told as one number, P(it is the next and comes in time), so what comes and when are answered
together: the chances of all acts sum to the chance that anything comes at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Codes, Floats, Ints, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Classes
from whenbuy.core.kernel import kernel
from whenbuy.core.learner import refuse_leak
from whenbuy.models.trees import TYPES as TREES
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting

BLOCK: Final = "acts"
"""The block of examples that tells the latest acts of each key."""
_ACT: Final = "act"
_GAP: Final = "log_gap_days"
_SILENCE: Final = (0.5, 1.0, 2.0, 4.0, 7.0, 14.0, 28.0, 56.0)
"""Edges of the stretches of silence, in days."""
_LENT: Final = (4.0, 16.0, 64.0, 256.0, 1024.0)
"""So many cases may be lent to a state from what is more general than it."""
FEATURES: Final = (
    "chain", "anything", "share", "after", "days_since", "steps_since", "silence_days", "steps", "mean_gap_days", "act", "last",
)  # fmt: skip
"""What trees read of a key and an act."""


@dataclass(frozen=True, slots=True)
class ActChain:
    """The pooled Markov chain with gaps: what comes next after the last act and so long a silence, for everybody.

    A share of the training rows in each state, drawn towards that of the last act alone times what the silence leaves of any act, and this
    towards everybody's, as if so many cases had been seen (a Dirichlet prior; Gelman et al. 2013, section 3.4). How many are lent is
    learned: the number with the least log-loss on users that the shares were not taken from (two folds).

    Parameters
    ----------
    horizon_days
        The length asked about.
    question
        Whose labels are read (n x k).
    """

    horizon_days: float
    question: str = "next"

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "act-chain"

    def fit(self, train: Examples, valid: Examples | None = None) -> ActChainModel:
        """Return the chain; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no label was seen, or no act came.
        """
        del valid
        cases = _Cases.of(train, self.question)
        return ActChainModel(self.name, cases.acts, cases.chain(cases.lent()), self.horizon_days, cases.known_until)


@dataclass(frozen=True, slots=True, eq=False)
class ActChainModel:
    """The chance of each act in each state: silence (the first: strangers) x last act (the last: none of them) x act."""

    name: str
    acts: tuple[str, ...]
    chance: Floats
    horizon_days: float
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Classes:
        """Return the chance of each key and act; of whom nothing is known gets everybody's, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        read = Read.of(examples, self.acts)
        return Classes(examples.keys, self.acts, self.told(read), self.horizon_days, self.name, read.strangers, in_sample)

    def told(self, read: Read) -> Floats:
        """Return the chances (n x k)."""
        return np.asarray(self.chance[read.stretch, read.last])


@dataclass(frozen=True, slots=True)
class ActTrees:
    """Boosted trees over pairs of a key and an act: the chain, her own acts, what she did after the same act before, how long ago.

    The chain that the trees read is learned from other users than those of the row (two folds), so its own cases do not speak out of it.
    The chances of a key are scaled down where they sum to more than one.

    Parameters
    ----------
    horizon_days
        The length asked about.
    grow
        How the trees are grown.
    most
        Above so many pairs keys are left out by chance.
    question
        Whose labels are read (n x k).
    seed
        Chooses the keys that are left out.
    """

    horizon_days: float
    grow: Boosting = Boosting(trees=150, learning_rate=0.06, leaves=16, min_leaf=100, feature_fraction=0.7)
    most: int = 600_000
    question: str = "next"
    seed: int = 0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "act-trees"

    def fit(self, train: Examples, valid: Examples | None = None) -> ActTreesModel:
        """Return the chain and the trees; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When no label was seen, or no act came.
        """
        del valid
        cases = _Cases.of(train, self.question)
        acts, lent = len(cases.acts), cases.lent()
        some = np.sort(np.random.default_rng(self.seed).permutation(len(cases.came))[: max(1, self.most // acts)])
        weight = np.repeat(cases.weight[some], acts)
        values = features_of(cases.read.take(some), cases.out_of_fold(lent)[some])
        trees = self.grow.grow(values, cases.came[some].ravel().astype(np.float64), weight)
        beside = ActChainModel("act-chain", cases.acts, cases.chain(lent), self.horizon_days, cases.known_until)
        return ActTreesModel(self.name, beside, trees)


@dataclass(frozen=True, slots=True, eq=False)
class ActTreesModel:
    """The chain and the trees that read it."""

    name: str
    chain: ActChainModel
    trees: Trees

    @property
    def known_until(self) -> int:
        """The end of the last label window that it saw."""
        return self.chain.known_until

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Classes:
        """Return the chance of each key and act. Raises as the chain does; strangers get what the chain says of them."""
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        read = Read.of(examples, self.chain.acts)
        beside = self.chain.told(read)
        chance = self.trees.predict(features_of(read, beside)).reshape(beside.shape)
        chance = chance / np.maximum(chance.sum(axis=1, keepdims=True), 1.0)
        chance = np.where(read.strangers[:, None], beside, chance)
        return Classes(examples.keys, self.chain.acts, chance, self.chain.horizon_days, self.name, read.strangers, in_sample)


# ----------------------------------------------------------------------------------------------------------- what is read


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What is read of some keys.

    Parameters
    ----------
    acts
        How many acts there are.
    stretch, last
        The stretch of silence, 0 for whom nothing is known of, and the last act, ``acts`` for none of them (n each).
    silence_days
        Days since the last act (n), NaN where nothing is known.
    start, stop, code, days
        The acts of key i are ``code[start[i] : stop[i]]``, ``acts`` for none of them; ``days`` are those since the first token.
    """

    acts: int
    stretch: Ints
    last: Ints
    silence_days: Floats
    start: Ints
    stop: Ints
    code: Codes
    days: Floats

    @classmethod
    def of(cls, examples: Examples, acts: tuple[str, ...]) -> Read:
        """Return what is read of examples with the block of acts; acts that are not among those named are none of them."""
        told = examples.block(BLOCK, Sequences)
        names = told.dictionaries[_ACT].ids.to_list()
        place = {name: code for code, name in enumerate(acts)}
        code = np.array([*(place.get(name, len(acts)) for name in names), len(acts)], np.int32)[told.codes[_ACT]]
        gap = np.expm1(np.nan_to_num(told.numbers[_GAP].astype(np.float64)))
        known = told.stop > told.start
        last = np.full(len(told), len(acts), np.int64)
        last[known] = code[told.stop[known] - 1]
        stretch = np.where(known, 1 + np.searchsorted(_SILENCE, np.nan_to_num(told.since_days), side="right"), 0)
        return cls(len(acts), stretch.astype(np.int64), last, told.since_days, told.start, told.stop, code, np.cumsum(gap))

    @property
    def strangers(self) -> Bools:
        """Of whom nothing is known (n)."""
        return np.asarray(self.stretch == 0)

    def take(self, rows: Ints | Bools) -> Read:
        """Return what is read of some of the keys."""
        stretch, last, silence = self.stretch[rows], self.last[rows], self.silence_days[rows]
        return Read(self.acts, stretch, last, silence, self.start[rows], self.stop[rows], self.code, self.days)


@dataclass(frozen=True, slots=True, eq=False)
class _Cases:
    """The training rows whose labels were seen."""

    acts: tuple[str, ...]
    read: Read
    came: Bools
    weight: Floats
    odd: Bools
    known_until: int

    @classmethod
    def of(cls, train: Examples, question: str) -> _Cases:
        label = train.label(question)
        acts = tuple(train.block(BLOCK, Sequences).dictionaries[_ACT].ids.to_list())
        weight = np.ones(len(train)) if train.weight is None else train.weight
        rows = np.flatnonzero(label.observed & (weight > 0))
        came = label.value[rows] > 0
        if not came.any():
            raise NotEnoughDataError(
                f"Of {len(train):,} training examples {len(rows):,} have a seen label, and none of {len(acts)} acts came next.",
                "What comes next is learned from what came next.",
                "Give a longer log.",
            )
        odd = train.keys.code[rows] % 2 == 1
        return cls(acts, Read.of(train.take(rows), acts), came, weight[rows].astype(np.float64), odd, int(label.end.max()))

    def chain(self, lent: float) -> Floats:
        """Return the chain of all of them."""
        return chain_of(self.read, self.came, self.weight, lent)

    def out_of_fold(self, lent: float) -> Floats:
        """Return what a chain of other users says of each row (n x k)."""
        found = np.empty(self.came.shape)
        for held in (self.odd, ~self.odd):
            taught = chain_of(self.read.take(~held), self.came[~held], self.weight[~held], lent)
            found[held] = taught[self.read.stretch[held], self.read.last[held]]
        return found

    def lent(self) -> float:
        """Return how many cases are lent."""
        losses = [_log_loss(self.out_of_fold(lent), self.came, self.weight) for lent in _LENT]
        return _LENT[int(np.argmin(losses))]


def chain_of(read: Read, came: Bools, weight: Floats, lent: float) -> Floats:
    """Return the chance of each act by silence and last act ((stretches + 2) x (k + 1) x k), each state lent so many cases."""
    stretches, k = len(_SILENCE) + 2, read.acts
    state = read.stretch * (k + 1) + read.last
    seen, hits = np.zeros(stretches * (k + 1)), np.zeros((stretches * (k + 1), k))
    np.add.at(seen, state, weight)
    np.add.at(hits, state, weight[:, None] * came)
    held, counts = seen.reshape(stretches, k + 1), hits.reshape(stretches, k + 1, k)
    everybody = (counts.sum(axis=(0, 1)) + 0.5 / k) / (held.sum() + 1.0)
    of_silence = _drawn(counts.sum(axis=1), held.sum(axis=1), everybody, lent)
    of_last = _drawn(counts.sum(axis=0), held.sum(axis=0), everybody, lent)
    ratio = np.minimum(of_silence.sum(axis=1) / everybody.sum(), 1.0 / of_last.sum(axis=1).max())
    found = _drawn(counts, held, of_last[None] * ratio[:, None, None], lent)
    found[0] = everybody
    return found


def _drawn(counts: Floats, held: Floats, towards: Floats, lent: float) -> Floats:
    return np.asarray((counts + lent * towards) / (held + lent)[..., None])


def features_of(read: Read, chain: Floats) -> Singles:
    """Return what trees read of each pair of a key and an act ((n * k) x features)."""
    out = np.full((len(read.last) * read.acts, len(FEATURES)), np.nan, np.float32)
    _write(read.start, read.stop, read.code, read.days, read.silence_days, read.last, chain, out)
    return out


@kernel
def _write(start: Ints, stop: Ints, code: Codes, days: Floats, silence: Floats, last: Ints, chain: Floats, out: Singles) -> None:
    """Fill the features in the order of their names."""
    n, k = chain.shape
    times, after, latest = np.zeros(k + 1), np.zeros(k + 1), np.full(k + 1, -1, np.int64)
    for i in range(n):
        times[:], after[:], latest[:] = 0.0, 0.0, -1
        before, total = 0.0, chain[i].sum()
        for t in range(start[i], stop[i]):
            times[code[t]] += 1.0
            latest[code[t]] = t
            if t + 1 < stop[i] and code[t] == last[i]:
                after[code[t + 1]] += 1.0
                before += 1.0
        length = stop[i] - start[i]
        for j in range(k):
            row = out[i * k + j]
            row[0], row[1], row[6], row[7], row[9], row[10] = chain[i, j], total, silence[i], length, j, last[i]
            if length == 0:
                continue
            row[2], row[3] = times[j] / length, (after[j] + chain[i, j]) / (before + 1.0)
            if latest[j] >= 0:
                row[4], row[5] = silence[i] + days[stop[i] - 1] - days[latest[j]], stop[i] - 1 - latest[j]
            if length > 1:
                row[8] = (days[stop[i] - 1] - days[start[i]]) / (length - 1)


def _log_loss(chance: Floats, came: Bools, weight: Floats) -> float:
    told = np.clip(chance, 1e-9, 1 - 1e-9)
    return float(weight @ -np.where(came, np.log(told), np.log1p(-told)).mean(axis=1))


TYPES: Final[Mapping[str, type]] = {
    **TREES, **{kind.__name__: kind for kind in (ActChain, ActChainModel, ActTrees, ActTreesModel)}
}  # fmt: skip
"""What a stored model of this file may be made of."""
