"""Learners of rankings: which things first. One small file each; all learn from trails and answer with a Ranking."""
