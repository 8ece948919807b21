"""What gaps and silence say: against a plain sum, against Pareto/NBD, and on customers drawn from known laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import digamma, gammaincc, gammaln

from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Table
from whenbuy.models.when import pareto
from whenbuy.models.when.gap_posterior import digamma as own_digamma
from whenbuy.models.when.gap_posterior import sum_of_logs
from whenbuy.models.when.gap_tables import FAR, NEAR, comes, gap_tables, holds
from whenbuy.models.when.renewal import FURTHER, ORDERS, FittedRenewal, Renewal

COLUMNS = (*ORDERS, *FURTHER)
DAYS = (7.0, 28.0)
LAWS = FittedRenewal(DAYS, COLUMNS, 4.0, (2.5, 70.0, 0.7, 900.0, 1.0, 50.0), (0.4, 1.0, 3.2), (0.4, 0.4, 0.2))


def plain(laws, past, days):
    """Expected orders, chances and presence of one past by brute force: every rate, every moment of leaving, every order ahead."""
    m, logs, last, silence, quiet, looks = past
    r, a, s, b, g, h = laws.laws
    y = silence - quiet + np.linspace(0, quiet, 301)
    left = s / b * (1 + (last + y) / b) ** -(s + 1) * (h + last + y) ** -(g + looks)
    here = (1 + (last + silence) / b) ** -s * (h + last + silence) ** -(g + looks)
    rate = np.exp(np.linspace(-12, 2, 300))
    orders, chance, present, whole = np.zeros(len(days)), np.zeros(len(days)), 0.0, 0.0
    for k, share in zip(laws.shapes, laws.shares, strict=True):
        weight = np.log(share) + (r + m * k) * np.log(rate) - (a + k * last) * rate + m * (k * np.log(k) - gammaln(k)) + (k - 1) * logs
        weight = np.exp(weight)
        gone = np.trapezoid(left * gammaincc(k, k * rate[:, None] * y), y, axis=1)
        stays = here * gammaincc(k, k * rate * silence)
        whole, present = whole + (weight * (gone + stays)).sum(), present + (weight * stays).sum()
        for f, day in enumerate(days):
            buys = 1 - gammaincc(k, k * rate * (silence + day)) / np.maximum(gammaincc(k, k * rate * silence), 1e-300)
            chance[f] += (weight * stays * buys).sum()
            orders[f] += (weight * stays * [counted(k, one * silence, one * day) for one in rate]).sum()
    thinned = np.diff(np.stack([orders, chance]) / whole, axis=1, prepend=0.0)
    middle = (np.concatenate([[0.0], days[:-1]]) + days) / 2
    orders, chance = np.cumsum(thinned * (1 + middle / (b + last + silence)) ** -s, axis=1)
    return np.concatenate([orders, chance, [present / whole]])


def counted(shape, age, z):
    """Expected orders from the tables of counts: these have a test of their own."""
    return comes(gap_tables((shape,)).count[0], np.log(max(age, 1e-4)), np.log(z))


def drawn(users, rng, laws, until=400.0):
    """Histories of customers drawn from the laws, and how many orders each makes in the 28 days after."""
    rows, later = [], []
    for _ in range(users):
        born = rng.uniform(0, until)
        rate, k = rng.gamma(laws.laws[0], 1 / laws.laws[1]), rng.choice(laws.shapes, p=laws.shares)
        stay = rng.exponential() / rng.gamma(laws.laws[2], 1 / laws.laws[3])
        looks = born + rng.uniform(
            0, min(stay, until - born), rng.poisson(rng.gamma(laws.laws[4], 1 / laws.laws[5]) * min(stay, until - born))
        )
        times = [born, *(at for at in born + np.cumsum(rng.gamma(k, 1 / (k * rate), 3000)) if at < born + stay)]
        seen = np.array([at for at in times if at < until])
        later.append(sum(until <= at < until + 28 for at in times))
        gaps = np.diff(seen)
        deviation = gaps.std(ddof=1) if len(gaps) > 1 else np.nan
        view = until - max([seen[-1], *looks])
        views = laws.views * (len(seen) + len(looks))
        mean, final = (gaps.mean(), gaps[-1]) if len(gaps) else (np.nan, np.nan)
        rows.append((len(gaps), until - seen[-1], mean, deviation, final, view, views, until - born))
    return Table(COLUMNS, np.array(rows, np.float32)), np.array(later, float)


def test_the_tables_say_what_the_formulas_say():
    tables = gap_tables((0.4, 1.0, 3.2))
    for k, shape in enumerate((0.4, 1.0, 3.2)):
        for z in (1e-3, 0.02, 0.3, 1.0, 4.0):
            assert holds(tables.held[k], tables.reach[k], np.log(z)) == pytest.approx(gammaincc(shape, shape * z), abs=2e-4)
    for age in (1e-3, 0.5, 20.0):
        for z in (float(np.exp(NEAR)) / 3, 0.01, 0.7, 9.0, float(np.exp(FAR)) * 2):
            assert comes(tables.count[1], np.log(age), np.log(z)) == pytest.approx(z, rel=3e-3)  # a Poisson stream forgets its age


def test_counts_are_those_of_drawn_gaps():
    rng = np.random.default_rng(0)
    for shape in (0.4, 3.2):
        gaps = np.cumsum(rng.gamma(shape, 1 / shape, (40_000, 40)), axis=1)
        silent = gaps[gaps[:, 0] > 0.5]
        came = ((silent > 0.5) & (silent <= 2.0)).sum(axis=1)
        assert counted(shape, 0.5, 1.5) == pytest.approx(came.mean(), abs=4 * came.std() / np.sqrt(len(came)))


@pytest.mark.parametrize(
    "past",
    [(0, 0.0, 0.0, 40.0, 40.0, 0.0), (3, 1.0, 60.0, 5.0, 2.0, 1.5), (8, 14.0, 90.0, 60.0, 60.0, 4.0), (1, -4.0, 0.02, 200.0, 90.0, 2.0)],
)
def test_the_kernel_sums_what_the_plain_sum_sums(past):
    own = LAWS.tell(np.array([past], float))[0]
    assert own == pytest.approx(plain(LAWS, past, np.array(DAYS)), rel=0.02, abs=2e-4)


def test_with_one_exponential_shape_and_no_looks_it_is_pareto_nbd():
    laws = FittedRenewal(DAYS, COLUMNS, 0.0, (0.6, 12.0, 0.7, 80.0, 0.0, 1.0), (1.0,), (1.0,))
    repeats, last, tenure = np.array([0, 1, 4, 9.0]), np.array([0, 20, 90, 110.0]), np.array([60, 90, 120, 400.0])
    pasts = np.stack([repeats, np.zeros(4), last, tenure - last, tenure - last, np.zeros(4)], axis=1)
    spread = pareto.Spread(0.6, np.full(4, 12.0), 0.7, np.full(4, 80.0))
    alive = pareto.alive_probability(spread, repeats, last, tenure)
    told = laws.tell(pasts)
    assert told[:, 4] == pytest.approx(alive, rel=0.015, abs=1e-6)
    assert told[:, :2] == pytest.approx(pareto.expected_purchases(spread, repeats, tenure, alive, np.array(DAYS)), rel=0.03)
    assert 1 - told[:, 2:4] == pytest.approx(pareto.survival(spread, repeats, last, tenure, np.array(DAYS)), abs=0.01)


def test_the_laws_are_found_again_and_the_forecast_is_right():
    table, later = drawn(2000, np.random.default_rng(1), LAWS)
    found = Renewal(most=2000).fit(table)
    assert found.views == pytest.approx(LAWS.views, rel=0.15)
    assert found.laws[0] / found.laws[1] == pytest.approx(2.5 / 70, rel=0.1)
    assert found.laws[4] / found.laws[5] == pytest.approx(1 / 50, rel=0.3)
    assert sum(share for shape, share in zip(found.shapes, found.shares, strict=True) if shape < 0.6) == pytest.approx(0.4, abs=0.12)
    told = found.apply(table).column("renewal_orders_28d")
    for some in np.array_split(np.argsort(told), 5):
        assert told[some].mean() == pytest.approx(later[some].mean(), abs=4 * later[some].std() / np.sqrt(len(some)))


def test_silence_lowers_presence_and_a_look_raises_it():
    pasts = np.array([(4, 8.0, 60.0, silence, silence, 0.0) for silence in (1.0, 30.0, 120.0, 400.0)] + [(4, 8.0, 60.0, 400.0, 5.0, 0.0)])
    present = LAWS.tell(pasts)[:, -1]
    assert (np.diff(present[:4]) < 0).all()
    assert present[4] > present[3]


def test_no_row_depends_on_others_and_strangers_get_gaps():
    table, _ = drawn(60, np.random.default_rng(2), LAWS)
    values = np.vstack([table.values, np.full((1, len(COLUMNS)), np.nan, np.float32)])
    whole = LAWS.apply(Table(COLUMNS, values)).values[:, len(COLUMNS) :]
    for row in (0, 17, 60):
        alone = LAWS.apply(Table(COLUMNS, values[row : row + 1])).values[:, len(COLUMNS) :]
        np.testing.assert_array_equal(alone[0], whole[row])
    assert np.isnan(whole[60]).all()
    assert np.isfinite(whole[:60]).all()


def test_who_has_not_bought_is_read_from_when_she_was_seen_first():
    fresh = np.array([[0, np.nan, np.nan, np.nan, np.nan, 3.0, 8.0, 50.0]], np.float32)
    assert LAWS.pasts(Table(COLUMNS, fresh))[0] == pytest.approx([0, 0, 0, 50, 3, 2])


def test_without_views_a_silence_is_only_a_silence():
    table, _ = drawn(300, np.random.default_rng(3), LAWS)
    orders = Table(COLUMNS[:5], table.values[:, :5])
    found = Renewal().fit(orders)
    assert found.views == 0
    assert found.laws[4] == 0
    assert np.isfinite(found.apply(orders).values[:, 5:]).all()


def test_nobody_came_back_and_nobody_at_all():
    once = np.array([[0, 5.0, np.nan, np.nan, np.nan, np.nan, np.nan, 5.0]] * 3, np.float32)
    for values in (once, np.full((2, len(COLUMNS)), np.nan, np.float32)):
        found = Renewal().fit(Table(COLUMNS, values))
        assert np.isfinite(found.laws).all()
        assert sum(found.shares) == pytest.approx(1)


@pytest.mark.parametrize("gaps", [[3.0], [3.0, 40.0], [3.0, 0.01, 7.0]])
def test_up_to_three_gaps_are_known_one_by_one(gaps):
    deviation = np.std(gaps, ddof=1) if len(gaps) > 1 else np.nan
    found = sum_of_logs(float(len(gaps)), float(np.mean(gaps)), float(deviation), gaps[-1])
    assert found == pytest.approx(np.log(gaps).sum(), abs=1e-6)


def test_the_logarithms_of_more_gaps_are_right_on_average():
    rng = np.random.default_rng(4)
    gaps = rng.gamma(3.2, 1 / 3.2, (2000, 6))
    found = [sum_of_logs(6.0, float(one.mean()), float(one.std(ddof=1)), float(one[-1])) for one in gaps]
    assert np.mean(found) == pytest.approx(np.log(gaps).sum(axis=1).mean(), abs=0.05)
    assert [own_digamma(x) for x in (0.05, 1.0, 30.0)] == pytest.approx(digamma([0.05, 1.0, 30.0]), rel=1e-7)


def test_impossible_settings_are_refused():
    for wrong in ({"days": ()}, {"days": (28.0, 7.0)}, {"days": (0.0,)}, {"shapes": ()}, {"shapes": (0.0,)}):
        with pytest.raises(UsageError):
            Renewal(**wrong)
    assert replace(LAWS, days=(1.0,)).names == ("renewal_orders_1d", "renewal_p_1d", "renewal_present")
