"""Protocols, readings and arrivals for the tests of the engine."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from alerting.alert import AlertChange, Audience, ChangeKind, Priority, Sentence
from alerting.care_protocol import CareProtocol, Rule, Timing
from alerting.engine import Engine, Lateness
from alerting.protocol_file import read_protocol
from alerting.rules import BaselineRule, ChangeRule, LevelRule, Statistic
from alerting.scheduled_rules import MissingRule
from devices.reading import ClockTrust, Provenance, Quality, Quantity, Reading, Unit, Validity, facts, to_counts
from tests.alerting.drawn_rules import (
    DAYS,
    ENGINE_KINDS,
    FIRST_KINDS,
    FLAGS,
    HOURS,
    LEVELS,
    NEEDED,
    SENSOR,
    WORDS,
    Scale,
    meeting,
    rules,
)
from tests.alerting.oracle import Expected, expected_alerts, expected_values

PARIS = ZoneInfo("Europe/Paris")
PATIENT = "patient-7f3a"
START = 1_772_521_860_000  # 2026-03-03T07:11:00Z
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SMALL = Path(__file__).parent / "small"
CGM = Quantity.GLUCOSE_INTERSTITIAL
WEIGHT = Quantity.BODY_WEIGHT
SYSTOLIC = Quantity.BLOOD_PRESSURE_SYSTOLIC
PULSE = Quantity.PULSE_RATE
SPO2 = Quantity.SPO2
TEMPERATURE = Quantity.BODY_TEMPERATURE
MARCH = 1_773_014_400_000  # 2026-03-09T00:00:00Z; Paris moves its clocks on 29 March
OCTOBER = 1_760_918_400_000  # 2025-10-20T00:00:00Z; Paris moves them back on 26 October


def packaged(name: str) -> CareProtocol:
    """Return one of the protocols that ship."""
    data = (resources.files("configs") / "protocols" / f"{name}.toml").read_bytes()
    return read_protocol(data, name_hint=name)


def small(name: str) -> CareProtocol:
    """Return a protocol of a few rules, as those that ship once were, for what does not depend on which ones do."""
    return read_protocol((SMALL / f"{name}.toml").read_bytes(), name_hint=name)


def reading(
    quantity: Quantity,
    value: str | int,
    at: int,
    *,
    device: str = "C4:B0:00:00:00:01",
    key: str | None = None,
    validity: Validity = Validity.VALID,
    received_at: int | None = None,
    quality: Quality = Quality.NONE,
) -> Reading:
    """Return a reading; `value` is decimal text in the canonical unit, or a count."""
    unit = facts(quantity).unit
    return Reading(
        quantity=quantity,
        count=value if isinstance(value, int) else to_counts(quantity, Decimal(value), unit),
        validity=validity,
        measured_at=at,
        clock=ClockTrust.TRUSTED,
        received_at=at if received_at is None else received_at,
        device=device,
        key=key or str(at),
        quality=quality,
        provenance=Provenance(source="device", value=None, unit=Unit(unit)),
    )


def protocol_of(*rules: Rule, timings: dict[Quantity, Timing] | None = None) -> CareProtocol:
    """Return a protocol of these rules alone."""
    return CareProtocol(
        name="any",
        version=1,
        title=Sentence(fr="?", en="?"),
        not_transmitted_after=DAY,
        timings=timings or {},
        rules=rules,
        sources={"s": "?"},
    )


def common(quantity: Quantity, rule_id: str = "rule") -> dict[str, Any]:
    """Return what every rule has."""
    return {
        "id": rule_id,
        "quantity": quantity,
        "priority": Priority.LOW,
        "audience": Audience.NURSE,
        "words": WORDS,
    }


def cgm(values: Iterable[int | str], begin: int = START, step: int = 5 * MINUTE) -> list[Reading]:
    """Return glucose readings in mg/dL, one each `step` ms."""
    return [reading(CGM, str(value), begin + index * step) for index, value in enumerate(values)]


def fold(changes: Iterable[AlertChange]) -> list[Expected]:
    """Return the alerts that hold after changes, sorted, leaving out those retracted."""
    alerts: dict[str, AlertChange] = {}
    for change in changes:
        if change.kind is ChangeKind.RETRACTED:
            del alerts[change.alert_id]
            continue
        if change.kind in (ChangeKind.RESOLVED, ChangeKind.CONFIRMED, ChangeKind.SUPPRESSED, ChangeKind.RELEASED):
            assert change.alert_id in alerts, "a change of an alert that was never told"
        else:
            assert change.alert_id not in alerts, "told twice"
        if change.kind is ChangeKind.REVISED:
            assert change.supersedes is not None
            del alerts[change.supersedes]
        alerts[change.alert_id] = change
    found = [
        Expected(
            one.rule,
            one.onset,
            one.raised_at,
            one.resolved_at,
            tuple((item.device, item.key) for item in one.evidence),
        )
        for one in alerts.values()
    ]
    return sorted(found, key=lambda one: (one.raised_at, one.rule, one.onset))


class Box:
    """Hands what arrives to an engine as the box's pipeline does, and remembers what was told."""

    def __init__(self, protocol: CareProtocol, since: int, zone: ZoneInfo = PARIS) -> None:
        self.engine = Engine(protocol, patient=PATIENT, zone=zone, since=since)
        self.since = since
        self.zone = zone
        self.kept: dict[tuple[Quantity, str, str], Reading] = {}
        self.told: list[AlertChange] = []

    def arrive(self, batch: Sequence[Reading]) -> None:
        late = False
        in_order = []
        for one in batch:
            lateness = self.engine.lateness(one)
            if lateness is Lateness.NOT_JUDGED:
                assert one.measured_at < self.since, "within the lateness bound everything is judged"
                continue
            self.kept.setdefault((one.quantity, one.device, one.key), one)
            if lateness is Lateness.LATE:
                late = True
            else:
                in_order.append(one)
        self.told += self.engine.feed(in_order)
        if late:
            self.told += self.engine.rejudge(list(self.kept.values()))

    def tick(self, now: int) -> None:
        self.told += self.engine.tick(now)

    def restart(self) -> None:
        before = self.engine.open_alerts
        self.engine = Engine.restore(self.engine.protocol, self.engine.snapshot(), zone=self.zone)
        assert self.engine.open_alerts == before


