"""The simulated shop that sends offers by lot: whether its truth comes true, and what is learned against it, pooled over seeds.

Rows for the area ``decide``: ``rows()`` yields them. The true curves are those of ``SimulatedShop.offered`` and ``truth(promoted=False)``;
the true effect of an offer is set against the plain difference between those who were sent it and those who were sent nothing.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks.rows import Row
from whenbuy.core.arrays import DAY, Floats
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.pipeline.deciding.effects import DAYS, fit_effects
from whenbuy.pipeline.deciding.exposure import exposures

USERS, SEEDS, ASKED = 6000, 20, 200
CROWD, TRIALS, HORIZONS = 20_000, 4, (7.0, 14.0, 28.0)
PULLED = Row(area="decide", name="sim_pull_forward_error", unit="share", better="lower", target=0.10)


TRUTH = Row(area="decide", name="sim_effect_truth", unit="standard errors", better="lower", target=3.0)


def rows() -> Iterator[Row]:
    """Yield the rows."""
    yield truth_row()
    yield pulled_row(SEEDS)


def truth_row(seeds: int = TRIALS, users: int = CROWD) -> Row:
    """Return how far the true effects lie from what came of the lot: the widest of all horizons, offers and their mean, in standard errors.

    Of 18 such distances the widest exceeds 3 in less than one case of twenty where the truth is right.
    """
    found = np.array([came_true("promotions", 100 + seed, users) for seed in range(seeds)]).mean(axis=0)
    came, truth, variance = found[..., 0], found[..., 1], found[..., 2] / seeds
    apart = (truth - came) / np.sqrt(variance)
    means = " and ".join(f"{truth[k, -1]:.4f} for {came[k, -1]:.4f} within {day:g} days" for k, day in enumerate(HORIZONS))
    widest = np.unravel_index(np.abs(apart).argmax(), apart.shape)
    return TRUTH.got(float(np.abs(apart[widest])), note=f"{seeds} seeds of {users:,} customers; mean extra orders per message: {means}")


def came_true(shop: str, seed: int, users: int) -> Floats:
    """Return what came, the truth and the variance of their difference, by horizon and offer, their mean last (3 x m + 1 x 3)."""
    made = simulate(users, seed=seed, parameters=Parameters.frozen(shop))
    sent = exposures(made.history, made.decisions, made.history.end - round(max(HORIZONS) * DAY) + 1)
    m, some = len(sent.offers), np.sort(np.random.default_rng(seed).choice(len(sent), 1000, replace=False))
    found = np.empty((len(HORIZONS), m + 1, 3))
    for k, day in enumerate(HORIZONS):
        orders = made.history.within(sent.keys, day).orders()
        parts = [orders[sent.arm == arm] for arm in range(m + 1)]
        truth = made.offer_truth(sent.keys.take(some), (0.0,), day)
        by_offer = truth.uplift()[..., 0].mean(axis=2)[:, [truth.offers.index(name) for name in sent.offers]]
        mean, noise = np.array([part.mean() for part in parts]), np.array([part.var() / len(part) for part in parts])
        found[k, :m, 0], found[k, :m, 1] = mean[1:] - mean[0], by_offer.mean(axis=0)
        found[k, :m, 2] = noise[1:] + noise[0] + by_offer.var(axis=0) / len(some)
        whole = by_offer.mean(axis=1)
        found[k, m] = mean[1:].mean() - mean[0], whole.mean(), noise[1:].sum() / m**2 + noise[0] + whole.var() / len(some)
    return found


def pulled_row(seeds: int, shop: str = "promotions", users: int = USERS) -> Row:
    """Return by how much the orders pulled forward, summed over offers, channels, customers and seeds, differ from the true ones.

    The floor is the error of one who takes everything that comes early for extra: it sees nothing pulled forward.
    """
    found = np.array([pulled(shop, seed, users) for seed in range(seeds)])
    ours, truth = found.sum(axis=0)
    apart = np.abs(found[:, 0] - found[:, 1]) / truth * seeds
    error = np.std(found[:, 0] - found[:, 1], ddof=1) * np.sqrt(seeds) / truth if seeds > 1 else float("nan")
    note = f"{seeds} seeds of {users:,} customers; one alone strays by {np.median(apart):.0%}; standard error of the figure {error:.0%}"
    return PULLED.got(abs(ours / truth - 1), floor=1.0, note=note)


def pulled(shop: str, seed: int, users: int) -> tuple[float, float]:
    """Return the orders pulled forward per message, as learned and in truth."""
    made = simulate(users, seed=seed, parameters=Parameters.frozen(shop))
    effects = fit_effects(made.history, made.decisions, seed=seed)
    keys = made.history.keys()
    keys = keys.take(np.sort(np.random.default_rng(seed).choice(len(keys), min(ASKED, len(keys)), replace=False)))
    found, grid = effects.predict(made.history, users=keys.ids().to_list()), np.array(DAYS)
    without = made.truth(keys, grid, promoted=False)
    ours, truth = [], []
    for arm, name in enumerate(found.offers):
        offered = made.offered(keys, grid, *name.split("@"))
        truth.append(offered.mean_count - without.mean_count)
        ours.append(found.with_offer[arm].mean_count - found.without.mean_count)
    return _forward(np.array(ours)), _forward(np.array(truth))


def _forward(extra: Floats) -> float:
    """Return the mean over arms of the extra orders at their peak that are gone by the end; of mean curves, so that noise cancels."""
    mean = extra.mean(axis=1)
    return float((mean.max(axis=1) - np.maximum(mean[:, -1], 0)).mean())
