"""Examples made of plain arrays, and customers drawn from the buy-till-you-die stories themselves."""

import numpy as np

from whenbuy.core.arrays import DAY
from whenbuy.core.codec import decode, encode
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary


def examples(columns, *, code=None, cutoff_day=None, labels=None, weight=None):
    """Examples with these columns; labels by question as (value, observed, end_day)."""
    n = len(next(iter(columns.values())))
    code = np.arange(n, dtype=np.int32) if code is None else np.asarray(code, np.int32)
    cutoff = np.broadcast_to(np.asarray(100 if cutoff_day is None else cutoff_day, np.int64) * DAY, n).copy()
    keys = Keys("user", code, cutoff, Dictionary.of(f"u{i}" for i in range(int(code.max(initial=-1)) + 1)))
    table = Table(tuple(columns), np.stack([np.asarray(c, np.float32) for c in columns.values()], axis=1))
    made = {}
    for name, (value, observed, end_day) in (labels or {}).items():
        made[name] = Labels(np.asarray(value, float), np.asarray(observed, bool), np.broadcast_to(np.int64(end_day) * DAY, n).copy())
    return Examples(keys, table, made, lambda days, rows: table.take(rows), weight)


def histories(repeats, last, tenure, **more):
    """Examples with the three columns that the models read."""
    repeats, last, tenure = (np.asarray(part, float) for part in (repeats, last, tenure))
    return examples({"frequency": repeats, "recency_days": tenure - last, "tenure_days": tenure, **more.pop("columns", {})}, **more)


def stored(thing, types):
    """The thing after a trip through the codec."""
    arrays = {}
    return decode(encode(thing, arrays), arrays, types)


def purchases(rng, rate, leave_at, tenure, horizon):
    """Repeats and last repeat within the tenure, and the moments bought after it, of one Poisson customer who leaves at a moment."""
    moments, now = [], 0.0
    while True:
        now += rng.exponential(1 / rate)
        if now > min(leave_at, tenure + horizon):
            break
        moments.append(now)
    past = [m for m in moments if m <= tenure]
    return len(past), (past[-1] if past else 0.0), [m - tenure for m in moments if m > tenure]


def bgnbd_customers(rng, parameters, n, tenure, horizon, *, modified=False):
    """Customers who may leave after each purchase: repeats, last, and the moments bought after the tenure."""
    r, alpha, a, b = parameters
    found = []
    for _ in range(n):
        rate, leave = rng.gamma(r) / alpha, rng.beta(a, b)
        moments, now, here = [], 0.0, not (modified and rng.random() < leave)
        while here:
            now += rng.exponential(1 / rate) if rate > 0 else np.inf
            if now > tenure + horizon:
                break
            moments.append(now)
            here = rng.random() >= leave
        past = [m for m in moments if m <= tenure]
        found.append((len(past), past[-1] if past else 0.0, [m - tenure for m in moments if m > tenure]))
    return found


def pareto_customers(rng, parameters, n, tenure, horizon):
    """Customers who leave at a moment of their own."""
    r, alpha, s, beta = parameters
    found = []
    for _ in range(n):
        rate, leave = max(rng.gamma(r) / alpha, 1e-12), max(rng.gamma(s) / beta, 1e-12)
        found.append(purchases(rng, rate, rng.exponential(1 / leave), tenure, horizon))
    return found
