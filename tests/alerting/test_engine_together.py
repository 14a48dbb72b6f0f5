"""Quantities that are judged together, whose readings come apart; and what an engine may not forget or overflow."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alerting import compiled, layout
from alerting.alert import AlertChange
from alerting.care_protocol import CareProtocol, Rule, Timing
from alerting.engine import Engine, Lateness
from alerting.kernel.windows import moved
from alerting.local_time import offsets
from alerting.program import compile_program
from alerting.reading_order import canonical
from alerting.rules import ForecastRule, LevelRule, Model, RuleLife, Side
from alerting.scheduled_rules import CompositeRule, MissingRule, Score, ScoreRule
from alerting.stream import Stream
from devices.reading import Quantity, Reading
from tests.alerting.lives import LateBox
from tests.alerting.oracle import expected_values
from tests.alerting.worlds import (
    CGM,
    DAY,
    HOUR,
    MINUTE,
    PARIS,
    PATIENT,
    PULSE,
    SPO2,
    START,
    WEIGHT,
    cgm,
    common,
    fold,
    protocol_of,
    reading,
)

SETTINGS = settings(max_examples=60, deadline=None)


def over(quantity: Quantity, name: str, threshold: int, **more: Any) -> LevelRule:
    return LevelRule(**(common(quantity, name) | more), side=Side.ABOVE, threshold=threshold, end_threshold=threshold)


def both(window: int) -> CompositeRule:
    return CompositeRule(
        **common(WEIGHT, "both"),
        of=("heavy", "fast"),
        at_least=2,
        window=window,
        of_quantities=(WEIGHT, PULSE),
    )


TOGETHER = protocol_of(over(WEIGHT, "heavy", 80_000), over(PULSE, "fast", 1_000), both(5 * MINUTE))
SCORED = protocol_of(
    ScoreRule(
        **common(SPO2, "score"),
        score=Score.NEWS2,
        of=(SPO2, PULSE),
        threshold=3,
        end_threshold=2,
        freshness=HOUR,
    )
)
APART = protocol_of(over(WEIGHT, "heavy", 80_000), over(PULSE, "fast", 1_000))


def at_once(protocol: CareProtocol, readings: list[Reading], until: int) -> list[AlertChange]:
    engine = Engine(protocol, patient=PATIENT, zone=PARIS, since=START)
    return [*engine.feed(readings), *engine.tick(until)]


def test_a_reading_older_than_another_input_of_its_rule_is_late_and_one_judged_apart_is_not() -> None:
    weighed = reading(WEIGHT, 81_000, START + 10 * MINUTE)
    pulse = reading(PULSE, 1_100, START + 5 * MINUTE)
    for protocol, lateness in ((TOGETHER, Lateness.LATE), (APART, Lateness.IN_ORDER)):
        engine = Engine(protocol, patient=PATIENT, zone=PARIS, since=START)
        engine.feed([weighed])
        assert engine.lateness(pulse) is lateness


def test_a_reading_older_than_the_absence_that_others_are_judged_with_is_late() -> None:
    absence = MissingRule(**common(WEIGHT, "absent"), expected=HOUR, grace=0)
    signs = CompositeRule(
        **common(PULSE, "signs"), of=("fast", "absent"), at_least=2, window=0, of_quantities=(PULSE, WEIGHT)
    )
    engine = Engine(protocol_of(over(PULSE, "fast", 1_000), absence, signs), patient=PATIENT, zone=PARIS, since=START)
    engine.tick(START + HOUR + 1)
    assert engine.lateness(reading(PULSE, 1_100, START + HOUR)) is Lateness.LATE
    assert engine.lateness(reading(PULSE, 1_100, START + HOUR + 1)) is Lateness.IN_ORDER


@st.composite
def late_by_quantity(draw: st.DrawFn) -> list[Reading]:
    """Readings of three quantities, each of which takes its own time to come."""
    found: list[Reading] = []
    for quantity, values in ((WEIGHT, (79_000, 81_000)), (PULSE, (900, 1_320)), (SPO2, (900, 970))):
        delay = draw(st.sampled_from((0, 3 * MINUTE, 40 * MINUTE)))
        for minute in draw(st.lists(st.integers(0, 180), max_size=8, unique=True)):
            at = START + minute * MINUTE
            value = draw(st.sampled_from(values))
            found.append(reading(quantity, value, at, received_at=at + delay, key=f"{minute:03}"))
    return found


def minutes(quantity: Quantity, *values: tuple[int, int], delay: int = 0) -> list[Reading]:
    """Return readings of (minute, count), each received `delay` minutes later."""
    return [
        reading(quantity, count, START + at * MINUTE, received_at=START + (at + delay) * MINUTE, key=f"{at:03}")
        for at, count in values
    ]


TAKEN_BACK_AND_TRUE_AFTER_ALL = [
    *minutes(PULSE, (1, 900), (2, 1_320), (3, 900), (4, 1_320), (5, 900), (6, 900)),
    *minutes(SPO2, (1, 970), (2, 900), (3, 970), delay=3),
]
"""The second alert of the score is raised, taken back while the first seems to go on, and added when it did not."""


@SETTINGS
@given(st.sampled_from((TOGETHER, SCORED)), late_by_quantity())
@example(SCORED, TAKEN_BACK_AND_TRUE_AFTER_ALL)
def test_quantities_that_come_apart_end_with_the_alerts_of_the_batch(
    protocol: CareProtocol, readings: list[Reading]
) -> None:
    until = START + 5 * HOUR
    box = LateBox(protocol, START)
    for one in sorted(readings, key=lambda one: (one.received_at, one.order)):
        box.tick(one.received_at)
        box.arrive([one])
    box.tick(until)
    whole = Engine(protocol, patient=PATIENT, zone=PARIS, since=START)
    told = [*whole.feed(canonical(readings)), *whole.tick(until)]
    assert fold(box.told) == fold(told)
    assert {one.alert_id for one in box.engine.open_alerts} == {one.alert_id for one in whole.open_alerts}


def test_an_alert_that_was_never_told_silences_none_that_comes_after() -> None:
    low = LevelRule(
        **(common(CGM, "low") | {"life": RuleLife(refractory=10 * DAY)}),
        side=Side.BELOW,
        threshold=700,
        end_threshold=700,
    )
    protocol = protocol_of(low, timings={CGM: Timing(cadence=5 * MINUTE, gap=45 * MINUTE)})
    arrived = START + 10 * HOUR
    # Read ten hours late, when it was over: rightly untold. Days later its readings are forgotten.
    stale = [
        reading(CGM, count, START + number * 5 * MINUTE, received_at=arrived)
        for number, count in enumerate((600, 600, 1_000))
    ]
    quiet = cgm([100] * (3 * 288), arrived)
    again = cgm([60] * 3, quiet[-1].measured_at + 5 * MINUTE)
    engine = Engine(protocol, patient=PATIENT, zone=PARIS, since=START)
    told = [*engine.feed(stale)]
    for one in [*quiet, *again]:
        told += engine.feed([one])
    assert [(one.kind.value, one.suppressed is None) for one in told] == [
        ("raised", False),
        ("resolved", False),
        ("raised", True),
    ]
    whole = Engine(protocol, patient=PATIENT, zone=PARIS, since=START)
    whole.feed([*stale, *quiet, *again])
    assert whole.snapshot() == engine.snapshot()


def test_as_many_alerts_in_one_moment_as_a_protocol_can_make_find_room() -> None:
    rules: list[Rule] = [over(PULSE, f"v{number}", 600 + 20 * number) for number in range(8)]
    rules += [
        MissingRule(**common(WEIGHT, f"m{number}"), expected=100 * HOUR + number * 10 * MINUTE, grace=0)
        for number in range(7)
    ]
    names = tuple(rule.id for rule in rules)
    rules += [
        CompositeRule(
            **common(WEIGHT, f"c{number}"),
            of=names,
            at_least=8,
            window=90 * HOUR + number * 1_000,
            of_quantities=(PULSE, WEIGHT),
        )
        for number in range(63 - len(rules))
    ]
    protocol = protocol_of(*rules)
    program = compile_program(protocol)
    stream = Stream.begin(protocol, program, offsets(PARIS), START)
    pulses = [
        reading(
            PULSE,
            600 + 20 * (8 - number) - 10,
            START + 10 * HOUR + 2 * (number // 2) * 10 * MINUTE - (7 if number % 2 == 0 else 4) * MINUTE,
            key=f"k{number}",
        )
        for number in range(8)
    ]
    pulses += [reading(PULSE, 560, pulses[-1].measured_at + MINUTE, key="z")]
    pulses += [reading(PULSE, 560, START + (12 + 5 * number) * HOUR, key=f"y{number}") for number in range(1, 18)]
    stream.judge(pulses)
    last = reading(PULSE, 900, START + 101 * HOUR + 9 * MINUTE, key="last")
    absent = 7 * (1 + sum(isinstance(rule, CompositeRule) for rule in rules))
    # One that is too small is refused, never written past; what the stream provides is enough.
    for room, fits in ((4 * len(rules) + absent - 1, False), (4 * len(rules) + absent, True)):
        memory = np.full((room + 60, layout.O_WIDTH), -7, np.int64)
        rows, taken = compiled.judge(
            program.words,
            offsets(PARIS).copy(),
            stream.state.copy(),
            np.array([last.measured_at], np.int64),
            np.array([program.columns[PULSE]], np.int64),
            np.array([last.count], np.int64),
            memory[:room],
        )
        assert (rows >= 0, taken) == (fits, int(fits))
        assert (memory[room:] == -7).all()
    assert len(stream.judge([last])) > 4 * len(rules)


def test_a_line_through_a_long_window_is_that_of_the_oracle() -> None:
    for quantity, step, days in ((CGM, 5 * MINUTE, 1), (WEIGHT, DAY, 30)):
        rule = ForecastRule(
            **common(quantity, "rule"),
            model=Model.LINEAR,
            side=Side.ABOVE,
            threshold=900,
            end_threshold=900,
            horizon=6 * HOUR,
            window=days * DAY,
        )
        protocol = protocol_of(rule, timings={quantity: Timing(cadence=step, gap=9 * step)})
        readings = [
            reading(quantity, 60_000 + 13 * number + 7 * (number % 5), START + number * step, key=f"{number:04}")
            if quantity is WEIGHT
            else reading(quantity, 900 + number % 83, START + number * step, key=f"{number:04}")
            for number in range(320)
        ]
        engine = Engine(protocol, patient=PATIENT, zone=PARIS, since=START)
        values = expected_values(protocol, readings, "rule")
        for one, expected in zip(readings, values, strict=True):
            engine.feed([one])
            if expected is not None:
                assert engine._stream.value(0) == expected
        assert values[-1] is not None


def test_of_two_shelves_at_once_the_one_that_ends_sooner_holds() -> None:
    engine = Engine(APART, patient=PATIENT, zone=PARIS, since=START)
    engine.shelve("heavy", START + HOUR, "nurse", START)
    engine.shelve("heavy", START, "nurse", START)
    (raised,) = engine.feed([reading(WEIGHT, 81_000, START + MINUTE)])
    assert raised.suppressed is None


def test_what_was_done_about_an_alert_by_its_earlier_id_counts() -> None:
    rule = replace(over(WEIGHT, "heavy", 80_000), persist=2 * HOUR)
    engine = Engine(protocol_of(rule), patient=PATIENT, zone=PARIS, since=START)
    history = [reading(WEIGHT, 81_000, START + number * HOUR) for number in (1, 3)]
    (raised,) = engine.feed(history)
    (revised,) = engine.rejudge([*history, reading(WEIGHT, 81_000, START, device="second")])
    assert revised.supersedes == raised.alert_id
    engine.acknowledge(raised.alert_id, "nurse", START + 4 * HOUR)
    assert not engine.improving(raised.alert_id)


def test_a_rule_was_judged_once_it_had_a_value_and_one_made_of_rules_once_enough_of_them_had() -> None:
    engine = Engine(TOGETHER, patient=PATIENT, zone=PARIS, since=START)
    assert not engine.judged("both")
    engine.feed([reading(WEIGHT, 79_000, START)])
    assert (engine.judged("heavy"), engine.judged("fast"), engine.judged("both")) == (True, False, False)
    engine.feed([reading(PULSE, 900, START + MINUTE)])
    assert engine.judged("both")


def test_readings_of_one_moment_alone_make_no_line() -> None:
    rule = ForecastRule(
        **common(CGM, "rule"),
        model=Model.ROBUST_LINEAR,
        side=Side.BELOW,
        threshold=700,
        end_threshold=700,
        horizon=20 * MINUTE,
        window=30 * MINUTE,
        min_readings=2,
    )
    protocol = protocol_of(rule, timings={CGM: Timing(cadence=5 * MINUTE, gap=45 * MINUTE)})
    together = [reading(CGM, 1_000, START + 20 * MINUTE, device=f"{number:02}") for number in range(13)]
    readings = [reading(CGM, 900, START), *together]
    engine = Engine(protocol, patient=PATIENT, zone=PARIS, since=START)
    for one, expected in zip(readings, expected_values(protocol, readings, "rule"), strict=True):
        before = engine._stream.value(0)
        engine.feed([one])
        assert engine._stream.value(0) == (before if expected is None else expected)


@pytest.mark.parametrize("score", list(Score))
def test_of_pulse_and_heart_rate_the_fresher_counts_in_a_score(score: Score) -> None:
    rule = ScoreRule(
        **common(WEIGHT if score is Score.HEART_FAILURE else PULSE, "rule"),
        score=score,
        of=(WEIGHT, PULSE, Quantity.HEART_RATE) if score is Score.HEART_FAILURE else (PULSE, Quantity.HEART_RATE),
        threshold=1,
        end_threshold=1,
        freshness=36 * HOUR,
    )
    protocol = protocol_of(rule)
    readings = [
        one
        for day in range(20)
        for one in (
            reading(PULSE, 600 + day, START + day * DAY),
            reading(Quantity.HEART_RATE, 1_320 if day == 19 else 610, START + day * DAY + MINUTE),
            reading(WEIGHT, 70_000, START + day * DAY + 2 * MINUTE),
        )
    ]
    engine = Engine(protocol, patient=PATIENT, zone=PARIS, since=START)
    engine.feed(readings)
    values = [one for one in expected_values(protocol, readings, "rule") if one is not None]
    assert engine._stream.value(0) == values[-1] > 0


def test_no_share_of_nothing_is_a_change() -> None:
    assert moved(5, 0, 1) == layout.NEVER
    assert (moved(5, 0, 0), moved(150, 100, 1)) == (5, 5_000)