@dataclass(frozen=True)
class World:
    """A protocol and what a patient's devices measured."""

    protocol: CareProtocol
    readings: tuple[Reading, ...]
    since: int
    zone: ZoneInfo = PARIS

    @property
    def end(self) -> int:
        return max([self.since, *(one.measured_at for one in self.readings)])

    def expected(self, until: int | None = None) -> list[Expected]:
        """Return what the oracle expects, comparable with `shown`."""
        found = expected_alerts(
            self.protocol,
            self.readings,
            since=self.since,
            until=self.end if until is None else until,
            zone=self.zone,
        )
        return [self._comparable(one) for one in found]

    def shown(self, changes: Iterable[AlertChange]) -> list[Expected]:
        """Return the alerts that hold after changes, with the evidence of the rules whose evidence is defined."""
        return [self._comparable(one) for one in fold(changes)]

    def _comparable(self, alert: Expected) -> Expected:
        (rule,) = [one for one in self.protocol.rules if one.id == alert.rule]
        return alert if _shows_its_evidence(rule) else replace(alert, evidence=())


def _shows_its_evidence(rule: Rule) -> bool:
    if isinstance(rule, ChangeRule):
        return rule.statistic is not Statistic.MEAN
    return isinstance(rule, LevelRule | MissingRule)


@st.composite
def protocols(
    draw: st.DrawFn,
    quantities: tuple[Quantity, ...],
    *,
    kinds: tuple[str, ...] = ENGINE_KINDS,
    about: str | None = None,
    scale: Scale = HOURS,
    most: int = 6,
) -> CareProtocol:
    """Return any small protocol, most kinds of rules together."""
    found = draw(rules(quantities, kinds, scale, about=about, most=most))
    cadences = (5 * MINUTE, 15 * MINUTE, 7_001) if _first(kinds) else (5 * MINUTE, 15 * MINUTE, 7_001, 0)
    timings = {
        quantity: Timing(cadence=draw(st.sampled_from(cadences)), gap=45 * MINUTE)
        for quantity in sorted({quantity for rule in found for quantity in rule.inputs})
        if draw(st.booleans())
    }
    # What a file cannot say: a filter over fourteen days of a regular sensor.
    told = [
        replace(one, despike=0) if isinstance(one, BaselineRule) and one.quantity in timings else one for one in found
    ]
    return protocol_of(*told, timings=timings)


def _with_needed(quantities: Sequence[Quantity], about: str | None) -> tuple[Quantity, ...]:
    """Return quantities, each once, and those without which there is no rule of a kind."""
    return tuple(dict.fromkeys((*NEEDED.get(about or "", ()), *quantities)))


