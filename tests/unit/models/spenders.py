"""Customers whose orders and amounts follow a law that is known, with the columns that boosted amounts and counts read."""

import numpy as np

from tests.unit.models.purchase_examples import examples


def law(n, seed=0):
    """Return (columns, orders a week, amount of an order) of n customers; both depend on two columns."""
    rng = np.random.default_rng(seed)
    repeats = rng.integers(0, 30, n).astype(float)
    tenure = rng.uniform(60, 300, n)
    recency = rng.uniform(0, 1, n) * np.where(repeats > 0, 40, tenure)
    mean = rng.gamma(4, 10, n)
    rate = 0.05 + 7 * repeats / tenure * np.exp(-recency / 40)
    columns = {
        "recency_days": recency,
        "frequency": repeats,
        "tenure_days": tenure,
        "event_recency_days": recency,
        "event_tenure_days": tenure,
        "gap_mean_days": np.where(repeats > 0, tenure / np.maximum(repeats, 1), np.nan),
        "mean_amount": mean,
        "spend_84d": mean * rate * 12,
    }
    return columns, rate, 10 + mean


def shop(n=4000, seed=0, cutoff_day=100):
    """Examples with the labels amount, spend (7 days), orders (28 days) and orders_7d."""
    columns, rate, each = law(n, seed)
    rng = np.random.default_rng(seed + 1)
    week, rest = rng.poisson(rate), rng.poisson(3 * rate)
    amount = each * rng.gamma(3, 1 / 3, n)
    spend = np.where(week > 0, rng.gamma(np.maximum(3 * week, 1)) / 3 * each, 0.0)
    seen = np.ones(n, bool)
    labels = {
        "amount": (amount, week + rest > 0, cutoff_day + 28),
        "spend": (spend, seen, cutoff_day + 7),
        "orders": ((week + rest).astype(float), seen, cutoff_day + 28),
        "orders_7d": (week.astype(float), seen, cutoff_day + 7),
    }
    return examples(columns, cutoff_day=cutoff_day, labels=labels)
