"""The record access procedure: ask for stored records, hand each on, know how it ended.

One procedure at a time. A device that falls silent is told to abort, and given a moment to say that it did. What
comes on the measurement characteristic meanwhile is handed on as it comes, live values among stored ones.

Sources: Continuous Glucose Monitoring Profile 1.0.2, section 4.7; Glucose Profile 1.0.1, section 5.3.
"""

import asyncio
from collections.abc import Awaitable, Callable

from devices.backoff import Patience
from devices.errors import FrameError, RadioError
from devices.frame_queue import Arrival, FrameQueue
from devices.gatt import RECORD_ACCESS_CONTROL_POINT
from devices.radio import Connection
from devices.record_access import Opcode, RecordCount, RecordRequest, RecordResponse, response_from_bytes


class RecordAccessError(RadioError):
    """The device does not give its stored records although the link is open.

    Attributes:
        code: the response code it answered, None when it did not answer.
    """

    def __init__(self, reason: str, *, device: str, code: int | None = None) -> None:
        super().__init__(reason, device=device)
        self.code = code


class RecordAccess:
    """The record access control point of one open link, already subscribed to."""

    def __init__(self, device: str, link: Connection, queue: FrameQueue, patience: Patience) -> None:
        self._device = device
        self._link = link
        self._queue = queue
        self._patience = patience

    async def report(self, request: RecordRequest, on_record: Callable[[Arrival], Awaitable[bool]]) -> None:
        """Ask for records and hand each on until the device says that these were all; none is all right too.

        Args:
            request: which records.
            on_record: takes what came; returns whether it was a stored record. Live values do not show that the
                device is still about what it was asked.

        Raises:
            RecordAccessError: the device refuses, fails, or falls silent.
            RadioError: the link is gone.
        """
        await self._link.write(RECORD_ACCESS_CONTROL_POINT, bytes(request))
        now = asyncio.get_running_loop().time
        deadline = now() + self._patience.record
        while True:
            try:
                arrival = await self._queue.get(max(0.0, deadline - now()))
            except TimeoutError:
                await self._abort(on_record)
                raise RecordAccessError("stored records: the device fell silent", device=self._device) from None
            if arrival is None:
                raise RadioError("stored records: the link was lost", device=self._device)
            if arrival.characteristic != RECORD_ACCESS_CONTROL_POINT:
                if await on_record(arrival):
                    deadline = now() + self._patience.record
            elif (response := self._answer(arrival, request.opcode)) is not None:
                if response.succeeded:
                    return
                reason = f"stored records: the device answered code {response.code}"
                raise RecordAccessError(reason, device=self._device, code=response.code)

    def _answer(self, arrival: Arrival, opcode: int) -> RecordResponse | None:
        """Return the answer to this request; None for one that belongs to an earlier request.

        Raises:
            RecordAccessError: it is not an answer at all.
        """
        try:
            response = response_from_bytes(arrival.frame)
        except FrameError as error:
            raise RecordAccessError(f"stored records: {error}", device=self._device) from error
        if isinstance(response, RecordCount) or response.request != opcode:
            return None
        return response

    async def _abort(self, on_record: Callable[[Arrival], Awaitable[bool]]) -> None:
        """End the procedure; measurements that still come are handed on as before.

        Raises:
            RadioError: the link is gone, or the device refuses to be written to.
        """
        await self._link.write(RECORD_ACCESS_CONTROL_POINT, bytes(RecordRequest.abort()))
        try:
            while (arrival := await self._queue.get(self._patience.abort)) is not None:
                if arrival.characteristic != RECORD_ACCESS_CONTROL_POINT:
                    await on_record(arrival)
                elif self._answer(arrival, Opcode.ABORT_OPERATION) is not None:
                    return
        except (TimeoutError, RecordAccessError):
            return
