"""The quality of the nets: what comes next in the event sequences of Taobao, and all encoders beside each other on it; area `nets`.

Each test event is told from the true events before it: gaps from the third on (root mean squared error, in the data's unit of 10,000
seconds), kinds from the second on. Epochs are chosen on the data's own validation sequences; the test sequences are looked at once, at the
end. What answers is the mean of four nets; its chances of the kinds are mixed with those of boosted trees over pairs of a moment and a
kind, in the shares that have the least log-loss on the validation sequences. The table gives every encoder the same processor time and the
same settings.

On Complete Journey what `fit` chooses as it is, nets among its candidates, is held against what it chooses without any net, on the protocol
of the area `forecast`: once, on the test weeks. The cost is that of the whole fit, with all the answers that every fit learns.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from benchmarks.rows import DATA, ROOT, YARDSTICK, Row, costs, data_folder, yardstick_folder
from whenbuy.core.arrays import DAY, Floats, Ints
from whenbuy.core.blocks import Sequences
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.keys import Keys
from whenbuy.core.learner import Learner
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
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.which.next_act import ActTrees

AREA = "nets"
RMSE = Row(area=AREA, name="taobao_rmse", unit="10⁴ s", better="lower", peer=0.4262, target=0.42)
KIND = Row(area=AREA, name="taobao_type_error", unit="share", better="lower", peer=0.409, target=0.39)
LOGLIK = Row(area=AREA, name="taobao_loglik", unit="nats per gap", better="higher")
JOURNEY = (
    (Row(area=AREA, name="cj_nets_auc", unit="AUC", better="higher", peer=0.8304, target=0.8315), "auc_7d"),
    (Row(area=AREA, name="cj_nets_logloss", unit="nats", better="lower", peer=0.5036, target=0.5015), "logloss_7d"),
    (Row(area=AREA, name="cj_nets_ece", unit="share", better="lower", peer=0.0095, target=0.0070), "ece_7d"),
    (Row(area=AREA, name="cj_nets_ibs", unit="Brier", better="lower", peer=0.1372, target=0.1365), "ibs_28d"),
    (Row(area=AREA, name="cj_nets_c", unit="C", better="higher", peer=0.7512, target=0.7535), "c_index"),
)
"""The floor of each is what is chosen without nets."""
CURVE = Row(area=AREA, name="cj_nets_curve", unit="nats", better="lower")
"""Log-loss, mean over `LENGTHS`: by this `fit` chooses."""
CURVE_AUC = Row(area=AREA, name="cj_nets_curve_auc", unit="AUC", better="higher")
"""The same of the AUC."""
LENGTHS = (1, 3, 7, 14, 28)
FIT_S = Row(area=AREA, name="cj_nets_fit_s", unit="CPU s", better="lower", target=360)
FIT_MIB = Row(area=AREA, name="cj_nets_fit_mib", unit="MiB", better="lower", target=2048)
BUILD = ROOT / "build" / "quality"
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
TREES = ActTrees(1.0, Boosting(trees=300, learning_rate=0.06, leaves=16, min_leaf=100, feature_fraction=0.7), most=2_000_000)
"""Which kind comes: the chain after the last kind, her share of each, what followed the same kind before, how long ago it was."""
SAME_S = 20.0
"""Processor seconds that each encoder of the table has."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of some events: the gap and the density of the true one, and the chance of each kind."""

    gap: Any
    log_density: Any
    kinds: Any


def rows() -> Iterator[Row]:
    yield from taobao()
    yield from journey()


