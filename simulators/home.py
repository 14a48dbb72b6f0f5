"""A patient's home as a process: virtual devices, the people who use them, and the air up to the box.

Who lives here, with which devices, is a file (`household`). In the default one two people live: one wears a glucose
sensor that plays a recording; the other, whose modelled heart fails, has a blood-pressure monitor and a scale. The
injected clock says when each takes a reading.

The home says what happens on its output, one JSON object a line: `{"event": "ready", "devices": [...]}`, `taken`,
`connected`, `disconnected`, `passkey`, `fault`, `box` (one came or went), `stopped_taking`, `refused` (a command).
Every value that a device took, also those that were in its memory before, is in the ledger first: a file of JSON
lines with `device`, `quantity`, `count` and `measured_at` (ms UTC), as a box will know it.

It takes commands on its input, one JSON object a line: `{"fault": {...}}` (see `faults`), `{"stop_taking": true}`
(people take no more readings, transfers go on), `{"go_on": true}` (they take them again), `{"quit": true}`. The end of
the input is the end of the home.
"""

import asyncio
import json
import logging
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from devices.reading import Quantity
from simulators.clock import AcceleratedClock, reach
from simulators.daily_life import daily_life
from simulators.device_kinds import Installed, Order, Sample, install
from simulators.errors import FaultError, HomeError
from simulators.faults import ADAPTER, BreakAdapter, Fault
from simulators.hci_socket import serve_hci
from simulators.household import Furniture, Glucose, Heart, Household, Temperature, User, read_household
from simulators.link import Air
from simulators.patients import DEFAULT_RECORDING, Decompensation, decompensation, fever, glucose_trace
from simulators.peripherals.peripheral import Circumstances, Peripheral, Taken

CGM = "C4:B0:00:00:00:01"
BLOOD_PRESSURE = "C4:B0:00:00:00:02"
WEIGHT_SCALE = "C4:B0:00:00:00:03"
"""Devices of the default home."""

Emit = Callable[[dict[str, object]], None]
Doings = list[tuple[Installed, Iterator[Sample]]]
"""Devices, and what is still to be measured with each."""
_SPEC = "unix-server:"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeSettings:
    """What a home is made of.

    Attributes:
        hci: where the box finds its controller: "unix-server:" and the path of a socket.
        ledger: file of what was taken, begun anew.
        clock: the injected clock; recordings and models begin at its start.
        zone: the patients' time zone.
        household: name of a home that ships, or a file.
        recording: CSV[.gz] of those whose glucose is a recording.
        person: whose trace of it; None for the one with the most values.
        seed: of what is modelled for the first of its people; each of the others has the next one, or their own.
        days: for how many days after the start the models go on.
        faults: to happen at their times, or at once when the home is ready, besides those of the household.
    """

    hci: str
    ledger: Path
    clock: AcceleratedClock
    zone: ZoneInfo
    household: str = "default"
    recording: Path = DEFAULT_RECORDING
    person: str | None = None
    seed: int = 1
    days: int = 2
    faults: tuple[Fault, ...] = ()


