"""The pace of a fit: how much work each of its steps is, so that the time left can be guessed while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from whenbuy.core.learner import Learner

SHARES: Final[Mapping[str, float]] = {
    "purchase/pareto-nbd": 1.4, "purchase/logistic": 3.2, "purchase/logistic-rich": 5.2, "purchase/boosted+rhythm": 12.3,
    "purchase/net-mlp+rhythm": 8.0, "purchase/net-days-linear-64x2": 18.0, "orders/pareto-nbd": 1.4, "orders/rolled-counts": 1.9,
    "orders/boosted-orders": 2.4, "amount/boosted-amount": 3.1, "spend/boosted-spend": 3.3, "quantity/boosted-quantity": 2.0,
    "redemption/boosting-chance": 1.9, "classes/class-trees": 13.9,
}  # fmt: skip
"""CPU seconds of trying a candidate on the 2,469 customers of Complete Journey; nothing but the guess depends on them."""
USUAL: Final = 0.4
"""Those of a candidate that is not named."""
EXAMPLES: Final = 3.0
"""Those of making the examples of a group of answers."""
AGAIN: Final = 0.7
"""What won learns again, from more: so much of what all candidates took."""


def pace(groups: Sequence[Sequence[str]], tries: Mapping[str, Sequence[Learner[Any]]]) -> list[float]:
    """Return the work of each step of a fit, in the order in which ``fit`` says that it is done; the last one is not said."""
    found, before = [], 0.0
    for answers in groups:
        costs = [SHARES.get(f"{answer}/{learner.name}", USUAL) for answer in answers for learner in tries[answer]]
        found += [before + EXAMPLES, *costs, EXAMPLES]
        before = AGAIN * sum(costs)
    return [*found, before]
