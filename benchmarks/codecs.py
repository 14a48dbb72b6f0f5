"""How many frames a second each codec reads, beside others' codecs where they read the same frame rightly.

`codec.reading` is a frame to Readings with their conversion, time and key; `codec.value` the bytes to the value class
alone, which is what the other libraries do. All of one frame run in turns, so that a busy machine slows all of them.
"""

import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

from bluetooth_sig import BluetoothSIGTranslator
from bumble.profiles.heart_rate_service import HeartRateService
from home_assistant_bluetooth import BluetoothServiceInfo
from xiaomi_ble import SensorUpdate, XiaomiBluetoothDeviceData

from benchmarks.figure import say
from devices.driver import FrameContext
from devices.drivers import DRIVERS, driver_named
from devices.drivers.heart_rate import HeartRateMeasurement
from devices.drivers.weight_scale import WeightMeasurement
from devices.drivers.xiaomi_scale import WeightBroadcast, XiaomiScaleDriver
from devices.gatt import characteristic_name
from devices.radio import Advertisement
from devices.wall_clock import DateTime
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
WEIGHT_SCALE = 0x181D
SERVICE = "0000181d-0000-1000-8000-00805f9b34fb"
WEIGHING = WeightBroadcast(weight=Decimal("70.04"), time_stamp=DateTime.of(ARRIVAL, CONTEXT.zone), settled=True)


def figures() -> None:
    """Say the figures of every measurement characteristic, by the longest of its known frames."""
    for (driver, characteristic), frame in _longest().items():
        reader = driver_named(driver)
        contestants: dict[str, Callable[[], object]] = {
            "codec.reading": partial(reader.decode, characteristic, frame, CONTEXT),
            **_others(characteristic, frame),
        }
        if characteristic in reader.reads:
            contestants["codec.value"] = partial(reader.value, characteristic, frame, CONTEXT)
        _compare(contestants, driver=driver, characteristic=characteristic_name(characteristic), bytes=len(frame))
    _compare(_scales(), driver="xiaomi_scale", characteristic="advertisement", bytes=len(bytes(WEIGHING)))


def _compare(contestants: dict[str, Callable[[], object]], **about: object) -> None:
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, work in contestants.items():
            rates[name].append(_rate(work))
    for name, found in rates.items():
        say(name, "frames/s", found, **about)


def _scales() -> dict[str, Callable[[], object]]:
    """Return the house's reader of Xiaomi's scales and the one that Home Assistant uses."""
    payload = bytes(WEIGHING)
    heard = Advertisement(address="C4:B0:00:00:00:01", name="MI SCALE2", service_data={WEIGHT_SCALE: payload})
    (ours,) = XiaomiScaleDriver().decode_advertisement(heard, CONTEXT)

    def theirs() -> SensorUpdate:
        # Anew each time: one that has heard an advertisement passes over the same one.
        return XiaomiBluetoothDeviceData().update(
            BluetoothServiceInfo(
                name="MI SCALE2",
                address="C4:B0:00:00:00:01",
                rssi=-60,
                manufacturer_data={},
                service_data={SERVICE: payload},
                service_uuids=[SERVICE],
                source="",
            )
        )

    if not any(value.native_value == float(ours.value) for value in theirs().entity_values.values()):
        raise RuntimeError("xiaomi-ble reads another weight")
    return {
        "codec.reading": partial(XiaomiScaleDriver().decode_advertisement, heard, CONTEXT),
        "xiaomi-ble": theirs,
    }


def _longest() -> dict[tuple[str, int], bytes]:
    found: dict[tuple[str, int], bytes] = {}
    for frame in known_frames():
        driver = next(driver for driver in DRIVERS if driver.name == frame.driver)
        key = (frame.driver, frame.characteristic)
        if frame.characteristic in driver.measurements and len(frame.frame) > len(found.get(key, b"")):
            found[key] = frame.frame
    return found


def _others(characteristic: int, frame: bytes) -> dict[str, Callable[[], object]]:
    """Return the other libraries that read this frame.

    Raises:
        RuntimeError: one reads another number than the house does, so that its speed says nothing.
    """
    others: dict[str, Callable[[], object]] = {}
    sig = partial(BluetoothSIGTranslator().parse_characteristic, characteristic_name(characteristic), frame)
    if characteristic == HEART_RATE:
        others = {"bumble": partial(HeartRateService.HeartRateMeasurement.from_bytes, frame), "bluetooth-sig": sig}
        ours: object = HeartRateMeasurement.from_bytes(frame).heart_rate
        said = {name: getattr(read(), "heart_rate", None) for name, read in others.items()}
    elif characteristic == WEIGHT:
        others = {"bluetooth-sig": sig}
        ours = float(WeightMeasurement.from_bytes(frame).weight or 0)
        said = {name: getattr(read(), "weight", None) for name, read in others.items()}
    else:
        return {}
    if wrong := [name for name, number in said.items() if number != ours]:
        raise RuntimeError(f"{', '.join(wrong)} read another number in {frame.hex()}")
    return others


def _rate(work: Callable[[], object]) -> float:
    """Return how often a second it is done."""
    times, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        for _ in range(20):
            work()
        times += 20
    return times / (time.perf_counter() - began)
