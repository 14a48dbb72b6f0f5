"""A home: what it takes is in its ledger, it obeys commands, and boxes may come and be killed."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from devices.backoff import Patience
from devices.bleak_radio import BleakRadio
from devices.broadcast import BroadcastSource
from devices.consent import Consent
from devices.driver import Resume
from devices.drivers import BROADCASTS, driver_named
from devices.session import Session
from devices.source import Source
from simulators.bumble_radio import open_host
from simulators.clock import AcceleratedClock
from simulators.errors import FaultError, HomeError, RecordingError
from simulators.faults import BreakAdapter, SkewClock, parse_faults
from simulators.home import BLOOD_PRESSURE, CGM, WEIGHT_SCALE, HomeSettings, run_home
from simulators.household import Furniture, read_household
from simulators.patients import DEFAULT_RECORDING, decompensation, glucose_trace
from simulators.processes import command
from tests.simulators.kit import BOX_ADDRESS, START, WITHIN, Diary

PARIS = ZoneInfo("Europe/Paris")
Event = dict[str, object]


class Watched:
    """A home in this process, what it said, and its commands."""

    def __init__(self, settings: HomeSettings) -> None:
        self.settings = settings
        self.events: list[Event] = []
        self.commands = asyncio.StreamReader()
        self._more = asyncio.Event()

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    def tell(self, command: object) -> None:
        self.commands.feed_data(json.dumps(command).encode() + b"\n")

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN):
            while not true():
                self._more.clear()
                await self._more.wait()

    def said(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["event"] == kind]

    def ledger(self) -> list[Event]:
        return [json.loads(line) for line in self.settings.ledger.read_text(encoding="utf-8").splitlines()]


def settings(folder: Path, **changes: object) -> HomeSettings:
    made = {
        "hci": f"unix-server:{folder / 'hci.sock'}",
        "ledger": folder / "taken.jsonl",
        "clock": AcceleratedClock.starting_now(start_ms=START, speed=20_000.0),
        "zone": PARIS,
    }
    return HomeSettings(**(made | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def at_home(wanted: HomeSettings) -> AsyncIterator[Watched]:
    home = Watched(wanted)
    life = asyncio.create_task(run_home(wanted, commands=home.commands, emit=home.emit))
    try:
        ready = asyncio.create_task(home.until(lambda: bool(home.said("ready"))))
        await asyncio.wait({life, ready}, return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            ready.cancel()
            await life
        yield home
    finally:
        home.commands.feed_eof()
        async with asyncio.timeout(WITHIN):
            await asyncio.wait({life})
    await life


async def test_a_home_says_who_lives_in_it(tmp_path: Path) -> None:
    async with at_home(settings(tmp_path)) as home:
        (ready,) = home.said("ready")
    assert ready["devices"] == [
        {"kind": "cgm", "address": CGM},
        {"kind": "blood_pressure", "address": BLOOD_PRESSURE},
        {"kind": "weight_scale", "address": WEIGHT_SCALE},
    ]
    assert not (tmp_path / "hci.sock").exists()


async def test_the_ledger_has_all_that_was_taken_and_what_the_scale_remembered(tmp_path: Path) -> None:
    async with at_home(settings(tmp_path, seed=5)) as home:
        await home.until(lambda: len(home.said("taken")) >= 60)
        home.tell({"stop_taking": True})
        await home.until(lambda: bool(home.said("stopped_taking")))
        entries = home.ledger()
        assert [{"event": "taken", **entry} for entry in entries] == home.said("taken")

    trace = glucose_trace(DEFAULT_RECORDING, start_ms=START)
    heart = decompensation(seed=5, start_ms=START, zone=PARIS)
    values = [(entry["count"], entry["measured_at"]) for entry in entries if entry["device"] == CGM]
    assert values == [(item.count, item.at) for item in trace[: len(values)]]
    weights = [(entry["count"], entry["measured_at"]) for entry in entries if entry["device"] == WEIGHT_SCALE]
    assert weights == [(item.count, item.at // 1000 * 1000) for item in heart.weighings[: len(weights)]]
    assert len(weights) >= 12
    assert set(entries[0]) == {"device", "quantity", "count", "measured_at"}
    one = heart.pressures[0]
    pressures = [entry for entry in entries if entry["device"] == BLOOD_PRESSURE][:4]
    assert [entry["count"] for entry in pressures] == [one.systolic, one.diastolic, one.mean, one.pulse]


async def test_nothing_is_taken_after_it_was_told_to_stop(tmp_path: Path) -> None:
    async with at_home(settings(tmp_path)) as home:
        home.tell({"stop_taking": True})
        await home.until(lambda: bool(home.said("stopped_taking")))
        taken = len(home.said("taken"))
        # A fault that waits for its simulated time, an hour later, shows that time goes on.
        later = home.settings.clock.now_ms() + 3_600_000
        home.tell({"fault": {"kind": "cut_link", "device": "cgm", "at": later}})
        await home.until(lambda: bool(home.said("fault")))
        assert len(home.said("taken")) == taken


async def test_people_who_go_on_take_what_is_due_from_then_on_and_nothing_of_before(tmp_path: Path) -> None:
    async with at_home(settings(tmp_path)) as home:
        home.tell({"stop_taking": True})
        await home.until(lambda: bool(home.said("stopped_taking")))
        later = home.settings.clock.now_ms() + 3_600_000
        home.tell({"fault": {"kind": "cut_link", "device": "cgm", "at": later}})
        await home.until(lambda: bool(home.said("fault")))
        before = len(home.said("taken"))
        home.tell({"go_on": True})
        await home.until(lambda: len(home.said("taken")) > before + 3)
        again = [int(str(entry["measured_at"])) for entry in home.said("taken")[before:]]
        assert home.said("goes_on")
        assert min(again) >= later


async def test_commands_that_cannot_be_obeyed_are_refused_and_the_home_goes_on(tmp_path: Path) -> None:
    async with at_home(settings(tmp_path)) as home:
        home.commands.feed_data(b"not json\n")
        home.tell({"open": "the door"})
        home.tell({"fault": {"kind": "cut_link", "device": "toaster"}})
        home.tell({"fault": {"kind": "wrong_crc", "device": "weight_scale"}})
        home.tell({"fault": {"kind": "cut_link", "device": WEIGHT_SCALE}})
        await home.until(lambda: bool(home.said("fault")))
        assert len(home.said("refused")) == 4
        assert home.said("fault") == [{"event": "fault", "device": WEIGHT_SCALE, "detail": "cut_link"}]


async def test_a_device_of_several_of_its_kind_is_named_by_its_address(tmp_path: Path) -> None:
    async with at_home(settings(tmp_path, household="residence")) as home:
        home.tell({"fault": {"kind": "cut_link", "device": "cgm"}})
        home.tell({"fault": {"kind": "cut_link", "device": "thermometer-21"}})
        await home.until(lambda: bool(home.said("fault")))
        assert "give an address" in str(home.said("refused"))
        (ready,) = home.said("ready")
        assert len(ready["devices"]) == 60  # type: ignore[arg-type]


async def test_the_adapter_of_a_box_can_be_broken(tmp_path: Path) -> None:
    async with at_home(settings(tmp_path)) as home:
        home.tell({"fault": {"kind": "break_adapter", "device": "cgm"}})
        hci = f"unix:{tmp_path / 'hci.sock'}"
        async with open_host(hci, address=BOX_ADDRESS, keystore=tmp_path / "bonds.json") as box:
            later = home.settings.clock.now_ms() + 60_000
            home.tell({"fault": {"kind": "break_adapter", "device": "adapter", "ailment": "gone", "at": later}})
            async with asyncio.timeout(WITHIN):
                await box.adapter.lost.wait()
        assert len(home.said("refused")) == 1
        assert home.said("fault") == [{"event": "fault", "device": "adapter", "detail": "gone"}]


async def test_faults_may_be_given_beforehand(tmp_path: Path) -> None:
    faults = parse_faults(json.dumps([{"kind": "lose_bond", "device": "cgm", "at": START + 600_000}]))
    async with at_home(settings(tmp_path, faults=faults)) as home:
        await home.until(lambda: bool(home.said("fault")))
        assert home.settings.clock.now_ms() >= START + 600_000


async def test_quit_ends_the_home(tmp_path: Path) -> None:
    home = Watched(settings(tmp_path))
    home.tell({"quit": True})
    async with asyncio.timeout(WITHIN):
        await run_home(home.settings, commands=home.commands, emit=home.emit)
    assert home.said("ready")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"hci": "tcp-server:127.0.0.1:1"}, HomeError),
        ({"ledger": Path("/nowhere/at/all")}, HomeError),
        ({"hci": "unix-server:/nowhere/at/all"}, HomeError),
        ({"recording": Path("/nowhere.csv")}, RecordingError),
        ({"person": "nobody"}, RecordingError),
        ({"household": "/nowhere.toml"}, HomeError),
        ({"faults": (BreakAdapter(device="cgm"),)}, FaultError),
        ({"faults": (SkewClock(device="cgm", seconds=1),)}, FaultError),
    ],
)
async def test_a_home_that_cannot_be_is_refused(
    tmp_path: Path, changes: dict[str, object], error: type[Exception]
) -> None:
    home = Watched(settings(tmp_path, **changes))
    with pytest.raises(error):
        await run_home(home.settings, commands=home.commands, emit=home.emit)
    assert not home.said("ready")


HOME_PROCESS = """
import sys
from pathlib import Path
from zoneinfo import ZoneInfo
from simulators.clock import AcceleratedClock
from simulators.home import HomeSettings, serve
folder, clock = Path(sys.argv[1]), AcceleratedClock.from_argument(sys.argv[2])
household = "".join(sys.argv[3:]) or "default"
hci, ledger = f"unix-server:{folder / 'hci.sock'}", folder / "taken.jsonl"
serve(HomeSettings(hci=hci, ledger=ledger, clock=clock, zone=ZoneInfo("Europe/Paris"), household=household))
"""

BOX_PROCESS = """
import asyncio, sys
from pathlib import Path
from bleak import BleakClient, BleakScanner
from simulators.bumble_radio import open_host

