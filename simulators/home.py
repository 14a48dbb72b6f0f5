"""A patient's home as a process: virtual devices, the people who use them, and the air up to the box.

Two people live here: one wears a glucose sensor that plays a recording; the other, whose modelled heart fails, has
a blood-pressure monitor and a scale. The injected clock says when each takes a reading.

The home says what happens on its output, one JSON object a line: `{"event": "ready", "devices": [...]}`, `taken`,
`connected`, `disconnected`, `fault`, `box` (one came or went), `stopped_taking`, `refused` (a command). Every value
that a device took, also those that were in the scale's memory before, is in the ledger first: a file of JSON lines
with `device`, `quantity`, `count` and `measured_at` (ms UTC), as a box will know it.

It takes commands on its input, one JSON object a line: `{"fault": {...}}` (see `faults`), `{"stop_taking": true}`
(people take no more readings, transfers go on), `{"quit": true}`. The end of the input is the end of the home.
"""

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from simulators.clock import AcceleratedClock, reach
from simulators.errors import FaultError, HomeError
from simulators.faults import Fault
from simulators.hci_socket import serve_hci
from simulators.link import Air
from simulators.patients import DEFAULT_RECORDING, decompensation, glucose_trace
from simulators.peripherals.blood_pressure import BloodPressureMonitor
from simulators.peripherals.cgm import GlucoseSensor
from simulators.peripherals.peripheral import Circumstances, Peripheral, Taken, Timed
from simulators.peripherals.weight_scale import WeightScale

CGM = "C4:B0:00:00:00:01"
BLOOD_PRESSURE = "C4:B0:00:00:00:02"
WEIGHT_SCALE = "C4:B0:00:00:00:03"

Emit = Callable[[dict[str, object]], None]
Moment = TypeVar("Moment", bound=Timed)
_SPEC = "unix-server:"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeSettings:
    """What a home is made of.

    Attributes:
        hci: where the box finds its controller: "unix-server:" and the path of a socket.
        ledger: file of what was taken, begun anew.
        clock: the injected clock; the recording and the decompensation begin at its start.
        zone: the patients' time zone.
        recording: CSV[.gz] that the glucose sensor plays.
        person: whose trace of it; None for the one with the most values.
        seed: of the modelled heart failure.
        days: for how many days after the start the model goes on.
        faults: to happen at their times, or at once when the home is ready.
    """

    hci: str
    ledger: Path
    clock: AcceleratedClock
    zone: ZoneInfo
    recording: Path = DEFAULT_RECORDING
    person: str | None = None
    seed: int = 1
    days: int = 2
    faults: tuple[Fault, ...] = ()


