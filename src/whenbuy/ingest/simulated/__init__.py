"""The parts of the simulated shop: its parameters, its calendar, its people, the log they leave, and the truth about them."""
