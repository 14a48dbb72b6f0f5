"""No reading for longer than expected, or none on a day on which one was due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from alerting.scheduled_rules import MissingRule
from devices.reading import Reading
from tests.alerting.oracle.episodes import Expected, Moment, moment_of
from tests.alerting.oracle.local_clock import day_of, utc_of
from tests.alerting.oracle.sight import Setting


@dataclass(frozen=True)
class Absence:
    """One alert of a missing rule: the deadline that passed, the last reading before and the first after it."""

    deadline: int
    before: Reading | None
    after: Reading | None

    def alert(self, rule: str) -> Expected:
        shown = () if self.before is None else ((self.before.device, self.before.key),)
        ended = None if self.after is None else self.after.measured_at
        return Expected(rule, self.deadline, self.deadline, ended, shown)

    def moment(self, place: int) -> Moment:
        """Return when it is raised, `place` being that of its rule in the protocol."""
        return (self.deadline, 1, (f"{place:03}",))

    def stands(self, place: int, at: Moment) -> bool:
        return self.moment(place) <= at and (self.after is None or moment_of(self.after) > at)


def absences(
    rule: MissingRule, readings: Sequence[Reading], setting: Setting, *, since: int, newest: int
) -> list[Absence]:
    """Return the absences that are told once time has gone to `newest`."""
    if rule.by is None:
        return _by_age(rule, readings, since, newest)
    return _by_schedule(rule, rule.by, readings, setting, since, newest)


def _by_age(rule: MissingRule, readings: Sequence[Reading], since: int, newest: int) -> list[Absence]:
    found: list[Absence] = []
    last: Reading | None = None
    for reading in [*readings, None]:
        begun = since if last is None else max(since, last.measured_at)
        deadline = begun + rule.expected + rule.grace
        if (newest if reading is None else reading.measured_at) > deadline:
            found.append(Absence(deadline, last, reading))
        last = reading
    return found


def _by_schedule(
    rule: MissingRule, by: int, readings: Sequence[Reading], setting: Setting, since: int, newest: int
) -> list[Absence]:
    found: list[Absence] = []
    for day in _days(day_of(since, setting.zone), day_of(newest, setting.zone)):
        due = utc_of(day, by, setting.zone)
        deadline = due + rule.grace
        asked = rule.days >> day.weekday() & 1 and due > since
        before = [one for one in readings if one.measured_at <= deadline]
        after = [one for one in readings if one.measured_at > deadline]
        came = any(day_of(one.measured_at, setting.zone) >= day for one in before)
        told = any(one.after is None or one.after.measured_at > deadline for one in found)
        if asked and newest > deadline and not came and not told:
            found.append(Absence(deadline, before[-1] if before else None, after[0] if after else None))
    return found


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
