"""Orders pulled forward in the simulated shop that sends offers by lot: what is learned against what is true, pooled over seeds.

Rows for the area ``decide``: ``rows()`` yields them. The true curves are those of ``SimulatedShop.offered`` and ``truth(promoted=False)``.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks.rows import Row
from whenbuy.core.arrays import Floats
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.pipeline.deciding.effects import DAYS, fit_effects

USERS, SEEDS, ASKED = 6000, 20, 200
PULLED = Row(area="decide", name="sim_pull_forward_error", unit="share", better="lower", target=0.10)


def rows() -> Iterator[Row]:
    """Yield the row."""
    yield pulled_row(SEEDS)


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
