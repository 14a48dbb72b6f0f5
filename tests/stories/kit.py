"""A patient's story as data, played through the real box over virtual devices, and what its database then says.

One process: the devices, the air, and `agent.daemon.run` with its store on a disk. No broker is there, so everything
that the box keeps for its team waits in its outbox, sealed; the account opens it with the team's key.

The clock leaps: it runs as real time does while something happens, and jumps to whatever comes next (the next step
of the story, the next deadline of the box) once all has arrived. So a week takes a second, and radio time is real.
"""

import asyncio
import logging
import sqlite3
import time
import tomllib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import pytest
from msgspec import Meta, Struct

from agent import daemon
from agent.logs import EVENT
from agent.settings_file import read_settings
from devices.backoff import Patience
from devices.bleak_connection import Limits
from devices.bleak_radio import BleakRadio
from devices.reading import ClockTrust, Quantity, facts, to_counts
from devices.recovery import LadderPatience
from devices.relay_address import RelayForm
from devices.relay_history import RelayPatience
from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey, TeamKeys, write_team_keys
from exchange.messages import AlertRecord, ObservationRecord
from exchange.sealing import Opener
from simulators.adapter import Adapter
from simulators.adapter_control import SimulatedControl
from simulators.broker import Certificates
from simulators.bumble_radio import Backends, start_host
from simulators.device_kinds import Installed, Order, Sample, install
from simulators.faults import BreakAdapter, Fault
from simulators.link import Air, BoxController
from simulators.peripherals.peripheral import Circumstances, Taken
from simulators.relay_server import RelayServer, SimulatedValue

BOX = "box-0001"
BOX_ADDRESS = "F0:F1:F2:F3:F4:F5"
WITHIN = 6.0
"""Real seconds after which a story gives up waiting."""
LOOK = 0.01
"""Real seconds between two looks into the database."""

Moment = Annotated[datetime, Meta(tz=True)]


# --- the story as data -----------------------------------------------------------------------------------------


