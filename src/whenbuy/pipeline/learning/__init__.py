"""From a history to a forecaster: parts in time, learners, the choice among them."""
