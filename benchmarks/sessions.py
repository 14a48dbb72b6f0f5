"""What reading devices costs the box: readings a second through `session`, and from power-up of a device to the store.

Both ends are real code over a virtual radio. For the rate the devices are a process of their own, so that what is
counted is the box's alone: the Bluetooth host, bleak, the sessions, and the store on a disk. Each device has a memory
full of records, asked for through record access, and all are asked at once.
"""

import asyncio
import itertools
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.store import Arrival, Store
from agent.store_thread import StoreThread
from agent.vault import Vault
from benchmarks.figure import say
from devices.backoff import Patience
from devices.bleak_radio import BleakRadio
from devices.clock import SystemClock
from devices.driver import Resume
from devices.drivers import driver_named
from devices.reading import Reading
from devices.session import Session
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.sealing import Sealer
from simulators.bumble_radio import Backends, open_host, start_host
from simulators.hci_socket import serve_hci
from simulators.link import Air, BoxController
from simulators.patients import Glucose, Pressure
from simulators.peripherals.blood_pressure import BloodPressureMonitor
from simulators.peripherals.cgm import GlucoseSensor
from simulators.peripherals.peripheral import Circumstances, Taken

DEVICES = (1, 10, 30, 60)
RECORDS = int(os.environ.get("SESSION_RECORDS", "500"))
POWER_UPS = int(os.environ.get("SESSION_POWER_UPS", "20"))
BOX_ADDRESS = "F0:F1:F2:F3:F4:F5"
PARIS = ZoneInfo("Europe/Paris")
MINUTE = 60_000


class Nobody:
    """Sees nothing."""

    def taken(self, readings: Sequence[Taken]) -> None:
        pass

    def happened(self, event: str, device: str, detail: str = "") -> None:
        pass


def address(number: int) -> str:
    return f"C4:B0:00:03:00:{number:02X}"


async def devices_process(number: int, socket: Path) -> None:
    """Be so many sensors with full memories, until the input ends."""
    air = Air()
    clock = SystemClock()
    where = Circumstances(air=air, clock=clock, zone=PARIS, witness=Nobody(), advertising_seconds=1.0)
    begun = clock.now_ms() - (RECORDS + 5) * MINUTE
    sensors = [GlucoseSensor(address(item), where, name="sensor", session_start=begun) for item in range(number)]
    for sensor in sensors:
        for minute in range(RECORDS):
            sensor.take(Glucose(at=begun + minute * MINUTE, count=1000 + minute))
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    async with serve_hci(socket, air, lambda _here: None):
        for sensor in sensors:
            await sensor.start()
        lives = [asyncio.create_task(sensor.run()) for sensor in sensors]
        print("ready", flush=True)
        await stdin.read()
        for life in lives:
            life.cancel()


class Kept:
    """Persists what sessions give, as the box does, and lets somebody wait for a number of readings."""

    def __init__(self, store: StoreThread, sealer: Sealer) -> None:
        self._store, self._sealer = store, sealer
        self._changed = asyncio.Event()
        self.number = 0

    async def follow(self, session: Session) -> None:
        async with aclosing(session.batches()) as batches:
            async for batch in batches:
                if batch.readings:
                    await self._keep(batch.readings)

    async def _keep(self, readings: Sequence[Reading]) -> None:
        arrivals = [Arrival(patient="patient-7f3a", reading=reading) for reading in readings]
        kept = await self._store.persist(Store.accept, arrivals, self._sealer, now_ms=SystemClock().now_ms())
        self.number += sum(map(len, kept.values()))
        self._changed.set()

    async def until(self, number: int) -> None:
        while self.number < number:
            self._changed.clear()
            await self._changed.wait()


async def opened(folder: Path, stack: AsyncExitStack) -> Kept:
    store = StoreThread()
    stack.push_async_callback(store.close)
    await store.open(lambda: Store(folder / "veilleur.db", Vault(bytes(32), box="box-0001"), now_ms=0))
    recipient = Recipient.of(OpeningKey.generate(), RecipientRole.TEAM)
    return Kept(store, Sealer(box="box-0001", signing_key=SigningKey.generate(), recipients=[recipient]))


def session_of(radio: BleakRadio, driver: str, device: str) -> Session:
    return Session(
        radio=radio,
        driver=driver_named(driver),
        device=device,
        zone=PARIS,
        clock=SystemClock(),
        resume=Resume,
        patience=Patience(quiet=0.1, unheard=0.0, first=0.05, after_visit=0.05),
    )


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


