"""How much: amounts of orders, what is spent, and intervals that hold."""