def journey() -> Iterator[Row]:
    """When, on Complete Journey: what is chosen as it is beside what is chosen without nets."""
    yardstick = yardstick_folder()
    if yardstick is None:
        yield from (row.without(YARDSTICK) for row in (*(row for row, _ in JOURNEY), CURVE, CURVE_AUC, FIT_S, FIT_MIB))
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    paths = [str(BUILD / f"journey_{name}.parquet") for name in ("nets", "no_nets")]
    (cost,), (without,) = (costs(f"{__name__}:household_curves", path, path == paths[0], times=1) for path in paths)
    (found, (low, high)), (beside, _) = _yardstick(yardstick, *paths), _yardstick(yardstick, *paths[::-1])
    for row, key in JOURNEY:
        notes = {"logloss_7d": f"less that without nets: {low:+.4f} to {high:+.4f}", "auc_7d": str(cost.answer)}
        yield replace(row, floor=beside[key]).got(found[key], note=notes.get(key, ""))
    yield from _whole_curve(yardstick, *paths)
    yield FIT_S.got(cost.cpu_s, note=f"all answers, and the forecasts; the curve alone without nets {without.cpu_s:.0f}")
    yield FIT_MIB.got(cost.peak_mib)


def _yardstick(folder: Path, path: str, other: str) -> tuple[dict[str, float], list[float]]:
    """What the yardstick prints of a forecast file: its scores, and the interval of its log-loss of 7 days less that of another."""
    work = [sys.executable, str(folder / "complete_journey.py"), path, "--against", other]
    scores, against = subprocess.run(work, capture_output=True, text=True, check=True).stdout.splitlines()
    return json.loads(scores)["scores"], json.loads(against)["logloss_difference_95"]


def _whole_curve(folder: Path, *paths: str) -> Iterator[Row]:
    """Log-loss and AUC along the curve with nets and without, by the yardstick's own truth and households."""
    sys.path.insert(0, str(folder))
    judge, scores = import_module("complete_journey"), import_module("scores")
    happened, at = judge.truth(*judge.frames()), np.array(LENGTHS)
    (table, nets), (_, none) = (judge.joined(path, happened) for path in paths)
    days, censor = table["days"].to_numpy()[:, None], table["censor"].to_numpy()[:, None]
    came, seen = (days <= at) & table["observed"].to_numpy()[:, None], at <= censor

    def losses(chance: Floats) -> Floats:
        told = np.clip(chance[:, at - 1], 1e-6, 1 - 1e-6)
        return np.asarray(-np.where(came, np.log(told), np.log1p(-told)) * seen)

    ours, floor, households = losses(nets), losses(none), table["household_id"].to_numpy()

    def mean(each: Floats, rows: Any = slice(None)) -> float:
        return float((each[rows].sum(axis=0) / seen[rows].sum(axis=0)).mean())

    def ranked(chance: Floats, rows: Any = slice(None)) -> float:
        pairs = zip(seen[rows].T, came[rows].T, chance[rows][:, at - 1].T, strict=True)
        return float(np.mean([roc_auc_score(true[known], told[known]) for known, true, told in pairs]))

    low, high = scores.bootstrap_difference(lambda rows: mean(ours - floor, rows), households)
    yield replace(CURVE, floor=mean(floor)).got(mean(ours), note=f"less that without nets: {low:+.5f} to {high:+.5f}")
    low, high = scores.bootstrap_difference(lambda rows: ranked(nets, rows) - ranked(none, rows), households)
    yield replace(CURVE_AUC, floor=ranked(none)).got(ranked(nets), note=f"less that without nets: {low:+.5f} to {high:+.5f}")


