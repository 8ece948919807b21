"""Rows: what models say of one customer at one instant, compiled. `compiled` makes them; the models themselves are their slow twins."""