class _Command(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    fault: Fault | None = None
    stop_taking: bool = False
    quit: bool = False


class _Chronicle:
    """Writes the ledger, and says what happens."""

    def __init__(self, ledger: IO[str], emit: Emit) -> None:
        self._ledger = ledger
        self._emit = emit

    def taken(self, readings: Sequence[Taken]) -> None:
        entries: list[dict[str, object]] = [asdict(reading) for reading in readings]
        self._ledger.writelines(json.dumps(entry) + "\n" for entry in entries)
        self._ledger.flush()
        for entry in entries:
            self._emit({"event": "taken", **entry})

    def happened(self, event: str, device: str, detail: str = "") -> None:
        self._emit({"event": event, "device": device, "detail": detail})


class Home:
    """The devices of one home and the people who use them. Make it inside a running event loop."""

    def __init__(self, settings: HomeSettings, ledger: IO[str], emit: Emit) -> None:
        """Put the home together; nothing is switched on yet.

        Raises:
            RecordingError: the recording cannot be played.
            FaultError: a fault names no device here, or no knob of its device.
        """
        self._settings = settings
        self._emit = emit
        self._glucose = glucose_trace(settings.recording, start_ms=settings.clock.start_ms, patient=settings.person)
        self._heart = decompensation(
            seed=settings.seed, start_ms=settings.clock.start_ms, zone=settings.zone, demo_days=settings.days
        )
        self.air = Air()
        where = Circumstances(air=self.air, clock=settings.clock, zone=settings.zone, witness=_Chronicle(ledger, emit))
        self.sensor = GlucoseSensor(CGM, where, name="Veilleur CGM", session_start=settings.clock.start_ms)
        self.monitor = BloodPressureMonitor(BLOOD_PRESSURE, where, name="Veilleur BP")
        self.scale = WeightScale(WEIGHT_SCALE, where, name="Veilleur scale")
        for fault in settings.faults:
            self.victim(fault)

    @property
    def devices(self) -> tuple[Peripheral, ...]:
        """Every device."""
        return (self.sensor, self.monitor, self.scale)

    def victim(self, fault: Fault) -> Peripheral:
        """Return the device that a fault is meant for.

        Raises:
            FaultError: there is none, or it has no such knob.
        """
        for device in self.devices:
            if fault.device in {device.kind, device.address}:
                device.check(fault)
                return device
        raise FaultError(f"there is no device {fault.device!r} here")

    async def live(self, commands: asyncio.StreamReader) -> None:
        """Switch everything on, let people take readings, and obey commands until told to quit."""
        settings = self._settings
        self.scale.preload(item for item in self._heart.weighings if item.at < settings.clock.start_ms)
        for device in self.devices:
            await device.start()
        async with asyncio.TaskGroup() as group:
            lives = [group.create_task(device.run(), name=device.kind) for device in self.devices]
            people = [
                group.create_task(self._play(self._glucose, self.sensor.take), name="glucose"),
                group.create_task(self._play(self._heart.pressures, self.monitor.take), name="pressures"),
                group.create_task(
                    self._play(
                        (item for item in self._heart.weighings if item.at >= settings.clock.start_ms), self.scale.take
                    ),
                    name="weighings",
                ),
            ]
            woes = [group.create_task(self.victim(fault).suffer(fault)) for fault in settings.faults]
            self._emit(
                {
                    "event": "ready",
                    "devices": [{"kind": device.kind, "address": device.address} for device in self.devices],
                }
            )
            await self._obey(commands, people, group)
            for task in (*lives, *people, *woes):
                task.cancel()

    async def _play(self, trace: Iterable[Moment], take: Callable[[Moment], None]) -> None:
        for item in trace:
            await reach(self._settings.clock, item.at)
            take(item)

    async def _obey(
        self, commands: asyncio.StreamReader, people: Iterable[asyncio.Task[None]], group: asyncio.TaskGroup
    ) -> None:
        while line := await commands.readline():
            try:
                command = msgspec.json.decode(line, type=_Command)
                if command.fault is not None:
                    group.create_task(self.victim(command.fault).suffer(command.fault))
            except (msgspec.DecodeError, FaultError) as error:
                self._emit({"event": "refused", "reason": str(error)})
                continue
            if command.stop_taking:
                for task in people:
                    task.cancel()
                self._emit({"event": "stopped_taking"})
            if command.quit:
                return


async def run_home(settings: HomeSettings, *, commands: asyncio.StreamReader, emit: Emit) -> None:
    """Be a home until told to quit, or until the commands end.

    Args:
        settings: what it is made of.
        commands: JSON lines.
        emit: gets each event.

    Raises:
        HomeError: the socket or the ledger cannot be made.
        RecordingError: the recording cannot be played.
        FaultError: a fault names no device here, or no knob of its device.
    """
    if not settings.hci.startswith(_SPEC):
        raise HomeError(f"the home serves HCI on {_SPEC}PATH, not on {settings.hci!r}")
    try:
        ledger = settings.ledger.open("w", encoding="utf-8")
    except OSError as error:
        raise HomeError(f"cannot write the ledger {settings.ledger}: {error}") from error
    with ledger:
        home = Home(settings, ledger, emit)
        path = Path(settings.hci.removeprefix(_SPEC))
        async with serve_hci(path, home.air, lambda here: emit({"event": "box", "here": here})):
            await home.live(commands)


def serve(settings: HomeSettings) -> None:
    """Be a home on this process's standard input and output, until SIGTERM or SIGINT at the latest.

    Raises:
        HomeError: as `run_home`.
        RecordingError: as `run_home`.
        FaultError: as `run_home`.
    """
    # Bumble logs as errors, with their traces, what is a link's daily life here: to go away at a bad moment.
    logging.getLogger("bumble").setLevel(logging.CRITICAL)
    asyncio.run(_serve(settings))


async def _serve(settings: HomeSettings) -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    life = asyncio.create_task(run_home(settings, commands=commands, emit=_print))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.cancel)
    with suppress(asyncio.CancelledError):
        await life


def _print(event: dict[str, object]) -> None:
    # Nobody reads any more: then the input ends too, and with it the home.
    with suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
