"""The questions that a shop can be asked, one small file each."""

from __future__ import annotations

from whenbuy.questions.activity import Churn, NextActivity
from whenbuy.questions.amount import NextAmount
from whenbuy.questions.category import NextClasses
from whenbuy.questions.follows import Follows
from whenbuy.questions.happens import Happens
from whenbuy.questions.next_act import NextAct
from whenbuy.questions.orders import OrderCount
from whenbuy.questions.purchase import NextPurchase
from whenbuy.questions.quantity import Quantity
from whenbuy.questions.rating import NextRating
from whenbuy.questions.session import BuysNow, ThisVisit
from whenbuy.questions.spend import Spend
from whenbuy.questions.visits import NextDwell, PastVisits, Visits

__all__ = [
    "BuysNow", "Churn", "Follows", "Happens", "NextAct", "NextActivity", "NextAmount", "NextClasses", "NextDwell", "NextPurchase",
    "NextRating", "OrderCount", "PastVisits", "Quantity", "Spend", "ThisVisit", "Visits",
]  # fmt: skip
