"""Every compiled loop of the rankers equals a plain one."""

import math
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.arrays import DAY
from whenbuy.core.log import Dictionary
from whenbuy.core.ranking import Shelf, Trails
from whenbuy.models.ranking.best import _likely, best_of, best_of_each, nearest, write_best
from whenbuy.models.ranking.content import Content, ContentModel, _words, of_her_words
from whenbuy.models.ranking.due import visits
from whenbuy.models.ranking.item_item import led_to, near_things
from whenbuy.models.ranking.neighbours import Crowd, told_by_neighbours
from whenbuy.models.ranking.own import own_items
from whenbuy.models.ranking.pairs import FEATURES, pair_features, union
from whenbuy.models.ranking.reading import _fill, log_prices, steps_by_item

K, M = 6, 4


@st.composite
def trails(draw, most=5):
    """Some trails over six things."""
    offsets, item, time, order, strength = [0], [], [], [], []
    for _ in range(draw(st.integers(0, most))):
        day, number = 0, 0
        for _ in range(draw(st.integers(0, 8))):
            jump = draw(st.integers(0, 3))
            day, number = day + jump, number + (jump > 0)
            item.append(draw(st.integers(0, K - 1)))
            time.append(day * DAY)
            order.append(number)
            strength.append(draw(st.sampled_from([1.0, 1.0, 0.25])))
        offsets.append(len(item))
    codes = np.array([0, 1, 0, 1, -1, 0], np.int32)
    price = np.array([1, 2, np.nan, 4, 8, 1], np.float32)
    shelf = Shelf(Dictionary.of(map(str, range(K))), {"category": codes}, {"category": Dictionary.of(("a", "b"))}, price)
    at = np.full(len(offsets) - 1, 30 * DAY)
    parts = (np.array(item, np.int32), np.array(time, np.int64), np.array(order, np.int32), np.array(strength, np.float32))
    return Trails(shelf, np.array(offsets, np.int64), *parts, at)


def steps(trail, row):
    return range(int(trail.offsets[row]), int(trail.offsets[row + 1]))


def sorted_best(score, most=M):
    """Things with a score above 0, best first, ties by position, filled up with -1."""
    found = sorted((thing for thing, value in score.items() if value > 0), key=lambda thing: (-score[thing], thing))[:most]
    return [*found, *[-1] * (most - len(found))], [score[thing] for thing in found]


def same(found, worth, row, score, most=M):
    """Compare a row with a slow answer; where scores are nearly alike their order is chance."""
    item, value = sorted_best(score, most)
    assert np.allclose(worth[row][: len(value)], value, rtol=1e-6)
    assert np.isnan(worth[row][len(value) :]).all()
    kept = [thing for thing in found[row].tolist() if thing >= 0]
    assert len(kept) == len(value) == len(set(kept))
    for thing, wanted in zip(kept, value, strict=True):
        assert math.isclose(score[thing], wanted, rel_tol=1e-6)
    assert found[row].tolist()[len(kept) :] == item[len(kept) :]


@given(st.lists(st.sampled_from([0.0, -1.0, 1.0, 2.0, 2.0, 5.0]), min_size=K, max_size=K), st.permutations(range(K)), st.integers(0, K))
def test_the_best_are_those_of_a_sort(values, touched, count):
    score, item, out = np.zeros(K), np.empty(M, np.int32), np.empty(M)
    for thing in touched[:count]:
        score[thing] = values[thing]
    expected = sorted_best({thing: values[thing] for thing in touched[:count]})
    write_best(score, np.array(touched, np.int64), count, item, out)
    assert item.tolist() == expected[0]
    assert out[: len(expected[1])].tolist() == expected[1]
    assert not score.any()
    again = np.maximum(np.array(values), 0)
    best_of(again, item, out)
    assert item.tolist() == sorted_best(dict(enumerate(values)))[0]
    found, _ = best_of_each(np.array([0, K, K]), np.arange(K, dtype=np.int32), np.array(values), K, M)
    assert found[0].tolist() == sorted_best(dict(enumerate(values)))[0]
    assert found[1].tolist() == [-1] * M


