"""Counts, units and plausible ranges."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import UnitError
from devices.reading import Quantity, Unit, facts, plausible, to_counts, to_value


@pytest.mark.parametrize(
    ("quantity", "said", "unit", "value"),
    [
        (Quantity.GLUCOSE_CAPILLARY, "5.5", Unit.MMOL_PER_L, "99.1"),
        (Quantity.BLOOD_PRESSURE_SYSTOLIC, "16.0", Unit.K_PA, "120.0"),
        (Quantity.BODY_TEMPERATURE, "98.6", Unit.FAHRENHEIT, "37.00"),
        (Quantity.BODY_WEIGHT, "150", Unit.POUND, "68.039"),
        (Quantity.BODY_WEIGHT, "70.0005", Unit.KILOGRAM, "70.000"),  # a tie goes to the even count
        (Quantity.BODY_WEIGHT, "70.0015", Unit.KILOGRAM, "70.002"),
    ],
)
def test_a_value_is_converted_exactly_and_rounded_once(quantity: Quantity, said: str, unit: Unit, value: str) -> None:
    assert str(to_value(quantity, to_counts(quantity, Decimal(said), unit))) == value


@pytest.mark.parametrize("unit", [unit for unit in Unit if unit not in {Unit.KILOGRAM, Unit.POUND}])
def test_a_unit_that_the_quantity_does_not_have_is_refused(unit: Unit) -> None:
    with pytest.raises(UnitError, match="body_weight has no unit"):
        to_counts(Quantity.BODY_WEIGHT, Decimal(70), unit)


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_what_is_not_a_number_is_refused(value: str) -> None:
    with pytest.raises(UnitError, match="cannot be"):
        to_counts(Quantity.BODY_WEIGHT, Decimal(value), Unit.KILOGRAM)


@given(st.sampled_from(Quantity), st.integers(-(10**9), 10**9))
@settings(max_examples=100, deadline=None)
def test_a_count_shown_and_read_is_the_same_count(quantity: Quantity, count: int) -> None:
    known = facts(quantity)
    shown = to_value(quantity, count)
    assert to_counts(quantity, shown, known.unit) == count
    assert Fraction(shown) == count * Fraction(known.quantum)
    assert -int(shown.as_tuple().exponent) == known.decimals


@pytest.mark.parametrize("quantity", list(Quantity))
def test_plausible_limits_are_inclusive(quantity: Quantity) -> None:
    known = facts(quantity)
    inside = [plausible(quantity, count) for count in (known.low, known.high)]
    outside = [plausible(quantity, count) for count in (known.low - 1, known.high + 1)]
    assert (inside, outside) == ([True, True], [False, False])
