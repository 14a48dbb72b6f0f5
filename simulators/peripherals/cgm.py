"""A virtual continuous glucose monitor: standard service 0x181F with E2E-CRC and a memory of fifteen days.

Each value is notified to a box that listens and kept in any case, so that what did not arrive can be asked for
through the Record Access Control Point. Values date by minutes since the session's start.

Not here: the specific operations control point, calibration and the patient's own alert limits.

Source: Continuous Glucose Monitoring Service 1.0.2 (CGMS).
"""

import asyncio
from decimal import Decimal
from typing import ClassVar

from bumble.att import ATT_Error, ErrorCode
from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import CharacteristicValue, Service

from devices import gatt
from devices.drivers.cgm import CgmMeasurement
from devices.drivers.cgm_session import CgmFeature, Features, SessionRunTime, SessionStart
from devices.errors import FrameError
from devices.reading import Quantity
from devices.record_access import (
    FILTER_TIME_OFFSET,
    Opcode,
    Operator,
    RecordCount,
    RecordRequest,
    RecordResponse,
    ResponseCode,
)
from simulators.adapter import cancel_until_done
from simulators.faults import (
    CutLink,
    DuplicateFrames,
    Fault,
    LoseBond,
    RefuseConnections,
    SilentRacp,
    Truncate,
    WrongCrc,
)
from simulators.patients import Glucose
from simulators.peripherals.peripheral import Circumstances, Peripheral, Properties, Taken

_MINUTE = 60_000
_RUN_HOURS = 15 * 24
_CCCD_IMPROPER = 0xFD
_IN_PROGRESS = 0xFE


