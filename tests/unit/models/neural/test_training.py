"""Training: the loop, its optimisers, its checkpoints, and what stops it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tests.unit.models.neural.small import GRID, QUICK, drawn_sequences, train
from whenbuy.core.errors import AccessError, DamagedError, NotEnoughDataError, SettingsError, UsageError
from whenbuy.models.neural import checkpoint
from whenbuy.models.neural.augment import Augment
from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.engine import torch
from whenbuy.models.neural.feed import Feed, Part
from whenbuy.models.neural.heads import CountHead, HazardHead
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.mlp import Mlp
from whenbuy.models.neural.next_event import NextHead
from whenbuy.models.neural.optimise import Optimiser
from whenbuy.models.neural.reading import padded
from whenbuy.models.neural.streams import Streams
from whenbuy.models.neural.tokens import GAP, Inputs
from whenbuy.models.neural.training import Course, Epoch, Training
from whenbuy.models.neural.training import train as learn

VARIED = Augment(crop=0.3, mask=0.1, reorder=0.1, jitter=0.2)
CURVE = NeuralCurve(
    GRID, LinearRecurrence(8, 1, dropout=0.1), (CountHead(),), NextHead(("kind", "item_id"), samples=16), inputs=Inputs(buckets=600),
    hidden=(16,), training=replace(QUICK, epochs=3, batch_reads=128, augment=VARIED),
)  # fmt: skip


class Killed(Exception):
    pass


def killed_after(epoch):
    def tell(progress):
        if progress.epoch == epoch:
            raise Killed

    return tell


@pytest.mark.parametrize(("method", "epoch"), [("adam", 1), ("adamw", 2), ("sgd", 1)])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(method, epoch, tmp_path):
    curve = replace(CURVE, training=replace(CURVE.training, optimiser=replace(QUICK.optimiser, method=method)))
    whole = curve.fit(train())
    with pytest.raises(Killed):
        curve.resume(train(), folder=tmp_path, tell=killed_after(epoch))
    assert (tmp_path / checkpoint.FILE).exists()
    told = []
    resumed = curve.resume(train(), folder=tmp_path, tell=told.append)
    assert len(told) == len(whole.course.epochs) - epoch
    assert resumed.course == whole.course
    for name, part in whole.net.weights.items():
        assert np.array_equal(part, resumed.net.weights[name])
    assert not (tmp_path / checkpoint.FILE).exists()


def test_a_changed_checkpoint_is_refused_and_one_of_another_training_too(tmp_path):
    with pytest.raises(Killed):
        CURVE.resume(train(), folder=tmp_path, tell=killed_after(1))
    path = tmp_path / checkpoint.FILE
    content = path.read_bytes()
    for other in (replace(CURVE, training=replace(CURVE.training, seed=5)), replace(CURVE, hidden=(12,))):
        with pytest.raises(UsageError, match="another training"):
            other.resume(train(), folder=tmp_path)
    for at in np.random.default_rng(0).integers(0, len(content), 40):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(DamagedError):
            CURVE.resume(train(), folder=tmp_path)
    path.write_bytes(content[:100])
    with pytest.raises(DamagedError):
        CURVE.resume(train(), folder=tmp_path)


def test_a_checkpoint_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AccessError):
        checkpoint.save(tmp_path / "file", {}, {})


# ------------------------------------------------------------------------------------------- a task of one number


class Line:
    """Fit a mean: the batches are numbers, the weight is one."""

    def __init__(self, batches, held_out=0.0):
        self._batches, self._held_out, self.shares, self.sparse, self.fingerprint = batches, held_out, {"error": 1.0}, (), "line"

    def batches(self, rng):
        return [Number(value) for value in self._batches]

    def held_out(self):
        return [Number(self._held_out)]

    def losses(self, weights, batch, chance):
        return {"error": ((weights["at"][0] - batch.value).square(), torch().tensor(1.0))}


class Number:
    def __init__(self, value):
        self.value, self.named, self.size = value, f"number {value}", 1


START = {"at": np.array([4.0], np.float32)}
LONG = Training(Optimiser(learning_rate=0.1, warm_up=0.0, schedule="constant", clip=0.0, weight_decay=0.0), epochs=40)
go = partial(learn, weights=START)


@pytest.mark.parametrize("method", ["adam", "adamw", "sgd"])
def test_every_method_goes_downhill(method):
    weights, course = go(Line([0.0] * 8), how=replace(LONG, optimiser=replace(LONG.optimiser, method=method)))
    assert abs(weights["at"][0]) < 0.1
    assert course.scores["error"] < 0.01


def test_it_keeps_the_best_epoch_and_stops_when_it_no_longer_improves():
    weights, course = go(Line([0.0] * 4, held_out=2.0), how=replace(LONG, patience=3))
    assert course.ended == "patience"
    assert len(course.epochs) == course.best + 4
    assert weights["at"][0] == pytest.approx(2.0, abs=0.3)
    assert not course.improving
    assert not course.note


def test_it_says_when_the_time_was_over_while_it_still_improved():
    ticks = iter(range(1000))
    _, course = go(Line([0.0]), how=replace(LONG, budget_s=3.5), clock=lambda: float(next(ticks)))
    assert (course.ended, len(course.epochs)) == ("budget", 3)
    assert course.improving
    assert "time budget ended after 3 epochs while validation still improved" in course.note
    _, course = go(Line([0.0]), how=replace(LONG, epochs=2))
    assert course.note.startswith("The last epoch was over after 2 epochs while validation still improved")


def test_a_loss_that_is_no_number_stops_it_names_the_batch_and_keeps_the_last_good_weights():
    class Breaking(Line):
        epoch = 0

        def batches(self, rng):
            self.epoch += 1
            return [Number(0.0), Number(np.nan if self.epoch == 3 else 0.0)]

    weights, course = go(Breaking([]), how=LONG)
    good, _ = go(Line([0.0, 0.0]), how=replace(LONG, epochs=2))
    assert weights["at"] == good["at"]
    assert course.ended == "broken"
    assert "batch 2 of epoch 3 (number nan)" in course.note
    with pytest.raises(NotEnoughDataError, match="batch 1 of epoch 1"):
        go(Line([np.inf]), how=LONG)
    with pytest.raises(NotEnoughDataError, match="validation rows"):
        go(Line([0.0], held_out=np.nan), how=LONG)


def test_where_the_validation_rows_say_nothing_the_training_loss_judges():
    class Mute(Line):
        def losses(self, weights, batch, chance):
            loss, weight = super().losses(weights, batch, chance)["error"]
            return {"error": (loss, weight * (chance is not None))}

    weights, course = go(Mute([0.0] * 8), how=LONG)
    assert abs(weights["at"][0]) < 0.5
    assert len(course.epochs) > LONG.patience + 1


def test_it_tells_how_far_it_is_and_how_long_it_still_takes():
    told, ticks = [], iter(range(1000))
    go(Line([0.0]), how=replace(LONG, epochs=4), tell=told.append, clock=lambda: float(next(ticks)))
    assert [(one.epoch, one.epochs, one.left_s) for one in told] == [(1, 4, 3.0), (2, 4, 2.0), (3, 4, 1.0), (4, 4, 0.0)]


def test_the_pace_warms_up_and_falls_along_a_cosine():
    optimiser = Optimiser(learning_rate=1.0, warm_up=2.0)
    pace = [optimiser.pace(epoch, 12) for epoch in (0.0, 1.0, 2.0, 7.0, 12.0)]
    assert pace == pytest.approx([0.0005, 0.5005, 1.0, 0.505, 0.01])
    assert replace(optimiser, schedule="constant").pace(12.0, 12) == 1.0


def test_a_long_slope_is_shortened_and_the_rows_of_large_tables_move_alone():
    library = torch()
    weights = {"tokens/large": library.ones(5, 2, requires_grad=True), "layers/0": library.ones(2, 2, requires_grad=True)}
    optimiser = Optimiser("sgd", learning_rate=1.0, clip=1.0, weight_decay=0.0)
    movers = optimiser.movers(weights, ("tokens/large",))
    row = library.nn.functional.embedding(library.tensor([3, 3]), weights["tokens/large"], sparse=True)
    (row.sum() * 30 + weights["layers/0"].sum() * 40).backward()
    optimiser.move(movers, 1.0)
    moved = [1 - part.detach().numpy() for part in weights.values()]
    assert sum((part**2).sum() for part in moved) == pytest.approx(1.0, rel=1e-5)
    assert (moved[0][[0, 1, 2, 4]] == 0).all()
    assert moved[0][3] == pytest.approx([moved[1][0, 0] * 1.5] * 2)


def test_a_course_knows_its_best_epoch():
    course = Course((Epoch(1.0, {"when": 3.0}), Epoch(1.0, {"when": 2.0}), Epoch(1.0, {"when": 2.5})), 1, "epochs")
    assert course.scores == {"when": 2.0}
    assert not course.improving


def test_settings_that_make_no_sense_are_refused():
    for wrong in (
        lambda: Training(budget_s=0), lambda: Training(held_out=1.0), lambda: Optimiser(learning_rate=0.0), lambda: Optimiser(clip=np.nan),
        lambda: Augment(crop=1.0), lambda: Inputs(buckets=1),
    ):  # fmt: skip
        with pytest.raises(SettingsError):
            wrong()


# ------------------------------------------------------------------------------------------- streams, batches, variation


def test_streams_share_tokens_and_batches_keep_to_the_budget():
    rng = np.random.default_rng(0)
    sequences = drawn_sequences(rng, users=60, most=40)
    streams = Streams.of(sequences)
    assert len(streams) == 60
    for stream in range(60):
        rows = streams.row[streams.offsets[stream] : streams.offsets[stream + 1]]
        assert (sequences.start[rows] == streams.start[stream]).all()
        assert np.array_equal(streams.place[streams.offsets[stream] : streams.offsets[stream + 1]], sequences.lengths[rows])
    seen = []
    for batch in streams.batches(100, 60, rng):
        assert len(batch) == 1 or len(batch) * streams.length[batch].max() <= 100
        reads, own = streams.reads(batch)
        assert len(batch) == 1 or len(reads) <= 60
        assert np.array_equal(streams.row[reads], np.concatenate([streams.row[streams.offsets[s] : streams.offsets[s + 1]] for s in batch]))
        assert np.array_equal(np.bincount(own), np.diff(streams.offsets)[batch])
        few, own = streams.reads(batch, 3, rng)
        assert np.bincount(own).max() == min(3, np.diff(streams.offsets)[batch].max())
        assert set(few) <= set(reads)
        seen += batch.tolist()
    assert sorted(seen) == list(range(60))
    assert [one.tolist() for one in streams.batches(100, 60)] == [one.tolist() for one in streams.batches(100, 60)]


def test_reordering_swaps_neighbours_within_their_stream():
    rng = np.random.default_rng(1)
    where = np.arange(40).reshape(20, 2)
    length = np.array([20, 7])
    out = Augment(reorder=0.5).reordered(where, length, rng)
    assert sorted(out[:, 0]) == sorted(where[:, 0])
    assert np.array_equal(out[7:, 1], where[7:, 1])
    assert np.abs(out - where).max() == 2
    assert not np.array_equal(out, where)
    assert Augment().reordered(where, length, rng) is where
    assert (Augment(crop=0.5).forgotten(np.array([100, 1, 0]), rng) <= [50, 0, 0]).all()


def varied(augment, mask=0.0):
    """The tokens of all streams before and behind variation, how names that are not met are coded, and the net."""
    rows = np.arange(len(train()))
    shape = CURVE.shape(CURVE.encoder, train(), rows, (HazardHead(GRID),), None)
    part = Part.of(shape, train(), rows)
    feed = Feed(shape, part, part, replace(QUICK, augment=augment), 0.0, mask)
    tokens = {name: each.numpy() for name, each in padded(part.tokens, part.streams.start, part.streams.length).items()}
    changed = feed._varied(padded(part.tokens, part.streams.start, part.streams.length), np.random.default_rng(4))
    return tokens, {name: each.numpy() for name, each in changed.items()}, np.array(shape.reader.unmet), shape.reader


def test_masking_hides_all_names_of_some_events_and_keeps_what_is_true():
    before, after, unmet, _ = varied(Augment(mask=0.25))
    hidden = (after["codes"] == unmet).all(axis=2)
    assert hidden.mean() == pytest.approx(0.25, abs=0.02)
    assert np.array_equal(after["codes"][~hidden], before["codes"][~hidden])
    assert np.array_equal(after["true"], before["codes"])
    assert np.array_equal(after["numbers"], before["numbers"])
    single = varied(Augment(), mask=0.1)[1]["codes"]
    assert (single != before["codes"]).any(axis=2).mean() > (single == unmet).all(axis=2).mean()  # name by name


def test_jitter_stretches_gaps_and_what_is_read_of_them_alike():
    before, after, _, reader = varied(Augment(jitter=0.2))
    some = before["gap_days"] > 0
    factor = np.log(after["gap_days"][some] / before["gap_days"][some])
    assert factor.mean() == pytest.approx(0.0, abs=0.02)
    assert factor.std() == pytest.approx(0.2, abs=0.02)
    assert (after["gap_days"][~some] == 0).all()
    at = 2 * tuple(reader.usual).index(GAP)
    others = [place for place in range(before["numbers"].shape[2]) if place != at]
    assert np.array_equal(after["numbers"][..., others], before["numbers"][..., others])
    rises, told = (after["numbers"][..., at] > before["numbers"][..., at])[some], before["gap_days"][some] > 1e-3
    assert np.array_equal(rises[told], (factor > 0)[told])
    faint = varied(Augment(jitter=1e-9))[1]
    np.testing.assert_allclose(faint["numbers"], before["numbers"], atol=1e-4)


def test_columns_of_a_million_names_share_a_few_rows_and_unmet_names_have_one():
    rng = np.random.default_rng(2)
    sequences = drawn_sequences(rng, users=40, most=30, items=1_000_000)
    reader = Inputs(buckets=100).learn(sequences, np.arange(len(sequences.time)))
    assert reader.rows < 110
    named = {column.column: column for column in reader.columns}
    assert named["item_id"].buckets == 100
    assert named["item_id"].places(sequences.dictionaries["item_id"]).max() <= 100
    tokens = reader.read(sequences)
    assert tokens.codes.max() < reader.rows
    none = sequences.codes["item_id"] < 0
    assert (tokens.codes[none, reader.columns.index(named["item_id"])] == reader.unmet[reader.columns.index(named["item_id"])]).all()


def test_a_net_of_windows_alone_learns_too(tmp_path):
    curve = NeuralCurve(GRID, Mlp(), training=replace(QUICK, epochs=2))
    with pytest.raises(Killed):
        curve.resume(train(), folder=tmp_path, tell=killed_after(1))
    assert curve.resume(train(), folder=tmp_path).course == curve.fit(train()).course
