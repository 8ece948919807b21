"""Blocks that only some candidates for the curve read: made where one is tried, kept where one answers, read live and in batch alike."""

from functools import cache

from tests.unit.serve.live_shop import apply_all, differences, events_after, joined, shop, stands_at
from whenbuy.core.arrays import DAY
from whenbuy.features import ActiveDays
from whenbuy.models.neural.days import NeuralDays
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.training import Training
from whenbuy.models.when.floors import PoissonRate
from whenbuy.models.which.class_rates import OwnClassRate
from whenbuy.models.wrapping.blend import Blend
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import every, types
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.learning.learn import fit, refit
from whenbuy.serve.live import LiveState


def by_days(grid):
    return NeuralDays(grid.days, LinearRecurrence(8, 1, decay=False), hidden=8, training=Training(epochs=2))


def candidates(answer, grid):
    blend = Blend((PoissonRate(grid.days), by_days(grid)), (0.5, 0.5))
    return {"purchase": (blend,), "classes": (OwnClassRate(grid.shortest),)}.get(answer, ())


@cache
def learned():
    return fit(shop(), shop().end - 12 * DAY, horizons=(7, 14), candidates=candidates)


def test_the_block_is_kept_where_a_member_of_what_answers_reads_it():
    assert learned().blocks["days"] == ActiveDays()
    assert set(learned().blocks) == {"days", "interactions"}


def test_it_is_not_kept_where_nothing_that_answers_reads_it():
    def beaten(answer, grid):
        hopeless = NeuralDays(grid.days, LinearRecurrence(2, 1, decay=False), hidden=1, training=Training(epochs=1))
        return (PoissonRate(grid.days), hopeless) if answer == "purchase" else ()

    found = fit(shop(), shop().end - 12 * DAY, horizons=(7, 14), candidates=beaten)
    chosen = next(choice.model for choice in found.choices if choice.chosen)
    assert ("days" in found.blocks) == chosen.startswith("net-days")


def test_live_is_batch():
    begin = shop().end - 6 * DAY
    base, events = stands_at(shop(), begin), events_after(shop(), begin)[:200]
    state = apply_all(LiveState.of(base, learned()), enumerate(events, 1))
    at = events[-1].known_at + 1
    users = [*dict.fromkeys(event.user for event in events[-20:] if event.user), "nobody"]
    assert differences(state, learned(), joined(base, events), users, at) < 1e-6


def test_it_is_learned_again_and_comes_back_from_a_bundle(tmp_path):
    again = refit(learned(), shop())
    assert again.blocks == learned().blocks
    bundle.save(tmp_path / "model", again, {})
    model, _ = bundle.load(tmp_path / "model", types())
    keys = shop().keys(None, shop().end)
    assert (model.answer(shop(), keys).purchase.survival == again.answer(shop(), keys).purchase.survival).all()


def test_it_can_be_asked_for_by_name():
    grid = Grid((1.0, 28.0), 1.0, (28.0,))
    assert any(isinstance(one, NeuralDays) for one in every("purchase", grid))
    assert not any(isinstance(one, NeuralDays) for one in every("amount", grid))
