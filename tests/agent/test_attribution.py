"""Whose a record is: by date, by the device's user, by weight, and never by guessing."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.attribution import LIVE_MS, Attribution, attribute
from agent.settings import Assignment, Device, Patient
from agent.settings_file import load_protocol
from devices.drivers import driver_named
from devices.reading import ClockTrust, Provenance, Quantity, Reading, Unit, Validity, to_counts
from tests.agent.kit import MINUTE, START, make_reading

DAY = 1440 * MINUTE
SCALE = "C4:B0:00:00:00:03"
PROTOCOL = load_protocol("heart_failure", Path())


def patient(name: str) -> Patient:
    return Patient(pseudonym=name, protocol=PROTOCOL, zone=ZoneInfo("Europe/Paris"))


ANNE, BRUNO, CLAIRE = (patient(name) for name in ("patient-anne", "patient-bruno", "patient-claire"))


def scale(*people: Assignment) -> Device:
    return Device(address=SCALE, driver=driver_named("weight_scale"), people=people)


def kilograms(low: str, high: str) -> tuple[int, int]:
    return counts(low), counts(high)


def counts(value: str) -> int:
    return to_counts(Quantity.BODY_WEIGHT, Decimal(value), Unit.KILOGRAM)


def reading(
    quantity: Quantity, value: str, at: int, *, user: int | None = None, dated: bool = True, key: str = ""
) -> Reading:
    made = make_reading(quantity, value, at, device=SCALE, key=key or f"{at}:{quantity}:{value}:{user}")
    clock = ClockTrust.TRUSTED if dated else ClockTrust.UNKNOWN
    return replace(made, clock=clock, provenance=replace(made.provenance, user=user))


def weighing(value: str, at: int, *, user: int | None = None, dated: bool = True) -> list[Reading]:
    """A weight and its body mass index, in one record."""
    key = f"{at}:{value}:{user}"
    return [
        reading(Quantity.BODY_WEIGHT, value, at, user=user, dated=dated, key=key),
        reading(Quantity.BMI, "24.5", at, user=user, dated=dated, key=key),
    ]


def fat(at: int, *, user: int | None = None, dated: bool = True) -> list[Reading]:
    """A record of a scale that sends body fat apart from the weight."""
    return [reading(Quantity.BODY_FAT, "22.5", at, user=user, dated=dated)]


def names(owners: Sequence[Patient | None]) -> list[str]:
    return ["-" if owner is None else owner.pseudonym.removeprefix("patient-") for owner in owners]


def whose(device: Device, *records: list[Reading], met_at: int | None = None) -> list[str]:
    """Whose each record is; records come one after the other, and no record is torn apart."""
    attribution = Attribution(device, met_at=met_at)
    found = []
    for record in records:
        owners = names(attribution.owners(record))
        assert len(set(owners)) == 1
        found.append(owners[0])
    return found


# --- stories --------------------------------------------------------------------------------------------------


def test_a_device_handed_on_keeps_what_is_in_its_memory_to_whom_it_was_measured_for() -> None:
    device = scale(
        Assignment(patient=ANNE, given_on=START, until=START + 10 * DAY),
        Assignment(patient=BRUNO, given_on=START + 12 * DAY),
    )
    days = (-1, 0, 9, 10, 11, 12, 13)
    memory = [weighing("70", START + day * DAY) for day in days]
    assert whose(device, *memory) == ["-", "anne", "anne", "-", "-", "bruno", "bruno"]


def test_a_record_of_the_very_moment_of_handing_on_is_the_new_ones() -> None:
    device = scale(
        Assignment(patient=ANNE, given_on=START, until=START + DAY),
        Assignment(patient=BRUNO, given_on=START + DAY),
    )
    assert whose(device, weighing("70", START + DAY - 1), weighing("70", START + DAY)) == ["anne", "bruno"]


def test_two_people_on_one_scale_are_told_apart_by_its_user_index() -> None:
    device = scale(Assignment(patient=ANNE, given_on=START, user=1), Assignment(patient=BRUNO, given_on=START, user=2))
    records = [weighing("70", START + minute, user=user) for minute, user in enumerate((1, 2, 3, None, 2))]
    assert whose(device, *records) == ["anne", "bruno", "-", "-", "bruno"]


def test_where_the_index_decides_the_weight_does_not() -> None:
    device = scale(
        Assignment(patient=ANNE, given_on=START, user=1, weight=kilograms("50", "60")),
        Assignment(patient=BRUNO, given_on=START, user=2, weight=kilograms("70", "90")),
    )
    assert whose(device, weighing("80", START, user=1), weighing("80", START + 1)) == ["anne", "-"]


def test_two_people_on_one_scale_are_told_apart_by_weight() -> None:
    device = scale(
        Assignment(patient=ANNE, given_on=START, weight=kilograms("50", "60")),
        Assignment(patient=BRUNO, given_on=START, weight=kilograms("70", "90")),
    )
    values = ("49.99", "50", "60", "60.005", "65", "70", "90", "90.005")
    records = [weighing(value, START + minute) for minute, value in enumerate(values)]
    assert whose(device, *records) == ["-", "anne", "anne", "-", "-", "bruno", "bruno", "-"]


def test_a_resident_whose_weight_leaves_the_range_goes_to_the_team_and_never_to_the_neighbour() -> None:
    device = scale(
        Assignment(patient=ANNE, given_on=START, weight=kilograms("60", "64")),
        Assignment(patient=BRUNO, given_on=START, weight=kilograms("70", "90")),
    )
    gaining = [weighing(f"{62 + day}", START + day * DAY) for day in range(5)]
    assert whose(device, *gaining) == ["anne", "anne", "anne", "-", "-"]


def test_a_visitor_on_ones_own_scale_is_nobody_when_a_range_is_given() -> None:
    device = scale(Assignment(patient=ANNE, given_on=START, weight=kilograms("50", "60")))
    assert whose(device, weighing("55", START), weighing("81", START + 1)) == ["anne", "-"]


def test_body_fat_follows_the_weight_of_its_moment() -> None:
    device = scale(
        Assignment(patient=ANNE, given_on=START, weight=kilograms("50", "60")),
        Assignment(patient=BRUNO, given_on=START, weight=kilograms("70", "90")),
    )
    later = START + MINUTE
    records = [weighing("55", START), weighing("80", later), fat(START), fat(later), fat(later + MINUTE)]
    assert whose(device, *records) == ["anne", "bruno", "anne", "bruno", "-"]


def test_body_fat_that_comes_before_its_weight_in_one_batch_follows_it_too() -> None:
    device = scale(Assignment(patient=ANNE, given_on=START, weight=kilograms("50", "60")))
    assert names(Attribution(device, met_at=None).owners([*fat(START), *weighing("55", START)])) == ["anne"] * 3


def test_a_clock_that_stands_still_gives_no_body_fat_to_the_wrong_person() -> None:
    device = scale(
        Assignment(patient=ANNE, given_on=START, weight=kilograms("50", "60")),
        Assignment(patient=BRUNO, given_on=START, weight=kilograms("70", "90")),
    )
    records = [weighing("55", START), fat(START), weighing("80", START), fat(START)]
    assert whose(device, *records) == ["anne", "anne", "bruno", "-"]


def test_weights_of_long_ago_are_forgotten_and_their_body_fat_is_nobodys() -> None:
    device = scale(Assignment(patient=ANNE, given_on=START, weight=kilograms("50", "60")))
    records = [weighing("55", START + minute * MINUTE) for minute in range(300)]
    assert whose(device, *records, fat(START), fat(START + 299 * MINUTE))[300:] == ["-", "anne"]


def test_a_failed_weighing_is_nobodys_where_the_weight_must_tell() -> None:
    device = scale(Assignment(patient=ANNE, given_on=START, weight=kilograms("1", "400")))
    failed = replace(weighing("55", START)[0], validity=Validity.INVALID)
    assert whose(device, [failed]) == ["-"]


def test_a_nursing_home_of_sixty_on_one_monitor_by_user_index() -> None:
    residents = [patient(f"patient-{number:02}") for number in range(60)]
    people = tuple(Assignment(patient=one, given_on=START, user=number) for number, one in enumerate(residents))
    device = Device(address=SCALE, driver=driver_named("blood_pressure"), people=people)
    attribution = Attribution(device, met_at=None)
    for number in range(60):
        key = f"{number}"
        pressure = [
            reading(quantity, value, START + number, user=number, key=key)
            for quantity, value in (
                (Quantity.BLOOD_PRESSURE_SYSTOLIC, "120"),
                (Quantity.BLOOD_PRESSURE_DIASTOLIC, "80"),
            )
        ]
        assert attribution.owners(pressure) == [residents[number]] * 2


# --- undated records ------------------------------------------------------------------------------------------


def test_what_a_device_had_stored_without_a_date_is_nobodys_when_it_is_first_met() -> None:
    device = scale(Assignment(patient=ANNE, given_on=START))
    arrivals = (0, 1, LIVE_MS - 1, LIVE_MS, DAY)
    records = [weighing("70", START + arrival, dated=False) for arrival in arrivals]
    assert whose(device, *records) == ["-", "-", "-", "anne", "anne"]


def test_a_device_handed_on_is_met_anew() -> None:
    device = scale(
        Assignment(patient=ANNE, given_on=START - DAY, until=START + DAY),
        Assignment(patient=BRUNO, given_on=START + DAY),
    )
    arrivals = (0, DAY, DAY + 5 * MINUTE, DAY + LIVE_MS)
    records = [weighing("70", START + arrival, dated=False) for arrival in arrivals]
    assert whose(device, *records, met_at=START - MINUTE) == ["anne", "-", "-", "bruno"]


def test_a_box_started_again_knows_the_device_it_had_met_in_the_same_hands() -> None:
    device = scale(Assignment(patient=ANNE, given_on=START))
    undated = weighing("70", START + MINUTE, dated=False)
    assert whose(device, undated, met_at=START) == ["anne"]
    assert whose(device, undated, met_at=START - 1) == ["-"]


def test_undated_records_are_of_no_common_moment() -> None:
    device = scale(Assignment(patient=ANNE, given_on=START, weight=kilograms("50", "60")))
    undated = weighing("55", START + DAY, dated=False)
    assert whose(device, undated, fat(START + DAY, dated=False), met_at=START) == ["anne", "-"]


def test_an_undated_record_is_of_whom_the_device_is_when_it_arrives() -> None:
    device = scale(
        Assignment(patient=ANNE, given_on=START, until=START + 5 * DAY, user=1),
        Assignment(patient=BRUNO, given_on=START, until=START + 9 * DAY, user=2),
    )
    arrivals = ((4, 1), (6, 1), (6, 2), (9, 2))
    records = [weighing("70", START + day * DAY, user=user, dated=False) for day, user in arrivals]
    assert whose(device, *records, met_at=START) == ["anne", "-", "bruno", "-"]


# --- against a slow oracle --------------------------------------------------------------------------------------

TIMES = st.integers(0, 12)
PEOPLE = st.lists(
    st.tuples(
        st.sampled_from((ANNE, BRUNO, CLAIRE)),
        TIMES,
        st.none() | TIMES,
        st.none() | st.integers(0, 2),
        st.none() | st.tuples(st.integers(50, 60), st.integers(0, 10)),
    ),
    min_size=1,
    max_size=4,
)


def oracle(device: Device, record: Sequence[Reading], *, met_before: bool) -> str:
    """Whose a record is, by asking each minute and each person in turn."""
    first = record[0]
    if first.clock is ClockTrust.UNKNOWN and not met_before:
        return "-"
    there = []
    for person in device.people:
        end = 10**18 if person.until is None else person.until
        if first.measured_at in range(person.given_on, end):
            there.append(person)
    if [person for person in there if person.user is not None]:
        fitting = [person for person in there if person.user == first.provenance.user]
        fitting = [person for person in fitting if person.user is not None]
    elif len(there) == 1 and there[0].weight is None:
        fitting = there
    else:
        weights = [item.count for item in record if item.quantity is Quantity.BODY_WEIGHT]
        fitting = [
            person
            for person in there
            if weights and person.weight and weights[0] in range(person.weight[0], person.weight[1] + 1)
        ]
    return fitting[0].patient.pseudonym if len(fitting) == 1 else "-"


@settings(max_examples=200, deadline=None)
@given(
    people=PEOPLE,
    at=TIMES,
    user=st.none() | st.integers(0, 3),
    weight=st.none() | st.integers(48, 72),
    dated=st.booleans(),
    met_before=st.booleans(),
)
def test_a_record_is_given_to_whom_the_slow_oracle_gives_it(
    *,
    people: list[tuple[Patient, int, int | None, int | None, tuple[int, int] | None]],
    at: int,
    user: int | None,
    weight: int | None,
    dated: bool,
    met_before: bool,
) -> None:
    device = scale(
        *(
            Assignment(
                patient=who,
                given_on=given_on,
                until=until,
                user=index,
                weight=None if span is None else kilograms(str(span[0]), str(span[0] + span[1])),
            )
            for who, given_on, until, index, span in people
        )
    )
    record = fat(at, user=user, dated=dated) if weight is None else weighing(str(weight), at, user=user, dated=dated)
    owner = attribute(device, record, met_before=met_before)
    assert ("-" if owner is None else owner.pseudonym) == oracle(device, record, met_before=met_before)


@settings(max_examples=100, deadline=None)
@given(
    days=st.lists(st.integers(-5, 15), max_size=12),
    cuts=st.lists(st.integers(0, 24), max_size=4),
    fats=st.booleans(),
)
def test_how_records_are_cut_into_batches_gives_nobody_anothers_record(
    *, days: list[int], cuts: list[int], fats: bool
) -> None:
    device = scale(
        Assignment(patient=ANNE, given_on=START, until=START + 8 * DAY, weight=kilograms("50", "60")),
        Assignment(patient=BRUNO, given_on=START + 3 * DAY, weight=kilograms("70", "90")),
    )
    truth: dict[int, str] = {}
    stream: list[Reading] = []
    for day in days:
        at = START + day * DAY
        weight = "55" if day % 2 else "80"
        truth[at] = "anne" if day % 2 and 0 <= day < 8 else "bruno" if day % 2 == 0 and day >= 3 else "-"
        stream += weighing(weight, at) + (fat(at) if fats else [])
    attribution = Attribution(device, met_at=None)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    owners: list[str] = []
    for start, end in pairwise(edges):
        owners += names(attribution.owners(stream[start:end]))
    assert owners == [truth[item.measured_at] for item in stream]


@pytest.mark.parametrize("users", [(1, 2), (1, None)])
def test_a_record_that_names_two_users_is_nobodys(users: tuple[int, int | None]) -> None:
    device = scale(Assignment(patient=ANNE, given_on=START, user=1))
    record = weighing("70", START)
    provenances = [
        Provenance(source="device", value=item.provenance.value, unit=item.unit, user=user)
        for item, user in zip(record, users, strict=True)
    ]
    torn = [replace(item, provenance=provenance) for item, provenance in zip(record, provenances, strict=True)]
    assert whose(device, torn) == ["-"]
