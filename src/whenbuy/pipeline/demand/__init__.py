"""Demand: series from the log, a model for each, intervals that hold, trends and peaks."""
