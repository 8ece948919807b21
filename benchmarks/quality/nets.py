"""The quality of the nets: what comes next in the event sequences of Taobao, and all encoders beside each other on it; area `nets`.

Each test event is told from the true events before it: gaps from the third on (root mean squared error, in the data's unit of 10,000
seconds), kinds from the second on. Epochs are chosen on the data's own validation sequences; the test sequences are looked at once, at the
end. What answers is the mean of four nets. The table gives every encoder the same processor time and the same settings.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.rows import DATA, Row, data_folder
from whenbuy.core.arrays import DAY
from whenbuy.core.blocks import Sequences
from whenbuy.core.log import Dictionary
from whenbuy.models.neural.gru import Gru
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.lstm import Lstm
from whenbuy.models.neural.next_event import NextHead
from whenbuy.models.neural.optimise import Optimiser
from whenbuy.models.neural.pretrain import Events, Pretraining
from whenbuy.models.neural.simple_rnn import SimpleRnn
from whenbuy.models.neural.temporal_cnn import TemporalCnn
from whenbuy.models.neural.training import Training
from whenbuy.models.neural.transformer import Transformer

AREA = "nets"
RMSE = Row(area=AREA, name="taobao_rmse", unit="10⁴ s", better="lower", peer=0.4262, target=0.42)
KIND = Row(area=AREA, name="taobao_type_error", unit="share", better="lower", peer=0.409, target=0.39)
LOGLIK = Row(area=AREA, name="taobao_loglik", unit="nats per gap", better="higher")
UNIT_DAYS = 10_000 / 86_400
KINDS = 17
HOUR, OFFSET = DAY // 24, 8
"""The shop's clock is eight hours ahead of UTC."""
ENCODERS = (
    LinearRecurrence(64, 1), LinearRecurrence(64, 2, dropout=0.1), Gru(64), Lstm(64), Lstm(128, 3, dropout=0.1), SimpleRnn(64),
    TemporalCnn(64, 4), Transformer(64, 2),
)  # fmt: skip
LEARN = Pretraining(
    head=NextHead(("kind",), share=1.0, squared=1.0),
    training=Training(Optimiser(learning_rate=3e-3), epochs=26, patience=8, batch_tokens=2048, budget_s=120.0),
)
TEAM = tuple(
    replace(LEARN, encoder=encoder, training=replace(LEARN.training, seed=seed))
    for seed in (0, 1)
    for encoder in (LinearRecurrence(64, 2, dropout=0.1), Gru(64))
)
SAME_S = 20.0
"""Processor seconds that each encoder of the table has."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of some events: the gap and the density of the true one, and the chance of each kind."""

    gap: Any
    log_density: Any
    kinds: Any


def rows() -> Iterator[Row]:
    data = data_folder()
    if data is None:
        yield from (row.without(DATA) for row in (RMSE, KIND, LOGLIK))
        return
    frame = read(data)
    start = time.process_time()
    told = [tell(learned(frame, how), frame, "test") for how in TEAM]
    gap, chance = np.mean([one.gap for one in told], axis=0), np.mean([one.kinds for one in told], axis=0)
    density = np.log(np.mean(np.exp([one.log_density for one in told]), axis=0))
    seconds, truth = time.process_time() - start, frame.filter(split="test")
    note = f"four nets, {seconds:.0f} CPU seconds; the mean gap {_floor_gap(frame):.4f}, the kind before {_floor_kind(truth):.1%}"
    rmse, error, likelihood = scored(truth, gap, chance, density)
    yield RMSE.got(rmse, floor=_floor_gap(frame), note=note)
    yield KIND.got(error, floor=_floor_kind(truth))
    yield LOGLIK.got(likelihood)


def read(data: Path) -> pl.DataFrame:
    """The events of all sequences in their order."""
    return pl.read_parquet(data / "taobao_tpp" / "events.parquet").sort("split", "seq_id", "pos")


