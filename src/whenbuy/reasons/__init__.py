"""From a model and examples to reasons: what a forecast rests on, in figures and in words."""
