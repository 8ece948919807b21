"""A small simulated shop for nets: examples with sequences, learned from up to a boundary and asked after it."""

from dataclasses import replace
from functools import cache

import numpy as np

from whenbuy.core.arrays import DAY
from whenbuy.core.blocks import Sequences
from whenbuy.core.examples import Examples
from whenbuy.features import ByClass, LatestEvents, default_features, most_bought
from whenbuy.ingest.simulate import simulate
from whenbuy.models.neural.optimise import Optimiser
from whenbuy.models.neural.training import Training
from whenbuy.pipeline.learning.build import examples, panel
from whenbuy.questions import NextAmount, NextClasses, NextPurchase, OrderCount

GRID = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 21.0, 28.0, 42.0, 56.0)
QUICK = Training(Optimiser(learning_rate=1e-2, warm_up=0.2), epochs=3, batch_tokens=512, batch_reads=64)
BLOCKS = {"sequences": LatestEvents(4096, names=("item_id", "category", "channel"), numbers=("amount", "quantity"))}


@cache
def shop():
    return simulate(users=200, days=180, seed=11).history


@cache
def boundary() -> int:
    return int(shop().clock.midnight_before(np.array([shop().end - 28 * DAY]))[0])


@cache
def classes():
    return most_bought(shop().cut(boundary()).log, most=3)


@cache
def blocks():
    return {**BLOCKS, "interactions": ByClass(classes())}


@cache
def spec():
    return default_features(shop().log)


@cache
def train() -> Examples:
    questions = (NextPurchase(28.0), OrderCount(28.0), NextAmount(28.0), NextClasses(14.0, classes()))
    cutoffs = np.arange(boundary() - 84 * DAY, boundary() - 1, 14 * DAY)
    return panel(shop().cut(boundary()), spec(), cutoffs, questions, blocks())


def ask(users=None, days: float = 0.0) -> Examples:
    keys = shop().keys(users, boundary() + round(days * DAY))
    return examples(shop(), spec(), keys, blocks=blocks())


def bits(forecast) -> tuple[bytes, bytes]:
    return forecast.survival.tobytes(), forecast.mean_count.tobytes()


def drawn_sequences(rng, users=6, most=12, items=5) -> Sequences:
    """Streams of random events, each asked about after every one of its prefixes, the empty one included."""
    from whenbuy.core.log import Dictionary

    lengths = rng.integers(1, most + 1, users)
    first = np.concatenate([[0], np.cumsum(lengths)])
    tokens = int(first[-1])
    start = np.concatenate([np.full(lengths[u] + 1, first[u]) for u in range(users)])
    stop = np.concatenate([first[u] + np.arange(lengths[u] + 1) for u in range(users)])
    gap = np.log1p(rng.exponential(5.0, tokens)).astype(np.float32)
    gap[first[:-1]] = np.nan
    amount = rng.lognormal(3, 1, tokens).astype(np.float32)
    amount[rng.random(tokens) < 0.3] = np.nan
    kinds, things = ("view", "cart", "purchase"), tuple(f"item {i}" for i in range(items))
    return Sequences(
        start, stop, np.where(stop > start, rng.exponential(9.0, len(start)), np.nan), np.zeros(tokens, np.int64),
        {"kind": rng.integers(0, 3, tokens).astype(np.int32), "item_id": rng.integers(-1, items, tokens).astype(np.int32)},
        {"log_gap_days": gap, "amount": amount},
        {"kind": Dictionary.of(kinds), "item_id": Dictionary.of(things)},
    )  # fmt: skip


def with_sequences(made: Examples, sequences) -> Examples:
    return replace(made, blocks={"sequences": sequences})
