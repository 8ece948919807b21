"""The data doctor: what a source is, what it can answer, and what is wrong with it."""
