"""Protocols, readings and arrivals for the tests of the engine."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from alerting.alert import AlertChange, Audience, ChangeKind, Priority, Sentence
from alerting.care_protocol import CareProtocol, Rule, Timing
from alerting.engine import Engine, Lateness
from alerting.protocol_file import read_protocol
from alerting.rules import ChangeRule, Direction, LevelRule, RuleWords, Side, Statistic
from alerting.scheduled_rules import MissingRule
from devices.reading import ClockTrust, Provenance, Quantity, Reading, Unit, Validity, facts, to_counts
from tests.alerting.oracle import Expected

PARIS = ZoneInfo("Europe/Paris")
PATIENT = "patient-7f3a"
START = 1_772_521_860_000  # 2026-03-03T07:11:00Z
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
CGM = Quantity.GLUCOSE_INTERSTITIAL
WEIGHT = Quantity.BODY_WEIGHT
SYSTOLIC = Quantity.BLOOD_PRESSURE_SYSTOLIC

_WORDS = RuleWords(title=Sentence(fr="titre", en="title"), check=Sentence(fr="voir", en="look"), sources=("s",))


def packaged(name: str) -> CareProtocol:
    """Return one of the protocols that ship."""
    data = (resources.files("configs") / "protocols" / f"{name}.toml").read_bytes()
    return read_protocol(data, name_hint=name)


def reading(
    quantity: Quantity,
    value: str | int,
    at: int,
    *,
    device: str = "C4:B0:00:00:00:01",
    key: str | None = None,
    validity: Validity = Validity.VALID,
    received_at: int | None = None,
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
        provenance=Provenance(source="device", value=None, unit=Unit(unit)),
    )


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
        if change.kind in (ChangeKind.RESOLVED, ChangeKind.CONFIRMED):
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

    def __init__(self, protocol: CareProtocol, since: int) -> None:
        self.engine = Engine(protocol, patient=PATIENT, zone=PARIS, since=since)
        self.since = since
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
        self.engine = Engine.restore(self.engine.protocol, self.engine.snapshot(), zone=PARIS)
        assert self.engine.open_alerts == before


@dataclass(frozen=True)
class World:
    """A protocol and what a patient's devices measured."""

    protocol: CareProtocol
    readings: tuple[Reading, ...]
    since: int

    @property
    def end(self) -> int:
        return max([self.since, *(one.measured_at for one in self.readings)])


_LEVELS = {CGM: (650, 700, 701, 710, 1800), WEIGHT: (70_000, 72_000, 72_001, 74_000), SYSTOLIC: (890, 900, 950, 1800)}
_SPANS = (0, 5 * MINUTE, 12 * MINUTE, 15 * MINUTE, 16 * MINUTE, 2 * HOUR)


@st.composite
def _rules(draw: st.DrawFn, quantity: Quantity, index: int) -> Rule:
    common = {
        "id": f"rule_{index}",
        "quantity": quantity,
        "priority": draw(st.sampled_from(Priority)),
        "audience": Audience.NURSE,
        "words": _WORDS,
    }
    match draw(st.sampled_from(("level", "change", "missing"))):
        case "level":
            side = draw(st.sampled_from(Side))
            low, high = sorted(draw(st.tuples(st.sampled_from(_LEVELS[quantity]), st.sampled_from(_LEVELS[quantity]))))
            return LevelRule(
                **common,
                side=side,
                threshold=low if side.low else high,
                end_threshold=high if side.low else low,
                persist=draw(st.sampled_from(_SPANS)),
                end_persist=draw(st.sampled_from(_SPANS)),
            )
        case "change":
            deltas = (1, 10, 50, 2_000)
            end_delta, delta = sorted(draw(st.tuples(st.sampled_from(deltas), st.sampled_from(deltas))))
            direction = draw(st.sampled_from(Direction))
            return ChangeRule(
                **common,
                direction=direction,
                statistic=Statistic.LOWEST if direction is Direction.RISE else Statistic.HIGHEST,
                delta=delta,
                end_delta=end_delta,
                window=draw(st.sampled_from((10 * MINUTE, 3 * HOUR))),
                slack=draw(st.sampled_from((0, MINUTE))),
            )
        case _:
            return MissingRule(
                **common,
                expected=draw(st.sampled_from((30 * MINUTE, 4 * HOUR))),
                grace=draw(st.sampled_from((0, 15 * MINUTE))),
            )


@st.composite
def protocols(draw: st.DrawFn) -> CareProtocol:
    """Return any small protocol, most kinds of rules together."""
    quantities = draw(st.lists(st.sampled_from((CGM, WEIGHT, SYSTOLIC)), min_size=1, max_size=5))
    rules = tuple(draw(_rules(quantity, index)) for index, quantity in enumerate(quantities))
    timings = {
        quantity: Timing(cadence=draw(st.sampled_from((5 * MINUTE, 15 * MINUTE, 7_001))), gap=45 * MINUTE)
        for quantity in set(quantities)
        if draw(st.booleans())
    }
    return CareProtocol(
        name="any",
        version=1,
        title=Sentence(fr="?", en="?"),
        not_transmitted_after=DAY,
        timings=timings,
        rules=rules,
        sources={"s": "?"},
    )


@st.composite
def worlds(draw: st.DrawFn, *, stretch: int = 1) -> World:
    """Return a protocol and up to 40 readings in runs of like values, some before watching begins.

    They lie within 20 h, or `stretch` times that.
    """
    protocol = draw(protocols())
    minutes = (0, 1, 5, 5, 5, 15, 45, 46, 180)
    steps = st.sampled_from((1, *(one * MINUTE for one in minutes)))
    watched = sorted({rule.quantity for rule in protocol.rules})
    at = START
    found: list[Reading] = []
    for _ in range(draw(st.integers(0, 8))):
        quantity = draw(st.sampled_from((*watched, *watched, *watched, SYSTOLIC, Quantity.SPO2)))
        count = draw(st.sampled_from(_LEVELS.get(quantity, (950,)))) + draw(st.sampled_from((-1, 0, 0, 1)))
        step = draw(steps)
        pause = draw(st.sampled_from((0, 0, 5 * MINUTE, HOUR))) * stretch
        device = draw(st.sampled_from(("a", "a", "b")))
        validity = draw(st.sampled_from((Validity.VALID,) * 6 + (Validity.UNDERFLOW, Validity.INVALID)))
        delay = draw(st.sampled_from((0, 0, HOUR)))
        at += pause
        for _ in range(draw(st.integers(1, 5))):
            at += step
            if at <= START + 20 * HOUR * stretch:
                found.append(
                    reading(
                        quantity,
                        count,
                        at,
                        device=device,
                        key=f"k{len(found)}",
                        validity=validity,
                        received_at=at + delay,
                    )
                )
    since = START + draw(st.sampled_from((0, 0, -HOUR, 10 * MINUTE, 2 * HOUR)))
    return World(protocol, tuple(found), since)
