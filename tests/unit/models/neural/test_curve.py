"""The curve of a net: what it promises, with torch and without."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.unit.models.neural.small import BLOCKS, GRID, QUICK, ask, bits, boundary, shop, spec, train, with_sequences
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import DamagedError, LeakError, NotEnoughDataError, SettingsError, UsageError, WhenbuyError
from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.gru import Gru
from whenbuy.models.neural.heads import AmountHead, CountHead, HazardHead
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.live import LiveNet
from whenbuy.models.neural.lstm import Lstm
from whenbuy.models.neural.mlp import Mlp
from whenbuy.models.neural.next_event import NextHead
from whenbuy.models.neural.optimise import Optimiser
from whenbuy.models.neural.pretrain import Pretraining
from whenbuy.models.neural.simple_rnn import SimpleRnn
from whenbuy.models.neural.temporal_cnn import TemporalCnn
from whenbuy.models.neural.training import Training
from whenbuy.models.neural.transformer import Transformer
from whenbuy.models.rows.asked import Layout
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.build import examples
from whenbuy.pipeline.learning.catalogue import types

LINEAR = NeuralCurve(GRID, LinearRecurrence(16, 2), (CountHead(), AmountHead()), NextHead(), hidden=(32,), training=QUICK)
LEARNERS = {
    learner.name: learner
    for learner in (
        LINEAR,
        NeuralCurve(GRID, Gru(16), training=QUICK),
        NeuralCurve(GRID, Lstm(8, 3), training=QUICK),
        NeuralCurve(GRID, SimpleRnn(16), training=QUICK),
        NeuralCurve(GRID, Mlp(), hidden=(32, 16), training=QUICK),
        NeuralCurve(GRID, TemporalCnn(16, 2), training=QUICK),
        NeuralCurve(GRID, Transformer(16, 1, 2), training=QUICK),
    )
}
every = pytest.mark.parametrize("name", LEARNERS)
live = pytest.mark.parametrize("name", [name for name, learner in LEARNERS.items() if learner.encoder.live])


@cache
def fitted(name):
    return LEARNERS[name].fit(train())


@every
def test_a_net_answers_when_better_than_everybody_alike(name):
    model, label = fitted(name), train().label("purchase")
    answer = model.predict(ask())
    assert answer.prior is not None
    assert not answer.prior.any()
    assert np.isfinite(answer.survival).all()
    seen = (label.end - train().keys.cutoff) >= 28 * DAY
    came = label.observed[seen] & (label.value[seen] < 28)
    told = model.predict(train(), in_sample=True).probability(28.0)[seen]
    plain = came.mean()

    def loss(chance):
        return -np.mean(np.where(came, np.log(chance), np.log1p(-chance)))

    assert loss(told) < loss(np.full(len(came), plain)) - 0.03
    assert told.mean() == pytest.approx(plain, abs=0.1)
    assert model.course.scores["when"] == min(epoch.scores["when"] for epoch in model.course.epochs)


@every
def test_a_bundle_gives_back_the_same_net(name, tmp_path):
    bundle.save(tmp_path / "net", fitted(name), {})
    model, _ = bundle.load(tmp_path / "net", types())
    assert bits(model.predict(ask())) == bits(fitted(name).predict(ask()))
    assert model.settings == LEARNERS[name]


@live
def test_no_bit_of_a_forecast_depends_on_who_else_is_asked(name):
    whole, model = ask(), fitted(name)
    at_once = model.predict(whole)
    for rows in (slice(0, 1), slice(3, 40), np.array([17, 5])):
        assert bits(model.predict(whole.take(rows))) == bits(at_once.take(rows))


@every
def test_strangers_get_the_answer_of_everybody_marked_prior(name):
    answer = fitted(name).predict(ask(["u001", "nobody", "no one"]))
    assert answer.prior.tolist() == [False, True, True]
    assert bits(answer.take(slice(1, 2))) == bits(answer.take(slice(2, 3)))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    again, other = LINEAR.fit(train()), replace(LINEAR, training=replace(QUICK, seed=1)).fit(train())
    weights = fitted(LINEAR.name).net.weights
    assert all(np.array_equal(again.net.weights[name], part) for name, part in weights.items())
    assert any(not np.array_equal(other.net.weights[name], part) for name, part in weights.items())


def test_it_refuses_a_cutoff_before_what_it_knows():
    model = fitted("net-mlp")
    earlier = examples(shop(), spec(), shop().keys(as_of=model.known_until - 1), blocks=BLOCKS)
    with pytest.raises(LeakError):
        model.predict(earlier)
    assert model.predict(earlier, in_sample=True).in_sample
    assert model.known_until <= boundary()


def test_validation_examples_choose_the_epoch_and_are_known():
    rows = train().keys.cutoff == train().keys.cutoff.max()
    learns, judged = train().take(np.flatnonzero(~rows)), train().take(np.flatnonzero(rows))
    model = LINEAR.fit(learns, judged)
    assert model.known_until == int(judged.label("purchase").end.max())
    assert set(model.course.scores) == {"when", "amount", "next time", "next kind", "next item_id"}


def test_counts_come_from_their_head():
    model, answer = fitted(LINEAR.name), fitted(LINEAR.name).predict(ask())
    assert model.count_days == 28.0
    told = np.exp(model.net.outputs(ask())[:, len(GRID)].astype(float))
    assert (answer.count_at(28.0) >= told - 1e-6).all()
    alike = answer.count_at(28.0) == pytest.approx(told, rel=1e-6)
    assert alike or (answer.count_at(28.0) >= answer.probability(28.0) - 1e-9).all()


# ------------------------------------------------------------------------------------------------------ without torch


ALONE = """
import sys, json
sys.modules["torch"] = None  # whoever imports it is told that it is not there
import numpy as np
from tests.unit.models.neural.small import ask, bits, train
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.engine import installed
found = {}
for name in sys.argv[2:]:
    model, _ = bundle.load(f"{sys.argv[1]}/{name}", types())
    try:
        found[name] = [part.hex() for part in bits(model.predict(ask()))]
    except Exception as error:
        found[name] = str(error)
