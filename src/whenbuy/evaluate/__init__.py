"""Forecast + Labels -> scores: one file per kind of answer, each score with its interval and its definition in words."""