@given(trails())
def test_own_items(trail):
    found, worth = own_items(trail.offsets, trail.item, trail.time, trail.order, trail.strength, trail.at, 0.1, 0.3, K, M)
    for row in range(len(trail)):
        score = dict.fromkeys(range(K), 0.0)
        for s in steps(trail, row):
            days, orders = (trail.at[row] - trail.time[s]) / DAY, trail.order[steps(trail, row)[-1]] - trail.order[s]
            score[int(trail.item[s])] += float(trail.strength[s]) * math.exp(-0.1 * days - 0.3 * orders)
        same(found, worth, row, score)


@given(trails(), st.integers(0, 3))
def test_what_stands_near_what(trail, reach):
    starts, places = steps_by_item(trail.item, K)
    assert [trail.item[p] for p in places.tolist()] == sorted(trail.item.tolist())
    worth = trail.strength.astype(float)
    decay, together, back, even = 0.5, 0.8, 0.3, 0.5
    offsets, near, weight = near_things(
        trail.offsets, trail.item, trail.order, worth, starts, places, reach, decay, together, back, even, K
    )
    total = {one: dict.fromkeys(range(K), 0.0) for one in range(K)}
    for row in range(len(trail)):
        for a in steps(trail, row):
            for b in steps(trail, row):
                one, other, apart = int(trail.item[a]), int(trail.item[b]), int(trail.order[b] - trail.order[a])
                if a == b or abs(apart) > reach or (one == other and (apart == 0 or a > b)):
                    continue
                share = together if apart == 0 else decay ** (abs(apart) - 1) * (1.0 if apart > 0 else back)
                total[one][other] += worth[max(a, b)] * share
    for one in range(K):
        part = slice(int(offsets[one]), int(offsets[one + 1]))
        count = max(int((trail.item == one).sum()), 1)
        score = {other: value / count**even for other, value in total[one].items()}
        assert dict(zip(near[part].tolist(), weight[part].tolist(), strict=True)) == {
            other: np.float32(value) for other, value in score.items() if value > 0
        } or all(math.isclose(w, score[int(n)], rel_tol=1e-5) for n, w in zip(near[part], weight[part], strict=True))
        assert len(near[part]) == sum(value > 0 for value in score.values())
    found, score_of = led_to(offsets, near, weight, trail.offsets, trail.item, trail.order, trail.strength, 0.6, 3, K, M)
    for row in range(len(trail)):
        score = dict.fromkeys(range(K), 0.0)
        for s in list(steps(trail, row))[-3:]:
            w = float(trail.strength[s]) * 0.6 ** int(trail.order[steps(trail, row)[-1]] - trail.order[s])
            for place in range(int(offsets[trail.item[s]]), int(offsets[trail.item[s] + 1])):
                score[int(near[place])] += w * float(weight[place])
        same(found, score_of, row, score)


@given(trails())
def test_neighbours(trail):
    kept = [row for row in range(len(trail)) if len(steps(trail, row))]
    lists = [[int(trail.item[s]) for s in steps(trail, row)] for row in kept]
    by = [[t for t, one in enumerate(lists) if thing in one] for thing in range(K)]
    starts = np.cumsum([0, *map(len, by)]).astype(np.int64)
    rare, weight = np.arange(1, K + 1, dtype=np.float32), np.arange(1, len(lists) + 1, dtype=np.float32)
    offsets = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    items, trails_by = (np.array(list(chain.from_iterable(each)), np.int32) for each in (lists, by))
    crowd = Crowd(offsets, items, starts, trails_by, rare, weight)
    found, worth = told_by_neighbours(crowd, trail.offsets, trail.item, (0.5, 0.5, 0.25), (3, 100, 4), M)
    for row in range(len(trail)):
        mine = [int(trail.item[s]) for s in list(steps(trail, row))[-4:]]
        last = {thing: place for place, thing in enumerate(mine)}
        alike = {}
        for t, one in enumerate(lists):
            shared = [0.5 ** (len(mine) - 1 - last[thing]) * float(rare[thing]) * float(weight[t]) for thing in last if thing in one]
            alike[t] = sum(shared)
        chosen = [t for t in sorted(alike, key=lambda t: (-alike[t], t)) if alike[t] > 0][:3]
        edge = sorted(alike.values(), reverse=True)
        if len(edge) > 3 and math.isclose(edge[2], edge[3], rel_tol=1e-9):
            continue  # who is third is chance
        score = dict.fromkeys(range(K), 0.0)
        for t in chosen:
            best = max(last[thing] for thing in lists[t] if thing in last)
            place = max(p for p, thing in enumerate(lists[t]) if last.get(thing, -1) == best)
            for p, thing in enumerate(lists[t]):
                if p != place:
                    score[thing] += alike[t] * 0.5 ** (abs(p - place) - 1) * (0.25 if p < place else 1.0)
        same(found, worth, row, score)


