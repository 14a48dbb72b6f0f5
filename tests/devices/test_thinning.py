"""What is kept of a stream: every extreme of every minute, at once; nothing computed; a bad signal once a minute."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from devices import gatt
from devices.driver import FrameContext
from devices.drivers.heart_rate import HeartRateDriver, HeartRateMeasurement
from devices.drivers.pulse_oximeter import Continuous, PulseOximeterDriver, SpO2PR
from devices.medfloat import decode_sfloat
from devices.reading import JUDGED, Quality, Quantity, Reading, Validity
from devices.thinning import STREAMED, Thinning

BEGUN = 1_795_334_400_000
WHERE = FrameContext(device="C4:B0:00:00:00:07", received_at=BEGUN, zone=ZoneInfo("Europe/Paris"))


def beat(second: float, rate: int, *, contact: bool | None = None) -> Reading:
    """Return the heart rate that a strap tells so many seconds after the beginning."""
    frame = bytes(HeartRateMeasurement(heart_rate=rate, contact=contact))
    where = replace(WHERE, received_at=BEGUN + round(second * 1000))
    (reading,) = HeartRateDriver().decode(gatt.HEART_RATE_MEASUREMENT, frame, where)
    return reading


def rates(readings: list[Reading]) -> list[int]:
    return [reading.count // 10 for reading in readings]


def thinned(stream: list[Reading]) -> list[Reading]:
    thinning = Thinning()
    return [kept for reading in stream for kept in thinning.kept([reading])]


def test_a_steady_heart_is_one_value_a_minute() -> None:
    assert rates(thinned([beat(second, 60) for second in range(180)])) == [60, 60, 60]


def test_a_fall_is_kept_step_by_step_as_it_happens() -> None:
    falling = [beat(second, 90 - second) for second in range(40)]
    assert thinned(falling) == falling


def test_one_second_of_it_is_enough_and_is_never_averaged_away() -> None:
    stream = [beat(second, 38 if second == 30 else 70) for second in range(60)]
    assert rates(thinned(stream)) == [70, 38]


def test_what_lies_between_the_extremes_of_its_minute_is_left_out() -> None:
    assert rates(thinned([beat(second, rate) for second, rate in enumerate([70, 80, 75, 60, 65, 81])])) == [
        70,
        80,
        60,
        81,
    ]


def test_a_minute_begins_with_its_first_value_and_is_a_minute_long() -> None:
    assert rates(thinned([beat(7, 60), beat(66.999, 60), beat(67, 60), beat(126.999, 60)])) == [60, 60]


def test_a_clock_that_goes_back_begins_a_minute() -> None:
    assert rates(thinned([beat(30, 60), beat(10, 60), beat(20, 60)])) == [60, 60]


def test_a_bad_signal_is_known_of_once_a_minute_and_hides_no_value() -> None:
    stream = [beat(0, 70), *(beat(second, 70, contact=False) for second in range(1, 60)), beat(59.5, 71)]
    kept = thinned(stream)
    assert [(reading.validity, reading.quality) for reading in kept] == [
        (Validity.VALID, Quality.NONE),
        (Validity.INVALID, Quality.POOR_SIGNAL),
        (Validity.VALID, Quality.NONE),
    ]


def test_each_quantity_has_its_own_extremes() -> None:
    driver, thinning, kept = PulseOximeterDriver(), Thinning(), []
    for second, (spo2, pulse) in enumerate([(97, 70), (97, 72), (96, 71), (96, 72)]):
        pair = SpO2PR(spo2=decode_sfloat(spo2), pulse_rate=decode_sfloat(pulse))
        where = replace(WHERE, received_at=BEGUN + second * 1000)
        readings = driver.decode(gatt.PLX_CONTINUOUS_MEASUREMENT, bytes(Continuous(normal=pair)), where)
        kept += [(second, reading.quantity) for reading in thinning.kept(readings)]
    assert kept == [(0, Quantity.SPO2), (0, Quantity.PULSE_RATE), (1, Quantity.PULSE_RATE), (2, Quantity.SPO2)]


def test_only_streams_are_thinned() -> None:
    assert frozenset({0x2A37, 0x2A5F}) == STREAMED


seconds = st.lists(
    st.tuples(st.sampled_from([0.5, 1.0, 1.2, 9.0]), st.integers(15, 310), st.sampled_from([None, True, False])),
    max_size=200,
)


@given(seconds, st.integers(150, 3100))
@settings(max_examples=100, deadline=None)
def test_whatever_threshold_a_stream_crosses_what_is_kept_crosses_in_the_same_minute(
    drawn: list[tuple[float, int, bool | None]], threshold: int
) -> None:
    second, stream = 0.0, []
    for pause, rate, contact in drawn:
        second += pause
        stream.append(beat(second, rate, contact=contact))
    kept = thinned(stream)
    assert all(reading in stream for reading in kept)
    judged = [[reading for reading in some if reading.validity in JUDGED] for some in (stream, kept)]
    for reading in judged[0]:
        # An extreme of the same minute, kept no later than the value itself.
        before = [known.count for known in judged[1] if 0 <= reading.measured_at - known.measured_at < 60_000]
        assert min(before) <= reading.count <= max(before)
        assert (reading.count < threshold) <= any(count < threshold for count in before)
    assert {reading.quality for reading in stream} == {reading.quality for reading in kept}


@given(st.lists(st.integers(30, 200), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_a_minute_of_whole_numbers_keeps_each_at_most_once(drawn: list[int]) -> None:
    kept = rates(thinned([beat(second, rate) for second, rate in enumerate(drawn)]))
    assert len(kept) == len(set(kept))
    assert {min(drawn), max(drawn), drawn[0]} <= set(kept)
