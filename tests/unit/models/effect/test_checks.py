"""Checks of a trial find what they are there to find."""

from dataclasses import replace

import numpy as np

from tests.unit.models.effect.trials import trial
from whenbuy.models.effect.checks import negative_control
from whenbuy.models.effect.trial import Trial


def test_what_no_offer_can_change_is_not_changed_and_a_change_is_told() -> None:
    told = Trial.of(trial()[0], "orders")
    before = np.random.default_rng(1).poisson(1.0, len(told)).astype(float)
    assert negative_control(replace(told, outcome=before), "the orders before it was sent").passed
    found = negative_control(replace(told, outcome=before + (told.arm == 1)), "the orders before it was sent")
    assert not found.passed
    assert found.words.startswith("'gift' seems to change the orders before it was sent")
