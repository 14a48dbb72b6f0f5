"""Technical alerts: one a fact, told to who can act, ended by what shows that it is over."""

from dataclasses import replace
from string import Formatter

import pytest

from agent.technical import TechnicalAlerts, is_about, is_usable
from agent.technical_rules import BATTERY_MS, QUIET_MS, RULES, Ends
from alerting.alert import AlertChange, Category, ChangeKind, Sentence
from devices.drivers import ALL
from devices.reading import Quality, Reading, Validity
from devices.source import DeviceEvent, DeviceEventKind
from exchange.messages import AlertRecord, alert
from tests.agent.kit import BOX, MINUTE, PATIENT, START, glucose

CGM = "C4:B0:00:00:00:01"
SCALE = "C4:B0:00:00:00:03"
PHONE = "relay:phone"
SINCE = Sentence(fr="le 22/11/2025 à 09:26", en="2025-11-22 at 09:26")


class Log:
    """Technical alerts, and every change they made."""

    def __init__(self) -> None:
        self.alerts = TechnicalAlerts(BOX, radio=[CGM, SCALE])
        self.changes: list[AlertChange] = []

    def event(self, kind: DeviceEventKind, minute: int = 0, device: str = CGM, detail: str = "") -> "Log":
        at = START + minute * MINUTE
        self.changes += self.alerts.event(PATIENT, DeviceEvent(kind=kind, device=device, at=at, detail=detail))
        return self

    def read(self, *readings: Reading) -> "Log":
        at = max(reading.received_at for reading in readings)
        self.changes += self.alerts.read(readings[0].device, readings, at)
        return self

    def tick(self, now: int) -> "Log":
        self.changes += self.alerts.tick(now)
        return self

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(change.kind.value, change.rule) for change in self.changes]


@pytest.mark.parametrize("rule", RULES)
def test_each_alert_names_the_device_in_both_languages_and_fits_its_message(rule: str) -> None:
    (raised,) = TechnicalAlerts(BOX).noticed(PATIENT, rule, CGM, START, since=SINCE, tried="x" * 999)
    facts, record = RULES[rule], alert(raised)
    assert isinstance(record, AlertRecord)
    assert raised.category is Category.TECHNICAL
    named = not facts.of_box and not facts.of_patient
    assert ("(…00:01)" in raised.why.fr, "(…00:01)" in raised.why.en) == (named, named)
    assert CGM not in raised.why.fr + raised.why.en
    assert raised.patient == (BOX if facts.of_box else PATIENT)
    assert max(len(raised.why.fr), len(raised.why.en)) <= 1000
    fields = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (facts.fr, facts.en)]
    assert fields[0] == fields[1] <= {"The", "the", "of_the", "since"}


@pytest.mark.parametrize("kind", [driver.name for driver in ALL])
def test_a_sentence_calls_every_device_what_a_nurse_calls_it(kind: str) -> None:
    (raised,) = TechnicalAlerts(BOX, kinds={CGM: kind}).noticed(PATIENT, "battery_low", CGM, START)
    assert "appareil" not in raised.why.fr
    assert "device" not in raised.why.en
    assert raised.why.fr.startswith(("La pile du ", "La pile de la ", "La pile de l'"))
    assert is_about(raised, CGM), "whatever it is called, it is about the same device"


@pytest.mark.parametrize(
    ("kind", "device", "fr", "en"),
    [
        ("weight_scale", SCALE, "La balance (…00:03) ne reconnaît plus", "The scale (…00:03) no longer knows"),
        ("pulse_oximeter", CGM, "L'oxymètre (…00:01) ne reconnaît plus", "The oximeter (…00:01) no longer knows"),
        ("relay", PHONE, "Le relais phone ne reconnaît plus", "The relay phone no longer knows"),
    ],
)
def test_a_sentence_begins_with_the_device(kind: str, device: str, fr: str, en: str) -> None:
    (raised,) = TechnicalAlerts(BOX, kinds={device: kind}).noticed(PATIENT, "bond_lost", device, START)
    assert raised.why.fr.startswith(fr)
    assert raised.why.en.startswith(en)


def test_a_weight_out_of_range_is_told_anew_the_next_morning_and_not_within_the_hour() -> None:
    log = (
        Log().event(DeviceEventKind.WEIGHT_OUT_OF_RANGE, 0, SCALE).event(DeviceEventKind.WEIGHT_OUT_OF_RANGE, 60, SCALE)
    )
    assert log.said == [("raised", "weight_out_of_range")]
    log.event(DeviceEventKind.WEIGHT_OUT_OF_RANGE, 24 * 60, SCALE)
    first, ended, again = log.changes
    assert (ended.kind, ended.alert_id, again.kind) == (ChangeKind.RESOLVED, first.alert_id, ChangeKind.RAISED)
    assert again.alert_id != first.alert_id
    assert log.alerts.told_at(PATIENT, "weight_out_of_range", SCALE) == START + 24 * 60 * MINUTE