@given(trails())
def test_visits_and_pairs(trail):
    own = visits(trail)
    item = np.tile(np.arange(K, dtype=np.int32), len(trail))
    offsets = np.arange(len(trail) + 1, dtype=np.int64) * K
    told = dict(
        zip(
            FEATURES, pair_features(trail, trail.shelf, offsets, item).reshape(len(trail), K, len(FEATURES)).transpose(2, 0, 1), strict=True
        )
    )
    for row in range(len(trail)):
        seen = list(steps(trail, row))
        bought = {int(trail.item[s]) for s in seen if trail.strength[s] >= 1}
        part = slice(int(own.offsets[row]), int(own.offsets[row + 1]))
        assert set(own.item[part].tolist()) == bought
        for e in range(part.start, part.stop):
            mine = [s for s in seen if trail.item[s] == own.item[e] and trail.strength[s] >= 1]
            assert own.times[e] == len({int(trail.order[s]) for s in mine})
            assert own.span_days[e] == (trail.time[mine[-1]] - trail.time[mine[0]]) / DAY
            assert own.recency_days[e] == (trail.at[row] - trail.time[mine[-1]]) / DAY
        for thing in range(K):
            mine = [s for s in seen if trail.item[s] == thing]
            assert told["own_times"][row, thing] == len({int(trail.order[s]) for s in mine})
            assert told["steps"][row, thing] == len(seen)
            if mine:
                assert told["own_steps_ago"][row, thing] == seen[-1] - mine[-1]
                assert told["own_days_ago"][row, thing] == np.float32((trail.at[row] - trail.time[mine[-1]]) / DAY)
            else:
                assert np.isnan(told["own_days_ago"][row, thing])
            code = trail.shelf.attributes["category"]
            share = [s for s in seen if code[trail.item[s]] == code[thing] and code[thing] >= 0]
            whole = sum(float(trail.strength[s]) for s in seen)
            assert math.isclose(
                told["kind_share"][row, thing], sum(float(trail.strength[s]) for s in share) / whole if share else 0.0, rel_tol=1e-6
            )


@given(st.integers(0, 10_000))
def test_content(seed):
    """Two attributes, some words unknown and some things without a price: equal to a plain sum over all words and things."""
    rng = np.random.default_rng(seed)
    things, most = int(rng.integers(2, 40)), int(rng.integers(1, 6))
    codes = np.stack([rng.integers(-1, 3, things), rng.integers(-1, 5, things)]).astype(np.int32)
    price = np.where(rng.random(things) < 0.8, rng.normal(1, 1, things), np.nan).astype(np.float32)
    names = Dictionary.of(f"i{i}" for i in range(things))
    words = {"category": Dictionary.of("abc"), "brand": Dictionary.of("vwxyz")}
    shelf = Shelf(names, dict(zip(words, codes, strict=True)), words, np.exp(price))
    n = int(rng.integers(1, 4))
    offsets = np.sort(np.concatenate([[0, 12], rng.integers(0, 12, n - 1)])).astype(np.int64)
    item, worth = rng.integers(0, things, 12).astype(np.int32), rng.random(12) + 0.1
    told = {name: _words(shelf.attributes[name], rng.random(things) + 0.1, len(words[name]), 6) for name in words}
    model = ContentModel(Content(price=0.5), shelf, told, 0)
    found, out = of_her_words(offsets, item, worth, *model._table, most)
    logs = log_prices(shelf)
    for row in range(n):
        seen, score = range(offsets[row], offsets[row + 1]), dict.fromkeys(range(things), 0.0)
        known = [s for s in seen if not np.isnan(logs[item[s]])]
        usual = sum(worth[s] * float(logs[item[s]]) for s in known) / sum(worth[s] for s in known) if known else math.nan
        whole = sum(worth[s] for s in seen)
        for s in seen:
            for a, part in enumerate(told.values()):
                word = int(codes[a, item[s]])
                for place in range(int(part.offsets[word]), int(part.offsets[word + 1])) if word >= 0 else ():
                    thing = int(part.item[place])
                    apart = abs(float(logs[thing]) - usual)
                    score[thing] += worth[s] / whole * float(part.share[place]) * (1 if math.isnan(apart) else math.exp(-0.5 * apart))
        expected = sorted(((v, t) for t, v in score.items() if v > 1e-200), key=lambda one: (-one[0], one[1]))[:most]
        held = found[row] >= 0
        assert held.sum() == len(expected)
        assert out[row][held] == pytest.approx([v for v, _ in expected], rel=1e-6)
        assert [score[int(t)] for t in found[row][held]] == pytest.approx([v for v, _ in expected], rel=1e-6)


