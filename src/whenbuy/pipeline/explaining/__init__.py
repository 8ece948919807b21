"""From a forecaster and a history to an explanation."""