def test_what_is_only_held_outlasts_taking_up_again() -> None:
    log = Log().event(DeviceEventKind.RELAY_UNREACHABLE, 0, PHONE).event(DeviceEventKind.BATTERY_LOW, 1)
    standing = [change for change in log.changes if change.kind is ChangeKind.RAISED]
    assert log.alerts.restore(standing, [(CGM, PATIENT), (PHONE, PATIENT)], START + MINUTE) == ()
    assert log.alerts.holding(PHONE) == {"relay_unreachable"}


def test_taking_up_again_in_the_middle_of_a_visit_ends_nothing_that_the_visit_showed() -> None:
    log = Log().event(DeviceEventKind.CONNECTED).event(DeviceEventKind.CONSENT_REFUSED)
    log.alerts.restore(list(log.changes), [(CGM, PATIENT)], START + MINUTE)
    assert log.read(glucose("100", 5)).said == [("raised", "consent_refused")]


def test_a_clock_that_was_ahead_keeps_no_fact_for_ever() -> None:
    year = 365 * 24 * 60
    log = Log().event(DeviceEventKind.CLOCK_WRONG, year).tick(START).tick(START + QUIET_MS)
    assert log.said == [("raised", "clock_wrong"), ("resolved", "clock_wrong")]


def test_a_fact_that_repeats_is_one_alert_and_ends_when_nothing_more_is_noticed() -> None:
    log = Log().event(DeviceEventKind.FRAME_REJECTED).event(DeviceEventKind.FRAME_REJECTED, 60)
    assert log.tick(START + QUIET_MS).said == [("raised", "frame_rejected")]
    log.read(glucose("100", 60)).tick(START + 60 * MINUTE + QUIET_MS - 1)
    assert log.said == [("raised", "frame_rejected")]
    log.tick(START + 60 * MINUTE + QUIET_MS)
    assert log.said == [("raised", "frame_rejected"), ("resolved", "frame_rejected")]


@pytest.mark.parametrize("kind", [DeviceEventKind.BOND_LOST, DeviceEventKind.DRIVER_REFUSED])
def test_any_reading_shows_that_a_device_lets_the_box_in_again(kind: DeviceEventKind) -> None:
    spoilt = replace(glucose("100", 5), validity=Validity.INVALID)
    log = Log().event(kind).read(replace(spoilt, device=SCALE))
    assert log.said == [("raised", kind.value)]
    assert log.read(spoilt).said == [("raised", kind.value), ("resolved", kind.value)]


@pytest.mark.parametrize(
    "reading",
    [
        glucose("100", -60),
        replace(glucose("100", 5), validity=Validity.INVALID),
        replace(glucose("100", 5), validity=Validity.CALIBRATING),
        replace(glucose("100", 5), quality=Quality.WARMING_UP),
        replace(glucose("100", 5), quality=Quality.SESSION_STOPPED),
    ],
)
def test_an_expired_sensor_is_not_replaced_by_what_it_had_stored_or_still_says(reading: Reading) -> None:
    log = Log().event(DeviceEventKind.SENSOR_EXPIRED).read(reading)
    assert log.said == [("raised", "sensor_expired")]
    assert log.read(glucose("100", 10)).said == [("raised", "sensor_expired"), ("resolved", "sensor_expired")]


@pytest.mark.parametrize("validity", Validity)
def test_a_reading_is_usable_when_a_threshold_or_a_person_can_use_it(validity: Validity) -> None:
    usable = is_usable(replace(glucose("100", 0), validity=validity))
    assert usable is (validity not in {Validity.INVALID, Validity.CALIBRATING})


@pytest.mark.parametrize("kind", [DeviceEventKind.CONSENT_REFUSED, DeviceEventKind.BATTERY_LOW])
def test_what_a_visit_shows_is_over_when_a_later_one_does_not_show_it(kind: DeviceEventKind) -> None:
    log = Log()
    for day in range(3):
        minute = day * 24 * 60
        log.event(DeviceEventKind.CONNECTED, minute).event(kind, minute).read(glucose("100", minute))
        log.event(kind, minute + 1, detail="(3 more)")
    assert log.said == [("raised", kind.value)]
    log.event(DeviceEventKind.CONNECTED, 3 * 24 * 60)
    assert log.said == [("raised", kind.value)]
    assert log.read(glucose("100", 3 * 24 * 60)).said == [("raised", kind.value), ("resolved", kind.value)]


def test_a_low_battery_over_one_lasting_link_is_over_after_a_week() -> None:
    log = Log().event(DeviceEventKind.CONNECTED).event(DeviceEventKind.BATTERY_LOW)
    assert log.tick(START + BATTERY_MS - 1).said == [("raised", "battery_low")]
    assert log.tick(START + BATTERY_MS).said == [("raised", "battery_low"), ("resolved", "battery_low")]


def test_a_warm_up_told_again_at_the_end_of_a_visit_is_over_when_the_sensor_has_measured() -> None:
    log = Log().event(DeviceEventKind.CONNECTED).event(DeviceEventKind.SENSOR_WARMING_UP, 1)
    assert log.alerts.holding(CGM) == {"sensor_warming_up"}
    log.read(glucose("100", 60)).event(DeviceEventKind.SENSOR_WARMING_UP, 90, detail="(20 more)")
    assert log.alerts.holding(CGM) == frozenset()
    # The next sensor warms up in a visit of its own.
    log.event(DeviceEventKind.CONNECTED, 120).event(DeviceEventKind.SENSOR_WARMING_UP, 121)
    assert log.alerts.holding(CGM) == {"sensor_warming_up"}
    assert log.said == []