try:
    NeuralCurve((1.0, 7.0)).fit(train())
except Exception as error:
    found["fit"] = str(error)
assert not installed()
assert not any(name.startswith("torch.") for name in sys.modules)
print(json.dumps(found))
"""


def test_live_nets_answer_without_torch_bit_for_bit_and_the_others_name_the_extra(tmp_path):
    for name in LEARNERS:
        bundle.save(tmp_path / name, fitted(name), {})
    run = subprocess.run([sys.executable, "-c", ALONE, str(tmp_path), *LEARNERS], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    for name, learner in LEARNERS.items():
        if learner.encoder.live:
            assert found[name] == [part.hex() for part in bits(fitted(name).predict(ask()))]
        else:
            assert "whenbuy[deep]" in found[name]
    assert "whenbuy[deep]" in found["fit"]


def test_importing_whenbuy_and_its_types_loads_no_torch():
    code = "import sys, whenbuy; from whenbuy.pipeline.learning.catalogue import types; types(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --------------------------------------------------------------------------------------------------- one event at a time


@live
def test_a_live_net_follows_a_customer_to_the_very_bits_of_the_batch(name):
    model, made = fitted(name), ask()
    net = LiveNet(model.net)
    outputs = model.net.outputs(made)
    sequences = made.blocks["sequences"]
    features = np.stack([made.table.column(column) for column in net.features], axis=1)
    for row in np.argsort(sequences.lengths)[[0, len(made) // 2, -1]]:
        state = net.start()
        for token in range(sequences.start[row], sequences.stop[row]):
            names = {
                column: sequences.dictionaries[column].ids[int(code[token])] for column, code in sequences.codes.items() if code[token] >= 0
            }
            numbers = {column: float(part[token]) for column, part in sequences.numbers.items() if column != "log_gap_days"}
            gap = float(np.expm1(np.float64(sequences.numbers["log_gap_days"][token])))
            net.step(state, names, numbers, None if np.isnan(gap) else gap)
        answer = net.answer(state, sequences.since_days[row], features[row])
        np.testing.assert_allclose(answer, outputs[row], atol=1e-6)


class Alone:
    """One customer, as compiled rows are asked about her."""

    def __init__(self, asked, row):
        self.values = asked.table.values[row : row + 1]


@pytest.mark.parametrize("further", [(), (CountHead(),)])
def test_a_net_of_windows_says_of_one_customer_what_it_says_of_all(further):
    model = NeuralCurve(GRID, Mlp(), further, hidden=(8,), training=replace(QUICK, epochs=1)).fit(train())
    asked = ask([*shop().log.users.ids.to_list()[:20], "somebody new"])
    said, row = model.predict(asked), model.row(Layout(asked.table.names, np.array(GRID)))
    for place in range(len(asked)):
        survival, count, prior = row.curve(Alone(asked, place), True)
        np.testing.assert_allclose(survival, said.survival[place], rtol=0, atol=1e-12)
        np.testing.assert_allclose(count, said.mean_count[place], rtol=0, atol=1e-12)
        assert prior == said.prior[place]
    assert said.prior[-1]
    assert row.compiled
    assert model.row(Layout(asked.table.names[1:], np.array(GRID))) is None
    assert fitted(LINEAR.name).row(Layout(asked.table.names, np.array(GRID))) is None


def test_a_net_that_reads_whole_streams_is_not_live():
    with pytest.raises(UsageError, match="One event at a time"):
        LiveNet(fitted("net-cnn-16x2").net)


# ----------------------------------------------------------------------------------------------------------- before it


def test_a_curve_may_begin_with_what_was_learned_from_all_events():
    before = Pretraining(head=NextHead(("kind",), share=1.0), training=replace(QUICK, epochs=1))
    model = replace(LINEAR, following=None, before=before).fit(train())
    events = replace(before, encoder=LINEAR.encoder).learn(train().blocks["sequences"])
    again = replace(LINEAR, following=None).resume(train(), start=events)
    assert all(np.array_equal(again.net.weights[name], part) for name, part in model.net.weights.items())
    assert not np.array_equal(model.net.weights["encoder/0/in"], replace(LINEAR, following=None).fit(train()).net.weights["encoder/0/in"])


def test_a_curve_may_be_tuned_to_a_group_of_users():
    group = train().take(np.flatnonzero(train().keys.code % 2 == 0))
    still = replace(LINEAR, training=replace(QUICK, epochs=1, optimiser=Optimiser(learning_rate=1e-12, weight_decay=0.0)))
    tuned = still.resume(group, start=fitted(LINEAR.name).net)
    assert tuned.net.shape.windows is fitted(LINEAR.name).net.shape.windows
    for name, part in fitted(LINEAR.name).net.weights.items():
        np.testing.assert_allclose(tuned.net.weights[name], part, atol=1e-6)
    with pytest.raises(UsageError, match="same encoder"):
        replace(LINEAR, encoder=Gru(16)).resume(group, start=fitted(LINEAR.name).net)


# ----------------------------------------------------------------------------------------------------------- bad input


def test_unknown_kinds_items_and_columns_are_read_as_not_met():
    made = ask()
    sequences = made.blocks["sequences"]
    strange = replace(
        sequences,
        dictionaries={name: replace_names(dictionary) for name, dictionary in sequences.dictionaries.items()},
        codes={name: code for name, code in sequences.codes.items() if name != "category"},
        numbers={name: part for name, part in sequences.numbers.items() if name != "amount"},
    )
    answer = fitted(LINEAR.name).predict(with_sequences(made, strange))
    assert np.isfinite(answer.survival).all()
    assert bits(answer) != bits(fitted(LINEAR.name).predict(made))


def replace_names(dictionary):
    from whenbuy.core.log import Dictionary

    return Dictionary.of([f"new {place}" for place in range(len(dictionary))])


def test_one_event_each_ten_thousand_in_one_session_and_all_at_one_instant():
    made = train()
    sequences = made.blocks["sequences"]
    one = replace(sequences, stop=np.minimum(sequences.stop, sequences.start + 1))
    still = replace(sequences, numbers={**sequences.numbers, "log_gap_days": np.zeros(len(sequences.time), np.float32)})
    long = tiled(sequences, 10_000)
    for wrong in (one, still, long):
        model = replace(LINEAR, training=replace(QUICK, epochs=1)).fit(with_sequences(made, wrong))
        assert np.isfinite(model.predict(with_sequences(made, wrong), in_sample=True).survival).all()


def tiled(sequences, length):
    """The same sequences, the first user's ending with so many more events of one instant."""
    first = np.flatnonzero(sequences.stop > sequences.start)[0]
    row = sequences.stop[first] - 1
    where = np.concatenate([np.arange(len(sequences.time)), np.full(length, row)])
    stop, start = sequences.stop.copy(), sequences.start.copy()
    start[first], stop[first] = len(sequences.time), len(where)
    codes = {name: code[where] for name, code in sequences.codes.items()}
    numbers = {name: part[where] for name, part in sequences.numbers.items()}
    return replace(sequences, start=start, stop=stop, time=sequences.time[where], codes=codes, numbers=numbers)


