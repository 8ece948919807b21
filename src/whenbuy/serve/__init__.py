"""The running system: events stream in, forecasts come out."""
