"""Every ranker keeps the promises of a learner."""

import importlib
import inspect
import pkgutil
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import whenbuy.models.ranking
from tests.unit.models.ranking.shops import asked, shop
from whenbuy.core.codec import decode, encode
from whenbuy.core.errors import LeakError, NotEnoughDataError
from whenbuy.models.neural.pretrain import Pretraining
from whenbuy.models.ranking.content import Content
from whenbuy.models.ranking.due import DueItems
from whenbuy.models.ranking.factors import Factors
from whenbuy.models.ranking.hybrid import Hybrid
from whenbuy.models.ranking.item_item import ItemItem
from whenbuy.models.ranking.neighbours import Neighbours
from whenbuy.models.ranking.own import OwnItems
from whenbuy.models.ranking.popularity import Popularity
from whenbuy.models.ranking.sequence import NextThing
from whenbuy.models.trees.boosting import Boosting
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import types

INF = float("inf")
BRIEF = NextThing().learning
NET = NextThing(replace(BRIEF, training=replace(BRIEF.training, epochs=2)), first=5)
KNOWN = {
    learner.name: learner
    for learner in (
        Popularity(first=5), OwnItems(first=5), OwnItems(INF, INF, first=5), DueItems(first=5), ItemItem(first=5), Neighbours(first=5),
        Content(first=5), Factors(width=3, rounds=3, first=5), Factors("bpr", width=3, rounds=3, first=5), NET,
        Hybrid(grow=Boosting(trees=20, min_leaf=20), first=5),
    )
}  # fmt: skip
every = pytest.mark.parametrize("name", KNOWN)
BUYER = "u1"


@cache
def fitted(name):
    return KNOWN[name].fit(asked(as_of=80))


def ask(users=None, as_of=90):
    return asked(as_of=as_of, users=users, shelf=fitted("popularity").shelf)


def bits(ranking):
    return ranking.item.tobytes(), ranking.score.tobytes(), None if ranking.prior is None else ranking.prior.tobytes()


def test_no_ranker_escapes():
    found = set()
    for place in pkgutil.iter_modules(whenbuy.models.ranking.__path__):
        module = importlib.import_module(f"whenbuy.models.ranking.{place.name}")
        found |= {
            kind
            for kind in vars(module).values()
            if inspect.isclass(kind)
            and kind.__module__ == module.__name__
            and hasattr(kind, "fit")
            and not getattr(kind, "_is_protocol", False)
        }
    assert found == {type(learner) for learner in KNOWN.values()}
    assert isinstance(BRIEF, Pretraining)


@every
def test_settings_and_knowledge_are_two_things(name):
    assert not hasattr(KNOWN[name], "predict")
    assert not hasattr(fitted(name), "fit")
    assert fitted(name).name == name


@every
def test_a_bundle_gives_back_the_same_model(name, tmp_path):
    bundle.save(tmp_path / "model", fitted(name), {})
    model, _ = bundle.load(tmp_path / "model", types())
    assert model.known_until == fitted(name).known_until
    assert bits(model.predict(ask())) == bits(fitted(name).predict(ask()))
    assert encode(decode(encode(KNOWN[name], {}), {}, types()), {}) == encode(KNOWN[name], {})


@every
def test_the_same_seed_gives_the_same_bytes(name, tmp_path):
    for folder, model in (("one", fitted(name)), ("other", KNOWN[name].fit(asked(as_of=80)))):
        bundle.save(tmp_path / folder, model, {})
    for file in (bundle.MANIFEST, bundle.MODEL, bundle.ARRAYS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


@every
def test_no_ranking_depends_on_who_else_is_asked(name):
    whole = fitted(name).predict(ask())
    order = np.random.default_rng(1).permutation(len(whole))
    assert bits(whole.take(order)) == bits(fitted(name).predict(ask().take(order)))
    parts = [fitted(name).predict(ask().take(slice(i, i + 7))) for i in range(0, len(whole), 7)]
    assert b"".join(part.item.tobytes() for part in parts) == whole.item.tobytes()
    assert b"".join(part.score.tobytes() for part in parts) == whole.score.tobytes()
    alone, row = fitted(name).predict(ask([BUYER])), np.flatnonzero((whole.keys.ids() == BUYER).to_numpy())
    assert bits(alone) == bits(whole.take(row))


@every
def test_a_stranger_is_shown_what_everybody_wants(name):
    found = fitted(name).predict(ask([BUYER, "nobody", "no one"]))
    assert found.prior.tolist() == [False, True, True]
    assert (found.item[1] >= 0).all()
    assert bits(found.take(np.array([1]))) == bits(found.take(np.array([2])))


@every
def test_one_event_is_enough(name):
    history = shop()
    first = int(history.log.known_at[history.log.offsets[:-1]].min())
    keys = history.keys([history.log.users.ids[0]], first + 1)
    examples = replace(ask([history.log.users.ids[0]]), keys=keys)
    found = fitted(name).predict(examples, in_sample=True)
    assert (found.item[0] >= 0).any()


@every
def test_nobody_asked_is_nobody_answered(name):
    assert len(fitted(name).predict(ask([]))) == 0


@every
def test_it_refuses_a_cutoff_before_what_it_knows(name):
    assert fitted(name).known_until <= int(ask().keys.cutoff.min())
    with pytest.raises(LeakError):
        fitted(name).predict(ask(as_of=70))
    assert fitted(name).predict(ask(as_of=70), in_sample=True).in_sample


@every
def test_nothing_met_is_not_enough(name):
    examples = asked(as_of=80).take(slice(0, 0))
    with pytest.raises(NotEnoughDataError) as caught:
        KNOWN[name].fit(examples)
    assert all((caught.value.got, caught.value.need, caught.value.do))


@every
def test_one_customer_and_one_thing_end_in_an_answer_or_a_clear_error(name):
    for examples in (asked(as_of=80).take(slice(0, 1)), asked(as_of=80, users=["u0"])):
        model = learned(KNOWN[name], examples)
        if isinstance(model, NotEnoughDataError):
            assert all((model.got, model.need, model.do))
        else:
            assert len(model.predict(ask()).frame())


def learned(learner, examples):
    """What a ranker makes of examples: a model, or the error that says why there is none."""
    try:
        return learner.fit(examples)
    except NotEnoughDataError as error:
        return error
