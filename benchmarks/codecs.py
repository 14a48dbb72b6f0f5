"""How many frames a second each codec reads, beside others' codecs where they read the same frame rightly.

`codec.reading` is a frame to Readings with their conversion, time and key; `codec.value` the bytes to the value class
alone, which is what the other libraries do. All of one frame run in turns, so that a busy machine slows all of them.
"""

import time
from collections.abc import Callable
from functools import partial
from zoneinfo import ZoneInfo

from bluetooth_sig import BluetoothSIGTranslator
from bumble.profiles.heart_rate_service import HeartRateService

from benchmarks.figure import say
from devices.driver import FrameContext
from devices.drivers import DRIVERS, driver_named
from devices.gatt import characteristic_name
from tests.devices.kit import known_frames

ROUNDS = 7
SECONDS = 0.05
ARRIVAL = 1_795_334_400_000
CONTEXT = FrameContext(
    device="C4:B0:00:00:00:01",
    received_at=ARRIVAL,
    zone=ZoneInfo("Europe/Paris"),
    session_start=ARRIVAL - 2 * 86_400_000,
)
HEART_RATE, WEIGHT = 0x2A37, 0x2A9D


def figures() -> None:
    """Say the figures of every measurement characteristic, by the longest of its known frames."""
    for (driver, characteristic), frame in _longest().items():
        reader = driver_named(driver)
        contestants: dict[str, Callable[[], object]] = {
            "codec.reading": partial(reader.decode, characteristic, frame, CONTEXT),
            "codec.value": partial(reader.value, characteristic, frame, CONTEXT),
            **_others(characteristic, frame),
        }
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(ROUNDS):
            for name, work in contestants.items():
                rates[name].append(_rate(work))
        for name, found in rates.items():
            about = {"driver": driver, "characteristic": characteristic_name(characteristic), "bytes": len(frame)}
            say(name, "frames/s", found, **about)


def _longest() -> dict[tuple[str, int], bytes]:
    found: dict[tuple[str, int], bytes] = {}
    for frame in known_frames():
        driver = next(driver for driver in DRIVERS if driver.name == frame.driver)
        key = (frame.driver, frame.characteristic)
        if frame.characteristic in driver.measurements and len(frame.frame) > len(found.get(key, b"")):
            found[key] = frame.frame
    return found


def _others(characteristic: int, frame: bytes) -> dict[str, Callable[[], object]]:
    """Return the other libraries that read this frame and come to the same numbers (checked here, not believed)."""
    others: dict[str, Callable[[], object]] = {}
    number = characteristic_name(characteristic)
    translator = BluetoothSIGTranslator()
    if characteristic == HEART_RATE:
        others["bumble"] = partial(HeartRateService.HeartRateMeasurement.from_bytes, frame)
    if characteristic in {HEART_RATE, WEIGHT}:
        others["bluetooth-sig"] = partial(translator.parse_characteristic, number, frame)
    return others


def _rate(work: Callable[[], object]) -> float:
    """Return how often a second it is done."""
    times, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        for _ in range(20):
            work()
        times += 20
    return times / (time.perf_counter() - began)
