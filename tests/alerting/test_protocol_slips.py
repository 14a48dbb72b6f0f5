"""Slips that are made while writing a protocol by hand: each is one plain fault, with what to write instead."""

import pytest

from tests.alerting.protocols import faults
from tests.alerting.test_protocol_pack import HEIR, PACK, line


@pytest.mark.parametrize("keys", [("by", "on"), ("on",), ("by",)])
def test_an_absence_by_age_made_one_by_a_time_of_day_is_one_fault_with_the_way_out(keys: tuple[str, ...]) -> None:
    said = {"by": 'by = "10:00"\n', "on": 'on = ["mon", "wed", "fri"]\n'}
    bounds = '[bounds.no_glucose_interstitial]\nexpected = ["1 h", "4 days"]\n'
    text = HEIR + "[adapt.no_glucose_interstitial]\n" + "".join(said[key] for key in keys)
    (fault,) = faults(text, service=PACK + bounds)
    assert (fault.key, fault.line) == (f"adapt.no_glucose_interstitial.{keys[0]}", line(text, f"\n{keys[0]} =") + 1)
    assert "garder no_glucose_interstitial avec un expected dans ses limites" in fault.message.fr
    assert "add a rule of your own" in fault.message.en


def test_an_absence_by_a_time_of_day_made_one_by_age_is_one_fault_with_the_way_out() -> None:
    (fault,) = faults(HEIR + '[adapt.no_weight]\nexpected = "3 days"\ngrace = "1 h"\n', service=PACK)
    assert (fault.key, "keep no_weight with a by" in fault.message.en) == ("adapt.no_weight.expected", True)
