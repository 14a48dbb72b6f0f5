"""One GATT value in words: what `veilleur decode` shows, ready for JSON.

Values are in canonical units. There is no sensor at hand to ask whether it promises CRCs: where a value leaves room
for one, it is checked. Nor is there an arrival: a wall clock's time is believed unless it is no date at all, and a
CGM's times, which are relative, stay relative.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from devices import gatt
from devices.advertising import advertisement_from_bytes
from devices.driver import BroadcastDriver, FrameContext
from devices.drivers import BROADCASTS, DRIVERS, driver_for
from devices.drivers.blood_pressure import BloodPressureFeature, BloodPressureMeasurement
from devices.drivers.cgm import CgmMeasurement, records_of
from devices.drivers.cgm_session import CgmFeature, SessionRunTime, SessionStart
from devices.drivers.weight_scale import WeightMeasurement, WeightScaleFeature
from devices.errors import DriverError
from devices.fields import Json, fields_of, flag_names
from devices.gatt import FrameReader, characteristic_name
from devices.medfloat import MedFloat
from devices.reading import ClockTrust, Reading, Unit
from devices.record_access import Opcode, RecordCount, RecordRequest, response_from_bytes
from devices.user_data import UserOpcode, UserRequest, UserResponse
from devices.wall_clock import CurrentTime, DateTime

_INCH: Final = Decimal("0.0254")
_ANY_TIME: Final = 4_102_444_800_000
"""2100-01-01T00:00:00Z: an arrival after any time that a device may claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What one value says.

    Attributes:
        characteristic: four upper-case hexadecimal digits.
        readings: quantity, value (a number, or None when the device gave none), unit (UCUM), validity, measured_at
            (ISO 8601 in UTC, or None when unknown) each; empty for a characteristic that carries no measurement.
        fields: everything else, by name.
    """

    characteristic: str
    readings: tuple[dict[str, Json], ...]
    fields: dict[str, Json]

    def as_json(self) -> dict[str, Json]:
        """Return the object that `veilleur decode` prints."""
        return {"characteristic": self.characteristic, "readings": list(self.readings), "fields": self.fields}


def decode_frame(characteristic: int, frame: bytes, context: FrameContext | None = None) -> Decoded:
    """Decode the value of a characteristic.

    Args:
        characteristic: 16-bit assigned number.
        frame: its bytes.
        context: where it came from; None: a wall clock's time is taken as UTC.

    Raises:
        FrameError: the bytes are not what the specification allows.
        DriverError: the house does not know this characteristic.
    """
    where = context or FrameContext(device="", received_at=_ANY_TIME, zone=ZoneInfo("UTC"))
    driver = next((driver for driver in DRIVERS if characteristic in driver.reads), None)
    readings: tuple[Reading, ...] = ()
    if driver is not None and characteristic in driver.measurements:
        readings = driver.decode(characteristic, frame, where)
    if characteristic in _FIELDS:
        said = _FIELDS[characteristic](frame, where)
    elif driver is not None:
        said = fields_of(driver.value(characteristic, frame, where))
    else:
        raise DriverError(
            f"{characteristic_name(characteristic)} is not a characteristic known here; these are: {_known()}"
        )
    return Decoded(
        characteristic=characteristic_name(characteristic),
        readings=tuple(_reading(reading) for reading in readings),
        fields=said,
    )


def decode_advertisement(payload: bytes) -> dict[str, Json]:
    """Decode advertising data: who would read the device, and what a broadcast says, ready for JSON.

    Raises:
        FrameError: the bytes are not what the specification allows.
    """
    heard = advertisement_from_bytes(payload)
    readings: tuple[Reading, ...] = ()
    name, refused = None, None
    try:
        driver = driver_for(heard)
    except DriverError as error:
        refused = str(error).strip()
    else:
        name = driver.name
        if driver in BROADCASTS:
            where = FrameContext(device="", received_at=_ANY_TIME, zone=ZoneInfo("UTC"))
            readings = _broadcaster(name).decode_advertisement(heard, where)
    return {
        "advertisement": {
            "name": heard.name,
            "services": [characteristic_name(number) for number in sorted(heard.services)],
            "service_data": {characteristic_name(number): data.hex() for number, data in heard.service_data.items()},
            "manufacturer_data": {
                characteristic_name(number): data.hex() for number, data in heard.manufacturer_data.items()
            },
        },
        "driver": name,
        "refused": refused,
        "readings": [_reading(reading) for reading in readings],
    }


def _broadcaster(name: str) -> BroadcastDriver:
    return next(driver for driver in BROADCASTS if driver.name == name)


def _known() -> str:
    numbers = {*_FIELDS, *(number for driver in DRIVERS for number in driver.reads)}
    return ", ".join(characteristic_name(number) for number in sorted(numbers))


def _reading(reading: Reading) -> dict[str, Json]:
    # Without a number of the device's own, an INVALID count of 0 only fills its place.
    has_number = reading.count != 0 or reading.provenance.value is not None
    # A live value is measured when it arrives, and nothing arrived here.
    known = reading.clock is not ClockTrust.UNKNOWN and reading.measured_at != _ANY_TIME
    return {
        "quantity": reading.quantity.value,
        "value": float(reading.value) if has_number else None,
        "unit": reading.unit.value,
        "validity": reading.validity.value,
        "measured_at": _iso(reading.measured_at) if known else None,
    }


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(said: MedFloat | None) -> Json:
    """Return a number, a special value's name, or None when the field is absent."""
    if said is None:
        return None
    return float(said) if isinstance(said, Decimal) else said.value


