"""Numbers with their units as a reader writes them, in French and English.

Rules of this room:

- What a device measured and what a protocol sets is shown as it is. A unit in which it has no end (mmol/L, lb, kPa) is
  rounded, and so is what was worked out of several readings: half to even, to as many decimals as leave two digits.
- A value that is beyond a threshold is never shown equal to it nor on its other side: decimals are added until it is
  not. The threshold beside it is shown as it was set.
- A French number has a comma and is tied to its unit by U+00A0; a minus is U+2212 in both languages.

What is not here: days, hours and lengths of time (spoken_time).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from alerting.alert import Sentence
from devices.reading import Quantity, Unit, facts

NB = "\u00a0"
MINUS = "\u2212"
ELLIPSIS = "\u2026"

_UNITS = {
    Unit.MM_HG: "mmHg",
    Unit.CELSIUS: "°C",
    Unit.FAHRENHEIT: "°F",
    Unit.POUND: "lb",
    Unit.KG_PER_M2: "kg/m²",
    Unit.SCORE: "points",
}
_FEWEST_DECIMALS = {
    Unit.G_PER_L: 2,
    Unit.MMOL_PER_L: 1,
    Unit.K_PA: 1,
    Unit.CELSIUS: 1,
    Unit.FAHRENHEIT: 1,
    Unit.KILOGRAM: 1,
    Unit.POUND: 1,
    Unit.KG_PER_M2: 1,
}
_MOST_DECIMALS = 6
"""Beyond these no decimal is added for the sake of digits; only to keep a value apart from its threshold."""


def shown_unit(unit: Unit) -> str:
    """Return a unit as a nurse writes it, such as "mmHg"; its UCUM code where that is the same."""
    return _UNITS.get(unit, unit.value)


def say(fr: str, en: str, **parts: Sentence | str | int) -> Sentence:
    """Return a text in both languages with `{name}` filled in; "~" in the French one stands for U+00A0."""
    in_french = {name: part.fr if isinstance(part, Sentence) else part for name, part in parts.items()}
    in_english = {name: part.en if isinstance(part, Sentence) else part for name, part in parts.items()}
    return Sentence(fr=fr.replace("~", NB).format(**in_french), en=en.format(**in_english))


NOTHING = Sentence(fr="", en="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How counts become numbers with a unit.

    Attributes:
        step: size of one count in the shown unit.
        zero: what a count of 0 is in the shown unit.
        fewest: decimals that are always shown.
        one: the unit after a number that is singular in its language, with the space before it.
        many: after any other.
    """

    step: Fraction
    zero: Fraction = Fraction(0)
    fewest: int = 0
    one: Sentence = NOTHING
    many: Sentence = NOTHING

    @property
    def exact(self) -> bool:
        """Whether every count has a number that ends."""
        return _ends(self.step) and _ends(self.zero)

    @property
    def differences(self) -> "Scale":
        """The scale of differences between counts."""
        return replace(self, zero=Fraction(0))

    def number(self, count: int) -> Fraction:
        """Return a count in the shown unit."""
        return count * self.step + self.zero


def scale_of(quantity: Quantity, units: Mapping[Quantity, Unit]) -> Scale:
    """Return how a quantity is shown: in the reader's unit, or the canonical one where there is none such."""
    known = facts(quantity)
    unit = units.get(quantity, known.unit)
    if unit not in known.conversions:
        unit = known.unit
    factor, offset = known.conversions.get(unit, (Fraction(1), Fraction(0)))
    if unit is Unit.SCORE:
        of = say("~sur {most}", " of {most}", most=known.high)
        one, many = (Sentence(fr=word.fr + of.fr, en=word.en + of.en) for word in (POINTS.one, POINTS.many))
        return Scale(step=Fraction(known.quantum), one=one, many=many)
    shown = after(shown_unit(unit))
    return Scale(
        step=Fraction(known.quantum) / factor,
        zero=-offset / factor,
        fewest=_FEWEST_DECIMALS.get(unit, 1 if quantity is Quantity.BODY_FAT else 0),
        one=shown,
        many=shown,
    )


def after(unit: str) -> Sentence:
    """Return a unit with what stands between it and the number."""
    if unit.startswith("/"):
        return Sentence(fr=unit, en=unit)
    return Sentence(fr=f"{NB}{unit}", en=unit if unit == "%" else f" {unit}")


def per_minute(scale: Scale) -> Scale:
    """Return the scale of a rule's rates, in thousandths of a count a minute."""
    unit = say("{unit} par minute", "{unit} per minute", unit=scale.many)
    return replace(scale.differences, step=scale.step / 1000, one=unit, many=unit)