def streams(frame: pl.DataFrame, split: str, *, each_event: bool) -> Sequences:
    """The sequences of a part: whole, or asked about before each of their events."""
    part = frame.filter(split=split)
    pos = part["pos"].to_numpy()
    first = np.flatnonzero(pos == 0)
    length = np.diff(np.append(first, len(pos)))
    start = np.repeat(first, length) if each_event else first
    stop = np.arange(len(pos)) if each_event else first + length
    gap = np.log1p(part["time_since_last_event"].to_numpy() * UNIT_DAYS).astype(np.float32)
    gap[first] = np.nan
    instant = (part["time_since_start"].to_numpy() * UNIT_DAYS * DAY).astype(np.int64)
    codes = {
        "kind": part["type_event"].to_numpy().astype(np.int32),
        "hour": ((instant // HOUR + OFFSET) % 24).astype(np.int32),
    }
    names = {"kind": Dictionary.of(map(str, range(KINDS))), "hour": Dictionary.of(map(str, range(24)))}
    return Sequences(start, stop, np.zeros(len(start)), instant, codes, {"log_gap_days": gap}, names)


def learned(frame: pl.DataFrame, how: Pretraining) -> Events:
    """What the training sequences teach, judged on the validation sequences."""
    return how.learn(streams(frame, "train", each_event=False), streams(frame, "dev", each_event=False))


def tell(events: Events, frame: pl.DataFrame, split: str) -> Told:
    """What is told of each event of a part from those before it."""
    told = events.next(streams(frame, split, each_event=True))
    chance = np.zeros((len(told.gap_days), KINDS), np.float32)
    chance[:, told.names["kind"].ids.cast(pl.Int64).to_numpy()] = told.chance["kind"]
    true = frame.filter(split=split)["time_since_last_event"].to_numpy() * UNIT_DAYS
    return Told(told.gap_days / UNIT_DAYS, told.log_density(true) + np.log(UNIT_DAYS), chance)


def scored(truth: pl.DataFrame, gap: Any, chance: Any, density: Any) -> tuple[float, float, float]:
    """The root mean squared error of gaps, the share of wrong kinds, the mean logarithm of the density of gaps."""
    pos, true = truth["pos"].to_numpy(), truth["time_since_last_event"].to_numpy()
    kind = truth["type_event"].to_numpy()
    error = float(np.mean(chance.argmax(axis=1)[pos >= 1] != kind[pos >= 1]))
    return float(np.sqrt(np.mean((gap - true)[pos >= 2] ** 2))), error, float(density[pos >= 2].mean())


def encoders(split: str = "dev") -> pl.DataFrame:
    """All encoders on the same data with the same processor time: scores, seconds, epochs, parameters, microseconds of a step."""
    data = data_folder()
    if data is None:
        raise SystemExit(RMSE.without(DATA).note)
    frame, found = read(data), []
    for encoder in ENCODERS:
        how = replace(LEARN, encoder=encoder, training=replace(LEARN.training, budget_s=SAME_S, epochs=200, patience=200))
        start = time.process_time()
        events = learned(frame, how)
        seconds = time.process_time() - start
        told = tell(events, frame, split)
        rmse, error, likelihood = scored(frame.filter(split=split), told.gap, told.kinds, told.log_density)
        parameters = sum(part.size for part in events.weights.values())
        found.append((encoder.name, rmse, error, likelihood, seconds, len(events.course.epochs), parameters, _step_us(events)))
    names = ["encoder", "gap_rmse", "kind_error", "log_density", "cpu_s", "epochs", "parameters", "step_us"]
    return pl.DataFrame(found, schema=names, orient="row")


def _step_us(events: Events) -> float:
    """Microseconds of one event to a new state; NaN where an encoder reads whole streams."""
    from whenbuy.models.neural.kernels.steps import WORK, advance

    if not events.settings.encoder.live:
        return float("nan")
    cell, depth, flat, table, _ = events.reading.cell
    width = table.shape[1]
    state, work, best = np.zeros(2 * (depth + 1) * width, np.float32), np.zeros(WORK * width, np.float32), np.inf
    for _ in range(5):
        tokens = [table[i % len(table)].copy() for i in range(1000)]
        start = time.process_time()
        for token in tokens:
            advance(cell, depth, flat, 0.1, token, state, work)
        best = min(best, time.process_time() - start)
    return 1e3 * best


def _floor_gap(frame: pl.DataFrame) -> float:
    """The error of telling the mean gap of the training events."""
    mean = frame.filter(pl.col("split") == "train", pl.col("pos") >= 2)["time_since_last_event"].mean()
    true = frame.filter(pl.col("split") == "test", pl.col("pos") >= 2)["time_since_last_event"].to_numpy()
    return float(np.sqrt(np.mean((true - float(np.asarray(mean))) ** 2)))


def _floor_kind(truth: pl.DataFrame) -> float:
    """The share of events of another kind than the one before."""
    later = truth["pos"].to_numpy()[1:] >= 1
    return float(np.mean(np.diff(truth["type_event"].to_numpy())[later] != 0))
