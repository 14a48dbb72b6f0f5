"""How long a box is without Bluetooth when its adapter dies: from the first failure to the first device heard again.

The adapter is simulated, and mended by the step named; what it takes to come up again after a step is simulated too.
The ladder, its pauses and the radio that climbs it are the box's own, with the pauses that a box has, divided by
`RECOVERY_SPEED`; the figure is multiplied by it again, so it holds for the box's own pauses.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace

from benchmarks.figure import say
from devices.clock import SystemClock
from devices.errors import RadioError
from devices.radio import Advertisement, Connection
from devices.recovering_radio import RecoveringRadio
from devices.recovery import LadderPatience, Step
from devices.source import DeviceEvent

ROUNDS = int(os.environ.get("RECOVERY_ROUNDS", "3"))
SPEED = float(os.environ.get("RECOVERY_SPEED", "20"))
SENSOR = "C4:B0:00:00:00:01"
ADVERTISES_S = 1.0
RETRY_S = 5.0
"""A session's pause after a failure, in this figure."""

TAKES_S = {Step.POWER_CYCLE: 1.5, Step.USB_RESET: 3.0, Step.DRIVER_REBIND: 3.0, Step.RESTART_BLUETOOTHD: 4.0}
"""Simulated: what each step takes."""


class DeadAdapter:
    """A simulated adapter, and what can be done about it."""

    def __init__(self, cure: Step) -> None:
        self.cure = cure
        self.dead = False
        self.taken: list[Step] = []

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        async with self.listen(address) as heard:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    return await anext(heard)
        return None

    @asynccontextmanager
    async def listen(self, address: str | None) -> AsyncIterator[AsyncGenerator[Advertisement]]:
        if self.cure is Step.RESCAN and address is None:
            self.dead = False
        heard = self._hear()
        try:
            yield heard
        finally:
            await heard.aclose()

    async def _hear(self) -> AsyncGenerator[Advertisement]:
        while True:
            if self.dead:
                raise RadioError("scanning: no answer")
            await asyncio.sleep(ADVERTISES_S / SPEED)
            yield Advertisement(address=SENSOR)

    def connect(self, address: str, *, within: float) -> AbstractAsyncContextManager[Connection]:
        raise RadioError(f"connecting within {within:g} s: not part of this figure", device=address)

    async def steps(self) -> tuple[Step, ...]:
        return tuple(TAKES_S)

    async def take(self, step: Step) -> None:
        self.taken.append(step)
        await asyncio.sleep(TAKES_S[step] / SPEED)
        if step is self.cure:
            self.dead = False


def patience() -> LadderPatience:
    """Return the box's own pauses, divided by the speed."""
    own = LadderPatience()
    return replace(
        own,
        failing=own.failing / SPEED,
        silence=own.silence / SPEED,
        step=own.step / SPEED,
        links=own.links / SPEED,
        settle=own.settle / SPEED,
        proof=own.proof / SPEED,
        between=own.between / SPEED,
        again=own.again / SPEED,
        cap=own.cap / SPEED,
    )


async def once(cure: Step) -> float:
    """Let an adapter die whose cure is this step; return the seconds until a device is heard again."""
    adapter = DeadAdapter(cure)
    events: list[DeviceEvent] = []
    radio = RecoveringRadio(
        adapter,
        adapter,
        adapter="hci0",
        clock=SystemClock(),
        on_event=events.append,
        expects=lambda: True,
        patience=patience(),
    )
    watching = asyncio.create_task(radio.watch())
    try:
        await radio.find(SENSOR, within=60.0)
        adapter.dead = True
        died = time.perf_counter()
        while True:
            with suppress(RadioError):
                if await radio.find(SENSOR, within=60.0) is not None:
                    return time.perf_counter() - died
            await asyncio.sleep(RETRY_S / SPEED)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def figures() -> None:
    for step in Step:
        seconds = [asyncio.run(once(step)) * SPEED for _ in range(ROUNDS)]
        say("recovery.time", "s", seconds, cure=step.value, adapter="simulated", pauses_divided_by=SPEED)
