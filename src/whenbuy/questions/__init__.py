"""The questions that a shop can be asked, one small file each."""

from __future__ import annotations

from whenbuy.questions.amount import NextAmount
from whenbuy.questions.orders import OrderCount
from whenbuy.questions.purchase import NextPurchase

__all__ = ["NextAmount", "NextPurchase", "OrderCount"]