async def rate(number: int, folder: Path) -> None:
    """Read so many sensors at once and say what it cost; runs in a process of its own."""
    socket = folder / "hci.sock"
    home = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.sessions",
        "devices",
        str(number),
        str(socket),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if home.stdin is None or home.stdout is None:
        raise RuntimeError("no pipes")
    await home.stdout.readline()
    async with AsyncExitStack() as stack:
        kept = await opened(folder, stack)
        host = await stack.enter_async_context(
            open_host(f"unix:{socket}", address=BOX_ADDRESS, keystore=folder / "bonds.json")
        )
        radio = BleakRadio(client_backend=host.client, scanner_backend=host.scanner)
        cpu, began = cpu_seconds(), time.perf_counter()
        sessions = [session_of(radio, "cgm", address(item)) for item in range(number)]
        following = [asyncio.create_task(kept.follow(session)) for session in sessions]
        await kept.until(number * RECORDS)
        wall, cpu = time.perf_counter() - began, cpu_seconds() - cpu
        facts: dict[str, object] = {"devices": number, "records": RECORDS, "radio": "virtual, in another process"}
        say("sessions.rate", "readings/s", [number * RECORDS / wall], **facts)
        say("sessions.cpu", "ms/reading", [cpu / (number * RECORDS) * 1000], share=round(cpu / wall, 2), **facts)
        say("sessions.memory", "MiB resident", [resident_mib()], **facts)
        for task in following:
            task.cancel()
        await asyncio.wait(following)
    home.stdin.close()
    await home.wait()


async def power_up(folder: Path) -> None:
    """Say how long it takes from power-up of a monitor with a measurement to its readings in the store."""
    first: list[float] = []
    bonded: list[float] = []
    async with AsyncExitStack() as stack:
        kept = await opened(folder, stack)
        air = Air()
        where = Circumstances(air=air, clock=SystemClock(), zone=PARIS, witness=Nobody(), awake_seconds=0.0)
        controller = BoxController("box", air)
        host: Backends = await start_host(controller, controller, address=BOX_ADDRESS, keystore=folder / "bonds.json")
        radio = BleakRadio(client_backend=host.client, scanner_backend=host.scanner)
        for number in range(POWER_UPS):
            monitor = BloodPressureMonitor(address(number), where, name="monitor")
            following = asyncio.create_task(kept.follow(session_of(radio, "blood_pressure", address(number))))
            await asyncio.sleep(0.1)  # the scan runs before the device is switched on

            async def switched_on(monitor: BloodPressureMonitor = monitor) -> None:
                measure(monitor)
                await monitor.start()

            async def used(monitor: BloodPressureMonitor = monitor) -> None:
                measure(monitor)

            first.append(await _timed(switched_on, monitor, kept))
            await asyncio.sleep(0.3)  # it has hung up and sleeps
            bonded.append(await _timed(used, monitor, kept))
            following.cancel()
            await asyncio.wait([following])
    for what, values in (("first_bond", first), ("bonded", bonded)):
        say(f"sessions.power_up.{what}", "ms", [value * 1000 for value in values], advertising_s=0.2)


_lives: set[asyncio.Task[None]] = set()
_numbers = itertools.count()


async def _timed(wake: Callable[[], Awaitable[None]], monitor: BloodPressureMonitor, kept: Kept) -> float:
    wanted, began = kept.number + 4, time.perf_counter()
    await wake()
    if not any(life.get_name() == monitor.address for life in _lives):
        _lives.add(asyncio.create_task(monitor.run(), name=monitor.address))
    await kept.until(wanted)
    return time.perf_counter() - began


def measure(monitor: BloodPressureMonitor) -> None:
    # Two measurements of one second must differ, or they are one.
    systolic = 1100 + next(_numbers) % 80 * 10
    monitor.take(Pressure(at=SystemClock().now_ms(), systolic=systolic, diastolic=800, mean=930, pulse=700))


def figures() -> None:
    for number in DEVICES:
        _in_a_process("rate", str(number))
    _in_a_process("power_up")


def _in_a_process(*arguments: str) -> None:
    """Run one of them alone, so that one's memory and bonds are not another's."""
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-m", "benchmarks.sessions", *arguments])
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"sessions {' '.join(arguments)} failed")


def main() -> None:
    what, *rest = sys.argv[1:]
    if what == "devices":
        asyncio.run(devices_process(int(rest[0]), Path(rest[1])))
        return
    with tempfile.TemporaryDirectory(prefix="veilleur-", dir=".") as name:
        asyncio.run(rate(int(rest[0]), Path(name)) if what == "rate" else power_up(Path(name)))


if __name__ == "__main__":
    main()
