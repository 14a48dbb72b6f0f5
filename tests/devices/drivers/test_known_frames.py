"""Every frame of the frames files gives the readings written beside it; every driver has such a file."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.driver import Driver, FrameContext
from devices.drivers import DRIVERS, driver_named
from devices.errors import FrameError
from devices.fields import in_words
from devices.reading import JUDGED, ClockTrust, Quality, Quantity, Reading, facts


def test_a_known_frame_gives_its_readings(known: Any, context: FrameContext) -> None:
    readings = driver_named(known.driver).decode(known.characteristic, known.frame, context, rest=known.rest)
    for reading, expected in zip(readings, known.readings, strict=True):
        quality = Quality.NONE
        for name in expected.get("quality", []):
            quality |= Quality[name]
        measured_at = known.measured_at
        if "measured_at" in expected:
            measured_at = int(datetime.fromisoformat(expected["measured_at"]).timestamp()) * 1000
        assert reading.quantity is Quantity(expected["quantity"])
        assert str(reading.value) == expected["value"]
        assert (reading.validity, reading.quality) == (expected["validity"], quality)
        assert (reading.measured_at, reading.clock) == (measured_at, ClockTrust(known.clock))
        assert reading.device == context.device
        assert reading.provenance.frame in known.frame + known.rest
        assert reading.provenance.user == expected.get("user")
        assert reading.provenance.site == expected.get("site")
    keys = {(reading.key, reading.quantity) for reading in readings}
    assert len(keys) == len(readings)


def test_a_known_frame_says_where_it_comes_from(known: Any) -> None:
    assert known.provenance in {"made here", "from the specification", "recorded"}


def test_a_known_frame_cut_anywhere_is_refused_or_gives_less(known: Any, context: FrameContext) -> None:
    driver = driver_named(known.driver)
    whole = driver.decode(known.characteristic, known.frame, context)
    for length in range(len(known.frame)):
        cut = known.frame[:length]
        refused: FrameError | None = None
        readings: tuple[Reading, ...] = ()
        try:
            readings = driver.decode(known.characteristic, cut, context)
        except FrameError as error:
            refused = error
        if refused is None:
            # Only bytes that nothing announces, or whole records, may be cut away without notice.
            assert [reading.count for reading in readings] == [reading.count for reading in whole][: len(readings)]
            assert readings
        else:
            assert (refused.characteristic, refused.frame) == (f"{known.characteristic:04X}", cut)


def test_every_driver_has_frames(known: Any) -> None:
    assert known.driver in {driver.name for driver in DRIVERS}


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
@given(frame=st.binary(max_size=40), crc=st.sampled_from([None, True, False]), data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_have_words_or_a_frame_error(
    driver: Driver, *, frame: bytes, crc: bool | None, data: st.DataObject, context: FrameContext
) -> None:
    characteristic = data.draw(st.sampled_from(driver.reads))
    fields = {name: getattr(context, name) for name in context.__slots__} | {"crc": crc}
    try:
        said = in_words(driver.value(characteristic, frame, FrameContext(**fields)))
    except FrameError:
        return
    json.dumps(said)


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
@given(
    frame=st.binary(max_size=64), rest=st.binary(max_size=24), crc=st.sampled_from([None, True, False]), data=st.data()
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_readings_or_a_frame_error(
    driver: Driver, *, frame: bytes, rest: bytes, crc: bool | None, data: st.DataObject, context: FrameContext
) -> None:
    characteristic = data.draw(st.sampled_from(driver.measurements))
    fields = {name: getattr(context, name) for name in context.__slots__} | {"crc": crc}
    awaited = driver.awaits(characteristic, frame)
    try:
        readings = driver.decode(
            characteristic, frame, FrameContext(**fields), rest=rest if awaited is not None else b""
        )
    except FrameError:
        return
    # What only completes another frame says nothing alone.
    assert readings or characteristic != driver.measurements[0]
    for reading in readings:
        limits = facts(reading.quantity)
        assert reading.validity not in JUDGED or limits.low <= reading.count <= limits.high
        assert reading.measured_at <= context.received_at + 5 * 60_000
