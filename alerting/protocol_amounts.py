"""Amounts with their units, as a protocol file writes them, both ways: "70 mg/dL", "75 %", "3 SD", "5 points".

An amount is read exactly and counted once, in the measure of its rule (`alerting.rules.Measure`), rounded half to even.

What is not here: which key takes which of them (protocol_schema), and whether they fit together (contradictions).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import ClassVar, Self

from alerting.alert import Sentence
from alerting.protocol_values import SPACES, text_of
from alerting.wording import shown_unit
from devices.errors import UnitError
from devices.reading import Quantity, QuantityFacts, Unit, facts, plausible, to_counts, to_value

_AMOUNT = re.compile(rf"(-?[0-9]{{1,6}}(?:\.[0-9]{{1,6}})?)[{SPACES}]*(\S+(?:[{SPACES}]\S+)?)")
_SPOKEN = {
    "mmHg": Unit.MM_HG,
    "mm Hg": Unit.MM_HG,
    "°C": Unit.CELSIUS,
    "°F": Unit.FAHRENHEIT,
    "lb": Unit.POUND,
    "kg/m²": Unit.KG_PER_M2,
    "point": Unit.SCORE,
    "points": Unit.SCORE,
}
"""Units as they are spoken, besides their codes."""


def parts_of(text: str) -> tuple[str, str]:
    """Return the number and the unit of an amount as written, each space in the unit a plain one.

    Raises:
        ValueError: it is no number with something after it.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return match[1], " ".join(match[2].split())


class RefusedError(Exception):
    """A value that is well written and not possible here.

    Attributes:
        why: what is wrong and what to write, for a nurse.
    """

    def __init__(self, why: Sentence) -> None:
        super().__init__(why.en)
        self.why = why


class Amount(ABC):
    """A number with its unit, as written."""

    __slots__ = ("number", "unit")

    units: ClassVar[Mapping[str, str]] = MappingProxyType({unit.value: unit.value for unit in Unit} | _SPOKEN)
    """What may be written -> what it means."""

    def __init__(self, number: Decimal, unit: str) -> None:
        self.number = number
        self.unit = unit

    @classmethod
    def read(cls, text: object) -> Self:
        """Read it.

        Raises:
            ValueError: it is no number with a unit that this kind of amount can have.
        """
        number, unit = parts_of(text_of(text))
        if unit not in cls.units:
            raise ValueError(text)
        return cls(Decimal(number), cls.units[unit])

    @abstractmethod
    def counts(self, quantity: Quantity) -> int:
        """Return it in the measure of a rule of that quantity.

        Raises:
            RefusedError: not possible for that quantity.
        """

    @classmethod
    def text(cls, quantity: Quantity, count: int) -> str:
        """Return what counts so many, as a protocol is written."""
        return _amount_text(quantity, count)


class Level(Amount):
    """A value of the quantity itself, such as "70 mg/dL": quanta."""

    __slots__ = ()

    def counts(self, quantity: Quantity) -> int:
        """Return quanta.

        Raises:
            RefusedError: not the quantity's unit, or impossible in a patient.
        """
        try:
            count = to_counts(quantity, self.number, Unit(self.unit))
        except UnitError as error:
            raise RefusedError(_not_measured(quantity, self.unit)) from error
        if not plausible(quantity, count):
            known = facts(quantity)
            low, high = to_value(quantity, known.low), f"{to_value(quantity, known.high)} {shown_unit(known.unit)}"
            raise RefusedError(
                Sentence(
                    fr=f"seuil impossible chez un patient : il doit être entre {low} et {high} "
                    "(l'unité est-elle la bonne ?)",
                    en=f"impossible in a patient: it must be between {low} and {high} (is the unit right?)",
                )
            )
        return count


class Difference(Amount):
    """A difference between two values, positive, such as "2.0 kg": quanta."""

    __slots__ = ()

    per_quantum: ClassVar = 1
    """What one quantum counts."""

    def counts(self, quantity: Quantity) -> int:
        """Return quanta.

        Raises:
            RefusedError: not the quantity's unit, or a difference that no two values of it can have.
        """
        known = facts(quantity)
        # Of a difference only the factor counts: 1 degF more is 5/9 Cel more, whatever the zero of either scale.
        if self.unit == known.unit:
            factor = Fraction(1)
        elif self.unit in known.conversions:
            factor = known.conversions[Unit(self.unit)][0]
        else:
            raise RefusedError(_not_measured(quantity, self.unit))
        count = round(Fraction(self.number) * factor / Fraction(known.quantum) * self.per_quantum)
        if not 0 < count <= (known.high - known.low) * self.per_quantum:
            widest = to_value(quantity, known.high - known.low)
            raise RefusedError(
                Sentence(
                    fr=f"cette règle ne pourra jamais alerter : la variation doit être positive et au plus de "
                    f"{widest} {shown_unit(known.unit)}",
                    en=f"this rule can never be raised: the change must be positive and at most "
                    f"{widest} {shown_unit(known.unit)}",
                )
            )
        return count


class PerMinute(Difference):
    """A difference in one minute, such as "3 mg/dL": thousandths of a quantum."""

    __slots__ = ()

    per_quantum: ClassVar = 1000

    @classmethod
    def text(cls, quantity: Quantity, count: int) -> str:
        """Return it, as a protocol is written."""
        return _amount_text(quantity, count, per_quantum=cls.per_quantum)