class GlucoseSensor(Peripheral):
    """A sensor on the arm, in whole mg/dL, that measures for fifteen days from its session's start."""

    kind: ClassVar[str] = "cgm"
    service: ClassVar[int] = gatt.CGM_SERVICE
    # No SkewClock: a running session keeps its start; a wrong one is given when the sensor is put on.
    knobs: ClassVar[tuple[type[Fault], ...]] = (
        CutLink,
        RefuseConnections,
        DuplicateFrames,
        WrongCrc,
        Truncate,
        LoseBond,
        SilentRacp,
    )

    def __init__(
        self,
        address: str,
        where: Circumstances,
        *,
        name: str,
        session_start: int,
        battery: int = 87,
        clock_offset_s: int = 0,
    ) -> None:
        """Put a sensor on.

        Args:
            address: static random Bluetooth address, upper case.
            where: its surroundings.
            name: at most 20 characters, advertised.
            session_start: ms UTC in true time; the sensor itself counts from the whole second.
            battery: percent.
            clock_offset_s: how far the clock was ahead that the session's start was taken from.
        """
        self._started_at = session_start
        self._claimed_start = (session_start // 1000 + clock_offset_s) * 1000
        self._session = SessionStart.of(self._claimed_start, where.zone, crc=True)
        self._memory: dict[int, bytes] = {}
        self._procedure: asyncio.Task[None] | None = None
        self._silences = 0
        self._records = self._secured(gatt.CGM_MEASUREMENT, Properties.NOTIFY)
        self._access = self._secured(
            gatt.RECORD_ACCESS_CONTROL_POINT,
            Properties.WRITE | Properties.INDICATE,
            CharacteristicValue(write=self._on_request),
        )
        super().__init__(address, where, name=name, battery=battery)

    @property
    def stored(self) -> int:
        """How many records the memory holds."""
        return len(self._memory)

    def wants_link(self) -> bool:
        """Return True: a sensor always has something to say soon."""
        return True

    def take(self, glucose: Glucose) -> None:
        """Measure: keep the value, and notify it when a box listens. Nothing happens after the last day."""
        offset = (glucose.at - self._started_at) // _MINUTE
        if not 0 <= offset <= _RUN_HOURS * 60 or offset in self._memory:
            return
        shown = round(glucose.count / 10)
        record = bytes(CgmMeasurement(glucose=Decimal(shown), time_offset=offset, crc=True))
        self._memory[offset] = record
        reading = Taken(
            device=self.address,
            quantity=Quantity.GLUCOSE_INTERSTITIAL,
            count=shown * 10,
            measured_at=self._claimed_start + offset * _MINUTE,
        )
        self._where.witness.taken([reading])
        if self._link is not None and self._subscribed(self._records):
            self._on_link(self._send(self._link, self._notify, record), "live value")

    async def _notify(self, link: Connection, record: bytes) -> None:
        await self._radio.gatt_server.notify_subscriber(link, self._records, record)

    def _services(self) -> list[Service]:
        feature = CgmFeature(features=Features.E2E_CRC)
        start_time: CharacteristicValue[bytes] = CharacteristicValue(
            read=lambda _: bytes(self._session), write=lambda _, written: self._on_present_time(written)
        )
        return [
            Service(
                UUID.from_16_bits(self.service),
                [
                    self._records,
                    self._secured(gatt.CGM_FEATURE, Properties.READ, bytes(feature)),
                    self._secured(gatt.CGM_SESSION_START_TIME, Properties.READ | Properties.WRITE, start_time),
                    self._secured(
                        gatt.CGM_SESSION_RUN_TIME, Properties.READ, bytes(SessionRunTime(hours=_RUN_HOURS, crc=True))
                    ),
                    self._access,
                ],
            )
        ]

    def _on_present_time(self, written: bytes) -> None:
        """Take the present time from a box: a session whose start is known keeps it (CGMS 3.4)."""
        try:
            SessionStart.from_bytes(written, crc=True)
        except FrameError as error:
            raise ATT_Error(ErrorCode.VALUE_NOT_ALLOWED) from error

    # Record access

    def _on_request(self, link: Connection, written: bytes) -> None:
        """Start what a box asks for; the answer is indicated (CGMS 3.7)."""
        if not (self._subscribed(self._access) and self._subscribed(self._records)):
            raise ATT_Error(ErrorCode(_CCCD_IMPROPER))
        try:
            request = RecordRequest.from_bytes(written)
        except FrameError as error:
            raise ATT_Error(ErrorCode.INVALID_ATTRIBUTE_LENGTH) from error
        running = self._procedure is not None and not self._procedure.done()
        if request.opcode == Opcode.ABORT_OPERATION:
            if self._procedure is not None:
                cancel_until_done(self._procedure)
            self._on_link(self._answer(link, request, ResponseCode.SUCCESS), "abort")
        elif running:
            raise ATT_Error(ErrorCode(_IN_PROGRESS))
        else:
            self._procedure = self._on_link(self._serve(link, request), "record access")

    async def _serve(self, link: Connection, request: RecordRequest) -> None:
        if self._silences:
            self._silences -= 1
            await asyncio.Event().wait()  # until it is aborted or the link goes
        if request.opcode not in {Opcode.REPORT_STORED_RECORDS, Opcode.REPORT_NUMBER_OF_STORED_RECORDS}:
            await self._answer(link, request, ResponseCode.OPCODE_NOT_SUPPORTED)
            return
        chosen = _chosen(request, sorted(self._memory))
        if isinstance(chosen, ResponseCode):
            await self._answer(link, request, chosen)
        elif request.opcode == Opcode.REPORT_NUMBER_OF_STORED_RECORDS:
            await self._indicate(link, bytes(RecordCount(number=len(chosen))))
        else:
            for offset in chosen:
                if self._link is not link:
                    return
                await self._send(link, self._notify, self._memory[offset])
                await link.drain()
            await self._answer(link, request, ResponseCode.SUCCESS if chosen else ResponseCode.NO_RECORDS_FOUND)

    async def _answer(self, link: Connection, request: RecordRequest, code: ResponseCode) -> None:
        await self._indicate(link, bytes(RecordResponse(request=request.opcode, code=code)))

    async def _indicate(self, link: Connection, response: bytes) -> None:
        await self._radio.gatt_server.indicate_subscriber(link, self._access, response)

    async def _apply(self, fault: Fault) -> None:
        if isinstance(fault, SilentRacp):
            self._silences += fault.requests
        else:
            await super()._apply(fault)


def _chosen(request: RecordRequest, offsets: list[int]) -> list[int] | ResponseCode:
    """Return the time offsets that a request means, in order, or why it cannot be served (CGMS 3.7.2)."""
    if request.filter_type not in {None, FILTER_TIME_OFFSET}:
        return ResponseCode.OPERAND_NOT_SUPPORTED
    chosen: list[int]
    match request.operator:
        case Operator.ALL_RECORDS:
            chosen = offsets
        case Operator.GREATER_THAN_OR_EQUAL:
            chosen = [offset for offset in offsets if offset >= request.operands[0]]
        case Operator.LESS_THAN_OR_EQUAL:
            chosen = [offset for offset in offsets if offset <= request.operands[0]]
        case Operator.WITHIN_RANGE if request.operands[0] <= request.operands[1]:
            chosen = [offset for offset in offsets if request.operands[0] <= offset <= request.operands[1]]
        case Operator.FIRST_RECORD:
            chosen = offsets[:1]
        case Operator.LAST_RECORD:
            chosen = offsets[-1:]
        case Operator.WITHIN_RANGE:
            return ResponseCode.INVALID_OPERAND
        case Operator.NULL:
            return ResponseCode.INVALID_OPERATOR
        case _:
            return ResponseCode.OPERATOR_NOT_SUPPORTED
    return chosen
