"""The questions that a shop can be asked, one small file each."""

from __future__ import annotations

from whenbuy.questions.amount import NextAmount
from whenbuy.questions.category import NextClasses
from whenbuy.questions.orders import OrderCount
from whenbuy.questions.purchase import NextPurchase
from whenbuy.questions.quantity import Quantity
from whenbuy.questions.redemption import Redemption
from whenbuy.questions.spend import Spend

__all__ = ["NextAmount", "NextClasses", "NextPurchase", "OrderCount", "Quantity", "Redemption", "Spend"]
