"""A whole world in a folder: a broker, a home of virtual devices, the box, the team's inbox and pages, as processes.

    home (virtual devices) <-- HCI over a unix socket --> box <-- MQTT --> broker <-- MQTT --> inbox -- database -- desk

Beside a desk runs what judges the answers to questionnaires.

Every key and certificate is made on the spot, in the folder, for this world alone. The box and the inbox run the
code that runs at a patient's and at a team's, handed an accelerated clock and a radio over the virtual devices.
"""

import asyncio
import socket
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey, TeamKeys, write_team_keys
from simulators.broker import Broker
from simulators.clock import AcceleratedClock
from simulators.desk_server import LISTEN
from simulators.desk_visit import reach_desk
from simulators.errors import WorldError
from simulators.household import Furniture, read_household
from simulators.processes import Child, Event

BOX = "box-0001"
DIABETES = "patient-7f3a"
HEART_FAILURE = "patient-21c8"
CHEMOTHERAPY = "patient-b04e"
PROTOCOLS = {DIABETES: "diabetes_cgm", HEART_FAILURE: "heart_failure", CHEMOTHERAPY: "oral_chemotherapy"}
START_WITHIN_S = 90.0
ZONE = "Europe/Paris"

HOUSEHOLD = "demonstration"
"""The home that ships for a world."""

# Half an hour of a sensor's silence is half a second of a busy machine here: three hours are worth telling.
_EXPECT_HOURS = {"cgm": 3}
_EXPECT_HOURS_OF_OTHERS = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSettings:
    """What a world is made of.

    Attributes:
        folder: where everything lies; made when missing.
        clock: the injected clock of all processes.
        recording: CSV[.gz] that the glucose sensor plays; None for the shipped excerpt.
        person: whose trace of it; None for the one with the most values.
        seed: of the modelled heart failure.
        days: for how many simulated days the model goes on.
        workers: of the inbox, which share what the box sends.
        household: the home that ships, or the file, whose devices there are; of the patients who live there.
        own_time: whether the box keeps its own time, by the machine that it is started on, which runs like `clock`.
        desk: whether the team's pages are served too.
        more_days: simulated days for which people's models go on after `days`, for whoever looks on.
    """

    folder: Path
    clock: AcceleratedClock
    recording: Path | None = None
    person: str | None = None
    seed: int = 1
    days: int = 2
    workers: int = 1
    household: str = HOUSEHOLD
    own_time: bool = False
    desk: bool = False
    more_days: int = 0

    @property
    def protocols(self) -> dict[str, str]:
        """Who lives there, and by which protocol each is watched."""
        people = (person.name for person in read_household(self.household).people)
        return {name: PROTOCOLS[name] for name in people if name in PROTOCOLS}


