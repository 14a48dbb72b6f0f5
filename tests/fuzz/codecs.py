"""Every codec that takes bytes from a device, with good frames to begin from and what must hold of any.

Those of the network and of files are in messages.py, orders.py, joining.py and papers.py.
"""

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import SupportsBytes
from zoneinfo import ZoneInfo

from devices.advertising import advertisement_bytes, advertisement_from_bytes
from devices.decode import decode_advertisement
from devices.driver import BroadcastDriver, Driver, FrameContext
from devices.drivers import BROADCASTS, DRIVERS
from devices.drivers.cgm_ops import OpsCode, SpecificOps
from devices.drivers.cgm_session import CgmFeature, Features, SessionRunTime, SessionStart
from devices.drivers.cgm_status import CgmStatus
from devices.errors import FrameError
from devices.fields import in_words
from devices.gatt import characteristic_name, with_e2e_crc
from devices.radio import Advertisement
from devices.reading import JUDGED, Reading, facts
from devices.record_access import RecordRequest, response_from_bytes
from devices.user_data import UserRequest, UserResponse
from devices.wall_clock import CurrentTime, DateTime
from tests.devices.kit import known_frames
from tests.fuzz import joining, messages, orders, papers
from tests.fuzz.case import Case

ARRIVAL = 1_795_334_400_000  # 2026-11-22T08:00:00Z
CONTEXT = FrameContext(
    device="C4:B0:00:00:00:01",
    received_at=ARRIVAL,
    zone=ZoneInfo("Europe/Paris"),
    session_start=ARRIVAL - 2 * 86_400_000,
)
TOLERANCE = 5 * 60_000
ADVERTISEMENTS = Path(__file__).parent.parent / "devices" / "advertisements"

CIRCUMSTANCES = {0x2A34}
"""Frames that measure nothing of their own: they complete another."""

SAID: dict[tuple[str, int], Sequence[SupportsBytes]] = {
    ("cgm", 0x2AA8): [CgmFeature(features=Features.E2E_CRC), CgmFeature(features=Features.TREND)],
    ("cgm", 0x2AA9): [CgmStatus(time_offset=90)],
    ("cgm", 0x2AAA): [SessionStart.of(ARRIVAL, CONTEXT.zone)],
    ("cgm", 0x2AAB): [SessionRunTime(hours=360)],
    ("cgm", 0x2AAC): [SpecificOps(opcode=OpsCode.START_SESSION)],
}
"""Values that carry no measurement and so stand in no frames file; of the others random bytes are enough."""


def check(readings: Sequence[Reading]) -> None:
    """Raise when a reading is not what the house promises of any bytes."""
    for reading in readings:
        limits = facts(reading.quantity)
        if reading.validity in JUDGED and not limits.low <= reading.count <= limits.high:
            raise ValueError(f"{reading.quantity} of {reading.count} counts would be judged")
        if reading.measured_at > ARRIVAL + TOLERANCE:
            raise ValueError("measured in the future")
        if not 1 <= len(reading.key) <= 128:
            raise ValueError(f"a record key of {len(reading.key)} characters")


def measurement(driver: Driver, characteristic: int, *, crc: bool | None = None) -> Callable[[bytes], bool]:
    context = replace(CONTEXT, crc=crc)

    def run(frame: bytes) -> bool:
        awaited = driver.awaits(characteristic, frame)
        rest = frame[len(frame) // 2 :] if awaited is not None else b""
        try:
            readings = driver.decode(characteristic, frame, context, rest=rest)
        except FrameError:
            return True
        if not readings and characteristic not in CIRCUMSTANCES:
            raise ValueError("neither a reading nor an error")
        check(readings)
        return False

    return run


def value(driver: Driver, characteristic: int) -> Callable[[bytes], bool]:
    return refusable(lambda frame: json.dumps(in_words(driver.value(characteristic, frame, CONTEXT))))


def with_crc(frame: bytes) -> bytes:
    return with_e2e_crc(frame[:-2])


def record_with_crc(frame: bytes) -> bytes:
    """Return one CGM record of the frame's own length."""
    return with_e2e_crc(bytes((max(2, len(frame)) & 0xFF,)) + frame[1:-2])


def refusable(take: Callable[[bytes], object]) -> Callable[[bytes], bool]:
    def run(frame: bytes) -> bool:
        try:
            take(frame)
        except FrameError:
            return True
        return False

    return run


def broadcast(driver: BroadcastDriver) -> Callable[[bytes], bool]:
    def run(frame: bytes) -> bool:
        try:
            heard = advertisement_from_bytes(frame)
            check(driver.decode_advertisement(heard, CONTEXT) if driver.claims(heard) else ())
        except FrameError:
            return True
        return False

    return run


def heard_advertisements() -> list[bytes]:
    """Return the advertisements files as bytes."""
    return [
        advertisement_bytes(
            Advertisement(
                address="",
                name=entry.get("local_name"),
                services=frozenset(int(number, 16) for number in entry.get("services", ())),
                service_data={
                    int(number, 16): bytes.fromhex(data) for number, data in entry.get("service_data", {}).items()
                },
            )
        )
        for path in sorted(ADVERTISEMENTS.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["advertisement"]
    ]


def cases() -> dict[str, Case]:
    known = known_frames()
    found: dict[str, Case] = {}
    for driver in DRIVERS:
        for characteristic in driver.measurements:
            seeds = [
                piece
                for frame in known
                if (frame.driver, frame.characteristic) == (driver.name, characteristic)
                for piece in (frame.frame, frame.rest)
                if piece
            ]
            name = f"{driver.name}.{characteristic_name(characteristic)}"
            found[name] = Case(seeds, measurement(driver, characteristic))
            if characteristic == 0x2AA7:
                found[f"{name}.crc"] = Case(seeds, measurement(driver, characteristic, crc=True), record_with_crc)
        for characteristic in driver.reads:
            seeds = [frame.frame for frame in known if frame.characteristic == characteristic]
            seeds += [bytes(said) for said in SAID.get((driver.name, characteristic), ())]
            repair = with_crc if driver.name == "cgm" and characteristic != 0x2AA7 else bytes
            name = f"value.{driver.name}.{characteristic_name(characteristic)}"
            found[name] = Case(seeds, value(driver, characteristic), repair)
    adverts = heard_advertisements()
    for broadcaster in BROADCASTS:
        found[broadcaster.name] = Case(adverts, broadcast(broadcaster))
    found["advertisement"] = Case(adverts, refusable(decode_advertisement))
    request, response = bytes.fromhex("01030105000800"), bytes.fromhex("06000101")
    found["record_request"] = Case([request], refusable(RecordRequest.from_bytes))
    found["record_response"] = Case([response, bytes.fromhex("05000700")], refusable(response_from_bytes))
    found["user_request"] = Case([bytes.fromhex("0201d204")], refusable(UserRequest.from_bytes))
    found["user_response"] = Case([bytes.fromhex("200201")], refusable(UserResponse.from_bytes))
    now = DateTime.of(ARRIVAL, CONTEXT.zone)
    found["date_time"] = Case([bytes(now)], refusable(DateTime.from_bytes))
    found["current_time"] = Case([bytes(CurrentTime(date_time=now))], refusable(CurrentTime.from_bytes))
    return found | messages.cases() | orders.cases() | joining.cases() | papers.cases()


CASES = cases()
