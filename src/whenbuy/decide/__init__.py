"""Deciding: from forecasts and effects to what is done with each customer, within a budget and with guards."""