PERCENT = Scale(step=Fraction(1, 100), one=after("%"), many=after("%"))
"""Of basis points."""
DEVIATIONS = Scale(
    step=Fraction(1, 1000),
    one=say("~écart-type", " standard deviation"),
    many=say("~écarts-types", " standard deviations"),
)
"""Of thousandths of a standard deviation."""
INDEX = Scale(step=Fraction(1, 1000))
"""Of thousandths of a logarithm of odds."""
POINTS = Scale(step=Fraction(1), one=say("~point", " point"), many=say("~points", " points"))


def amount(scale: Scale, count: int, *, plus: bool = False) -> Sentence:
    """Return a count as it is, rounded only where the unit has no end; `plus` puts a sign before a gain too."""
    number = scale.number(count)
    return _written(scale, number, _as_it_is(scale, number), plus=plus)


def about(scale: Scale, count: int) -> Sentence:
    """Return a count that was worked out of others, rounded."""
    number = scale.number(count)
    return _written(scale, number, _two_digits(number, scale.fewest))


def against(scale: Scale, value: int, threshold: int, *, plus: bool = False) -> tuple[Sentence, Sentence]:
    """Return a value as it was measured, and the threshold it was compared with."""
    number, limit = scale.number(value), scale.number(threshold)
    (decimals,), of_limit = _apart(scale, limit, [(number, _as_it_is(scale, number))])
    return _written(scale, number, decimals, plus=plus), _written(scale, limit, of_limit, plus=plus)


def estimate(
    scale: Scale, value: int, threshold: int, *, finer: int = 0, plus: bool = False
) -> tuple[Sentence, Sentence]:
    """Return a value that was worked out, rounded, and the threshold it was compared with.

    Args:
        scale: of both.
        value: in counts.
        threshold: in counts.
        finer: decimals to show of the value beyond the scale's fewest.
        plus: put a sign before a gain too.
    """
    number, limit = scale.number(value), scale.number(threshold)
    (decimals,), of_limit = _apart(scale, limit, [(number, _two_digits(number, scale.fewest + finer))])
    return _written(scale, number, decimals, plus=plus), _written(scale, limit, of_limit, plus=plus)


def both_against(scale: Scale, measured: int, worked_out: int, threshold: int) -> tuple[Sentence, Sentence, Sentence]:
    """Return a measured value, one that was worked out of it and others, and the threshold they stand beside."""
    seen, made, limit = scale.number(measured), scale.number(worked_out), scale.number(threshold)
    decimals, of_limit = _apart(scale, limit, [(seen, _as_it_is(scale, seen)), (made, _two_digits(made, scale.fewest))])
    return (
        _written(scale, seen, decimals[0]),
        _written(scale, made, decimals[1]),
        _written(scale, limit, of_limit),
    )


def _apart(scale: Scale, limit: Fraction, numbers: Sequence[tuple[Fraction, int]]) -> tuple[list[int], int]:
    """Return with how many decimals numbers stand on the side of a limit on which they are, and those of the limit.

    Args:
        scale: of all; an exact one shows the limit wholly.
        limit: what they were compared with.
        numbers: each with its fewest decimals.
    """
    decimals = [fewest for _, fewest in numbers]
    of_limit = _as_it_is(scale, limit)
    while True:
        if not scale.exact:
            of_limit = max(of_limit, *decimals)
        shown = round(limit, of_limit)
        wrong = [
            index
            for index, (number, _) in enumerate(numbers)
            if _side(round(number, decimals[index]), shown) != _side(number, limit)
        ]
        if not wrong:
            return decimals, of_limit
        for index in wrong:
            decimals[index] += 1


def _side(value: Fraction, limit: Fraction) -> int:
    return (value > limit) - (value < limit)


def _ends(number: Fraction) -> bool:
    rest = number.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _as_it_is(scale: Scale, number: Fraction) -> int:
    """Return how many decimals show a number of an exact scale wholly, and one of another scale well."""
    if not scale.exact:
        return _two_digits(number, scale.fewest)
    decimals = scale.fewest
    while round(number, decimals) != number:
        decimals += 1
    return decimals


def _two_digits(number: Fraction, fewest: int) -> int:
    """Return how many decimals leave two digits of a number, or all it has."""
    decimals = fewest
    while decimals < _MOST_DECIMALS and round(number, decimals) != number and abs(number) * 10**decimals < 10:
        decimals += 1
    return decimals


def _written(scale: Scale, number: Fraction, decimals: int, *, plus: bool = False) -> Sentence:
    rounded = round(number, decimals)
    whole, rest = divmod(round(abs(rounded) * 10**decimals), 10**decimals)
    sign = MINUS if rounded < 0 else "+" if plus and rounded > 0 else ""
    tail = f"{rest:0{decimals}d}" if decimals else ""
    return Sentence(
        fr=sign + (f"{whole},{tail}" if tail else str(whole)) + (scale.one.fr if abs(rounded) < 2 else scale.many.fr),
        en=sign + (f"{whole}.{tail}" if tail else str(whole)) + (scale.one.en if abs(rounded) == 1 else scale.many.en),
    )
