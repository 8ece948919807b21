"""Ways to divide customers into groups, each learned from a table of features and kept as plain arrays."""