class World:
    """The processes and files of one world; an async context manager that leaves none running."""

    def __init__(self, settings: WorldSettings, *, on_event: Callable[[str, Event], None]) -> None:
        """Write keys, certificates and settings into the folder.

        Raises:
            BrokerUnavailableError: there is no mosquitto, and none could be unpacked.
        """
        folder = settings.folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.broker = Broker(folder / "broker")
        self.ledger = folder / "taken.jsonl"
        self.agent_settings = folder / "agent.toml"
        self.desk_settings = folder / "desk.toml"
        self.box_database = folder / "box" / "veilleur.db"
        self.desk_database = folder / "desk.db"
        self.desk_port = free_port() if settings.desk else 1
        _write_settings(self, settings)
        clock = settings.clock.as_argument()
        socket = f"{folder / 'hci.sock'}"
        home = ["home", "--hci", f"unix-server:{socket}", "--clock", clock, "--ledger", str(self.ledger)]
        home += [
            "--home",
            settings.household,
            "--seed",
            str(settings.seed),
            "--days",
            str(settings.days + settings.more_days),
            "--zone",
            ZONE,
        ]
        home += [] if settings.recording is None else ["--recording", str(settings.recording)]
        home += [] if settings.person is None else ["--person", settings.person]
        box = ["box", "--config", str(self.agent_settings), "--hci", f"unix:{socket}", "--clock", clock]
        box += ["--bonds", str(folder / "bonds.json"), *(["--own-time"] if settings.own_time else [])]
        inbox = ["inbox", "--config", str(self.desk_settings), "--clock", clock, "--worker"]
        self.home = Child("home", home, folder=folder, on_event=on_event)
        self.box = Child("box", box, folder=folder, on_event=on_event)
        self.inboxes = tuple(
            Child(worker, [*inbox, worker], folder=folder, on_event=on_event) for worker in _workers(settings)
        )
        pages = ["desk", "--config", str(self.desk_settings), "--clock", clock]
        self.desk = Child("desk", pages, folder=folder, on_event=on_event) if settings.desk else None
        answers = ["questionnaires", *pages[1:]]
        self.questionnaires = Child("questionnaires", answers, folder=folder, on_event=on_event)
        """Judges what is answered at the desk; started with it."""

    async def start(self) -> None:
        """Start everything and return when the box is ready.

        Raises:
            WorldError: a process did not come up.
        """
        await asyncio.to_thread(self.broker.start)
        for inbox in self.inboxes:
            await inbox.start()
        await self.home.start()
        await self.home.ready(within=START_WITHIN_S)
        await self.box.start()
        for inbox in self.inboxes:
            await inbox.ready(within=START_WITHIN_S)
        await self.box.ready(within=START_WITHIN_S)
        if self.desk is not None:
            # Nobody waits for it but `desk_ready`: the box comes first.
            await self.desk.start()

    async def desk_ready(self) -> None:
        """Return when the team's pages answer, and somebody judges what is answered on them.

        Raises:
            WorldError: they do not, or there are none in this world.
        """
        if self.desk is None:
            raise WorldError("this world has no desk")
        await self.desk.ready(within=START_WITHIN_S)
        await asyncio.to_thread(reach_desk, self.desk_address)
        # Nobody answers before there are pages.
        await self.questionnaires.start()
        await self.questionnaires.ready(within=START_WITHIN_S)

    @property
    def desk_address(self) -> str:
        """Where the team's pages are."""
        return f"http://{LISTEN}:{self.desk_port}"

    def reach_broker_at(self, port: int) -> None:
        """Let the box speak to the broker through another port, from its next start on."""
        text = self.agent_settings.read_text(encoding="utf-8")
        self.agent_settings.write_text(text.replace(f"port = {self.broker.port}", f"port = {port}"), encoding="utf-8")

    async def stop(self) -> None:
        """End every process."""
        desk = () if self.desk is None else (self.questionnaires, self.desk)
        for child in (self.box, self.home, *self.inboxes, *desk):
            await child.stop()
        await asyncio.to_thread(self.broker.stop)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- what the processes have written --------------------------------------------------------------------

    def waiting(self) -> int:
        """Return how many records wait at the box for a receipt."""
        query = "select coalesce(sum(last - first + 1), 0) from outbox where receipted_at is null"
        return _number(self.box_database, query)

    def stored(self) -> int:
        """Return how many observations the team has."""
        return _number(self.desk_database, "select count(*) from observation")

    def gaps(self) -> int:
        """Return how many sequence numbers below the highest received the team lacks."""
        query = (
            "select coalesce(sum(missing), 0) from (select max(last) + 1 - sum(last - first + 1) as missing"
            " from received_range group by box_id, substr(epoch, 1, 16))"
        )
        return _number(self.desk_database, query)


