"""A virtual continuous glucose monitor: standard service 0x181F with E2E-CRC and a memory of fifteen days.

Each value is notified to a box that listens and kept in any case, so that what did not arrive can be asked for
through the Record Access Control Point. Values date by minutes since the session's start. What can be asked of its
session is `sensor_session`.

Not here: the patient's own alert limits; it answers that it has none.

Source: Continuous Glucose Monitoring Service 1.0.2 (CGMS).
"""

from decimal import Decimal
from typing import ClassVar, Final

from bumble.att import ATT_Error, ErrorCode
from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import CharacteristicValue, Service

from devices import gatt
from devices.drivers.cgm import CgmMeasurement
from devices.drivers.cgm_ops import OpsResponseCode, SpecificOps
from devices.drivers.cgm_session import CgmFeature, Features, SessionRunTime, SessionStart
from devices.drivers.cgm_status import Annunciation, CgmStatus
from devices.errors import FrameError
from devices.gatt import e2e_crc
from devices.medfloat import MedFloat, Special
from devices.reading import Quantity
from devices.record_access import FILTER_TIME_OFFSET
from simulators.faults import Fault, WrongCrc
from simulators.patients import Glucose
from simulators.peripherals.peripheral import Circumstances, Properties, Taken
from simulators.peripherals.record_access import CCCD_IMPROPER, RecordKeeper
from simulators.peripherals.sensor_session import MINUTE, RUN_HOURS, SensorSession

_LOW_BATTERY: Final = 10
_CRC_MISSING: Final = ErrorCode(0x80)
_CRC_WRONG: Final = ErrorCode(0x81)
"""Application errors of the CGM service."""


class GlucoseSensor(RecordKeeper):
    """A sensor on the arm, in whole mg/dL, that measures for fifteen days from its session's start.

    Attributes:
        session: what it knows of its session.
    """

    kind: ClassVar[str] = "cgm"
    service: ClassVar[int] = gatt.CGM_SERVICE
    measurement: ClassVar[int] = gatt.CGM_MEASUREMENT
    filter_type: ClassVar[int] = FILTER_TIME_OFFSET
    # No faults of a clock: a running session keeps its start; a wrong one is given when the sensor is put on.
    knobs: ClassVar[tuple[type[Fault], ...]] = (*RecordKeeper.knobs, WrongCrc)

    def __init__(
        self,
        address: str,
        where: Circumstances,
        *,
        name: str,
        session_start: int | None,
        battery: int = 87,
        clock_offset_s: int = 0,
        warm_up_minutes: int = 0,
    ) -> None:
        """Put a sensor on.

        Args:
            address: static random Bluetooth address, upper case.
            where: its surroundings.
            name: at most 20 characters, advertised.
            session_start: ms UTC in true time; the sensor itself counts from the whole second. None: nobody has
                started a session yet.
            battery: percent.
            clock_offset_s: how far the clock was ahead that the session's start was taken from.
            warm_up_minutes: how long it gives no value after each start.
        """
        self.session = SensorSession(
            where.clock, where.zone, warm_up_minutes=warm_up_minutes, on_start=self._forget_records
        )
        if session_start is not None:
            self.session.begin(session_start, (session_start // 1000 + clock_offset_s) * 1000)
        self._last_live: int | None = None
        self._ops = self._secured(
            gatt.CGM_SPECIFIC_OPS_CONTROL_POINT,
            Properties.WRITE | Properties.INDICATE,
            CharacteristicValue(write=self._on_operation),
        )
        super().__init__(address, where, name=name, battery=battery)

    def wants_link(self) -> bool:
        """Return True: a sensor always has something to say soon."""
        return True

    def take(self, glucose: Glucose) -> None:
        """Measure: keep the value, and notify it when a box listens. Nothing happens outside of a session."""
        minute = self.session.minute(glucose.at)
        if minute is None or minute in self._memory:
            return
        shown = round(glucose.count / 10)
        value: MedFloat = Special.NAN if self.session.is_warming_up(minute) else Decimal(shown)
        record = CgmMeasurement(glucose=value, time_offset=minute, annunciation=self._state(minute), crc=True)
        self._memory[minute] = ((self._records, bytes(record)),)
        reading = Taken(
            device=self.address,
            quantity=Quantity.GLUCOSE_INTERSTITIAL,
            count=0 if self.session.is_warming_up(minute) else shown * 10,
            measured_at=(self.session.claimed_start or -minute * MINUTE) + minute * MINUTE,
        )
        self._where.witness.taken([reading])
        since = None if self._last_live is None else minute - self._last_live
        if self._link is not None and self._subscribed(self._records) and self.session.is_due(since):
            self._last_live = minute
            self._on_link(self._send_record(self._link, self._memory[minute]), "live value")

    def _state(self, minute: int | None) -> Annunciation:
        low = Annunciation.BATTERY_LOW if self.battery <= _LOW_BATTERY else Annunciation.NONE
        return self.session.state(minute) | low

    def _forget_records(self) -> None:
        super()._forget_records()
        self._last_live = None

    def _services(self) -> list[Service]:
        feature = CgmFeature(features=Features.CALIBRATION | Features.BATTERY_LOW_DETECTION | Features.E2E_CRC)
        start_time: CharacteristicValue[bytes] = CharacteristicValue(
            read=lambda _: bytes(self.session.start_time), write=lambda _, written: self._on_present_time(written)
        )
        status: CharacteristicValue[bytes] = CharacteristicValue(read=lambda _: bytes(self._status()))
        run_time = SessionRunTime(hours=RUN_HOURS, crc=True)
        return [
            Service(
                UUID.from_16_bits(self.service),
                [
                    self._records,
                    self._secured(gatt.CGM_FEATURE, Properties.READ, bytes(feature)),
                    self._secured(gatt.CGM_STATUS, Properties.READ, status),
                    self._secured(gatt.CGM_SESSION_START_TIME, Properties.READ | Properties.WRITE, start_time),
                    self._secured(gatt.CGM_SESSION_RUN_TIME, Properties.READ, bytes(run_time)),
                    self._access,
                    self._ops,
                ],
            )
        ]

    def _status(self) -> CgmStatus:
        now = self.session.minute(self._where.clock.now_ms())
        return CgmStatus(time_offset=self.session.elapsed(), annunciation=self._state(now), crc=True)

    def _on_present_time(self, written: bytes) -> None:
        try:
            now = SessionStart.from_bytes(written, crc=True)
        except FrameError as error:
            raise ATT_Error(ErrorCode.VALUE_NOT_ALLOWED) from error
        self.session.tell_time(now)

    def _on_operation(self, link: Connection, written: bytes) -> None:
        """Do what a collector asks for; the answer is indicated (CGMS 3.8)."""
        if not self._subscribed(self._ops):
            raise ATT_Error(CCCD_IMPROPER)
        body, crc = written[:-2], int.from_bytes(written[-2:], "little")
        if not body:
            raise ATT_Error(_CRC_MISSING)
        if crc != e2e_crc(body):
            raise ATT_Error(_CRC_WRONG)
        try:
            answer = self.session.answer(SpecificOps.from_bytes(body, crc=False))
        except FrameError:
            answer = SpecificOps.answer(body[0], OpsResponseCode.INVALID_OPERAND, crc=True)
        self._on_link(self._indicate(link, self._ops, bytes(answer)), "operation")