def test_examples_without_sequences_and_too_little_to_learn_from_say_so():
    with pytest.raises(WhenbuyError, match="sequences"):
        LINEAR.fit(replace(train(), blocks={}))
    label = train().label("purchase")
    nothing = replace(label, value=np.zeros_like(label.value), observed=np.zeros_like(label.observed))
    with pytest.raises(NotEnoughDataError):
        LINEAR.fit(replace(train(), labels={**train().labels, "purchase": nothing}))
    alone = train().take(np.flatnonzero(train().keys.code == train().keys.code[0]))
    for few in (alone, train().take(slice(0, 0))):
        with pytest.raises(NotEnoughDataError):
            LINEAR.fit(few)


def test_settings_that_make_no_sense_are_refused():
    for wrong in (
        lambda: NeuralCurve(GRID, hidden=(0,)), lambda: NeuralCurve(GRID, activation="sine"), lambda: NeuralCurve(GRID, dropout=1.0),
        lambda: LinearRecurrence(0), lambda: Gru(8, 0), lambda: Transformer(30, 1, 4), lambda: Training(epochs=0),
        lambda: NextHead(parts=0), lambda: Pretraining(task="else"), lambda: Pretraining(Mlp()),
        lambda: NeuralCurve(GRID, Mlp(), following=NextHead()),
    ):  # fmt: skip
        with pytest.raises(SettingsError):
            wrong()


