"""Recommending: which things to show to whom, and why."""