class Fraction100(Amount):
    """A share or a probability, such as "75 %": basis points."""

    __slots__ = ()

    units: ClassVar[Mapping[str, str]] = MappingProxyType({"%": "%"})

    def counts(self, quantity: Quantity) -> int:  # noqa: ARG002 - a share is one of any quantity
        """Return basis points.

        Raises:
            RefusedError: not above 0 and at most 100 %.
        """
        count = round(self.number * 100)
        if not 0 < count <= 100 * 100:
            raise RefusedError(
                Sentence(
                    fr="écrire plus de 0 % et au plus 100 % : au-delà, la règle ne pourra jamais alerter",
                    en="write more than 0 % and at most 100 %: beyond that the rule can never be raised",
                )
            )
        return count

    @classmethod
    def text(cls, quantity: Quantity, count: int) -> str:  # noqa: ARG003 - a share is one of any quantity
        """Return it, as a protocol is written."""
        return _ratio_text(count, 100, "%")


class Change(Difference):
    """A difference, or a share of what it is counted from: "2.0 kg" (quanta) or "5 %" (basis points)."""

    __slots__ = ()

    def relative(self, quantity: Quantity) -> bool:
        """Return whether it is a share: "%" of a quantity that is not itself in %."""
        return self.unit == Unit.PERCENT and facts(quantity).unit is not Unit.PERCENT

    def share(self, quantity: Quantity) -> int:
        """Return basis points.

        Raises:
            RefusedError: not in %, or not above 0 and at most 100 %.
        """
        if self.unit != Unit.PERCENT:
            raise RefusedError(
                Sentence(
                    fr='un changement relatif s\'écrit en %, tel que "5 %"',
                    en='a relative change is written in %, such as "5 %"',
                )
            )
        return Fraction100(self.number, self.unit).counts(quantity)


class Deviations(Amount):
    """So many standard deviations, such as "3 SD": thousandths."""

    __slots__ = ()

    units: ClassVar[Mapping[str, str]] = MappingProxyType({"SD": "SD", "ET": "SD"})

    def counts(self, quantity: Quantity) -> int:  # noqa: ARG002 - a deviation is one of any quantity
        """Return thousandths.

        Raises:
            RefusedError: not above 0 and at most 20.
        """
        return _thousandths(self.number, 20, "SD")

    @classmethod
    def text(cls, quantity: Quantity, count: int) -> str:  # noqa: ARG003 - a deviation is one of any quantity
        """Return it, as a protocol is written."""
        return _ratio_text(count, 1000, "SD")


class Points(Amount):
    """Points of a score, such as "5 points"."""

    __slots__ = ()

    units: ClassVar[Mapping[str, str]] = MappingProxyType({"points": "points", "point": "points"})

    def counts(self, quantity: Quantity) -> int:  # noqa: ARG002 - points are filed under any quantity
        """Return whole points.

        Raises:
            RefusedError: not a whole number from 1 to 100.
        """
        if self.number != int(self.number) or not 1 <= self.number <= 100:
            raise RefusedError(
                Sentence(
                    fr="écrire un nombre entier de points, de 1 à 100", en="write a whole number of points, 1 to 100"
                )
            )
        return int(self.number)

    @classmethod
    def text(cls, quantity: Quantity, count: int) -> str:  # noqa: ARG003 - points are filed under any quantity
        """Return it, as a protocol is written."""
        return _ratio_text(count, 1, "points")


class LogOdds(Points):
    """Points of a score that adds logarithms of odds, such as "5.65 points": thousandths."""

    __slots__ = ()

    def counts(self, quantity: Quantity) -> int:  # noqa: ARG002 - points are filed under any quantity
        """Return thousandths.

        Raises:
            RefusedError: not above 0 and at most 100.
        """
        return _thousandths(self.number, 100, "points")

    @classmethod
    def text(cls, quantity: Quantity, count: int) -> str:  # noqa: ARG003 - points are filed under any quantity
        """Return it, as a protocol is written."""
        return _ratio_text(count, 1000, "points")


def _amount_text(quantity: Quantity, count: int, *, per_quantum: int = 1) -> str:
    """Return an amount in the canonical unit, exactly, as a protocol is written."""
    known = facts(quantity)
    unit = shown_unit(known.unit) if known.unit is Unit.SCORE else known.unit
    return f"{_shortest(known.quantum * count / per_quantum, known)} {unit}"


def _ratio_text(count: int, one: int, unit: str) -> str:
    """Return what is counted in parts of which `one` make one unit, such as basis points."""
    return f"{_plain(Decimal(count) / one)} {unit}"


def _shortest(value: Decimal, known: QuantityFacts) -> str:
    """Return a number without needless zeros, with one decimal at least where the quantity is finer than one."""
    text = _plain(value)
    return text if "." in text or known.decimals <= 1 else f"{text}.0"


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _thousandths(number: Decimal, most: int, unit: str) -> int:
    count = round(number * 1000)
    if not 0 < count <= most * 1000:
        raise RefusedError(
            Sentence(fr=f"écrire plus de 0 et au plus {most} {unit}", en=f"write more than 0 and at most {most} {unit}")
        )
    return count


def units_of(quantity: Quantity) -> str:
    """Return the units of a quantity as they are spoken, the one it is counted in first."""
    return ", ".join(shown_unit(unit) for unit in (facts(quantity).unit, *facts(quantity).conversions))


def _not_measured(quantity: Quantity, unit: str) -> Sentence:
    written, units = shown_unit(Unit(unit)), units_of(quantity)
    return Sentence(
        fr=f"{quantity} ne se mesure pas en {written} ; unités possibles : {units}",
        en=f"{quantity} is not measured in {written}; possible units: {units}",
    )
