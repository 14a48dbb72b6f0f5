"""The life of a virtual glucose sensor: started, warming up, told the time, calibrated, stopped or run out.

What a collector may ask through the CGM Specific Ops Control Point is answered here. It knows no radio: requests and
answers are values.

- One session at a time. A session that is started forgets the one before.
- A session is dated when it is told the present time; until then its start is unknown. A dated one keeps its date.

Source: Continuous Glucose Monitoring Service 1.0.2 (CGMS), sections 3.4 and 3.8.
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from devices.clock import Clock
from devices.drivers.cgm_ops import (
    FASTEST,
    LAST_CALIBRATION,
    NEVER,
    Calibration,
    CalibrationNumber,
    CalibrationStatus,
    CommunicationInterval,
    OpsCode,
    OpsResponseCode,
    SpecificOps,
)
from devices.drivers.cgm_session import SessionStart
from devices.drivers.cgm_status import Annunciation
from devices.wall_clock import UNKNOWN_DATE_TIME

MINUTE: Final = 60_000
RUN_HOURS: Final = 15 * 24
_LONGEST: Final = 0xFFFF
_CALIBRATES: Final = (Decimal(40), Decimal(400))
"""mg/dL, both included: what the sensor takes for a calibration. Made up, as every figure of this sensor is."""
_NEXT_CALIBRATION: Final = 24 * 60
"""Minutes from one calibration to the next."""

_Answer = SpecificOps | OpsResponseCode


class SensorSession:
    """What a sensor knows of its session.

    Attributes:
        interval: minutes between live values, `NEVER` or `FASTEST`.
        alert: whether it has a device specific alert to announce.
    """

    def __init__(self, clock: Clock, zone: ZoneInfo, *, warm_up_minutes: int, on_start: Callable[[], None]) -> None:
        """Begin without a session.

        Args:
            clock: true simulated time, which the sensor counts minutes by.
            zone: in which it shows its start.
            warm_up_minutes: how long it gives no value after each start.
            on_start: called when a session is asked for and begins.
        """
        self.interval = FASTEST
        self.alert = False
        self._clock = clock
        self._zone = zone
        self._warm_up = warm_up_minutes
        self._on_start = on_start
        self._started_at: int | None = None
        self._stopped = True
        self._claimed: int | None = None
        self._calibrations: list[Calibration] = []

    # What it says

    @property
    def claimed_start(self) -> int | None:
        """Ms UTC at which the session started, as the sensor says; None until it is told the time."""
        return self._claimed

    @property
    def start_time(self) -> SessionStart:
        """The Session Start Time."""
        if self._claimed is None:
            return SessionStart(date_time=UNKNOWN_DATE_TIME, crc=True)
        return SessionStart.of(self._claimed, self._zone, crc=True)

    def minute(self, at: int) -> int | None:
        """Return the whole minutes since the start at `at` (ms UTC); None when nothing is measured then."""
        if self._stopped or self._started_at is None:
            return None
        offset = (at - self._started_at) // MINUTE
        return offset if 0 <= offset <= RUN_HOURS * 60 else None

    def elapsed(self) -> int:
        """Return the minutes since the start, running or not; 0 when there was none."""
        if self._started_at is None:
            return 0
        return min(max(0, self._clock.now_ms() - self._started_at) // MINUTE, _LONGEST)

    def state(self, minute: int | None) -> Annunciation:
        """Return what the sensor says of itself at a minute of the session, None: outside of it."""
        if minute is None:
            return Annunciation.SESSION_STOPPED
        said = Annunciation.CALIBRATION_NOT_ALLOWED if minute < self._warm_up else Annunciation.NONE
        return said | (Annunciation.DEVICE_SPECIFIC_ALERT if self.alert else Annunciation.NONE)

    def is_warming_up(self, minute: int) -> bool:
        """Return whether there is no value yet at a minute of the session."""
        return minute < self._warm_up

    # What happens to it

    def begin(self, started_at: int, claimed: int | None) -> None:
        """Let a session start.

        Args:
            started_at: ms UTC in true time.
            claimed: ms UTC that the sensor believes; None: it has to be told the time first.
        """
        self._started_at, self._claimed, self._stopped = started_at, claimed, False
        self._calibrations.clear()

    def tell_time(self, now: SessionStart) -> None:
        """Take the present time from a box: a session that is not dated yet is dated by it."""
        said = now.start_ms(self._clock.now_ms(), self._zone)
        if said is None or self._claimed is not None or self._stopped or self._started_at is None:
            return
        self._claimed = (said - (self._clock.now_ms() - self._started_at)) // 1000 * 1000

    # What it is asked

    def answer(self, request: SpecificOps) -> SpecificOps:
        """Do what is asked, and return the answer with its CRC."""
        if request.trailing:
            outcome: _Answer = OpsResponseCode.INVALID_OPERAND
        else:
            outcome = self._carry_out(request)
        if isinstance(outcome, OpsResponseCode):
            return SpecificOps.answer(request.opcode, outcome, crc=True)
        return replace(outcome, crc=True)

    def _carry_out(self, request: SpecificOps) -> _Answer:
        outcome: _Answer = OpsResponseCode.OPCODE_NOT_SUPPORTED
        match request:
            case SpecificOps(opcode=OpsCode.SET_COMMUNICATION_INTERVAL, operand=CommunicationInterval(minutes=minutes)):
                self.interval = minutes
                outcome = OpsResponseCode.SUCCESS
            case SpecificOps(opcode=OpsCode.GET_COMMUNICATION_INTERVAL):
                interval = CommunicationInterval(minutes=self.interval)
                outcome = SpecificOps(opcode=OpsCode.COMMUNICATION_INTERVAL_RESPONSE, operand=interval)
            case SpecificOps(opcode=OpsCode.SET_CALIBRATION, operand=Calibration() as calibration):
                outcome = self._calibrate(calibration)
            case SpecificOps(opcode=OpsCode.GET_CALIBRATION, operand=CalibrationNumber(record=record)):
                outcome = self._calibration(record)
            case SpecificOps(opcode=OpsCode.RESET_DEVICE_SPECIFIC_ALERT):
                self.alert = False
                outcome = OpsResponseCode.SUCCESS
            case SpecificOps(opcode=OpsCode.START_SESSION):
                outcome = self._start()
            case SpecificOps(opcode=OpsCode.STOP_SESSION):
                outcome = self._stop()
        return outcome

    def _start(self) -> OpsResponseCode:
        now = self._clock.now_ms()
        if self.minute(now) is not None:
            return OpsResponseCode.PROCEDURE_NOT_COMPLETED
        self.begin(now, None)
        self._on_start()
        return OpsResponseCode.SUCCESS

    def _stop(self) -> OpsResponseCode:
        if self._stopped:
            return OpsResponseCode.PROCEDURE_NOT_COMPLETED
        self._stopped = True
        return OpsResponseCode.SUCCESS

    def _calibrate(self, said: Calibration) -> OpsResponseCode:
        minute = self.minute(self._clock.now_ms())
        if minute is None or self.is_warming_up(minute):
            return OpsResponseCode.PROCEDURE_NOT_COMPLETED
        low, high = _CALIBRATES
        if not isinstance(said.glucose, Decimal) or not low <= said.glucose <= high:
            return OpsResponseCode.PARAMETER_OUT_OF_RANGE
        kept = replace(
            said,
            record=len(self._calibrations) + 1,
            next_time_offset=min(said.time_offset + _NEXT_CALIBRATION, _LONGEST),
            status=CalibrationStatus.NONE,
        )
        self._calibrations.append(kept)
        return OpsResponseCode.SUCCESS

    def _calibration(self, record: int) -> _Answer:
        number = len(self._calibrations) if record == LAST_CALIBRATION else record
        if not 1 <= number <= len(self._calibrations):
            return OpsResponseCode.PARAMETER_OUT_OF_RANGE
        return SpecificOps(opcode=OpsCode.CALIBRATION_RESPONSE, operand=self._calibrations[number - 1])

    def is_due(self, minutes: int | None) -> bool:
        """Return whether a live value is sent so many minutes after the last one; None: after none."""
        if self.interval == NEVER:
            return False
        return minutes is None or self.interval == FASTEST or minutes >= self.interval