class _Command(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    fault: Fault | None = None
    stop_taking: bool = False
    go_on: bool = False
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


class _Lives:
    """What the people of a household measure, each with what they have."""

    def __init__(self, settings: HomeSettings, household: Household) -> None:
        self._settings = settings
        self._household = household
        self._seeds = {
            person.name: settings.seed + number if person.seed is None else person.seed
            for number, person in enumerate(household.people)
        }

    def samples(self, device: Furniture, user: User) -> Iterator[Sample]:
        """Yield what one of its users measures with a device, in time order; what lies before the start is memory.

        Raises:
            RecordingError: the recording cannot be played.
        """
        settings, person = self._settings, self._household.person(user.person)
        if device.kind == "cgm" and person.glucose is Glucose.RECORDED:
            trace = glucose_trace(settings.recording, start_ms=settings.clock.start_ms, patient=settings.person)
            return (Sample(at=item.at, counts={Quantity.GLUCOSE_INTERSTITIAL: item.count}) for item in trace)
        if person.heart is Heart.FAILING and device.kind == "weight_scale":
            weighings = self._heart(person.name).weighings
            return (Sample(at=w.at, counts={Quantity.BODY_WEIGHT: w.count}, user=user.user) for w in weighings)
        if person.heart is Heart.FAILING and device.kind == "blood_pressure":
            return (
                Sample(
                    at=item.at,
                    counts={
                        Quantity.BLOOD_PRESSURE_SYSTOLIC: item.systolic,
                        Quantity.BLOOD_PRESSURE_DIASTOLIC: item.diastolic,
                        Quantity.BLOOD_PRESSURE_MEAN: item.mean,
                        Quantity.PULSE_RATE: item.pulse,
                    },
                    user=user.user,
                )
                for item in self._heart(person.name).pressures
            )
        if person.temperature is Temperature.FEVER and device.kind == "thermometer":
            taken = fever(
                seed=self._seeds[person.name], start_ms=settings.clock.start_ms, zone=settings.zone, days=settings.days
            )
            return (Sample(at=at, counts={Quantity.BODY_TEMPERATURE: count}, user=user.user) for at, count in taken)
        return daily_life(
            device.kind,
            seed=self._seeds[person.name],
            start_ms=settings.clock.start_ms,
            zone=settings.zone,
            days=settings.days,
            user=user.user,
        )

    def _heart(self, person: str) -> Decompensation:
        settings = self._settings
        return decompensation(
            seed=self._seeds[person], start_ms=settings.clock.start_ms, zone=settings.zone, demo_days=settings.days
        )


class Home:
    """The devices of one home and the people who use them. Make it inside a running event loop."""

    def __init__(self, settings: HomeSettings, ledger: IO[str], emit: Emit) -> None:
        """Put the home together; nothing is switched on yet.

        Raises:
            HomeError: there is no such household, or a device cannot be as it says.
            RecordingError: the recording cannot be played.
            FaultError: a fault names no device here, or no knob of its device.
        """
        self._settings = settings
        self._emit = emit
        household = read_household(settings.household)
        self.air = Air()
        where = Circumstances(
            air=self.air,
            clock=settings.clock,
            zone=settings.zone,
            witness=_Chronicle(ledger, emit),
            advertising_seconds=household.advertising_seconds,
        )
        lives = _Lives(settings, household)
        self._installed: list[Installed] = []
        self._names: list[frozenset[str]] = []
        self._doings: Doings = []
        for item in household.devices:
            order = Order(
                address=item.address,
                where=replace(where, date_time=item.date_time),
                options=item.options,
                began_at=settings.clock.start_ms,
            )
            installed = install(item.kind, order)
            self._installed.append(installed)
            self._names.append(frozenset({item.address, item.name, item.kind} - {""}))
            self._doings += [(installed, lives.samples(item, user)) for user in item.users]
        self._faults = (*household.faults, *settings.faults)
        for fault in self._faults:
            self._check(fault)

    @property
    def devices(self) -> tuple[Peripheral, ...]:
        """Every device."""
        return tuple(installed.device for installed in self._installed)

    def victim(self, name: str) -> Peripheral:
        """Return the device with this name or address, or the only one of this kind.

        Raises:
            FaultError: there is none, or there are several.
        """
        found = [device for device, names in zip(self.devices, self._names, strict=True) if name in names]
        if not found:
            raise FaultError(f"there is no device {name!r} here")
        if len(found) > 1:
            raise FaultError(f"there are {len(found)} devices {name!r} here: give an address")
        return found[0]

    def _check(self, fault: Fault) -> None:
        if not isinstance(fault, BreakAdapter):
            self.victim(fault.device).check(fault)
        elif fault.device != ADAPTER:
            raise FaultError(f"only the {ADAPTER!r} can suffer that, not {fault.device!r}")

    async def _suffer(self, fault: Fault) -> None:
        if not isinstance(fault, BreakAdapter):
            await self.victim(fault.device).suffer(fault)
            return
        if fault.at is not None:
            await reach(self._settings.clock, fault.at)
        for box in self.air.boxes:
            box.fall_ill(fault.ailment, fault.cure)
        self._emit({"event": "fault", "device": ADAPTER, "detail": fault.ailment.value})

    async def live(self, commands: asyncio.StreamReader) -> None:
        """Switch everything on, let people take readings, and obey commands until told to quit."""
        doings = [(installed, self._remember(installed, samples)) for installed, samples in self._doings]
        for device in self.devices:
            await device.start()
        async with asyncio.TaskGroup() as group:
            lives = [group.create_task(device.run(), name=device.kind) for device in self.devices]
            people = self._begin(doings, group, since=self._settings.clock.start_ms)
            woes = [group.create_task(self._suffer(fault)) for fault in self._faults]
            self._emit(
                {
                    "event": "ready",
                    "devices": [{"kind": device.kind, "address": device.address} for device in self.devices],
                }
            )
            await self._obey(commands, people, doings, group)
            for task in (*lives, *people, *woes):
                task.cancel()

    def _begin(self, doings: Doings, group: asyncio.TaskGroup, *, since: int) -> list[asyncio.Task[None]]:
        """Let people take the readings that are due from `since` on (ms UTC, inclusive)."""
        return [group.create_task(self._play(samples, item.take, since), name="person") for item, samples in doings]

    def _remember(self, installed: Installed, samples: Iterator[Sample]) -> Iterator[Sample]:
        """Take at once what was measured before the start: the device has it in its memory; return the rest."""
        for sample in samples:
            if sample.at >= self._settings.clock.start_ms:
                return chain((sample,), samples)
            installed.take(sample)
        return iter(())

    async def _play(self, samples: Iterable[Sample], take: Callable[[Sample], None], since: int) -> None:
        for sample in samples:
            if sample.at >= since:
                await reach(self._settings.clock, sample.at)
                take(sample)

    async def _obey(
        self,
        commands: asyncio.StreamReader,
        people: list[asyncio.Task[None]],
        doings: Doings,
        group: asyncio.TaskGroup,
    ) -> None:
        while line := await commands.readline():
            try:
                command = msgspec.json.decode(line, type=_Command)
                if command.fault is not None:
                    self._check(command.fault)
                    group.create_task(self._suffer(command.fault))
            except (msgspec.DecodeError, FaultError) as error:
                self._emit({"event": "refused", "reason": str(error)})
                continue
            if command.stop_taking:
                for task in people:
                    task.cancel()
                self._emit({"event": "stopped_taking"})
            if command.go_on and all(task.done() for task in people):
                people[:] = self._begin(doings, group, since=self._settings.clock.now_ms())
                self._emit({"event": "goes_on"})
            if command.quit:
                return


async def run_home(settings: HomeSettings, *, commands: asyncio.StreamReader, emit: Emit) -> None:
    """Be a home until told to quit, or until the commands end.

    Args:
        settings: what it is made of.
        commands: JSON lines.
        emit: gets each event.

    Raises:
        HomeError: the socket or the ledger cannot be made, or the household is none.
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
        HomeError: as `run_home`; or standard input is a file.
        RecordingError: as `run_home`.
        FaultError: as `run_home`.
    """
    # Bumble logs as errors, with their traces, what is a link's daily life here: to go away at a bad moment.
    logging.getLogger("bumble").setLevel(logging.CRITICAL)
    asyncio.run(_serve(settings))


async def _serve(settings: HomeSettings) -> None:
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()):
        raise HomeError("commands come over a pipe or from a terminal: 'cat FILE | veilleur-sim home ...'")
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
