"""The choice under limits: kernels against slow loops, prices against branch and bound."""

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, vstack

from tests.unit.decide.exact import solve
from whenbuy.decide import knapsack
from whenbuy.decide.gains import Options
from whenbuy.decide.knapsack import at_prices, choose, trace
from whenbuy.decide.limits import Limits

COUNTED = np.array([[True] * 6, [True, True, False, False, False, False], [False, False, False, True, False, False]])


def problem(seed, n, most=8, money=0.1):
    rng = np.random.default_rng(seed)
    size = rng.integers(0, most + 1, n)
    start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    m = int(start[-1])
    gain, cost = rng.gamma(1, 2, m), rng.gamma(1, 1, m) * (rng.random(m) < 0.9)
    made = Options(start, rng.integers(0, 6, m).astype(np.int16), np.zeros(m, np.int16), gain, cost, gain.astype("f4"), gain.astype("f4"))
    limits = Limits(float(cost.sum() * rng.random() * money), ("a", "b", "c"), COUNTED, np.floor(n * rng.random(3) * [0.6, 0.2, 0.1]))
    return made, limits


def used(made, limits, option):
    taken = option[option >= 0]
    return made.cost[taken].sum(), limits.counted.astype(float) @ np.bincount(made.pair[taken], minlength=6)


def slow_take(made, price, per_pair):
    option, left = [], 0.0
    for a, b in zip(made.start[:-1], made.start[1:], strict=True):
        value = made.gain[a:b] - price * made.cost[a:b] - per_pair[made.pair[a:b]]
        option.append(a + int(value.argmax()) if b > a and value.max() > 0 else -1)
        left += max(0.0, value.max(initial=0.0))
    return option, left


@pytest.mark.parametrize("seed", range(5))
def test_kernels_are_their_slow_twins(seed):
    made, _ = problem(seed, 60)
    rng = np.random.default_rng(seed)
    price, per_pair = rng.random(), rng.random(6)
    option, left, money, count = knapsack._take(made.start, made.pair, made.gain, made.cost, price, per_pair)
    wanted, total = slow_take(made, price, per_pair)
    assert option.tolist() == wanted
    assert left == pytest.approx(total)
    assert money == pytest.approx(made.cost[option[option >= 0]].sum())
    assert count.sum() == (option >= 0).sum()
    regret = knapsack._regret(made.start, made.pair, made.gain, made.cost, price, per_pair)
    for u, (a, b) in enumerate(zip(made.start[:-1], made.start[1:], strict=True)):
        value = sorted([0.0, *(made.gain[a:b] - price * made.cost[a:b] - per_pair[made.pair[a:b]])])
        assert regret[u] == pytest.approx(value[-1] - value[-2]) if b > a else regret[u] == np.inf
    better, loss = knapsack._upgrades(made.start, made.pair, made.gain, made.cost, price, per_pair, option)
    for u, (a, b) in enumerate(zip(made.start[:-1], made.start[1:], strict=True)):
        now = made.gain[option[u]] if option[u] >= 0 else 0.0
        more = [i for i in range(a, b) if made.gain[i] > now]
        assert (better[u] >= 0) == bool(more)
        assert not more or better[u] in more
        assert (loss[u] < np.inf) == bool(more)


def test_few_customers_get_nearly_the_best_choice_there_is():
    shares = []
    for seed in range(40):
        made, limits = problem(seed, 25, money=0.3)
        found = choose(made, limits)
        option, ceiling = solve(made, limits, nodes=100_000)
        best = made.gain[option[option >= 0]].sum()
        assert best <= found.bound + 1e-6 <= found.bound + ceiling + 1e-6, "the bound is one"
        shares.append(found.profit / best if best else 1.0)
        money, count = used(made, limits, found.option)
        assert money <= limits.money
        assert (count <= limits.most).all()
    assert max(shares) <= 1 + 1e-6
    assert np.mean(shares) > 0.985
    assert min(shares) > 0.8


@pytest.mark.parametrize("seed", range(3))
def test_prices_come_within_a_thousandth_of_the_bound(seed):
    made, limits = problem(seed, 3000)
    found = choose(made, limits)
    money, count = used(made, limits, found.option)
    assert money <= limits.money
    assert (count <= limits.most).all()
    assert found.gap < 1e-3
    n, m = len(made), len(made.gain)
    owner = np.repeat(np.arange(n), np.diff(made.start))
    rows = vstack([csr_array(coo_array((np.ones(m), (owner, np.arange(m))), shape=(n, m))), csr_array(made.cost[None, :]),
                   csr_array(limits.counted[:, made.pair].astype(float))])  # fmt: skip
    relaxed = -linprog(-made.gain, A_ub=rows, b_ub=np.concatenate([np.ones(n), [limits.money], limits.most]), bounds=(0, 1)).fun
    assert found.bound <= relaxed * (1 + 1e-4), "the bound is as low as that of the linear programme"


def test_without_limits_everybody_takes_the_best():
    made, limits = problem(1, 50)
    free = Limits(np.inf, (), np.zeros((0, 6), bool), np.empty(0))
    found = choose(made, free)
    assert found.option.tolist() == slow_take(made, 0.0, np.zeros(6))[0]
    assert found.gap == 0
    assert found.price_of_money == 0
    assert at_prices(made, free, 0.0, np.empty(0)).tolist() == found.option.tolist()
    nothing = choose(made, Limits(0.0, limits.names, limits.counted, np.zeros(3)))
    assert (nothing.option < 0).all()
    assert nothing.profit == nothing.bound == 0


def test_more_budget_never_earns_less():
    made, limits = problem(4, 200)
    money_alone = Limits(limits.money, (), np.zeros((0, 6), bool), np.empty(0))
    curve = trace(made, money_alone, choose(made, money_alone))
    assert (np.diff(curve["budget"]) > 0).all()
    assert (np.diff(curve["profit"]) >= -1e-9).all()


def test_nobody_has_an_option():
    made = Options(np.zeros(4, np.int64), *(np.empty(0, kind) for kind in ("i2", "i2", "f8", "f8", "f4", "f4")))
    found = choose(made, Limits(10.0, (), np.zeros((0, 1), bool), np.empty(0)))
    assert found.option.tolist() == [-1, -1, -1]
    assert found.profit == found.bound == 0
