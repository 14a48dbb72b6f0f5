"""A silent device: exactly one cause, told once, to one person, and over when a reading comes."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.settings import Assignment, Device, Patient, Relay, Watched
from agent.settings_file import load_protocol
from agent.silence import (
    ALWAYS_ON_MS,
    CONCLUDED,
    HOLD_MS,
    LISTEN_MS,
    WHEN_USED_MS,
    Cause,
    Silence,
    Trait,
    cause_of,
    trait_of,
)
from agent.technical import TechnicalAlerts
from agent.technical_rules import RULES, Owner
from alerting.alert import AlertChange, ChangeKind, Priority
from devices.drivers import BROADCASTS, driver_named
from devices.source import DeviceEvent, DeviceEventKind, DeviceFacts
from tests.agent.kit import BOX, MINUTE, PATIENT, START

HOUR = 60 * MINUTE
CGM = "C4:B0:00:00:00:01"
SCALE = "C4:B0:00:00:00:03"
PHONE = "relay:phone"

SENSOR = Trait(radio=True, always_on=True, expect_ms=ALWAYS_ON_MS)
BRIEF = Trait(radio=True, always_on=False, expect_ms=WHEN_USED_MS)
RELAY = Trait(radio=False, always_on=True, expect_ms=ALWAYS_ON_MS)

# What is known, from the most telling to the least; the causes of the box say nothing of a relay.
ORDER = [
    "bluetooth_gone",
    "adapter_dead",
    "relay_unreachable",
    "relay_refused",
    "bond_lost",
    "consent_refused",
    "driver_refused",
    "sensor_expired",
    "sensor_warming_up",
    "battery_low",
]


# --- why -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", ORDER)
def test_one_condition_is_the_cause(condition: str) -> None:
    assert cause_of(SENSOR, DeviceFacts(), {condition}, START) == condition
    assert cause_of(BRIEF, DeviceFacts(), {condition}, START) == condition


@pytest.mark.parametrize(
    ("trait", "facts", "conditions", "cause"),
    [
        (SENSOR, DeviceFacts(), set(), Cause.OUT_OF_REACH),
        (SENSOR, DeviceFacts(seen_at=START - ALWAYS_ON_MS // 3 - 1), set(), Cause.OUT_OF_REACH),
        (SENSOR, DeviceFacts(seen_at=START - ALWAYS_ON_MS // 3), set(), Cause.NO_READING),
        (SENSOR, DeviceFacts(battery=10), set(), Cause.BATTERY_LOW),
        (SENSOR, DeviceFacts(battery=11), set(), Cause.OUT_OF_REACH),
        (SENSOR, DeviceFacts(battery=3), {"sensor_expired"}, Cause.SENSOR_EXPIRED),
        (BRIEF, DeviceFacts(), set(), Cause.NOT_MEASURED),
        (BRIEF, DeviceFacts(seen_at=START), set(), Cause.NOT_MEASURED),
        (BRIEF, DeviceFacts(battery=0), set(), Cause.BATTERY_LOW),
        (BRIEF, DeviceFacts(), {"frame_rejected", "clock_wrong", "history_failed"}, Cause.NOT_MEASURED),
        (SENSOR, DeviceFacts(), {"out_of_reach", "not_measured"}, Cause.OUT_OF_REACH),
        (RELAY, DeviceFacts(), set(), Cause.NO_READING),
        (RELAY, DeviceFacts(), {"adapter_dead"}, Cause.NO_READING),
        (RELAY, DeviceFacts(), {"bluetooth_gone", "relay_refused"}, Cause.RELAY_REFUSED),
    ],
)
def test_without_a_telling_condition_the_facts_decide(
    trait: Trait, facts: DeviceFacts, conditions: set[str], cause: Cause
) -> None:
    assert cause_of(trait, facts, conditions, START) is cause


def test_whatever_holds_at_once_the_most_telling_is_the_cause() -> None:
    for trait, battery, seen_at in itertools.product(
        (SENSOR, BRIEF, RELAY), (None, 5, 80), (None, START, START - 2 * HOUR)
    ):
        facts = DeviceFacts(battery=battery, seen_at=seen_at)
        alone = cause_of(trait, facts, set(), START)
        for chosen in itertools.product((False, True), repeat=len(ORDER)):
            conditions = set(itertools.compress(ORDER, chosen))
            about_it = [name for name in ORDER if name in conditions and (trait.radio or name not in ORDER[:2])]
            expected = min([*about_it, alone], key=[*ORDER, *CONCLUDED].index)
            assert cause_of(trait, facts, conditions, START) == expected


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([SENSOR, BRIEF, RELAY]),
    st.none() | st.integers(0, 100),
    st.none() | st.integers(START - 48 * HOUR, START),
    st.frozensets(st.sampled_from(sorted(RULES))),
    st.frozensets(st.sampled_from(sorted(RULES))),
)
def test_a_graver_fact_never_yields_a_milder_cause(
    trait: Trait, battery: int | None, seen_at: int | None, some: frozenset[str], more: frozenset[str]
) -> None:
    facts, order = DeviceFacts(battery=battery, seen_at=seen_at), list(Cause)
    before, after = cause_of(trait, facts, some, START), cause_of(trait, facts, some | more, START)
    assert order.index(after) <= order.index(before)
    drained = cause_of(trait, replace(facts, battery=1), some, START)
    assert order.index(drained) <= order.index(before)


def test_every_cause_has_a_rule_with_an_owner() -> None:
    assert {cause.value for cause in Cause} <= set(RULES)
    assert [cause.value for cause in Cause] == [*ORDER, *(cause.value for cause in CONCLUDED)]
    assert (RULES["not_measured"].priority, RULES["not_measured"].owner) == (Priority.LOW, Owner.PATIENT)


# --- how often a reading is expected ------------------------------------------------------------------------------


def patient(name: str = PATIENT) -> Patient:
    return Patient(pseudonym=name, protocol=load_protocol("heart_failure", Path()), zone=ZoneInfo("Europe/Paris"))


def given_to(*people: Assignment) -> tuple[Assignment, ...]:
    return people or (Assignment(patient=patient(), given_on=0),)


def sensor(address: str = CGM, *people: Assignment, expect_s: float | None = None) -> Device:
    return Device(address=address, driver=driver_named("cgm"), people=given_to(*people), expect_s=expect_s)


def scale(*people: Assignment) -> Device:
    return Device(address=SCALE, driver=driver_named("weight_scale"), people=given_to(*people))


def phone() -> Relay:
    return Relay(address=PHONE, people=given_to(), url="http://127.0.0.1:1")


def test_the_cadence_is_the_settings_else_as_is_usual_for_its_kind() -> None:
    assert trait_of(sensor()) == SENSOR
    assert trait_of(scale()) == BRIEF
    assert trait_of(phone()) == RELAY
    assert trait_of(sensor(expect_s=90.5)).expect_ms == 90_500
    for driver in BROADCASTS:
        assert trait_of(replace(scale(), driver=driver)) == BRIEF


# --- what is told, and when ---------------------------------------------------------------------------------------


class Ward:
    """Silence over some devices, as time passes; says what stands."""

    def __init__(self, *devices: Watched, now: int = START, watched_since: int = START) -> None:
        self.watched_since = watched_since
        self.technical = TechnicalAlerts(BOX, radio=[item.address for item in devices if isinstance(item, Device)])
        self.silence = Silence(devices, self.technical, now=now)
        self.devices = {item.address: item for item in devices}
        self.changes: list[AlertChange] = []
        self.now = now

    def take(self, changes: Iterable[AlertChange]) -> None:
        self.changes += changes

    def at(self, now: int) -> "Ward":
        self.now = now
        self.take(self.silence.tick(now, lambda _: self.watched_since))
        self.take(self.technical.tick(now))
        return self

    def event(self, kind: DeviceEventKind, device: str = CGM, detail: str = "") -> None:
        event = DeviceEvent(kind=kind, device=device, at=self.now, detail=detail)
        keeper = self.devices[device].keeper(self.now).pseudonym if device in self.devices else BOX
        if device in self.devices:
            self.silence.event(device, event)
        self.take(self.technical.event(keeper, event))

    def reads(self, device: str = CGM) -> None:
        self.take(self.silence.read(device, self.now))

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(change.kind.value, change.rule) for change in self.changes]

    @property
    def standing(self) -> list[str]:
        ended = {change.alert_id for change in self.changes if change.kind is ChangeKind.RESOLVED}
        return [change.rule for change in self.changes if change.alert_id not in ended]


def test_a_sensor_is_silent_a_moment_after_its_cadence_and_until_it_is_read() -> None:
    ward = Ward(sensor())
    assert ward.at(START + ALWAYS_ON_MS).said == []
    ward.at(START + ALWAYS_ON_MS + 1)
    (raised,) = ward.changes
    assert (raised.rule, raised.priority, raised.patient) == ("out_of_reach", Priority.MEDIUM, PATIENT)
    assert "22/11/2025 à 09:26" in raised.why.fr
    assert "2025-11-22 at 09:26" in raised.why.en
    ward.at(START + 2 * HOUR).reads()
    assert ward.said == [("raised", "out_of_reach"), ("resolved", "out_of_reach")]
    assert ward.at(START + 2 * HOUR + ALWAYS_ON_MS).standing == []
    assert ward.at(START + 2 * HOUR + ALWAYS_ON_MS + 1).standing == ["out_of_reach"]


def test_a_patient_who_did_not_measure_is_no_emergency() -> None:
    ward = Ward(scale())
    assert ward.at(START + WHEN_USED_MS).said == []
    (raised,) = ward.at(START + WHEN_USED_MS + 1).changes
    assert (raised.rule, raised.priority) == ("not_measured", Priority.LOW)


def test_the_time_to_look_again_is_when_the_next_device_falls_silent() -> None:
    ward = Ward(sensor(), scale())
    since = ward.watched_since
    assert ward.silence.next_deadline(START, lambda _: since) == START + ALWAYS_ON_MS + 1
    ward.at(START + ALWAYS_ON_MS + 1)
    assert ward.silence.next_deadline(ward.now, lambda _: since) == START + WHEN_USED_MS + 1
    assert ward.at(START + WHEN_USED_MS + 1).standing == ["out_of_reach", "not_measured"]
    assert ward.silence.next_deadline(ward.now, lambda _: since) is None


def test_a_lost_bond_that_was_told_is_not_told_again_by_silence() -> None:
    ward = Ward(sensor())
    ward.event(DeviceEventKind.BOND_LOST)
    assert ward.at(START + 5 * HOUR).said == [("raised", "bond_lost")]


def test_a_cause_that_comes_to_light_takes_the_place_of_what_was_concluded() -> None:
    ward = Ward(sensor()).at(START + HOUR)
    ward.event(DeviceEventKind.BOND_LOST)
    ward.at(START + HOUR + MINUTE)
    assert ward.said == [("raised", "out_of_reach"), ("raised", "bond_lost"), ("resolved", "out_of_reach")]


def test_a_dead_adapter_is_one_alert_of_the_box_for_sixty_devices() -> None:
    ward = Ward(*(sensor(f"C4:B0:00:00:01:{number:02X}") for number in range(60)))
    for device in ward.devices:
        ward.event(DeviceEventKind.ADAPTER_DEAD, device, "power-cycled, reset over USB")
    ward.at(START + 3 * HOUR)
    (raised,) = ward.changes
    assert (raised.rule, raised.patient, raised.priority) == ("adapter_dead", BOX, Priority.HIGH)
    assert "power-cycled, reset over USB" in raised.why.fr
    assert "power-cycled, reset over USB" in raised.why.en
    ward.event(DeviceEventKind.ADAPTER_RECOVERED, "hci0")
    # The devices get the time to be found again before any is called out of reach.
    ward.at(START + 3 * HOUR + MINUTE).at(START + 3 * HOUR + MINUTE + LISTEN_MS)
    assert ward.said == [("raised", "adapter_dead"), ("resolved", "adapter_dead")]
    ward.at(START + 3 * HOUR + MINUTE + LISTEN_MS + 1)
    assert ward.standing == ["out_of_reach"] * 60


def test_what_was_concluded_of_devices_gives_way_to_the_box_that_hears_none() -> None:
    ward = Ward(sensor(), scale()).at(START + HOUR)
    ward.event(DeviceEventKind.BLUETOOTH_GONE, "hci0")
    assert ward.at(START + HOUR + MINUTE).standing == ["bluetooth_gone"]
    ward.at(START + 40 * HOUR)
    assert ward.standing == ["bluetooth_gone"]


def test_a_relay_that_goes_out_with_its_owner_is_told_only_when_it_stays_away() -> None:
    ward = Ward(phone())
    ward.event(DeviceEventKind.RELAY_UNREACHABLE, PHONE)
    assert ward.at(START + ALWAYS_ON_MS).said == []
    ward.event(DeviceEventKind.CONNECTED, PHONE)
    ward.reads(PHONE)
    ward.event(DeviceEventKind.DISCONNECTED, PHONE)
    ward.at(START + ALWAYS_ON_MS + MINUTE)
    ward.event(DeviceEventKind.RELAY_UNREACHABLE, PHONE)
    ward.at(START + 2 * HOUR).at(START + 3 * HOUR)
    assert ward.said == [("raised", "relay_unreachable")]
    assert "relay:" not in ward.changes[0].why.fr
    ward.event(DeviceEventKind.CONNECTED, PHONE)
    # It answers, and has a while to hand over what it kept: it has nothing from the sensor.
    ward.at(START + 3 * HOUR).at(START + 3 * HOUR + 10 * MINUTE)
    assert ward.said[1:] == [("resolved", "relay_unreachable")]
    ward.at(START + 3 * HOUR + 10 * MINUTE + 1)
    assert ward.said[1:] == [("resolved", "relay_unreachable"), ("raised", "no_reading")]


def test_a_sensor_that_warms_up_is_waited_for_and_no_longer_than_a_day() -> None:
    ward = Ward(sensor())
    ward.event(DeviceEventKind.SENSOR_WARMING_UP)
    assert ward.at(START + ALWAYS_ON_MS).said == []
    (raised,) = ward.at(START + HOUR).changes
    assert (raised.rule, raised.priority) == ("sensor_warming_up", Priority.LOW)
    assert ward.at(START + 23 * HOUR).standing == ["sensor_warming_up"]
    ward.at(START + 26 * HOUR).at(START + 26 * HOUR + MINUTE)
    assert ward.standing == ["out_of_reach"]


def test_an_open_link_is_not_out_of_reach() -> None:
    ward = Ward(sensor())
    ward.event(DeviceEventKind.CONNECTED)
    assert ward.at(START + 2 * HOUR).standing == ["no_reading"]


def test_a_device_at_the_edge_of_reach_does_not_change_its_alert_with_every_step() -> None:
    ward = Ward(sensor())
    for minute in range(0, 24 * 60, 20):
        if (minute // 100) % 2:
            ward.silence.heard(CGM, DeviceFacts(seen_at=START + minute * MINUTE))
        ward.at(START + minute * MINUTE)
    assert len(ward.standing) == 1
    raised = [change.raised_at for change in ward.changes if change.kind is ChangeKind.RAISED]
    assert len(raised) > 1
    assert all(later - earlier >= HOLD_MS for earlier, later in itertools.pairwise(raised))


def test_a_low_battery_goes_on_standing_while_its_device_can_say_nothing() -> None:
    ward = Ward(scale())
    ward.event(DeviceEventKind.BATTERY_LOW, SCALE)
    for hour in range(0, 96, 4):
        ward.at(START + hour * HOUR)
    assert ward.said == [("raised", "battery_low")]
    for _ in range(7):
        assert ward.standing == ["battery_low"]
        ward.reads(SCALE)
        ward.at(ward.now + 24 * HOUR)
    assert ward.standing == []


def test_a_battery_that_was_nearly_empty_explains_a_silence() -> None:
    ward = Ward(scale())
    ward.silence.remember(SCALE, DeviceFacts(battery=4), read_at=None)
    assert ward.at(START + 40 * HOUR).standing == ["battery_low"]


@pytest.mark.parametrize(
    "people",
    [
        (Assignment(patient=patient(), given_on=START + 10 * HOUR),),
        (Assignment(patient=patient(), given_on=0, until=START),),
        (
            Assignment(patient=patient("patient-0001"), given_on=0, until=START),
            Assignment(patient=patient("patient-0002"), given_on=START + 10 * HOUR),
        ),
    ],
)
def test_nobodys_device_is_nobodys_silence(people: Sequence[Assignment]) -> None:
    ward = Ward(sensor(CGM, *people))
    assert ward.at(START + 9 * HOUR).at(START + 10 * HOUR).said == []


def test_silence_counts_from_when_the_device_was_given_and_the_patient_watched() -> None:
    ward = Ward(sensor(CGM, Assignment(patient=patient(), given_on=START + 10 * HOUR)))
    assert ward.at(START + 10 * HOUR + ALWAYS_ON_MS).said == []
    assert ward.at(START + 10 * HOUR + ALWAYS_ON_MS + 1).standing == ["out_of_reach"]
    ward = Ward(sensor(), watched_since=START + 2 * HOUR)
    assert ward.at(START + 2 * HOUR + ALWAYS_ON_MS).said == []


def test_an_alert_goes_with_the_device_to_whom_it_is_given() -> None:
    first = Assignment(patient=patient("patient-0001"), given_on=0, until=START + 10 * HOUR)
    second = Assignment(patient=patient("patient-0002"), given_on=START + 10 * HOUR)
    ward = Ward(sensor(CGM, first, second))
    ward.event(DeviceEventKind.DRIVER_REFUSED)
    ward.at(START + 9 * HOUR).at(START + 11 * HOUR)
    told = [(change.kind.value, change.rule, change.patient) for change in ward.changes]
    assert told == [
        ("raised", "driver_refused", "patient-0001"),
        ("resolved", "driver_refused", "patient-0001"),
        ("raised", "driver_refused", "patient-0002"),
    ]
    ward = Ward(sensor(CGM, first, second)).at(START + 9 * HOUR).at(START + 10 * HOUR)
    assert ward.standing == []
    ward = Ward(sensor(CGM, first, second))
    ward.event(DeviceEventKind.SENSOR_WARMING_UP)
    ward.at(START + 9 * HOUR).at(START + 10 * HOUR).at(START + 11 * HOUR)
    told = [(change.kind.value, change.rule, change.patient) for change in ward.changes]
    assert told == [
        ("raised", "sensor_warming_up", "patient-0001"),
        ("resolved", "sensor_warming_up", "patient-0001"),
        ("raised", "sensor_warming_up", "patient-0002"),
    ]


def test_after_a_restart_the_box_listens_before_it_calls_a_device_silent_and_ends_nothing_meanwhile() -> None:
    before = Ward(sensor(), watched_since=START - 9 * HOUR).at(START + HOUR)
    again = START + 5 * HOUR
    ward = Ward(sensor(), now=again)
    ward.silence.remember(CGM, DeviceFacts(), read_at=START)
    assert ward.at(again + MINUTE).at(again + LISTEN_MS).said == []
    assert ward.at(again + LISTEN_MS + 1).standing == ["out_of_reach"]
    ward = Ward(sensor(), now=again)
    ward.take(ward.technical.restore(before.changes, [(CGM, PATIENT)], again))
    ward.silence.remember(CGM, DeviceFacts(), read_at=START)
    assert ward.at(again + MINUTE).at(again + LISTEN_MS + 1).said == []


def test_a_clock_that_was_ahead_does_not_put_a_silence_off_for_ever() -> None:
    ward = Ward(sensor(), now=START + 900 * HOUR)
    ward.silence.remember(CGM, DeviceFacts(), read_at=START + 900 * HOUR)
    assert ward.at(START + HOUR).at(START + HOUR + ALWAYS_ON_MS).said == []
    assert ward.at(START + HOUR + ALWAYS_ON_MS + 1).standing == ["out_of_reach"]


def test_a_device_heard_by_a_clock_that_was_ahead_is_within_reach_no_longer_than_any() -> None:
    ward = Ward(sensor(), now=START)
    ward.silence.remember(CGM, DeviceFacts(seen_at=START + 900 * HOUR), read_at=START)
    assert ward.at(START + MINUTE).at(START + ALWAYS_ON_MS + 1).standing == ["out_of_reach"]