def test_a_relay_that_refuses_is_told_at_once_and_until_it_answers() -> None:
    log = Log().event(DeviceEventKind.RELAY_REFUSED, 0, PHONE).event(DeviceEventKind.RELAY_UNREACHABLE, 5, PHONE)
    assert log.said == [("raised", "relay_refused")]
    assert log.alerts.holding(PHONE) == {"relay_refused", "relay_unreachable"}
    log.event(DeviceEventKind.CONNECTED, 10, PHONE)
    assert log.said == [("raised", "relay_refused"), ("resolved", "relay_refused")]
    assert log.alerts.holding(PHONE) == frozenset()


@pytest.mark.parametrize("kind", [DeviceEventKind.ADAPTER_DEAD, DeviceEventKind.BLUETOOTH_GONE])
def test_an_alert_of_the_box_ends_when_it_recovers_or_any_device_is_reached(kind: DeviceEventKind) -> None:
    recovered, linked, read = (Log().event(kind, 0, "hci0").event(kind, 1, CGM) for _ in range(3))
    assert recovered.said == [("raised", kind.value)]
    recovered.event(DeviceEventKind.ADAPTER_RECOVERED, 5, "hci0")
    linked.event(DeviceEventKind.CONNECTED, 5, SCALE)
    read.read(glucose("100", 5))
    for log in (recovered, linked, read):
        assert log.said == [("raised", kind.value), ("resolved", kind.value)]


def test_what_was_received_before_the_adapter_died_and_a_relay_show_nothing_of_it() -> None:
    log = Log().event(DeviceEventKind.ADAPTER_DEAD, 5).read(glucose("100", 4))
    log.event(DeviceEventKind.CONNECTED, 6, PHONE)
    assert log.said == [("raised", "adapter_dead")]


def test_bluetooth_without_its_service_is_one_alert_whatever_the_adapter_does() -> None:
    log = Log().event(DeviceEventKind.ADAPTER_DEAD).event(DeviceEventKind.BLUETOOTH_GONE, 1)
    for minute in range(2, 9):
        log.event(DeviceEventKind.ADAPTER_DEAD, minute).event(DeviceEventKind.BLUETOOTH_GONE, minute)
    assert log.said == [("raised", "adapter_dead"), ("resolved", "adapter_dead"), ("raised", "bluetooth_gone")]
    log.event(DeviceEventKind.ADAPTER_RECOVERED, 9)
    assert log.said[3:] == [("resolved", "bluetooth_gone")]


def test_alerts_of_the_box_and_of_devices_are_taken_up_after_a_restart_and_told_once() -> None:
    log = Log().event(DeviceEventKind.ADAPTER_DEAD).event(DeviceEventKind.BOND_LOST, 0, SCALE)
    again = Log()
    assert again.alerts.restore(log.changes, [(CGM, PATIENT), (SCALE, PATIENT)], START + MINUTE) == ()
    again.event(DeviceEventKind.ADAPTER_DEAD, 2).event(DeviceEventKind.BOND_LOST, 2, SCALE)
    assert again.said == []
    again.event(DeviceEventKind.ADAPTER_RECOVERED, 3).read(replace(glucose("1", 4), device=SCALE))
    assert again.said == [("resolved", "adapter_dead"), ("resolved", "bond_lost")]


def test_an_alert_about_a_device_that_is_no_longer_the_boxs_ends_at_its_next_start() -> None:
    log = Log().event(DeviceEventKind.BOND_LOST, 0, SCALE)
    assert [is_about(log.changes[0], device) for device in (CGM, SCALE, BOX)] == [False, True, False]
    (ended,) = Log().alerts.restore(log.changes, [(CGM, PATIENT)], START + MINUTE)
    assert (ended.kind, ended.rule, ended.resolved_at) == (ChangeKind.RESOLVED, "bond_lost", START + MINUTE)


def test_what_is_an_event_and_no_fault_changes_nothing() -> None:
    log = Log()
    for kind in (DeviceEventKind.CONNECTED, DeviceEventKind.DISCONNECTED, DeviceEventKind.CLOCK_SET):
        log.event(kind)
    assert log.said == []


def test_every_event_that_is_a_fault_has_a_rule_of_its_name() -> None:
    harmless = {"connected", "disconnected", "clock_set", "adapter_recovered", "buffer_room", "certificate_renewed"}
    assert {kind.value for kind in DeviceEventKind} - harmless <= set(RULES)


def test_only_what_the_silence_of_a_device_shows_waits_for_it() -> None:
    waiting = {name for name, rule in RULES.items() if rule.when_silent or rule.ends is Ends.SILENCE}
    assert waiting == {"relay_unreachable", "sensor_warming_up", "out_of_reach", "no_reading", "not_measured"}
