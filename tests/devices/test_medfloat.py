"""SFLOAT and FLOAT, every SFLOAT there is and FLOATs at random."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.medfloat import Special, decode_float, decode_sfloat, encode_float, encode_sfloat

# IEEE 11073-20601, annex F.6; the decimals are those of the HL7 Personal Health Device guide's examples.
SFLOATS = [
    (0x0002, Decimal(2)),
    (0xF014, Decimal("2.0")),
    (0xE0C8, Decimal("2.00")),
    (0x0072, Decimal(114)),
    (0xF4B5, Decimal("120.5")),
    (0xEF83, Decimal("-1.25")),
    (0x07FF, Special.NAN),
    (0x0800, Special.NRES),
    (0x07FE, Special.POSITIVE_INFINITY),
    (0x0802, Special.NEGATIVE_INFINITY),
    (0x0801, Special.RESERVED),
]
FLOATS = [
    (0xFF00016C, Decimal("36.4")),
    (0xFE000E38, Decimal("36.40")),
    (0x007FFFFF, Special.NAN),
    (0x00800000, Special.NRES),
    (0x007FFFFE, Special.POSITIVE_INFINITY),
    (0x00800002, Special.NEGATIVE_INFINITY),
    (0x00800001, Special.RESERVED),
]


def naive_sfloat(raw: int) -> Decimal | Special:
    mantissa = raw & 0xFFF
    mantissa -= 0x1000 * (mantissa > 0x7FF)
    exponent = raw >> 12
    exponent -= 16 * (exponent > 7)
    names = {
        0x07FF: Special.NAN,
        0x0800: Special.NRES,
        0x07FE: Special.POSITIVE_INFINITY,
        0x0802: Special.NEGATIVE_INFINITY,
        0x0801: Special.RESERVED,
    }
    return names[raw] if raw in names else Decimal(mantissa).scaleb(exponent)


def test_every_sfloat_means_what_a_naive_reading_says_and_encodes_to_the_same_bits() -> None:
    for raw in range(0x10000):
        value = decode_sfloat(raw)
        assert value == naive_sfloat(raw)
        assert encode_sfloat(value) == raw


@pytest.mark.parametrize(("raw", "value"), SFLOATS)
def test_sfloat_examples_keep_the_devices_precision(raw: int, value: Decimal | Special) -> None:
    assert str(decode_sfloat(raw)) == str(value)
    assert encode_sfloat(value) == raw


@pytest.mark.parametrize(("raw", "value"), FLOATS)
def test_float_examples_keep_the_devices_precision(raw: int, value: Decimal | Special) -> None:
    assert str(decode_float(raw)) == str(value)
    assert encode_float(value) == raw


@given(st.integers(0, 0xFFFFFFFF))
@settings(max_examples=200, deadline=None)
def test_any_float_encodes_to_the_same_bits(raw: int) -> None:
    assert encode_float(decode_float(raw)) == raw


@given(st.decimals(min_value="-2e10", max_value="2e10", allow_nan=False, allow_infinity=False))
@settings(max_examples=200, deadline=None)
def test_encoding_is_within_half_a_step(value: Decimal) -> None:
    said = decode_sfloat(encode_sfloat(value))
    assert isinstance(said, Decimal)
    exponent = said.as_tuple().exponent
    assert isinstance(exponent, int)
    assert abs(Fraction(said) - Fraction(value)) <= Fraction(10) ** exponent / 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Decimal("20.445"), "20.44"),  # a tie goes to the even digit
        (Decimal("20.455"), "20.46"),
        (Decimal("2044.5"), "2044"),
        (Decimal(2047), "2.05E+3"),  # mantissa 2047 at exponent 0 would say NaN
        (Decimal(-2048), "-2.05E+3"),
        (Decimal("204.7"), "204.7"),
        (Decimal("1E-20"), "0E-8"),
        (Decimal("1E+10"), "1.000E+10"),
    ],
)
def test_what_does_not_fit_is_rounded_half_even(value: Decimal, said: str) -> None:
    assert str(decode_sfloat(encode_sfloat(value))) == said


@pytest.mark.parametrize("value", ["3e10", "-3e10", "1e999999"])
def test_overflow_is_an_error_and_never_an_infinity(value: str) -> None:
    with pytest.raises(OverflowError):
        encode_sfloat(Decimal(value))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_decimals_own_specials_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="Special"):
        encode_float(Decimal(value))


def test_more_bits_than_the_format_has_are_refused() -> None:
    with pytest.raises(ValueError, match="16 bits"):
        decode_sfloat(0x10000)
    with pytest.raises(ValueError, match="32 bits"):
        decode_float(-1)
