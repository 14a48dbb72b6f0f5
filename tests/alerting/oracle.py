"""What the rules mean, written as slowly and plainly as possible, sharing no code with the engine."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from alerting.care_protocol import CareProtocol, Rule
from alerting.rules import ChangeRule, Direction, LevelRule, Side
from alerting.scheduled_rules import MissingRule
from devices.reading import Quantity, Reading, Validity


@dataclass(frozen=True)
class Expected:
    """An alert: its rule, its times and the (device, key) of the readings it rests on."""

    rule: str
    onset: int
    raised_at: int
    resolved_at: int | None
    evidence: tuple[tuple[str, str], ...]


def expected_alerts(protocol: CareProtocol, readings: Sequence[Reading], *, since: int, until: int) -> list[Expected]:
    """Return every alert that holds once all of `readings` are known and time has gone to `until`, sorted."""
    unique = {(one.quantity, one.device, one.key): one for one in readings}.values()
    usable = [one for one in unique if one.validity in (Validity.VALID, Validity.UNDERFLOW, Validity.OVERFLOW)]
    relevant = [one for one in usable if one.measured_at >= since - _reach(protocol, one.quantity)]
    newest = max([until, since, *(one.measured_at for one in relevant)])
    found: list[Expected] = []
    for rule in protocol.rules:
        mine = sorted(
            (one for one in relevant if one.quantity is rule.quantity),
            key=lambda one: (one.measured_at, one.device, one.key),
        )
        match rule:
            case LevelRule():
                found += _level(rule, mine, protocol, since)
            case ChangeRule():
                found += _change(rule, mine, protocol, since)
            case MissingRule():
                found += _missing(rule, mine, since, newest)
    return sorted(found, key=lambda one: (one.raised_at, one.rule, one.onset))


def _reach(protocol: CareProtocol, quantity: Quantity) -> int:
    """How long before the start of watching a reading still matters."""
    reaches = [0]
    for rule in protocol.rules:
        if rule.quantity is quantity and isinstance(rule, LevelRule):
            timing = protocol.timings.get(quantity)
            reaches.append(rule.persist + (timing.gap if timing else 0))
        if rule.quantity is quantity and isinstance(rule, ChangeRule):
            reaches.append(rule.window + rule.slack)
    return max(reaches)


def _lasts(run: Sequence[Reading], persist: int, cadence: int | None) -> bool:
    length = run[-1].measured_at - run[0].measured_at
    if cadence is None:
        return length >= persist
    points = math.ceil(Fraction(persist, cadence))
    return length >= (points - 1) * cadence - Fraction(cadence, 2)


def _level(rule: LevelRule, readings: Sequence[Reading], protocol: CareProtocol, since: int) -> list[Expected]:
    def beyond(index: int) -> bool:
        count = readings[index].count
        return {
            Side.BELOW: count < rule.threshold,
            Side.AT_MOST: count <= rule.threshold,
            Side.AT_LEAST: count >= rule.threshold,
            Side.ABOVE: count > rule.threshold,
        }[rule.side]

    def back(index: int) -> bool:
        count = readings[index].count
        return {
            Side.BELOW: count >= rule.end_threshold,
            Side.AT_MOST: count > rule.end_threshold,
            Side.AT_LEAST: count < rule.end_threshold,
            Side.ABOVE: count <= rule.end_threshold,
        }[rule.side]

    return _episodes(
        rule,
        readings,
        protocol,
        since,
        beyond=beyond,
        back=back,
        evidence=lambda run, _: run[-14:],
        persist=rule.persist,
        end_persist=rule.end_persist,
    )


def _change(rule: ChangeRule, readings: Sequence[Reading], protocol: CareProtocol, since: int) -> list[Expected]:
    def reference(index: int) -> Reading:
        current = readings[index]
        window = [
            one
            for one in readings[max(0, index - 127) : index + 1]
            if one.measured_at >= current.measured_at - rule.window - rule.slack
        ]
        extreme = (min if rule.direction is Direction.RISE else max)(one.count for one in window)
        return [one for one in window if one.count == extreme][-1]

    def moved(index: int) -> int:
        difference = readings[index].count - reference(index).count
        return difference if rule.direction is Direction.RISE else -difference

    return _episodes(
        rule,
        readings,
        protocol,
        since,
        beyond=lambda index: moved(index) >= rule.delta,
        back=lambda index: moved(index) < rule.end_delta,
        evidence=lambda _, index: [reference(index), readings[index]],
        persist=0,
        end_persist=0,
    )


def _episodes(
    rule: Rule,
    readings: Sequence[Reading],
    protocol: CareProtocol,
    since: int,
    *,
    beyond: Callable[[int], bool],
    back: Callable[[int], bool],
    evidence: Callable[[list[Reading], int], list[Reading]],
    persist: int,
    end_persist: int,
) -> list[Expected]:
    timing = protocol.timings.get(rule.quantity)
    cadence = timing.cadence if timing else None
    found: list[Expected] = []
    standing: Expected | None = None
    run: list[Reading] = []
    for index, reading in enumerate(readings):
        after_gap = (
            timing is not None and index > 0 and reading.measured_at - readings[index - 1].measured_at > timing.gap
        )
        if after_gap:
            run = []
        if standing is None:
            just_ended = bool(found) and found[-1].resolved_at == reading.measured_at
            run = [*run, reading] if beyond(index) and not just_ended else []
            if run and _lasts(run, persist, cadence) and reading.measured_at >= since:
                shown = tuple((one.device, one.key) for one in evidence(run, index))
                standing = Expected(rule.id, run[0].measured_at, reading.measured_at, None, shown)
                run = []
        else:
            run = [*run, reading] if back(index) else []
            if run and _lasts(run, end_persist, cadence):
                found.append(
                    Expected(rule.id, standing.onset, standing.raised_at, reading.measured_at, standing.evidence)
                )
                standing = None
                run = []
    return found if standing is None else [*found, standing]


def _missing(rule: MissingRule, readings: Sequence[Reading], since: int, newest: int) -> list[Expected]:
    found: list[Expected] = []
    last: Reading | None = None
    for reading in [*readings, None]:
        begun = since if last is None else max(since, last.measured_at)
        deadline = begun + rule.expected + rule.grace
        shown = () if last is None else ((last.device, last.key),)
        if reading is not None and reading.measured_at > deadline:
            found.append(Expected(rule.id, deadline, deadline, reading.measured_at, shown))
        if reading is None and newest > deadline:
            found.append(Expected(rule.id, deadline, deadline, None, shown))
        last = reading
    return found
