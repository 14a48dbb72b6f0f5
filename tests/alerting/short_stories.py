"""Short stories of patients: what raises a rule of a packaged protocol, what is a quantum short of it, what ends it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from alerting.backtest import AlertOutcome, backtest
from alerting.care_protocol import CareProtocol
from devices.reading import Quality, Quantity, Reading, Validity
from tests.alerting.worlds import DAY, HOUR, MINUTE, PARIS, PULSE, SPO2, SYSTOLIC, TEMPERATURE, WEIGHT, reading

MIDNIGHT = 1_767_567_600_000  # 2026-01-05T00:00 in Paris, a Monday
DIASTOLIC = Quantity.BLOOD_PRESSURE_DIASTOLIC
BREATHING = Quantity.RESPIRATORY_RATE
BMI = Quantity.BMI
LOOSE = Quality.CUFF_TOO_LOOSE


def at(day: float, hour: float = 8, minute: int = 0) -> int:
    """Return a moment of the story, by the patient's clock, in ms UTC."""
    return MIDNIGHT + round(day * DAY + hour * HOUR) + minute * MINUTE


def take(
    quantity: Quantity, value: str, day: float, hour: float = 8, minute: int = 0, *, quality: Quality = Quality.NONE
) -> Reading:
    """Return a reading; one that the device itself doubts is questionable, as drivers have it."""
    doubtful = quality & (Quality.CUFF_TOO_LOOSE | Quality.BODY_MOVEMENT | Quality.POOR_SIGNAL)
    validity = Validity.QUESTIONABLE if doubtful else Validity.VALID
    return reading(quantity, value, at(day, hour, minute), quality=quality, validity=validity)


def daily(quantity: Quantity, value: str, days: Iterable[int], hour: float = 8) -> tuple[Reading, ...]:
    """Return the same value each day."""
    return tuple(take(quantity, value, day, hour) for day in days)


@dataclass(frozen=True, kw_only=True)
class Story:
    """What happens to one patient.

    Attributes:
        rule: the one it is about.
        before: what was measured before; it raises nothing of the rule.
        beyond: what raises it.
        inside: the same, one quantum short of it.
        after: what ends it.
        until: ms UTC to which time passes after `beyond`; by default to its last reading.
        until_inside: the same after `inside`.
    """

    rule: str
    before: Sequence[Reading] = ()
    beyond: Sequence[Reading] = ()
    inside: Sequence[Reading] = ()
    after: Sequence[Reading] = ()
    until: int | None = None
    until_inside: int | None = None

    def shifted(self, ms: int) -> "Story":
        """Return the same story so much later."""
        return replace(self, before=_later(self.before, ms), beyond=_later(self.beyond, ms))

    def told(self, protocol: CareProtocol, part: Sequence[Reading], until: int | None = None) -> list[AlertOutcome]:
        """Return the alerts of the rule after what was before and this part."""
        found = outcomes(protocol, (*self.before, *part), until)
        return [one for one in found if one.rule == self.rule]


def _later(readings: Sequence[Reading], ms: int) -> tuple[Reading, ...]:
    return tuple(replace(one, measured_at=one.measured_at + ms, received_at=one.received_at + ms) for one in readings)


def outcomes(protocol: CareProtocol, readings: Sequence[Reading], until: int | None = None) -> list[AlertOutcome]:
    """Return every alert of a patient who measured this."""
    since = min(one.measured_at for one in readings)
    return list(backtest(protocol, {"patient-7f3a": readings}, zone=PARIS, since=since, until=until))


def single(rule: str, quantity: Quantity, normal: str, inside: str, beyond: str, after: str) -> Story:
    """Return the story of a threshold."""
    return Story(
        rule=rule,
        before=(take(quantity, normal, 0),),
        inside=(take(quantity, inside, 1),),
        beyond=(take(quantity, beyond, 1),),
        after=(take(quantity, after, 2),),
    )


def unusual(rule: str, quantity: Quantity, normal: str, inside: str, beyond: str) -> Story:
    """Return the story of a deviation from what was measured on eight days, all alike, five days ago and before."""
    return Story(
        rule=rule,
        before=daily(quantity, normal, range(8)),
        inside=(take(quantity, inside, 13),),
        beyond=(take(quantity, beyond, 13),),
        after=(take(quantity, normal, 14),),
    )


def absent(rule: str, quantity: Quantity, value: str, deadline: int) -> Story:
    """Return the story of an absence after one reading at 08:00; `deadline` is ms UTC."""
    return Story(
        rule=rule,
        before=(take(quantity, value, 0),),
        after=(reading(quantity, value, deadline + HOUR),),
        until=deadline + 1,
        until_inside=deadline,
    )


def flagged(rule: str, quantity: Quantity, value: str, quality: Quality, other: Quality) -> Story:
    """Return the story of a reading that is to be repeated, and then is."""
    return Story(
        rule=rule,
        before=(take(quantity, value, 0),),
        inside=(take(quantity, value, 1, quality=other),),
        beyond=(take(quantity, value, 1, quality=quality),),
        after=(take(quantity, value, 1, 8, 5),),
    )


def loss(rule: str, inside: str, beyond: str, days: int) -> Story:
    """Return the story of a loss of weight, from 70 kg, over so many days and weighed once a week."""
    return Story(
        rule=rule,
        before=daily(WEIGHT, "70.0", range(0, days, 7)),
        inside=(take(WEIGHT, inside, days),),
        beyond=(take(WEIGHT, beyond, days),),
        after=(take(WEIGHT, "69.0", days + 1),),
    )


def schedule(quantity: Quantity, value: str, days: Iterable[int]) -> Iterator[Reading]:
    """Yield two readings in the morning and two in the evening."""
    for day in days:
        for hour in (7, 20):
            yield take(quantity, value, day, hour)
            yield take(quantity, value, day, hour, 2)


def confirmed(rule: str, quantity: Quantity, beyond: str, inside: str, after: str) -> Story:
    """Return the story of two readings five minutes apart."""
    return Story(
        rule=rule,
        before=(take(quantity, beyond, 0),),
        inside=(take(quantity, inside, 0, 8, 5),),
        beyond=(take(quantity, beyond, 0, 8, 5),),
        after=(take(quantity, after, 0, 20), take(quantity, after, 0, 20, 5)),
    )


def news2(rule: str, saturation: str, others: Sequence[tuple[Quantity, str]] = ()) -> Story:
    """Return the story of a score of 5 points, the last of them a tenth of a degree."""
    known = (
        take(SPO2, saturation, 0),
        take(PULSE, "111", 0),
        *(take(quantity, value, 0) for quantity, value in others),
    )
    normal = (take(SPO2, "97", 0, 10), take(PULSE, "70", 0, 10), take(TEMPERATURE, "36.8", 0, 10))
    return Story(
        rule=rule,
        before=known,
        inside=(take(TEMPERATURE, "38.04", 0, 9),),
        beyond=(take(TEMPERATURE, "38.05", 0, 9),),
        after=(
            *normal,
            *(take(quantity, {SYSTOLIC: "120", BREATHING: "16"}[quantity], 0, 10) for quantity, _ in others),
        ),
    )


def dropped(rule: str, quantity: Quantity, seated: str, inside: str, beyond: str) -> Story:
    """Return the story of a second reading three minutes after the first."""
    return Story(
        rule=rule,
        before=(take(quantity, seated, 0),),
        inside=(take(quantity, inside, 0, 8, 3),),
        beyond=(take(quantity, beyond, 0, 8, 3),),
        after=(take(quantity, seated, 1),),
    )