def _shown(date_time: DateTime | None) -> str | None:
    return None if date_time is None else str(date_time)


def _blood_pressure(frame: bytes, _: FrameContext) -> dict[str, Json]:
    said = BloodPressureMeasurement.from_bytes(frame)
    return {
        "unit": said.unit.value,
        "time_stamp": _shown(said.time_stamp),
        "user_id": said.user_id,
        "status": None if said.status is None else flag_names(said.status),
        "trailing": said.trailing.hex(),
    }


def _blood_pressure_feature(frame: bytes, _: FrameContext) -> dict[str, Json]:
    said = BloodPressureFeature.from_bytes(frame)
    return {"features": flag_names(said.features), "trailing": said.trailing.hex()}


def _weight(frame: bytes, _: FrameContext) -> dict[str, Json]:
    said = WeightMeasurement.from_bytes(frame)
    metres = said.height
    if said.height is not None and said.unit is Unit.POUND:
        metres = said.height * _INCH
    return {
        "unit": said.unit.value,
        "successful": said.weight is not None,
        "time_stamp": _shown(said.time_stamp),
        "user_id": said.user_id,
        "height_m": _number(metres),
        "trailing": said.trailing.hex(),
    }


def _weight_feature(frame: bytes, _: FrameContext) -> dict[str, Json]:
    said = WeightScaleFeature.from_bytes(frame)
    return {
        "features": flag_names(said.features),
        "weight_resolution": said.weight_resolution,
        "height_resolution": said.height_resolution,
        "trailing": said.trailing.hex(),
    }


def _cgm(frame: bytes, context: FrameContext) -> dict[str, Json]:
    """Return the fields of the record; of several, each one's under "records"."""
    records = [_cgm_record(CgmMeasurement.from_bytes(record, crc=context.crc)) for record in records_of(frame)]
    return records[0] if len(records) == 1 else {"records": list(records)}


def _cgm_record(said: CgmMeasurement) -> dict[str, Json]:
    return {
        "time_offset_minutes": said.time_offset,
        "annunciation": flag_names(said.annunciation),
        "trend_mg_dl_per_minute": _number(said.trend),
        "quality_percent": _number(said.quality),
        "crc": said.crc,
        "trailing": said.trailing.hex(),
    }


def _cgm_feature(frame: bytes, _: FrameContext) -> dict[str, Json]:
    said = CgmFeature.from_bytes(frame)
    return {
        "features": flag_names(said.features),
        "fluid_type": said.fluid_type,
        "sample_location": said.sample_location,
        "trailing": said.trailing.hex(),
    }


