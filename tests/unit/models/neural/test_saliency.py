"""What single events contribute: beside a fold that leaves each of them out, and in words."""

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from tests.unit.models.neural.small import GRID, QUICK, ask, drawn_sequences, train
from whenbuy.core.arrays import DAY
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import SettingsError, UsageError
from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.gru import Gru
from whenbuy.models.neural.live import LiveNet
from whenbuy.models.neural.mlp import Mlp
from whenbuy.models.neural.saliency import saliency, without
from whenbuy.models.neural.temporal_cnn import TemporalCnn

LATEST = 4


@cache
def fitted(encoder=None):
    return NeuralCurve(GRID, encoder or Gru(8), windows=False, hidden=(16,), training=replace(QUICK, epochs=2)).fit(train())


@cache
def some():
    """The most and the least active of some customers."""
    asked = ask()
    order = np.argsort(asked.block("sequences", Sequences).lengths, kind="stable")
    return asked.take(np.concatenate([order[:6], order[100:104], order[-2:]]))


def folded(model, sequences, row, left_out=None):
    """P(buys within 7 days) after single steps through the events of a key, but for one of them; gaps by the clock."""
    net = LiveNet(model.net)
    state, before = net.start(), None
    start, stop = int(sequences.start[row]), int(sequences.stop[row])
    for token in range(start, stop):
        if token == left_out:
            continue
        names = {name: sequences.dictionaries[name].ids[int(code[token])] for name, code in sequences.codes.items() if code[token] >= 0}
        numbers = {name: float(part[token]) for name, part in sequences.numbers.items() if name != "log_gap_days"}
        gap = None if before is None else max(int(sequences.time[token]) - before, 0) / DAY
        net.step(state, names, numbers, gap)
        before = int(sequences.time[token]) if before is None else max(before, int(sequences.time[token]))
    latest = int(sequences.time[start:stop].max())
    since = np.nan if before is None else float(sequences.since_days[row]) + (latest - before) / DAY
    out = net.answer(state, since, np.zeros(0))
    return 1.0 - np.exp(-np.logaddexp(0.0, out[: GRID.index(7.0) + 1].astype(float)).sum())


def test_a_contribution_is_the_chance_without_the_event_folded_step_by_step():
    model, asked = fitted(), some()
    sequences, found = asked.block("sequences", Sequences), saliency(model, asked, 7.0, latest=LATEST)
    assert found.row.tolist() == np.repeat(np.arange(len(asked)), np.minimum(sequences.lengths, LATEST)).tolist()
    np.testing.assert_array_equal(found.chance, model.predict(asked).probability(7.0))
    assert np.abs(found.by).max() > 0.01
    for row in range(len(asked)):
        stop, own = int(sequences.stop[row]), np.flatnonzero(found.row == row)
        for place, at in enumerate(own.tolist()):
            event = stop - len(own) + place
            assert found.age_days[at] == (asked.keys.cutoff[row] - sequences.time[event]) / DAY
            wanted = folded(model, sequences, row) - folded(model, sequences, row, event)
            assert found.by[at] == pytest.approx(wanted, abs=2e-5)


def test_no_contribution_depends_on_who_else_is_asked():
    together, alone = saliency(fitted(), some(), latest=LATEST), saliency(fitted(), some().take(np.array([10])), latest=LATEST)
    assert together.by[together.row == 10].tobytes() == alone.by.tobytes()


def test_leaving_a_token_out_keeps_the_others_where_they_are():
    sequences = drawn_sequences(np.random.default_rng(3)).packed()
    row = np.repeat(np.arange(len(sequences)), sequences.lengths)
    event = np.arange(len(row))
    fewer = without(sequences, row, event)
    gaps = np.expm1(sequences.numbers["log_gap_days"].astype(float))
    for i in range(len(row)):
        start, stop = int(sequences.start[row[i]]), int(sequences.stop[row[i]])
        stay = [token for token in range(start, stop) if token != i]
        part = slice(int(fewer.start[i]), int(fewer.stop[i]))
        np.testing.assert_array_equal(fewer.codes["kind"][part], sequences.codes["kind"][stay])
        np.testing.assert_array_equal(fewer.numbers["amount"][part], sequences.numbers["amount"][stay])
        ahead = [np.nansum(gaps[token + 1 : stop]) + sequences.since_days[row[i]] for token in stay]  # days to the read-out
        kept = np.expm1(fewer.numbers["log_gap_days"][part].astype(float))
        told = [np.nansum(kept[place + 1 :]) + fewer.since_days[i] for place in range(len(stay))]
        np.testing.assert_allclose(told, ahead, rtol=1e-5)
        assert np.isnan(fewer.since_days[i]) == (not stay)


def test_an_encoder_that_needs_torch_is_asked_the_same_way():
    found = saliency(fitted(TemporalCnn(8, 2)), some(), latest=2)
    assert np.isfinite(found.by).all()
    assert np.abs(found.by).max() > 0


def test_it_is_told_in_words_and_as_a_table():
    found = saliency(fitted(), some(), latest=LATEST)
    frame = found.frame()
    assert frame.height == len(found)
    assert {"user_id", "age_days", "kind", "item_id", "chance", "by"} <= set(frame.columns)
    strongest = frame.filter(pl.col("user_id") == found.keys.ids()[10]).sort(pl.col("by").abs(), descending=True).row(0, named=True)
    told = found.words(10, most=2)
    assert 1 <= len(told) <= 2
    assert strongest["kind"] in told[0]
    assert ("raises" if strongest["by"] > 0 else "lowers") in told[0]
    assert f"to {strongest['chance']:.1%}." in told[0]
    nothing = saliency(fitted(), some().take(np.zeros(0, np.int64)))
    assert len(nothing) == 0
    assert nothing.words(0) == ()


def test_what_cannot_be_asked_is_said():
    windows = NeuralCurve(GRID, Mlp(), hidden=(8,), training=replace(QUICK, epochs=1)).fit(train())
    with pytest.raises(UsageError, match="window features alone"):
        saliency(windows, some())
    with pytest.raises(SettingsError, match="above 0"):
        saliency(fitted(), some(), latest=0)
    with pytest.raises(SettingsError, match="above 0"):
        saliency(fitted(), some(), days=0.0)