def test_damaged_weights_are_refused():
    net = fitted("net-mlp").net
    for name, part in (("layers/0", net.weights["layers/0"][:-1]), ("layers/1", net.weights["layers/1"] * np.nan)):
        with pytest.raises(DamagedError):
            replace(net, weights={**net.weights, name: part})


# ------------------------------------------------------------------------------------------------------------ the heads


def test_the_hazard_of_bins_is_that_of_counting_them():
    """Rows alike: the weights of greatest likelihood are the shares of those who waited and were watched for the whole bin."""
    made = train()
    head = HazardHead(GRID)
    targets, label = head.targets(made), made.label("purchase")
    watched = (label.end - made.keys.cutoff) / DAY
    for place, (begin, end) in enumerate(zip((0.0, *GRID[:-1]), GRID, strict=True)):
        waits = (watched >= end) & ~(label.observed & (label.value < begin))
        assert np.array_equal(targets["waits"][:, place] > 0, waits)
        assert np.array_equal(targets["came"][:, place] > 0, waits & label.observed & (label.value < end))
    share = 1 / (1 + np.exp(-head.first(targets)))
    reach = head.reach(targets)
    assert share[:reach] == pytest.approx((targets["came"].sum(0) + 0.5)[:reach] / (targets["waits"].sum(0) + 1)[:reach], rel=1e-4)
    assert GRID[reach - 1] == 28.0
    fallen = head.fallen(np.tile(head.first(targets), (2, 1)), reach)
    pace = np.diff(fallen[0, reach - 1 :]) / np.diff(GRID[reach - 1 :])
    assert pace == pytest.approx(pace[0])