class Patient(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    protocol: str


class Person(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody a device is given to, in the words of the box's settings."""

    patient: str
    given: Moment = msgspec.field(name="from")
    until: Moment | None = None
    user: int | None = None
    code: int | None = None
    weight_kg: tuple[float, float] | None = None


class Device(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    kind: str
    address: str
    people: Annotated[list[Person], Meta(min_length=1)]
    options: dict[str, object] = {}
    date_time: bool = False
    worn_from: Moment | None = None


class Relay(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A telephone that hands on what its own sensor says."""

    name: str
    people: Annotated[list[Person], Meta(min_length=1)]


class Take(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody uses a device, or a relay's sensor measures: once, or `times` times every `every_minutes`."""

    device: str
    values: dict[Quantity, str]
    user: int | None = None
    times: int = 1
    every_minutes: float = 5.0


class Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What happens at a moment, in this order: to the box, a fault, somebody measures; and what is then waited for.

    Attributes:
        box: "stop", "start", "power_cut" or "power_cycle" (its adapter).
        telephone: "off" or "on": all relays of the story.
        unpair: the installer removes the box's bond with a device.
        lost: how many values will never reach the box, which is no fault of it.
        arrives: whether all that was taken so far is waited for.
        told: wait until these technical rules are told of.
        noticed: wait until the box has noticed these kinds of event since the step before.
        set_right: wait until the box has set the clocks of these devices.
    """

    at: Moment
    box: str | None = None
    telephone: str | None = None
    faults: list[Fault] = []
    take: list[Take] = []
    unpair: str | None = None
    lost: int = 0
    arrives: bool = True
    told: list[str] = []
    noticed: list[str] = []
    set_right: list[str] = []


class Expected(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must hold at the end, besides that everything taken is kept once and unchanged.

    Attributes:
        readings: how many are kept, by patient; "to-be-attributed" for nobody's.
        technical: every technical rule told of, and whether it "stands" or "ended" at the end.
        clinical: likewise for the care protocols.
        undated: how many readings are kept with the time of their arrival.
        retracted: the clinical rules whose alerts were told and taken back.
    """

    readings: dict[str, int]
    technical: dict[str, str] = {}
    clinical: dict[str, str] = {}
    undated: int = 0
    retracted: list[str] = []


class Story(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    title: str
    start: Moment
    patients: list[Patient]
    devices: list[Device] = []
    relays: list[Relay] = []
    steps: Annotated[list[Step], Meta(min_length=1)]
    end: Moment
    expected: Expected
    zone: str = "Europe/Paris"


def read_story(path: Path) -> Story:
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Story, strict=True)


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


# --- the clock -------------------------------------------------------------------------------------------------


class LeapingClock:
    """A `devices.clock.Clock` that runs as time does, and leaps when told to.

    Attributes:
        followed: whether a box runs that has deadlines.
    """

    def __init__(self, start_ms: int) -> None:
        self._base, self._origin = start_ms, time.monotonic_ns()
        self._due: int | None = None
        self.followed = False
        self._asked = asyncio.Event()

    def now_ms(self) -> int:
        return self._base + (time.monotonic_ns() - self._origin) // 1_000_000

    def seconds_until(self, at_ms: int) -> float:
        """Return next to nothing: whoever waits for a time looks again at once, because it may come in a leap."""
        self._due = at_ms
        self._asked.set()
        return 0.0

    async def leap(self, at_ms: int) -> None:
        """Go to a moment, by way of every deadline that somebody waits for."""
        while self.now_ms() < at_ms:
            if self.followed:
                await self._asked_again()
            now, due = self.now_ms(), self._due if self.followed else None
            goal = at_ms if due is None or not now < due < at_ms else due
            self._base += goal - now

    async def _asked_again(self) -> None:
        """Let whoever waits for a time see where it is now; when nobody does, go on."""
        self._asked.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await self._asked.wait()


# --- the devices -----------------------------------------------------------------------------------------------


class Ledger:
    """What the devices took."""

    def __init__(self) -> None:
        self.taken_so_far: list[Taken] = []

    def taken(self, readings: Sequence[Taken]) -> None:
        self.taken_so_far += readings

    def happened(self, event: str, device: str, detail: str = "") -> None:
        pass


class House:
    """The devices of a story, the air, and the telephones on the home network."""

    def __init__(self, story: Story, clock: LeapingClock) -> None:
        self.air = Air()
        self.ledger = Ledger()
        self.devices: dict[str, Installed] = {}
        self.addresses = {device.name: device.address for device in story.devices}
        self._clock = clock
        self._running: list[asyncio.Task[None]] = []
        self.relays = {relay.name: RelayServer(form=RelayForm.NIGHTSCOUT, now=clock.now_ms) for relay in story.relays}
        for relay in self.relays.values():
            relay.start()
        where = Circumstances(
            air=self.air,
            clock=clock,
            zone=ZoneInfo(story.zone),
            witness=self.ledger,
            advertising_seconds=0.02,
            awake_seconds=0.5,
        )
        for device in story.devices:
            began_at = ms(device.worn_from or story.start)
            order = Order(
                address=device.address,
                where=replace(where, date_time=device.date_time),
                options=device.options,
                began_at=began_at,
            )
            self.devices[device.name] = install(device.kind, order)

    async def switch_on(self) -> None:
        for installed in self.devices.values():
            await installed.device.start()
            self._running.append(asyncio.create_task(installed.device.run()))

    def telephone(self, what: str) -> None:
        for relay in self.relays.values():
            if what == "off":
                relay.close()
            else:
                relay.start(relay.port)

    async def switch_off(self) -> None:
        for relay in self.relays.values():
            relay.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def suffer(self, fault: Fault) -> None:
        if isinstance(fault, BreakAdapter):
            for box in self.air.boxes:
                box.fall_ill(fault.ailment, fault.cure)
        else:
            await self.devices[fault.device].device.suffer(fault)

    async def take(self, take: Take, settled: Callable[[], Awaitable[None]]) -> None:
        counts = {
            quantity: to_counts(quantity, Decimal(value), facts(quantity).unit)
            for quantity, value in take.values.items()
        }
        for number in range(take.times):
            if number:
                await self._clock.leap(self._clock.now_ms() + round(take.every_minutes * 60_000))
            if take.device in self.relays:
                self._hand_on(take.device, counts[Quantity.GLUCOSE_INTERSTITIAL])
            else:
                self.devices[take.device].take(Sample(at=self._clock.now_ms(), counts=counts, user=take.user))
            await settled()

    def _hand_on(self, relay: str, count: int) -> None:
        """Let the sensor of a telephone measure."""
        at = self._clock.now_ms() // 1000 * 1000
        self.relays[relay].values.append(SimulatedValue(at=at, sgv=count / 10))
        quantity = Quantity.GLUCOSE_INTERSTITIAL
        self.ledger.taken([Taken(device=f"relay:{relay}", quantity=quantity, count=count, measured_at=at)])

    async def set_right(self, device: str) -> None:
        """Return when somebody has set a device's clock; it tells nobody, so it is looked at again and again."""
        clock = self.devices[device].device.clock
        async with asyncio.timeout(WITHIN):
            while clock.unset or abs(clock.offset_ms) > 60_000:  # noqa: ASYNC110 - a device has no event for it
                await asyncio.sleep(LOOK)


# --- the box ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Team:
    """Keys of a team and a box; they cost time to make, and stories may share them."""

    folder: Path
    signing: SigningKey
    opening: OpeningKey
    certificates: Certificates

    @classmethod
    def make(cls, folder: Path) -> "Team":
        signing, opening = SigningKey.generate(), OpeningKey.generate()
        signing.save(folder / "signing.key")
        keys = TeamKeys(
            recipients=(Recipient.of(opening, RecipientRole.TEAM),),
            receipt_signers=(ReceiptSigner.of(SigningKey.generate()),),
        )
        write_team_keys(folder / "team.json", keys)
        return cls(folder=folder, signing=signing, opening=opening, certificates=Certificates(folder / "certificates"))

    def opener(self) -> Opener:
        return Opener(keys=[self.opening], signer_of=lambda _box, _signer: self.signing.public)


def _people(table: str, people: Sequence[Person]) -> str:
    text = ""
    for person in people:
        text += f'[[{table}.people]]\npatient = "{person.patient}"\nfrom = {person.given.isoformat()}\n'
        text += f"until = {person.until.isoformat()}\n" if person.until else ""
        text += f"user = {person.user}\n" if person.user is not None else ""
        text += f"code = {person.code}\n" if person.code is not None else ""
        text += f"weight_kg = {list(person.weight_kg)}\n" if person.weight_kg else ""
    return text


def settings_text(story: Story, team: Team, house: House) -> str:
    """Return the box's settings, in the words of its file."""
    files = team.certificates.client(BOX)
    text = f"""
box = "{BOX}"
state = "state"
[broker]
host = "127.0.0.1"
port = 1
ca = "{files.ca}"
certificate = "{files.certificate}"
key = "{files.key}"
[identity]
signing_key = "{team.folder / "signing.key"}"
team_keys = "{team.folder / "team.json"}"
[vault]
key_file = "state/kek"
[radio]
find = 5.0
connect = 2.0
quiet = 0.05
pause = 0.05
longest_pause = 0.2
[watch]
settle = 0.01
[now]
relay = "the story's"
"""
    for patient in story.patients:
        text += f'[[patients]]\npseudonym = "{patient.name}"\nprotocol = "{patient.protocol}"\n'
        text += f'time_zone = "{story.zone}"\n'
    for device in story.devices:
        text += f'[[devices]]\naddress = "{device.address}"\ndriver = "{device.kind}"\n'
        text += _people("devices", device.people)
    for relay in story.relays:
        text += f'[[relays]]\nname = "{relay.name}"\nurl = "{house.relays[relay.name].url}"\n'
        text += _people("relays", relay.people)
    return text


class Box:
    """The box of a story: what survives it is its folder and its bonds."""

    def __init__(self, folder: Path, story: Story, team: Team, clock: LeapingClock, house: House) -> None:
        self._folder, self._clock, self._air = folder, clock, house.air
        self._config = folder / "agent.toml"
        self._config.write_text(settings_text(story, team, house), encoding="utf-8")
        self.database = folder / "state" / "veilleur.db"
        self._controller: BoxController | None = None
        self._host: Backends | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def host(self) -> Backends:
        assert self._host is not None, "the box does not run"
        return self._host

    async def start(self) -> None:
        self._controller = BoxController("box", self._air)
        self._host = await start_host(
            self._controller, self._controller, address=BOX_ADDRESS, keystore=self._folder / "bonds.json"
        )
        radio = BleakRadio(
            client_backend=self._host.client, scanner_backend=self._host.scanner, limits=Limits(procedure=2.0)
        )
        ready = asyncio.Event()
        settings = read_settings(self._config)
        control = SimulatedControl(self._host, reopen=self._reopen)
        box = daemon.run(settings, clock=self._clock, radio=radio, control=control, on_ready=ready.set)
        self._task = asyncio.create_task(box)
        waiting = asyncio.create_task(ready.wait())
        done, _ = await asyncio.wait({self._task, waiting}, timeout=WITHIN, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        self._clock.followed = True
        if self._task in done:
            await self._task
        assert done, "the box did not come up"

    async def _reopen(self) -> None:
        """Open the adapter anew, as a restart of the Bluetooth service does."""
        if self._controller is not None:
            self._controller.vanish()
        self.host.adapter.device.host.on_transport_lost()  # type: ignore[no-untyped-call]
        self._controller = BoxController("box", self._air)
        adapter = Adapter(self._controller, self._controller, address=BOX_ADDRESS, keystore=self._folder / "bonds.json")
        await adapter.start()
        self.host.use(adapter)

    async def stop(self) -> None:
        """Stop it in order, as systemd does."""
        if self._task is None:
            return
        task, self._task = self._task, None
        self._clock.followed = False
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if self._controller is not None:
            self._controller.vanish()
            self._controller = None

    async def power_cut(self) -> None:
        """Let it lose its power: nobody is told goodbye, and what is not on the disk is gone."""
        assert self._task is not None, "the box does not run"
        if self._controller is not None:
            self._controller.vanish()
            self._controller = None
        self.host.adapter.device.host.on_transport_lost()  # type: ignore[no-untyped-call]
        await self.stop()

    async def do(self, what: str) -> None:
        match what:
            case "start":
                await self.start()
            case "stop":
                await self.stop()
            case "power_cut":
                await self.power_cut()
            case "power_cycle":
                await self.host.adapter.power_cycle()
            case _:
                raise ValueError(what)


class Ears(logging.Handler):
    """Hears what the box notices about its devices."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.add(str(getattr(record, EVENT, "")))

    @contextmanager
    def listening(self) -> Iterator[None]:
        logger = logging.getLogger("agent.readers")
        level = logger.level
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.setLevel(level)
            logger.removeHandler(self)


# --- the account -----------------------------------------------------------------------------------------------


class Account:
    """What the box keeps for its team, read from its database: every sealed entry, opened with the team's key."""

    def __init__(self, database: Path, opener: Opener) -> None:
        self._database, self._opener = database, opener
        self._read = -1
        self.readings: list[ObservationRecord] = []
        self.changes: list[AlertRecord] = []

    def look(self) -> None:
        """Take up what is new."""
        connection = sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)
        try:
            query = "select first, body from outbox where first > ? order by first"
            rows = connection.execute(query, (self._read,)).fetchall()
        finally:
            connection.close()
        for first, body in rows:
            self._read = first
            for record in self._opener.open(body, box=BOX).records:
                if isinstance(record, ObservationRecord):
                    self.readings.append(record)
                elif isinstance(record, AlertRecord):
                    self.changes.append(record)

    async def until(self, true: Callable[[], bool], what: Callable[[], str]) -> None:
        """Look until something is so.

        A database says to nobody that it changed, so it is looked at again and again.
        """
        deadline = time.monotonic() + WITHIN
        self.look()
        while not true():
            assert time.monotonic() < deadline, what()
            await asyncio.sleep(LOOK)
            self.look()

    def told(self, *, technical: bool) -> dict[str, str]:
        """Return the rules that were told of, and whether one of their alerts still stands."""
        newest = {change.alert_id: change for change in self.changes if (change.protocol == "") is technical}
        superseded = {change.supersedes for change in newest.values()}
        standing = Counter(
            change.rule
            for change in newest.values()
            if change.resolved_at is None and change.kind != "retracted" and change.alert_id not in superseded
        )
        names = (change.rule for change in newest.values() if change.kind != "retracted")
        return {name: "stands" if standing[name] else "ended" for name in names}

    def retracted(self) -> list[str]:
        """Return the rules of care protocols whose alerts were told and taken back."""
        return sorted(change.rule for change in self.changes if change.kind == "retracted" and change.protocol)


Known = tuple[str, str, int, int | None]


def known(readings: Sequence[ObservationRecord]) -> list[Known]:
    """Return each kept reading as a ledger has it; an undated one without its time."""
    return sorted(
        (
            (r.device, r.quantity.value, r.count, None if r.clock is ClockTrust.UNKNOWN else r.measured_at)
            for r in readings
        ),
        key=str,
    )


def ledger(taken: Sequence[Taken], undated: Callable[[Taken], bool]) -> list[Known]:
    return sorted(
        ((t.device, t.quantity.value, t.count, None if undated(t) else t.measured_at) for t in taken), key=str
    )


class Player:
    """Plays one story."""

    def __init__(self, story: Story, folder: Path, team: Team) -> None:
        self.story = story
        self.clock = LeapingClock(ms(story.start))
        self.house = House(story, self.clock)
        self.box = Box(folder, story, team, self.clock, self.house)
        self.account = Account(self.box.database, team.opener())
        self.ears = Ears()
        self.lost = 0

    async def play(self) -> None:
        with self.ears.listening():
            await self._play()

    async def _play(self) -> None:
        await self.house.switch_on()
        try:
            await self.box.start()
            for step in self.story.steps:
                await self._do(step)
            await self.clock.leap(ms(self.story.end))
            await self.account.until(self._all_told, lambda: f"told {self._told()} by {self.clock.now_ms()}")
        finally:
            await self.box.stop()
            await self.house.switch_off()
        self.account.look()

    async def _do(self, step: Step) -> None:
        await self.clock.leap(ms(step.at))
        self.ears.heard.clear()
        if step.box is not None:
            await self.box.do(step.box)
        if step.telephone is not None:
            self.house.telephone(step.telephone)
        for fault in step.faults:
            await self.house.suffer(fault)
        if step.unpair is not None:
            await self.box.host.adapter.forget(self.house.addresses[step.unpair])
        self.lost += step.lost

        async def settled() -> None:
            if step.arrives:
                await self.account.until(
                    lambda: len(self.account.readings) >= self._due(),
                    lambda: f"{step.at}: {len(self.account.readings)} of {self._due()} readings are kept",
                )

        for take in step.take:
            await self.house.take(take, settled)
        await settled()
        await self.account.until(
            lambda: set(step.noticed) <= self.ears.heard, lambda: f"{step.at}: noticed {self.ears.heard}"
        )
        for device in step.set_right:
            await self.house.set_right(device)
        if step.told:
            await self.account.until(
                lambda: set(step.told) <= self.account.told(technical=True).keys(),
                lambda: f"{step.at}: told {self.account.told(technical=True)}",
            )

    def _due(self) -> int:
        return len(self.house.ledger.taken_so_far) - self.lost

    def _told(self) -> tuple[dict[str, str], dict[str, str]]:
        return self.account.told(technical=True), self.account.told(technical=False)

    def _all_told(self) -> bool:
        expected = self.story.expected
        return self._told() == (expected.technical, expected.clinical)


def stories() -> Iterator[Path]:
    yield from sorted(Path(__file__).parent.glob("*.toml"))


IMPATIENT = partial(Patience, begin=0.15, record=0.5, abort=0.3, join=0.2, consent=0.5, unheard=0.01, after_visit=0.02)
"""What the box's settings do not offer, in real seconds: nobody waits for a sleepy device here."""

LADDER = partial(
    LadderPatience,
    failures=2,
    failing=0.1,
    silence=0.4,
    step=1.0,
    links=0.1,
    settle=0.02,
    proof=0.3,
    between=0.2,
    again=0.5,
    cap=1.0,
)
"""Likewise for an adapter that fails."""


RELAY = partial(RelayPatience, interval=0.03, timeout=2.0, first=0.02, cap=0.05, unreachable_after=0.2, facts_every=1.0)
"""Likewise for a telephone that is asked."""


def be_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the box of this test wait for nothing longer than it must."""
    monkeypatch.setattr("agent.sources.Patience", IMPATIENT)
    monkeypatch.setattr("devices.recovering_radio.LadderPatience", LADDER)
    monkeypatch.setattr("devices.relay.RelayPatience", RELAY)
    # A leap of the clock is noticed at the next look.
    monkeypatch.setattr("agent.watch.SHORTEST_NAP_S", 0.005)
