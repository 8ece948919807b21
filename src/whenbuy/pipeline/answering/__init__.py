"""Answers that rest on several others: who is lost and why, and whom to look at first."""
