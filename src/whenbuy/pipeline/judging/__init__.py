"""How good a forecaster is: trials on later weeks, slices, faults, the gate."""
