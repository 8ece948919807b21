"""Families of series models: each answers from every origin at once, so that a backtest and a forecast are one call."""