def _first(kinds: tuple[str, ...]) -> bool:
    return set(kinds) <= set(FIRST_KINDS)


@st.composite
def worlds(
    draw: st.DrawFn, *, stretch: int = 1, kinds: tuple[str, ...] = ENGINE_KINDS, about: str | None = None
) -> World:
    """Return a protocol and up to 40 readings in runs of like values, some before watching begins.

    They lie within 20 h, or `stretch` times that. There is a rule of the kind `about`, None for any.
    """
    among = (CGM, WEIGHT, SYSTOLIC) if _first(kinds) else tuple(LEVELS)
    quantities = _with_needed(draw(st.lists(st.sampled_from(among), min_size=1, max_size=3)), about)
    protocol = draw(protocols(quantities, kinds=kinds, about=about))
    minutes = (0, 1, 5, 5, 5, 15, 45, 46, 180)
    steps = st.sampled_from((1, *(one * MINUTE for one in minutes)))
    watched = sorted({quantity for rule in protocol.rules for quantity in rule.inputs})
    validities: tuple[Validity, ...] = (Validity.VALID,) * 6 + (Validity.UNDERFLOW, Validity.INVALID)
    flags: tuple[Quality, ...] = (Quality.NONE,)
    if not _first(kinds):
        validities += (Validity.QUESTIONABLE, Validity.OVERFLOW)
        flags += (Quality.NONE,) * 4 + (*FLAGS, Quality.WARMING_UP)
    at = begin = draw(st.sampled_from((START, START, MARCH + 20 * DAY - 9 * HOUR, OCTOBER + 6 * DAY - 9 * HOUR)))
    found: list[Reading] = []
    for _ in range(draw(st.sampled_from((0, 1, 4, 6, 8)))):
        quantity = draw(st.sampled_from((*watched, *watched, *watched, SYSTOLIC, SPO2)))
        count = draw(st.sampled_from(LEVELS[quantity])) + draw(st.sampled_from((-1, 0, 0, 1)))
        slope = draw(st.sampled_from((0, 0, 0, 1, -10, 60)))
        step = draw(steps)
        pause = draw(st.sampled_from((0, 0, 5 * MINUTE, HOUR))) * stretch
        device = draw(st.sampled_from(("a", "a", "b")))
        validity = draw(st.sampled_from(validities))
        quality = draw(st.sampled_from(flags))
        delay = draw(st.sampled_from((0, 0, HOUR)))
        at += pause
        for number in range(draw(st.sampled_from((1, 2, 3, 4, 5)))):
            at += step
            if at <= begin + 20 * HOUR * stretch:
                found.append(
                    reading(
                        quantity,
                        count + slope * number,
                        at,
                        device=device,
                        key=f"k{len(found)}",
                        validity=validity,
                        received_at=at + delay,
                        quality=quality,
                    )
                )
    since = begin + draw(st.sampled_from((0, 0, -HOUR, 10 * MINUTE, 2 * HOUR)))
    return World(protocol, tuple(found), since, draw(ZONES))


