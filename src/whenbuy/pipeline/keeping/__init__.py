"""The shop's folder and what is kept in it: models, runs, forecasts."""