async def main(folder, own, address):
    async with open_host(f"unix:{folder / 'hci.sock'}", address=own, keystore=folder / "bonds.json") as box:
        found = await BleakScanner.find_device_by_address(address, timeout=10, backend=box.scanner)
        client = BleakClient(found, pair=True, backend=box.client)
        await client.connect()
        await client.start_notify("2aa7", lambda *_: print("value", flush=True))
        await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
"""


class Child:
    """A process and the lines that it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    @classmethod
    async def start(cls, script: str, *arguments: str) -> "Child":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            script,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process)

    async def line(self, wanted: str) -> str:
        """Return the next line that contains `wanted`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(3 * WITHIN):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line)
                if wanted in line:
                    return line
        raise AssertionError(f"the process ended without saying {wanted!r}")

    async def end(self) -> int:
        """End by the end of its input; kill what does not."""
        try:
            if self.process.stdin is not None:
                self.process.stdin.close()
            async with asyncio.timeout(WITHIN):
                await self.process.communicate()
        except TimeoutError:
            self.process.kill()
            await self.process.communicate()
        return self.process.returncode or 0


@pytest.mark.process
@pytest.mark.radio
async def test_a_box_that_is_killed_comes_back_with_its_bond_and_lacks_nothing(tmp_path: Path) -> None:
    clock = AcceleratedClock.starting_now(start_ms=START, speed=2880.0)
    home = await Child.start(HOME_PROCESS, str(tmp_path), clock.as_argument())
    first: Child | None = None
    try:
        await home.line('"ready"')
        first = await Child.start(BOX_PROCESS, str(tmp_path), BOX_ADDRESS, CGM)
        await first.line("value")
        first.process.send_signal(signal.SIGKILL)
        await first.process.wait()
        assert "connection_timeout" in await home.line('"disconnected"')
        bonds = (tmp_path / "bonds.json").read_bytes()

        assert home.process.stdin is not None
        diary = Diary()
        hci = f"unix:{tmp_path / 'hci.sock'}"
        async with open_host(hci, address=BOX_ADDRESS, keystore=tmp_path / "bonds.json") as box:
            session = Session(
                radio=BleakRadio(client_backend=box.client, scanner_backend=box.scanner),
                driver=driver_named("cgm"),
                device=CGM,
                zone=PARIS,
                clock=clock,
                resume=diary.resume,
            )
            following = asyncio.create_task(diary.follow(session))
            await diary.until(lambda: len(diary.readings) > 20)
            home.process.stdin.write(b'{"stop_taking": true}\n')
            await home.line('"stopped_taking"')
            entries = [json.loads(line) for line in (tmp_path / "taken.jsonl").read_text().splitlines()]
            taken = sorted(
                (entry["device"], entry["quantity"], entry["count"], entry["measured_at"])
                for entry in entries
                if entry["device"] == CGM
            )
            await diary.until(lambda: len(diary.readings) == len(taken))
            following.cancel()
            await asyncio.wait({following})
        assert diary.known() == taken
        assert (tmp_path / "bonds.json").read_bytes() == bonds
    finally:
        if first is not None:
            await first.end()
        status = await home.end()
    assert status == 0


def source_of(device: Furniture, radio: BleakRadio, clock: AcceleratedClock, diary: Diary) -> Source:
    """What the box reads a device with."""
    for broadcast in BROADCASTS:
        if broadcast.name == device.kind:
            return BroadcastSource(radio=radio, driver=broadcast, device=device.address, zone=PARIS, clock=clock)
    consents = tuple(Consent(user=user.user, code=1111 * user.user) for user in device.users if user.user)
    return Session(
        radio=radio,
        driver=driver_named(device.kind),
        device=device.address,
        zone=PARIS,
        clock=clock,
        resume=diary.resume if device.kind == "cgm" else Resume,
        consents=consents,
        patience=Patience(quiet=0.1, unheard=0.01, after_visit=0.05, first=0.05, consent=1.0),
    )


@pytest.mark.alone
@pytest.mark.process
@pytest.mark.radio
async def test_a_home_with_one_device_of_every_kind_is_read_from_another_process(tmp_path: Path) -> None:
    """What the devices of the other process took is what the box knows."""
    clock = AcceleratedClock.starting_now(start_ms=START, speed=30_000.0)
    home = await Child.start(HOME_PROCESS, str(tmp_path), clock.as_argument(), "every_kind")
    furniture = read_household("every_kind").devices
    diaries = {device.address: Diary() for device in furniture}
    # A strap gives no time; and what is broadcast half a simulated day after it was measured is no result of now.
    undated = {device.address for device in furniture if device.kind in {"heart_rate", "xiaomi_scale"}}

    def taken(address: str) -> set[tuple[object, ...]]:
        entries = [json.loads(line) for line in (tmp_path / "taken.jsonl").read_text().splitlines()]
        return {
            (item["quantity"], item["count"], 0 if address in undated else item["measured_at"])
            for item in entries
            if item["device"] == address
        }

    def known(address: str) -> set[tuple[object, ...]]:
        return {
            (item.quantity.value, item.count, 0 if address in undated else item.measured_at)
            for item in diaries[address].readings.values()
        }

    try:
        await home.line('"ready"')
        hci = f"unix:{tmp_path / 'hci.sock'}"
        async with open_host(hci, address=BOX_ADDRESS, keystore=tmp_path / "bonds.json") as box:
            radio = BleakRadio(client_backend=box.client, scanner_backend=box.scanner)
            following = [
                asyncio.create_task(
                    diaries[device.address].follow(source_of(device, radio, clock, diaries[device.address]))
                )
                for device in furniture
            ]
            for diary in diaries.values():
                await diary.until(partial(bool, diary.readings))
            assert home.process.stdin is not None
            home.process.stdin.write(b'{"stop_taking": true}\n')
            await home.line('"stopped_taking"')
            for device in furniture:
                if device.address not in undated:
                    await diaries[device.address].until(partial(same, taken, known, device.address))
            for task in following:
                task.cancel()
            await asyncio.wait(following)
        for device in furniture:
            assert known(device.address) <= taken(device.address), device.kind
    finally:
        status = await home.end()
    assert status == 0


def same(taken: Callable[[str], object], known: Callable[[str], object], address: str) -> bool:
    return taken(address) == known(address)


@pytest.mark.process
async def test_a_home_ends_in_order_when_it_is_told_to(tmp_path: Path) -> None:
    clock = AcceleratedClock.starting_now(start_ms=START, speed=2880.0)
    home = await Child.start(HOME_PROCESS, str(tmp_path), clock.as_argument())
    await home.line('"ready"')
    home.process.send_signal(signal.SIGTERM)
    assert await home.end() == 0
    assert not (tmp_path / "hci.sock").exists()


@pytest.mark.process
@pytest.mark.parametrize(
    ("options", "said"), [((), "over a pipe"), (("--zone", "Mars/Olympus"), "not an IANA time zone")]
)
def test_a_home_that_is_started_wrongly_says_so(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    line = [command("veilleur-sim"), "home", "--hci", f"unix-server:{tmp_path}/hci", "--ledger", str(tmp_path / "l")]
    commands = tmp_path / "commands.jsonl"
    commands.write_text('{"quit": true}\n', encoding="utf-8")
    with commands.open(encoding="utf-8") as given:
        done = subprocess.run([*line, *options], stdin=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "unforeseen" not in done.stderr
