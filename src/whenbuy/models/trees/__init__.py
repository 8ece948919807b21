"""Trees: grown by LightGBM; kept, scored and explained as arrays."""

from __future__ import annotations

from collections.abc import Mapping

from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.trees.forest import Forest

TYPES: Mapping[str, type] = {kind.__name__: kind for kind in (Boosting, Forest, Trees)}
"""What a stored model of this package may be made of."""