@given(st.integers(0, 3), st.integers(0, 99))
def test_candidates_and_filling(n, seed):
    rng = np.random.default_rng(seed)
    voices = np.full((2, n, 3), -1, np.int32)
    for v in range(2):
        for i in range(n):
            some = rng.permutation(K)[: rng.integers(0, 4)]
            voices[v, i, : len(some)] = some
    scores = rng.random((2, n, 3))
    own = np.sort(np.append(0, rng.integers(0, 5, n))).astype(np.int64)
    met = rng.integers(0, K, int(own[-1])).astype(np.int32)
    offsets, item, told = union(voices, scores, own, met, K)
    for i in range(n):
        part = slice(int(offsets[i]), int(offsets[i + 1]))
        expected = {int(t) for t in voices[:, i].ravel() if t >= 0} | {int(t) for t in met[own[i] : own[i + 1]]}
        assert set(item[part].tolist()) == expected
        assert len(item[part]) == len(expected)
        for c in range(part.start, part.stop):
            for v in range(2):
                place = voices[v, i].tolist().index(item[c]) if item[c] in voices[v, i] else None
                assert np.isnan(told[c, 2 * v]) if place is None else told[c, 2 * v + 1] == place
    usual, worth = rng.permutation(K)[None, :].astype(np.int32), np.sort(rng.random((1, K)))[:, ::-1].copy()
    filled, value = voices[0].copy(), np.where(voices[0] >= 0, -np.arange(3.0), np.nan)
    _fill(filled, value, np.zeros(n, np.int64), usual, worth)
    for i in range(n):
        kept = [int(t) for t in voices[0, i] if t >= 0]
        assert filled[i].tolist() == [*kept, *[int(t) for t in usual[0] if t not in kept]][:3]
        assert (np.diff(value[i]) <= 0).all()


def test_nearest_are_those_of_a_product():
    rng = np.random.default_rng(0)
    asked, table, bias = (rng.normal(size=size).astype(np.float32) for size in ((20, 6), (6, 5000), (5000,)))
    item, out = np.empty((20, M), np.int32), np.empty((20, M))
    nearest(asked, table, bias, item, out)
    score = asked.astype(np.float64) @ table + bias
    assert np.array_equal(item, np.argsort(-score, axis=1)[:, :M])
    shares = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    assert np.allclose(out, np.take_along_axis(shares, item.astype(int), axis=1), rtol=1e-4)
    alone, own = np.empty((1, M), np.int32), np.empty((1, M))
    nearest(asked[17:18], table, bias, alone, own)
    assert np.array_equal(alone[0], item[17])
    assert np.array_equal(own[0], out[17])  # bit for bit, whatever else is asked


def test_the_likely_hold_the_best_and_all_that_are_as_good():
    score = np.zeros(5000)
    score[[7, 300, 4999]] = 1.0, 2.0, 2.0
    assert _likely(score, 2).tolist() == [300, 4999]
    assert _likely(score, 3).tolist() == [7, 300, 4999]
    assert len(_likely(score, 4)) == 5000
    assert _likely(score[:100], 3).tolist() == list(range(100))
