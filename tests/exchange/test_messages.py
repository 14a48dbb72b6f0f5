"""What travels is what was said: Readings and alert changes survive the way through their records."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.alert import AlertChange, Category, ChangeKind, Evidence, Priority, Sentence, alert_id
from devices.reading import ClockTrust, Provenance, Quality, Quantity, Reading, Unit, Validity, facts
from exchange import messages

TIMES = st.integers(-(2**53), 2**53)
NAMES = st.text(min_size=1, max_size=64)
KEYS = st.text(min_size=1, max_size=128)

READINGS = st.builds(
    Reading,
    quantity=st.sampled_from(Quantity),
    count=TIMES,
    validity=st.sampled_from(Validity),
    measured_at=TIMES,
    clock=st.sampled_from(ClockTrust),
    received_at=TIMES,
    device=KEYS,
    key=KEYS,
    quality=st.integers(0, 1023).map(Quality),
    provenance=st.builds(
        Provenance,
        source=NAMES,
        value=st.none() | st.text(max_size=64),
        unit=st.sampled_from(Unit),
        frame=st.binary(max_size=512),
        device_time=st.none() | st.text(max_size=40),
    ),
)
EVIDENCE = st.builds(
    Evidence,
    quantity=st.sampled_from(Quantity),
    count=TIMES,
    measured_at=TIMES,
    received_at=TIMES,
    device=KEYS,
    key=KEYS,
)
IDS = st.builds(lambda onset: alert_id(patient="p", protocol="q", rule="r", onset=onset), TIMES)
CHANGES = st.builds(
    AlertChange,
    kind=st.sampled_from(ChangeKind),
    alert_id=IDS,
    patient=NAMES,
    rule=NAMES,
    priority=st.sampled_from(Priority),
    category=st.sampled_from(Category),
    onset=TIMES,
    raised_at=TIMES,
    resolved_at=st.none() | TIMES,
    evidence=st.lists(EVIDENCE, max_size=4).map(tuple),
    why=st.builds(Sentence, fr=st.text(max_size=1000), en=st.text(max_size=1000)),
    late=st.booleans(),
    supersedes=st.none() | IDS,
    protocol=st.text(max_size=64),
    protocol_version=st.integers(0, 2**31),
    protocol_hash=st.text(max_size=64),
    engine_version=st.text(max_size=32),
)


@given(READINGS, NAMES)
def test_a_reading_comes_out_as_it_went_in(reading: Reading, patient: str) -> None:
    packed = msgspec.msgpack.encode(messages.observation(patient, reading))
    record = msgspec.msgpack.decode(packed, type=messages.ObservationRecord)
    assert messages.reading(record) == reading
    assert record.patient == patient


@given(CHANGES)
def test_an_alert_change_comes_out_as_it_went_in(change: AlertChange) -> None:
    packed = msgspec.msgpack.encode(messages.alert(change))
    assert messages.alert_change(msgspec.msgpack.decode(packed, type=messages.AlertRecord)) == change


@pytest.mark.parametrize("quantity", Quantity)
def test_a_value_in_another_than_the_canonical_unit_is_refused(quantity: Quantity) -> None:
    unit = next(unit for unit in Unit if unit is not facts(quantity).unit)
    reading = Reading(
        quantity=quantity,
        count=100,
        validity=Validity.VALID,
        measured_at=0,
        clock=ClockTrust.TRUSTED,
        received_at=0,
        device="C4:B0:00:00:00:01",
        key="k",
        provenance=Provenance(source="device", value="10", unit=facts(quantity).unit),
    )
    record = msgspec.structs.replace(messages.observation("patient-7f3a", reading), unit=unit)
    with pytest.raises(msgspec.ValidationError, match="cannot travel"):
        messages.reading(record)