def household_curves(path: str, nets: bool) -> str:
    """Write the curves of all households each week, by `fit` as it is or by the curve alone without nets; return what is chosen."""
    from whenbuy.ingest.read import read as read_layout
    from whenbuy.pipeline.learning.catalogue import learners
    from whenbuy.pipeline.learning.grid import Grid
    from whenbuy.pipeline.learning.learn import fit

    def candidates(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
        if nets:
            return learners(answer, grid)
        return tuple(one for one in learners(answer, grid) if not one.name.startswith("net")) if answer == "purchase" else ()

    history, days = read_layout(layout="complete_journey").history, np.arange(1.0, 29.0)
    cutoffs = history.clock.instant("2017-01-01") + np.arange(309, 359, 7) * DAY
    model = fit(history, int(cutoffs[0]), candidates=candidates)
    keys = history.panel(cutoffs)
    chance = np.maximum.accumulate(model.answer(history, keys).purchase.probability(days), axis=1)
    place = {"household_id": keys.ids().cast(pl.Int64), "cutoff_day": pl.Series((keys.cutoff - cutoffs[0]) // DAY + 309)}
    pl.DataFrame(chance, [f"p_day_{day:.0f}" for day in days]).with_columns(**place).write_parquet(path)
    return "; ".join(f"{one.model} {one.value:.5f}" + " (chosen)" * one.chosen for one in model.choices if one.answer == "purchase")


def taobao() -> Iterator[Row]:
    """What comes next on Taobao."""
    data = data_folder()
    if data is None:
        yield from (row.without(DATA) for row in (RMSE, KIND, LOGLIK))
        return
    frame = read(data)
    start = time.process_time()
    team = [learned(frame, how) for how in TEAM]
    trees = TREES.fit(moments(frame, "train"))
    share = _share(team, trees, frame)
    told = [tell(net, frame, "test") for net in team]
    gap, nets = np.mean([one.gap for one in told], axis=0), np.mean([one.kinds for one in told], axis=0)
    density = np.log(np.mean(np.exp([one.log_density for one in told]), axis=0))
    seconds, truth = time.process_time() - start, frame.filter(split="test")
    chance = share * kinds(trees, frame, "test") + (1 - share) * nets
    note = f"four nets, {seconds:.0f} CPU seconds; the mean gap {_floor_gap(frame):.4f}, the kind before {_floor_kind(truth):.1%}"
    rmse, error, likelihood = scored(truth, gap, chance, density)
    alone = scored(truth, gap, nets, density)[1]
    yield RMSE.got(rmse, floor=_floor_gap(frame), note=note)
    yield KIND.got(error, floor=_floor_kind(truth), note=f"the four nets alone {alone:.4f}; share of trees {share:.2f}")
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


def moments(frame: pl.DataFrame, split: str) -> Examples:
    """Each event of a part as an example: the events before it, and of which kind it is; the first of a sequence is no label."""
    told, pos = streams(frame, split, each_event=True), frame.filter(split=split)["pos"].to_numpy()
    kind, nothing = told.codes["kind"], np.zeros(len(pos), np.int64)
    acts = replace(told, codes={"act": kind}, dictionaries={"act": told.dictionaries["kind"]})
    sequence = np.cumsum(pos == 0) - 1
    keys = Keys("user", sequence.astype(np.int32), nothing, Dictionary.of(map(str, range(sequence[-1] + 1))))
    came = Labels((kind[:, None] == np.arange(KINDS)).astype(np.float64), pos >= 1, nothing)

    def nothing_else(_: Floats, rows: Ints) -> Table:
        return Table((), np.zeros((len(rows), 0), np.float32))

    return Examples(keys, nothing_else(np.zeros(0), pos), {"next": came}, nothing_else, blocks={"acts": acts})


def kinds(trees: Any, frame: pl.DataFrame, split: str) -> Floats:
    """The chance of each kind before each event of a part, by trees."""
    said = trees.predict(moments(frame, split), in_sample=True)
    chance = np.zeros((len(said.chance), KINDS))
    chance[:, [int(name) for name in said.classes]] = said.chance
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))


def _share(team: list[Events], trees: Any, frame: pl.DataFrame) -> float:
    """The share of the trees with which the kinds of the validation sequences are told with the least log-loss."""
    nets, trees_say = np.mean([tell(net, frame, "dev").kinds for net in team], axis=0), kinds(trees, frame, "dev")
    part = frame.filter(split="dev")
    rows = np.flatnonzero(part["pos"].to_numpy() >= 1)
    at = rows, part["type_event"].to_numpy()[rows]
    shares = np.linspace(0.0, 1.0, 21)
    losses = [-np.log(share * trees_say[at] + (1 - share) * nets[at] + 1e-9).mean() for share in shares]
    return float(shares[int(np.argmin(losses))])


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
