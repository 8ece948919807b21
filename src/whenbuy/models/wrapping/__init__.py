"""Models around models: blends, calibration, preparations, answers put to other questions."""
