"""Numbers with their units: none lies about the side of a threshold it is on."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.alert import Sentence
from alerting.quantity_words import NAMES
from alerting.wording import (
    PERCENT,
    POINTS,
    Scale,
    about,
    against,
    amount,
    both_against,
    estimate,
    per_minute,
    scale_of,
    shown_unit,
)
from devices.reading import Quantity, Unit, facts

SCALES = [
    scale_of(quantity, {quantity: unit})
    for quantity in Quantity
    for unit in (facts(quantity).unit, *facts(quantity).conversions)
]
scales = st.sampled_from(
    [*SCALES, *(per_minute(scale) for scale in SCALES), *(one.differences for one in SCALES), PERCENT, POINTS]
)
counts = st.integers(-40_000, 40_000)


def number(sentence: Sentence, scale: Scale) -> Decimal:
    """Return the number that a reader reads, the same in both languages."""
    text = sentence.en.removesuffix(scale.many.en).removesuffix(scale.one.en)
    assert sentence.fr.startswith(text.replace(".", ","))
    return Decimal(text.replace("\u2212", "-"))


def side(one: Decimal | int, other: Decimal | int) -> int:
    return (one > other) - (one < other)


@given(scales, counts, counts | st.integers(-2, 2), st.integers(0, 2))
@settings(max_examples=200, deadline=None)
def test_a_number_is_on_the_side_of_its_threshold_on_which_it_was(
    scale: Scale, threshold: int, more: int, finer: int
) -> None:
    value = threshold + more
    for shown, limit in (against(scale, value, threshold), estimate(scale, value, threshold, finer=finer)):
        assert side(number(shown, scale), number(limit, scale)) == side(value, threshold)


@given(scales, counts, st.integers(-9, 9), st.integers(-9, 9))
@settings(max_examples=100, deadline=None)
def test_two_numbers_beside_one_threshold_are_each_on_their_side(
    scale: Scale, threshold: int, more: int, less: int
) -> None:
    seen, made, limit = both_against(scale, threshold + more, threshold + less, threshold)
    assert side(number(seen, scale), number(limit, scale)) == side(more, 0)
    assert side(number(made, scale), number(limit, scale)) == side(less, 0)


@given(scales.filter(lambda scale: scale.exact), counts)
@settings(max_examples=100, deadline=None)
def test_what_was_measured_is_shown_exactly_where_its_unit_allows(scale: Scale, count: int) -> None:
    assert Fraction(number(amount(scale, count), scale)) == scale.number(count)


@given(scales, counts)
@settings(max_examples=100, deadline=None)
def test_what_is_rounded_keeps_two_digits(scale: Scale, count: int) -> None:
    exact = scale.number(count)
    assert abs(Fraction(number(about(scale, count), scale)) - exact) <= max(abs(exact) / 20, Fraction(1, 10**6))


@pytest.mark.parametrize(
    ("quantity", "unit", "count", "fr", "en"),
    [
        (Quantity.GLUCOSE_CAPILLARY, Unit.MG_PER_DL, 700, "70\u00a0mg/dL", "70 mg/dL"),
        (Quantity.GLUCOSE_CAPILLARY, Unit.MMOL_PER_L, 700, "3,9\u00a0mmol/L", "3.9 mmol/L"),
        (Quantity.GLUCOSE_CAPILLARY, Unit.G_PER_L, 1_260, "1,26\u00a0g/L", "1.26 g/L"),
        (Quantity.BODY_WEIGHT, Unit.KILOGRAM, 72_000, "72,0\u00a0kg", "72.0 kg"),
        (Quantity.BODY_WEIGHT, Unit.POUND, 72_000, "158,7\u00a0lb", "158.7 lb"),
        (Quantity.BODY_TEMPERATURE, Unit.CELSIUS, 3_830, "38,3\u00a0°C", "38.3 °C"),
        (Quantity.BODY_TEMPERATURE, Unit.FAHRENHEIT, 3_830, "100,94\u00a0°F", "100.94 °F"),
        (Quantity.BLOOD_PRESSURE_MEAN, Unit.K_PA, 900, "12,0\u00a0kPa", "12.0 kPa"),
        (Quantity.BODY_FAT, Unit.PERCENT, 250, "25,0\u00a0%", "25.0%"),
        (Quantity.RESPIRATORY_RATE, Unit.PER_MINUTE, 220, "22/min", "22/min"),
        (Quantity.BMI, Unit.KG_PER_M2, 2_155, "21,55\u00a0kg/m²", "21.55 kg/m²"),
    ],
)
def test_a_measured_value_in_each_unit(quantity: Quantity, unit: Unit, count: int, fr: str, en: str) -> None:
    shown = amount(scale_of(quantity, {quantity: unit}), count)
    assert (shown.fr, shown.en) == (fr, en)


def test_a_difference_in_fahrenheit_has_no_offset() -> None:
    scale = scale_of(Quantity.BODY_TEMPERATURE, {Quantity.BODY_TEMPERATURE: Unit.FAHRENHEIT}).differences
    assert amount(scale, 100, plus=True).fr == "+1,8\u00a0°F"


@pytest.mark.parametrize(
    ("count", "fr", "en"),
    [(0, "0 point", "0 points"), (1, "1 point", "1 point"), (2, "2 points", "2 points"), (-1, "−1 point", "−1 point")],
)
def test_points_are_singular_as_each_language_has_it(count: int, fr: str, en: str) -> None:
    shown = amount(POINTS, count)
    assert (shown.fr.replace("\u00a0", " "), shown.en) == (fr, en)


def test_nothing_gained_has_no_sign() -> None:
    assert amount(scale_of(Quantity.BODY_WEIGHT, {}), 0, plus=True).en == "0.0 kg"


def test_a_code_that_nurses_write_is_kept() -> None:
    assert shown_unit(Unit.MG_PER_DL) == "mg/dL"
    assert shown_unit(Unit.MM_HG) == "mmHg"


def test_every_quantity_has_its_name() -> None:
    assert set(NAMES) == set(Quantity)
