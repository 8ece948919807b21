"""How many orders or visits come."""
