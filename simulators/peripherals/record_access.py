"""Devices that keep their records and send them when asked: glucose sensors and meters.

The memory does not empty as it is read: a box asks through the Record Access Control Point (0x2A52) for all records,
or for those from one on. One procedure runs at a time; the answer that ends it is indicated.

Not here: what a record is, and what the device sends by itself.

Sources: GATT Specification Supplement, Record Access Control Point; Continuous Glucose Monitoring Service 1.0.2,
section 3.7; Glucose Service 1.0.1.
"""

import asyncio
from functools import partial
from typing import ClassVar

from bumble.att import ATT_Error, ErrorCode
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue

from devices import gatt
from devices.errors import FrameError
from devices.record_access import Opcode, Operator, RecordCount, RecordRequest, RecordResponse, ResponseCode
from simulators.adapter import cancel_until_done
from simulators.faults import (
    RECORD_ACCESS_KNOBS,
    ChangeBattery,
    CutLink,
    DuplicateFrames,
    Fault,
    LoseBond,
    RefuseConnections,
    Truncate,
)
from simulators.peripherals.peripheral import Circumstances, Peripheral, Properties

CCCD_IMPROPER = ErrorCode(0xFD)
"""Common error of GATT: what answers is not switched on (Core Specification Supplement, part B)."""
IN_PROGRESS = ErrorCode(0xFE)
"""Common error of GATT: a procedure is running already."""

Record = tuple[tuple[Characteristic[bytes], bytes], ...]
"""The frames of one record, each with the characteristic that it is notified on."""


class RecordKeeper(Peripheral):
    """A device with a memory of records by their filter field, such as a sequence number.

    Attributes:
        measurement: the number of its measurement characteristic.
        filter_type: what its records are chosen by.
    """

    measurement: ClassVar[int]
    filter_type: ClassVar[int]
    knobs: ClassVar[tuple[type[Fault], ...]] = (
        CutLink,
        RefuseConnections,
        DuplicateFrames,
        Truncate,
        LoseBond,
        *RECORD_ACCESS_KNOBS,
    )

    def __init__(
        self, address: str, where: Circumstances, *, name: str, battery: int = 87, selective: bool = True
    ) -> None:
        """Put a device together, its memory empty.

        Args:
            address: static random Bluetooth address, upper case.
            where: its surroundings.
            name: at most 20 characters, advertised.
            battery: percent.
            selective: False for one that refuses every operator but "all records".
        """
        self._memory: dict[int, Record] = {}
        self._selective = selective
        self._procedure: asyncio.Task[None] | None = None
        self._records = self._secured(self.measurement, Properties.NOTIFY)
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

    def _forget_records(self) -> None:
        """Empty the memory."""
        self._memory.clear()

    def _on_answered(self, chosen: list[int]) -> None:
        """Learn that a request was served to its end with these records."""

    async def _send_record(self, link: Connection, record: Record) -> None:
        for characteristic, frame in record:
            await self._send(link, partial(self._notify, characteristic), frame)

    async def _notify(self, characteristic: Characteristic[bytes], link: Connection, frame: bytes) -> None:
        await self._radio.gatt_server.notify_subscriber(link, characteristic, frame)

    def _on_request(self, link: Connection, written: bytes) -> None:
        """Start what a box asks for; the answer is indicated."""
        if not (self._subscribed(self._access) and self._subscribed(self._records)):
            raise ATT_Error(CCCD_IMPROPER)
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
            raise ATT_Error(IN_PROGRESS)
        else:
            self._procedure = self._on_link(self._serve(link, request), "record access")

    async def _serve(self, link: Connection, request: RecordRequest) -> None:
        if self._manners.stays_silent():
            await asyncio.Event().wait()  # until it is aborted or the link goes
        if request.opcode not in {Opcode.REPORT_STORED_RECORDS, Opcode.REPORT_NUMBER_OF_STORED_RECORDS}:
            await self._answer(link, request, ResponseCode.OPCODE_NOT_SUPPORTED)
            return
        chosen = self._chosen(request)
        if isinstance(chosen, ResponseCode):
            await self._answer(link, request, chosen)
        elif request.opcode == Opcode.REPORT_NUMBER_OF_STORED_RECORDS:
            await self._indicate(link, self._access, bytes(RecordCount(number=len(chosen))))
        else:
            await self._report(link, request, chosen)

    async def _report(self, link: Connection, request: RecordRequest, chosen: list[int]) -> None:
        if self._manners.replays_all():
            chosen = sorted(self._memory)
        for number in reversed(chosen) if self._manners.newest_first else chosen:
            await asyncio.sleep(self._manners.pause)
            if self._link is not link:
                return
            await self._send_record(link, self._memory[number])
            await link.drain()
        await self._answer(link, request, ResponseCode.SUCCESS if chosen else ResponseCode.NO_RECORDS_FOUND)
        self._on_answered(chosen)

    async def _answer(self, link: Connection, request: RecordRequest, code: ResponseCode) -> None:
        await self._indicate(link, self._access, bytes(RecordResponse(request=request.opcode, code=code)))

    async def _indicate(self, link: Connection, characteristic: Characteristic[bytes], response: bytes) -> None:
        await self._radio.gatt_server.indicate_subscriber(link, characteristic, response)

    def _chosen(self, request: RecordRequest) -> list[int] | ResponseCode:
        """Return the records that a request means, in order, or why it cannot be served."""
        if not self._selective and request.operator != Operator.ALL_RECORDS:
            return ResponseCode.OPERATOR_NOT_SUPPORTED
        if request.filter_type not in {None, self.filter_type}:
            return ResponseCode.OPERAND_NOT_SUPPORTED
        return _matching(request, sorted(self._memory))

    async def _apply(self, fault: Fault) -> None:
        if isinstance(fault, ChangeBattery) and not fault.keeps_records:
            self._forget_records()
        await super()._apply(fault)


def _matching(request: RecordRequest, numbers: list[int]) -> list[int] | ResponseCode:
    chosen: list[int] | ResponseCode = ResponseCode.OPERATOR_NOT_SUPPORTED
    match request.operator:
        case Operator.ALL_RECORDS:
            chosen = numbers
        case Operator.GREATER_THAN_OR_EQUAL:
            chosen = [number for number in numbers if number >= request.operands[0]]
        case Operator.LESS_THAN_OR_EQUAL:
            chosen = [number for number in numbers if number <= request.operands[0]]
        case Operator.WITHIN_RANGE:
            low, high = request.operands
            chosen = [number for number in numbers if low <= number <= high]
            chosen = chosen if low <= high else ResponseCode.INVALID_OPERAND
        case Operator.FIRST_RECORD:
            chosen = numbers[:1]
        case Operator.LAST_RECORD:
            chosen = numbers[-1:]
        case Operator.NULL:
            chosen = ResponseCode.INVALID_OPERATOR
    return chosen
