"""The questions that a shop can be asked, one small file each."""

from __future__ import annotations

from whenbuy.questions.activity import NextActivity
from whenbuy.questions.amount import NextAmount
from whenbuy.questions.category import NextClasses
from whenbuy.questions.orders import OrderCount
from whenbuy.questions.purchase import NextPurchase
from whenbuy.questions.quantity import Quantity
from whenbuy.questions.rating import NextRating
from whenbuy.questions.redemption import Redemption
from whenbuy.questions.spend import Spend
from whenbuy.questions.visits import NextDwell, Visits

__all__ = [
    "NextActivity", "NextAmount", "NextClasses", "NextDwell", "NextPurchase", "NextRating", "OrderCount", "Quantity", "Redemption", "Spend",
    "Visits",
]  # fmt: skip