ZONES = st.sampled_from((PARIS, PARIS, ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Chatham")))


@st.composite
def sparse_worlds(draw: st.DrawFn, *, kinds: tuple[str, ...] = ENGINE_KINDS, about: str | None = None) -> World:
    """Return a protocol and weeks of daily measurements, around a night on which the clocks change."""
    among = (WEIGHT, SYSTOLIC) if _first(kinds) else (WEIGHT, WEIGHT, SYSTOLIC, PULSE, SPO2, TEMPERATURE)
    quantities = _with_needed(draw(st.lists(st.sampled_from(among), min_size=1, max_size=4)), about)
    protocol = draw(protocols(quantities, kinds=kinds, about=about, scale=DAYS))
    zone = draw(ZONES)
    begin = draw(st.sampled_from((MARCH, OCTOBER)))
    found: list[Reading] = []
    for _ in range(draw(st.sampled_from((1, 3, 5)))):
        quantity = draw(st.sampled_from(quantities))
        first, days = draw(st.integers(0, 20)), draw(st.sampled_from((5, 20, 40)))
        minutes = draw(
            st.lists(st.sampled_from((0, 150, 359, 360, 540, 660, 661, 1_200, 1_439)), min_size=1, max_size=2)
        )
        base, slope = draw(st.sampled_from(LEVELS[quantity])), draw(st.sampled_from((0, 0, 1, -1, 50, 400)))
        chance = random.Random(draw(st.integers(0, 999)))
        spread = draw(st.sampled_from((0, 1, 300)))
        for day in range(first, min(first + days, 60)):
            for minute in minutes:
                at = begin + day * DAY + (minute + _lateness(chance)) * MINUTE
                count = base + slope * (day - first) + chance.randint(-spread, spread)
                count = min(max(count, facts(quantity).low), facts(quantity).high)
                quality = chance.choice((Quality.NONE,) * 20 + (() if _first(kinds) else FLAGS))
                found.append(reading(quantity, count, at, key=f"k{len(found)}", quality=quality))
    since = begin + draw(st.sampled_from((0, 0, 9 * HOUR, 3 * DAY)))
    return World(protocol, tuple(found), since, zone)


def _lateness(chance: random.Random) -> int:
    """Return how many minutes a person is late: mostly none, and once in a while a day or more."""
    return chance.choice((0,) * 12 + (1, 61, 1_440, 4_321))


DIPS = st.tuples(st.sampled_from((0, 100, 300, 600)), st.integers(1, 4), st.sampled_from((50, 74, 75, 100)))
"""A fall by so many quanta for so many readings, of which a part in percent is regained."""


@st.composite
def dense_worlds(draw: st.DrawFn, *, kinds: tuple[str, ...] = ENGINE_KINDS, about: str | None = None) -> World:
    """Return a protocol of a glucose sensor and up to 400 of its readings, in stretches that rise, fall and pause."""
    protocol = draw(protocols((CGM,), kinds=kinds, about=about, scale=SENSOR, most=4))
    at = begin = draw(st.sampled_from((START, MARCH + 19 * DAY + 20 * HOUR, OCTOBER + 5 * DAY + 20 * HOUR)))
    cadence = draw(st.sampled_from((5 * MINUTE, 5 * MINUTE, 15 * MINUTE)))
    count = draw(st.sampled_from(LEVELS[CGM]))
    chance = random.Random(draw(st.integers(0, 999)))
    found: list[Reading] = []
    for _ in range(draw(st.sampled_from((1, 4, 8)))):
        slope = draw(st.sampled_from((0, 0, -5, 5, -40, 40, -150, 150)))
        spread = draw(st.sampled_from((0, 1, 20)))
        jitter = draw(st.sampled_from((0, 0, 1, 59_999)))
        quality = Quality.NONE
        if not _first(kinds) and draw(st.integers(0, 5)) == 0:
            quality = Quality.WARMING_UP
        for _ in range(draw(st.sampled_from((3, 12, 30, 50)))):
            at += cadence + (chance.randint(0, jitter) if jitter else 0)
            count = min(max(count + slope + chance.randint(-spread, spread), 400), 4_000)
            validity = Validity.UNDERFLOW if count == 400 else Validity.VALID
            found.append(reading(CGM, count, at, key=f"k{len(found):03}", validity=validity, quality=quality))
        depth, low_for, part = draw(DIPS)
        for number in range(2 * low_for if depth else 0):
            at += cadence
            dipped = count - depth if number < low_for else count - depth + depth * part // 100
            found.append(reading(CGM, max(dipped, 400), at, key=f"k{len(found):03}", quality=quality))
        at += draw(st.sampled_from((0, 0, 0, 15, 16, 29, 40, 41, 300))) * MINUTE
    return World(protocol, tuple(found), begin + draw(st.sampled_from((0, 0, 2 * HOUR))))


@st.composite
def worlds_about(draw: st.DrawFn, kind: str, *, kinds: tuple[str, ...] = ENGINE_KINDS) -> World:
    """Return any world whose last rule is of a kind, its threshold met to the count by what was measured."""
    several = kind in ("news2", "heart_failure")
    drawn = (worlds, sparse_worlds) if several else (worlds, sparse_worlds, dense_worlds)
    world = draw(draw(st.sampled_from(drawn))(kinds=kinds, about=kind))
    *others, last = world.protocol.rules
    if isinstance(last, MissingRule):
        return world
    values = expected_values(world.protocol, world.readings, last.id, world.zone, since=world.since)
    known = sorted({value for value in values if value is not None})
    if not known:
        return world
    value = draw(st.sampled_from(known)) + draw(st.sampled_from((0, 0, 0, 1, -1)))
    sharp = meeting(last, value, draw(st.sampled_from((0, 1, 50))))
    return replace(world, protocol=replace(world.protocol, rules=(*others, sharp)))