def _session_start(frame: bytes, context: FrameContext) -> dict[str, Json]:
    said = SessionStart.from_bytes(frame, crc=context.crc)
    start = said.start_ms(context.received_at, context.zone)
    return {
        "date_time": str(said.date_time),
        "time_zone_minutes": None if said.time_zone is None else said.time_zone * 15,
        "dst_offset_minutes": None if said.dst_offset is None else said.dst_offset * 15,
        "session_start": None if start is None else _iso(start),
        "crc": said.crc,
        "trailing": said.trailing.hex(),
    }


def _run_time(frame: bytes, context: FrameContext) -> dict[str, Json]:
    said = SessionRunTime.from_bytes(frame, crc=context.crc)
    return {"hours": said.hours, "crc": said.crc, "trailing": said.trailing.hex()}


def _record_access(frame: bytes, _: FrameContext) -> dict[str, Json]:
    if frame[:1] not in {bytes((Opcode.NUMBER_OF_STORED_RECORDS_RESPONSE,)), bytes((Opcode.RESPONSE_CODE,))}:
        request = RecordRequest.from_bytes(frame)
        return {
            "opcode": request.opcode,
            "operator": request.operator,
            "filter_type": request.filter_type,
            "operands": list(request.operands),
            "trailing": request.trailing.hex(),
        }
    response = response_from_bytes(frame)
    if isinstance(response, RecordCount):
        return {"number_of_records": response.number, "trailing": response.trailing.hex()}
    return {
        "request": response.request,
        "code": response.code,
        "succeeded": response.succeeded,
        "trailing": response.trailing.hex(),
    }


def _current_time(frame: bytes, _: FrameContext) -> dict[str, Json]:
    said = CurrentTime.from_bytes(frame)
    return {
        "date_time": str(said.date_time),
        "day_of_week": said.day_of_week,
        "fractions256": said.fractions256,
        "adjust_reason": flag_names(said.adjust_reason),
        "trailing": said.trailing.hex(),
    }


def _battery(frame: bytes, _: FrameContext) -> dict[str, Json]:
    reader = FrameReader(gatt.BATTERY_LEVEL, frame)
    return {"percent": reader.uint(1, "the level"), "trailing": reader.rest().hex()}


def _text(frame: bytes, _: FrameContext) -> dict[str, Json]:
    return {"text": frame.decode("utf-8", "replace")}


def _user_control(frame: bytes, _: FrameContext) -> dict[str, Json]:
    if frame[:1] == bytes((UserOpcode.RESPONSE_CODE,)):
        return fields_of(UserResponse.from_bytes(frame))
    return fields_of(UserRequest.from_bytes(frame))


def _date_time(frame: bytes, _: FrameContext) -> dict[str, Json]:
    said = DateTime.from_bytes(frame)
    return {"date_time": str(said), "trailing": frame[7:].hex()}


_FIELDS: Final[dict[int, Callable[[bytes, FrameContext], dict[str, Json]]]] = {
    gatt.DATE_TIME: _date_time,
    gatt.BATTERY_LEVEL: _battery,
    gatt.MODEL_NUMBER: _text,
    gatt.SERIAL_NUMBER: _text,
    gatt.FIRMWARE_REVISION: _text,
    gatt.MANUFACTURER_NAME: _text,
    gatt.CURRENT_TIME: _current_time,
    gatt.USER_CONTROL_POINT: _user_control,
    gatt.BLOOD_PRESSURE_MEASUREMENT: _blood_pressure,
    gatt.BLOOD_PRESSURE_FEATURE: _blood_pressure_feature,
    gatt.RECORD_ACCESS_CONTROL_POINT: _record_access,
    gatt.WEIGHT_MEASUREMENT: _weight,
    gatt.WEIGHT_SCALE_FEATURE: _weight_feature,
    gatt.CGM_MEASUREMENT: _cgm,
    gatt.CGM_FEATURE: _cgm_feature,
    gatt.CGM_SESSION_START_TIME: _session_start,
    gatt.CGM_SESSION_RUN_TIME: _run_time,
}
