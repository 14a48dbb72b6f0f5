"""SFLOAT (16 bits) and FLOAT (32 bits) of IEEE 11073-20601, both ways, exactly.

A medical float is a signed decimal mantissa with a signed decimal exponent: 36.40 and 36.4 are different words
of the device, the first says more about its precision. So a decoded value is a `Decimal` that keeps the device's
exponent, and encoding it again gives the same bits.

Five mantissas at exponent 0 are not numbers but names (`Special`). At other exponents the same mantissas are
numbers: devices that always send tenths do send 204.7 as mantissa 2047.

Source: IEEE 11073-20601:2019, annex F.6 (FLOAT-Type and SFLOAT-Type).
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction


class Special(Enum):
    """What a device says instead of a number."""

    NAN = "NaN"
    """Not a number: the device has no value (mantissa 2^(n-1) - 1)."""
    NRES = "NRes"
    """Not at this resolution (mantissa -2^(n-1))."""
    POSITIVE_INFINITY = "+INFINITY"
    """Above what the device can say."""
    NEGATIVE_INFINITY = "-INFINITY"
    """Below what the device can say."""
    RESERVED = "reserved"
    """Reserved for future use (mantissa -2^(n-1) + 1)."""


MedFloat = Decimal | Special


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    mantissa_bits: int
    exponent_bits: int

    @property
    def specials(self) -> dict[int, Special]:
        """Mantissas that are names when the exponent is 0."""
        half = 1 << (self.mantissa_bits - 1)
        return {
            half - 1: Special.NAN,
            half - 2: Special.POSITIVE_INFINITY,
            -half: Special.NRES,
            -half + 1: Special.RESERVED,
            -half + 2: Special.NEGATIVE_INFINITY,
        }

    def decode(self, raw: int) -> MedFloat:
        if not 0 <= raw < 1 << (self.mantissa_bits + self.exponent_bits):
            raise ValueError(f"{raw:#x} does not fit {self.mantissa_bits + self.exponent_bits} bits")
        mantissa = _signed(raw & ((1 << self.mantissa_bits) - 1), self.mantissa_bits)
        exponent = _signed(raw >> self.mantissa_bits, self.exponent_bits)
        if exponent == 0 and mantissa in self.specials:
            return self.specials[mantissa]
        return Decimal((int(mantissa < 0), tuple(map(int, str(abs(mantissa)))), exponent))

    def encode(self, value: MedFloat) -> int:
        if isinstance(value, Special):
            return next(self._pack(mantissa, 0) for mantissa, name in self.specials.items() if name is value)
        if not value.is_finite():
            raise ValueError(f"{value} is not a number; say which Special is meant")
        smallest, largest = -(1 << (self.exponent_bits - 1)), (1 << (self.exponent_bits - 1)) - 1
        half = 1 << (self.mantissa_bits - 1)
        own = int(value.as_tuple().exponent)
        for exponent in range(min(max(own, smallest), largest), largest + 1):
            # Beyond this the mantissa cannot fit, and writing it out could take for ever.
            if value and value.adjusted() - exponent > self.mantissa_bits:
                continue
            mantissa = _rounded(value, exponent)
            if -half <= mantissa < half and not (exponent == 0 and mantissa in self.specials):
                return self._pack(mantissa, exponent)
        raise OverflowError(f"{value} is beyond what {self.mantissa_bits + self.exponent_bits} bits can say")

    def _pack(self, mantissa: int, exponent: int) -> int:
        mantissa_mask, exponent_mask = (1 << self.mantissa_bits) - 1, (1 << self.exponent_bits) - 1
        return ((exponent & exponent_mask) << self.mantissa_bits) | (mantissa & mantissa_mask)


def _signed(raw: int, bits: int) -> int:
    return raw - (1 << bits) if raw >> (bits - 1) else raw


def _rounded(value: Decimal, exponent: int) -> int:
    """Return value / 10^exponent as the nearest integer, ties to even."""
    if value.adjusted() < exponent - 1:
        # Less than a tenth of a step; writing out a far smaller one could take for ever.
        return 0
    return round(Fraction(value) / Fraction(10) ** exponent)


_SFLOAT = _Format(mantissa_bits=12, exponent_bits=4)
_FLOAT = _Format(mantissa_bits=24, exponent_bits=8)


def decode_sfloat(raw: int) -> MedFloat:
    """Return what 16 bits say: a decimal with the device's own exponent (-8 to 7), or a special value.

    Raises:
        ValueError: `raw` is not 0 to 0xFFFF.
    """
    return _SFLOAT.decode(raw)


def encode_sfloat(value: MedFloat) -> int:
    """Return the 16 bits of a value: exactly when they can say it, else rounded half to even.

    Raises:
        OverflowError: the value is beyond the largest SFLOAT.
        ValueError: the decimal is a NaN or an infinity instead of a `Special`.
    """
    return _SFLOAT.encode(value)


def decode_float(raw: int) -> MedFloat:
    """Return what 32 bits say: a decimal with the device's own exponent (-128 to 127), or a special value.

    Raises:
        ValueError: `raw` is not 0 to 0xFFFFFFFF.
    """
    return _FLOAT.decode(raw)


def encode_float(value: MedFloat) -> int:
    """Return the 32 bits of a value: exactly when they can say it, else rounded half to even.

    Raises:
        OverflowError: the value is beyond the largest FLOAT.
        ValueError: the decimal is a NaN or an infinity instead of a `Special`.
    """
    return _FLOAT.encode(value)