def free_port() -> int:
    """Return a TCP port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LISTEN, 0))
        return int(probe.getsockname()[1])


def _workers(settings: WorldSettings) -> tuple[str, ...]:
    return tuple(f"inbox-{number}" for number in range(1, settings.workers + 1))


def _number(database: Path, query: str) -> int:
    """Return one number from a database that other processes write, 0 while it is not there."""
    if not database.exists():
        return 0
    try:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
        try:
            return int(connection.execute(query).fetchone()[0])
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return 0
        raise WorldError(f"{database}: {error}") from error


def _write_settings(world: World, settings: WorldSettings) -> None:
    keys = world.folder / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    signing, opening, receipts = SigningKey.generate(), OpeningKey.generate(), SigningKey.generate()
    orders = OpeningKey.generate()
    signing.save(keys / "signing.key")
    orders.save(keys / "orders.key")
    opening.save(keys / "opening.key")
    receipts.save(keys / "receipt.key")
    write_team_keys(
        keys / "team.json",
        TeamKeys(
            recipients=(Recipient.of(opening, RecipientRole.TEAM),), receipt_signers=(ReceiptSigner.of(receipts),)
        ),
    )
    start = datetime.fromtimestamp(settings.clock.start_ms / 1000, UTC)
    # Given to them long before, so that the weighings in the scale's memory are theirs.
    given = (start - timedelta(days=30)).isoformat().replace("+00:00", "Z")
    world.agent_settings.write_text(_agent_toml(world, settings, given), encoding="utf-8")
    world.desk_settings.write_text(_desk_toml(world, settings, given, signing, orders), encoding="utf-8")


def _agent_toml(world: World, settings: WorldSettings, given: str) -> str:
    files = world.broker.certificates.client(BOX)
    patients = "".join(
        f'\n[[patients]]\npseudonym = "{name}"\nprotocol = "{protocol}"\ntime_zone = "{ZONE}"\n'
        for name, protocol in settings.protocols.items()
    )
    devices = "".join(_device_toml(device, given) for device in read_household(settings.household).devices)
    return f"""# Settings of the box in a simulated world: impatient, since an hour passes in a second.
box = "{BOX}"
state = "box"

[broker]
host = "{world.broker.host}"
port = {world.broker.port}
ca = "{files.ca}"
certificate = "{files.certificate}"
key = "{files.key}"
keepalive = 5

[identity]
signing_key = "keys/signing.key"
opening_key = "keys/orders.key"
team_keys = "keys/team.json"

[vault]
key_file = "box/kek"

[radio]
find = 5.0
connect = 5.0
quiet = 0.1
pause = 0.1
longest_pause = 0.5

[forwarder]
receipt_timeout = 1.0
heartbeat = 1.0

[watch]
settle = 1.0

[now]
relay = "simulated"
{patients}{devices}"""


def _device_toml(device: Furniture, given: str) -> str:
    hours = _EXPECT_HOURS.get(device.kind, _EXPECT_HOURS_OF_OTHERS)
    return (
        f'\n[[devices]]\naddress = "{device.address}"\ndriver = "{device.kind}"\npatient = "{device.owner}"\n'
        f"from = {given}\nexpect_hours = {hours}\n"
    )


def _desk_toml(world: World, settings: WorldSettings, given: str, signing: SigningKey, orders: OpeningKey) -> str:
    files, *_ = (world.broker.certificates.client(worker) for worker in _workers(settings))
    certificate, key = (path.with_stem("{worker}") for path in (files.certificate, files.key))
    patients = "".join(
        f'\n[[patients]]\npseudonym = "{name}"\nbox = "{BOX}"\nfrom = {given}\nprotocol = "{protocol}"\n'
        f'time_zone = "{ZONE}"\n'
        for name, protocol in settings.protocols.items()
    )
    return f"""# Settings of the team's inbox in a simulated world.
[broker]
host = "{world.broker.host}"
port = {world.broker.port}
ca = "{files.ca}"
certificate = "{certificate}"
key = "{key}"
client_id = "inbox-1"

[inbox]
database = "desk.db"
opening_keys = ["keys/opening.key"]
receipt_key = "keys/receipt.key"

[desk]
listen = "{LISTEN}"
port = {world.desk_port}
hosts = ["{LISTEN}"]
https = false
cookie_key = "keys/cookies.key"
identity_key = "keys/identity.key"
second_factor = "offered"

[[boxes]]
id = "{BOX}"
signing_keys = ["{signing.public.hex()}"]
opening_key = "{orders.public.hex()}"
{patients}"""
