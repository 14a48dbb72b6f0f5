"""Devices that a box took up: what is kept, whose they are over time, what the settings win, and erasing."""

from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from agent.errors import RequestError
from agent.key_rotation import erase_patient
from agent.settings import Patient, Settings
from agent.taken_up import MEMO, MOST, TakenUp, device_of, forget_taken_up, take_up, taken_up, with_taken_up
from tests.agent.command_kit import CGM, settings_of
from tests.agent.kit import PATIENT, START, open_store
from tests.exchange.office import Office

MONITOR = "C4:B0:00:00:00:02"
OTHER = "patient-21c8"
HOUR = 3_600_000


def given(patient: str = PATIENT, *, at: int = START, address: str = MONITOR) -> TakenUp:
    return TakenUp(address=address, driver="blood_pressure", patient=patient, given_on=at)


@pytest.fixture
def box_settings(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path, Office())
    return replace(settings, patients=(*settings.patients, replace(settings.patients[0], pseudonym=OTHER)))


def people(settings: Settings) -> dict[str, Patient]:
    return {patient.pseudonym: patient for patient in settings.patients}


def test_what_was_taken_up_is_there_after_a_stop_and_sealed(tmp_path: Path) -> None:
    path = tmp_path / "veilleur.db"
    store = open_store(path)
    assert taken_up(store) == ()
    take_up(store, given(), now_ms=START)
    store.close()
    again = open_store(path)
    assert taken_up(again) == (given(),)
    # Given once more to the same person, it is theirs since then.
    assert take_up(again, given(at=START + HOUR), now_ms=START) == (given(),)
    again.close()
    for part in tmp_path.iterdir():
        assert MONITOR.encode() not in part.read_bytes()
        assert PATIENT.encode() not in part.read_bytes()


def test_whose_it_is_follows_in_time(box_settings: Settings) -> None:
    taken = (given(), given(OTHER, at=START + HOUR), given(at=START, address=CGM))
    device = device_of(taken, MONITOR, people(box_settings))
    assert device is not None
    assert device.assigned(START - 1) == ()
    assert [one.patient.pseudonym for one in device.assigned(START)] == [PATIENT]
    assert [one.patient.pseudonym for one in device.assigned(START + HOUR)] == [OTHER]


def test_what_cannot_be_read_for_anybody_is_left_out(box_settings: Settings) -> None:
    known = people(box_settings)
    assert device_of((given("patient-gone"),), MONITOR, known) is None
    assert device_of((replace_driver(given()),), MONITOR, known) is None
    assert device_of((), MONITOR, known) is None
    # A clock shows the time of one place: who had it elsewhere had it before.
    abroad = known | {PATIENT: replace(known[PATIENT], zone=ZoneInfo("Indian/Reunion"))}
    device = device_of((given(), given(OTHER, at=START + HOUR)), MONITOR, abroad)
    assert device is not None
    assert [one.patient.pseudonym for one in device.people] == [OTHER]


def replace_driver(one: TakenUp) -> TakenUp:
    return TakenUp(address=one.address, driver="of another version", patient=one.patient, given_on=one.given_on)


def test_the_settings_win(box_settings: Settings) -> None:
    named = (given(OTHER, address=CGM), given())
    settings = with_taken_up(box_settings, named)
    assert [device.address for device in settings.devices] == [CGM, MONITOR]
    assert settings.devices[0].people[0].patient.pseudonym == PATIENT


def test_what_is_altered_or_of_another_version_is_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "veilleur.db")
    store.remember(MEMO, b"\xff", now_ms=START)
    assert taken_up(store) == ()
    store.close()


def test_it_is_bounded_and_no_device_that_somebody_has_is_forgotten(tmp_path: Path) -> None:
    store = open_store(tmp_path / "veilleur.db")
    take_up(store, given(address=CGM), now_ms=START)
    for number in range(MOST + 3):
        take_up(store, given((PATIENT, OTHER)[number % 2], at=START + number), now_ms=START)
    kept = taken_up(store)
    assert len(kept) == MOST
    assert kept[0] == given(address=CGM)
    assert [one.given_on for one in kept[1:]] == list(range(START + 4, START + MOST + 3))
    store.close()


def test_where_every_device_is_somebodys_one_more_is_not_kept(tmp_path: Path) -> None:
    store = open_store(tmp_path / "veilleur.db")
    full = tuple(given(address=f"C4:B0:00:00:{number >> 8:02X}:{number & 255:02X}") for number in range(MOST))
    store.remember(MEMO, msgspec.msgpack.encode(full), now_ms=START)
    assert take_up(store, given(address="C4:B0:00:00:FF:FF"), now_ms=START) == full
    # One of them may still be given to somebody else.
    assert take_up(store, given(OTHER, address=full[7].address), now_ms=START)[-1].patient == OTHER
    assert len(taken_up(store)) == MOST
    store.close()


def test_an_erased_patient_leaves_no_device(tmp_path: Path, box_settings: Settings) -> None:
    store = open_store(tmp_path / "veilleur.db")
    take_up(store, given(), now_ms=START)
    take_up(store, given(OTHER, address=CGM), now_ms=START)
    gone = replace(box_settings, patients=box_settings.patients[:1])
    with pytest.raises(RequestError):
        erase_patient(store, gone, OTHER, now_ms=START)
    assert taken_up(store) == (given(),)
    forget_taken_up(store, PATIENT, now_ms=START)
    assert taken_up(store) == ()
    store.close()


def test_what_an_erased_patient_had_is_nobodys_and_not_of_the_one_before_again(
    tmp_path: Path, box_settings: Settings
) -> None:
    store, known = open_store(tmp_path / "veilleur.db"), people(box_settings)
    take_up(store, given(), now_ms=START)
    take_up(store, given(OTHER, at=START + HOUR), now_ms=START)
    forget_taken_up(store, OTHER, now_ms=START)
    assert OTHER not in str(taken_up(store))
    assert device_of(taken_up(store), MONITOR, known) is None, "nobody has it now"
    # Given to the first once more, the time between stays nobody's.
    device = device_of(take_up(store, given(at=START + 2 * HOUR), now_ms=START), MONITOR, known)
    assert device is not None
    owners = [[one.patient.pseudonym for one in device.assigned(START + at * HOUR)] for at in (0, 1, 2)]
    assert owners == [[PATIENT], [], [PATIENT]]
    forget_taken_up(store, PATIENT, now_ms=START)
    assert taken_up(store) == ()
    store.close()
