"""A box that takes orders: a real store, real judging and a real team list, over a link that keeps what it is given."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.commanded_judging import CommandedJudging
from agent.commands import Commands
from agent.counts import Counts
from agent.handed import Handed
from agent.obeying import Handler
from agent.ordered_protocols import ordered_protocols
from agent.protocol_command import ProtocolCommand
from agent.protocol_copies import ProtocolCopies
from agent.settings import Assignment, Device, IdentitySettings, NowSettings, Patient, Settings
from agent.settings_file import load_protocol, read_settings
from agent.shadow import Shadows
from agent.shadow_order import ShadowOrder
from agent.shadow_reports import ShadowReports
from agent.store import Store
from agent.store_thread import StoreThread
from agent.team_keeper import TeamKeeper
from agent.team_orders import DispositionOrder
from agent.team_trust import TeamTrust
from alerting.alert import AlertChange
from alerting.protocol_file import check_protocol, read_protocol
from alerting.protocol_writer import write_protocol
from devices.drivers import driver_named
from devices.reading import Reading
from exchange.command_answers import Answer, AnswerState
from exchange.command_bodies import ProtocolBody
from exchange.commands import CommandKind
from exchange.connection import LinkSettings
from exchange.errors import LinkError
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.link import Link
from exchange.messages import Record
from exchange.sealing import Opener, Sealer
from tests.agent.kit import BOX, MINUTE, PATIENT, START, arrivals, open_store
from tests.exchange.office import Office

CGM = "C4:B0:00:00:00:01"
SMALL = Path(__file__).parents[1] / "alerting" / "small" / "diabetes_cgm.toml"


class ManualClock:
    def __init__(self, now: int = START) -> None:
        self.now = now

    def now_ms(self) -> int:
        return self.now

    def seconds_until(self, at_ms: int) -> float:
        return max(0.0, (at_ms - self.now) / 1000)


class KeptLink(Link):
    """What is published is kept, or refused when the test says so."""

    def __init__(self) -> None:
        super().__init__(
            LinkSettings(
                host="-",
                port=1,
                client_id="-",
                ca=Path(),
                certificate=Path(),
                key=Path(),
                session_expiry_s=0,
                clean_start=True,
            )
        )
        self.published: list[tuple[str, bytes]] = []
        self.up = True
        self.code = 0

    async def wait_connected(self) -> None:
        return

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        assert not retain
        if not self.up:
            raise LinkError("the link is down")
        self.published.append((topic, payload))
        return self.code


def protocol_text(version: int, *changes: tuple[str, str], name: str = "diabetes_cgm") -> str:
    """The small protocol in another version, with words of it replaced, resolved."""
    text = SMALL.read_text(encoding="utf-8").replace('name = "diabetes_cgm"', f'name = "{name}"')
    text = text.replace("version = 1", f"version = {version}")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return write_protocol(read_protocol(text.encode(), name_hint="test"))


def body_of(text: str, *, pack: str = "", protocol_hash: str | None = None) -> ProtocolBody:
    found = check_protocol(text.encode()).protocol
    return ProtocolBody(
        text=text,
        pack=pack,
        protocol_hash=protocol_hash or (found.protocol_hash if found is not None else "0" * 64),
    )


def settings_of(folder: Path, office: Office, *, relay: str | None = "the on-call line") -> Settings:
    """The shipped settings with one patient under the small protocol, and a team list whose root is pinned."""
    office.write_list(folder / "team-list")
    shipped = Path(__file__).parents[2] / "configs" / "agent.toml"
    text = shipped.read_text(encoding="utf-8").replace("/var/lib/veilleur", str(folder / "state"))
    (folder / "agent.toml").write_text(text, encoding="utf-8")
    settings = read_settings(folder / "agent.toml")
    patient = Patient(pseudonym=PATIENT, protocol=load_protocol(str(SMALL), Path()), zone=ZoneInfo("Europe/Paris"))
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    return replace(
        settings,
        patients=(patient,),
        devices=(Device(address=CGM, driver=driver_named("cgm"), people=(Assignment(patient=patient, given_on=0),)),),
        relays=(),
        now=NowSettings(relay=relay),
        identity=IdentitySettings(
            signing_key=folder / "signing.key",
            team_keys=folder / "team-list",
            team_roots=(office.root.public.hex(),),
            opening_key=folder / "opening.key",
        ),
    )


async def tolerant(work: Callable[[], Awaitable[None]]) -> bool:
    """What the daemon's guard does, without the pause."""
    try:
        await work()
    except (RuntimeError, ValueError):
        return False
    return True


async def attempt(work: Callable[[], Awaitable[None]]) -> Exception | None:
    try:
        await work()
    except (RuntimeError, ValueError) as error:
        return error
    return None


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; looked at every few milliseconds."""
    async with asyncio.timeout(20):
        while not condition():
            await _a_moment()


async def _a_moment() -> None:
    await asyncio.sleep(0.002)


@dataclass
class Keys:
    """The keys of one box; they outlive its runs."""

    signing: SigningKey = field(default_factory=SigningKey.generate)
    opening: OpeningKey = field(default_factory=OpeningKey.generate)


@dataclass
class Box:
    office: Office
    keys: Keys
    commands: Commands
    judging: CommandedJudging
    store: StoreThread
    link: KeptLink
    clock: ManualClock
    real: ManualClock
    counts: Counts
    shadows: Shadows
    team: TeamKeeper
    opener: Opener
    told: list[str]
    known: list[bool]

    def arrives(self, data: bytes) -> None:
        self.commands.arrived(data)

    def answers(self) -> list[Answer]:
        return [self.office.answer(data, self.keys.signing) for _, data in self.link.published]

    async def until_answers(self, count: int) -> list[Answer]:
        """Return the answers once there are so many."""
        await until(lambda: len(self.link.published) >= count)
        return self.answers()

    async def until_counted(self, name: str, count: int = 1) -> None:
        await until(lambda: self.counts.seen(name) >= count)

    async def ordered(self, data: bytes) -> Answer:
        """Give an order and return the answer that ends it."""
        before = len(self.link.published)
        self.arrives(data)

        def ended() -> bool:
            return any(one.state is not AnswerState.ACCEPTED for one in self.answers()[before:])

        await until(ended)
        return self.answers()[-1]

    async def gives(self, *readings: Reading) -> None:
        sealer = Sealer(
            box=BOX,
            signing_key=self.keys.signing,
            recipients=[Recipient.of(self.office.opening, RecipientRole.TEAM)],
        )
        kept = await self.store.call(Store.accept, arrivals(*readings), sealer, now_ms=self.clock.now)
        self.judging.hand_over(Handed((), kept))
        await self.judging.settled()

    async def tick(self, minute: int) -> None:
        self.clock.now = START + minute * MINUTE
        self.judging.tick(self.clock.now)
        await self.judging.settled()

    async def standing(self) -> list[AlertChange]:
        return await self.store.call(Store.standing_alerts)

    async def records(self) -> list[Record]:
        """Everything that waits for the team, in sequence order."""
        entries = await self.store.call(Store.waiting, limit=10_000)
        return [
            record
            for entry in sorted(entries, key=lambda one: one.first)
            for record in self.opener.open(entry.body, box=BOX).records
        ]


@asynccontextmanager
async def box(
    folder: Path,
    office: Office,
    keys: Keys,
    *,
    others: Mapping[CommandKind, Handler] | None = None,
    relay: str | None = "the on-call line",
    guard: Callable[[Callable[[], Awaitable[None]]], Awaitable[bool]] = tolerant,
    database: str = "veilleur.db",
    now: int = START,
    without: Sequence[CommandKind] = (),
    reporting: bool = False,
) -> AsyncIterator[Box]:
    """A box that runs in `folder`, which it finds as it left it."""
    settings = settings_of(folder, office, relay=relay)
    clock, real, link, counts = ManualClock(now), ManualClock(now), KeptLink(), Counts()
    told: list[str] = []
    known = [True]
    store = StoreThread()
    await store.open(lambda: open_store(settings.state / database, now_ms=clock.now))
    copies = ProtocolCopies(settings.state, box=BOX, signing_key=keys.signing, opening_key=keys.opening)
    settings = await ordered_protocols(settings, store, copies, now_ms=clock.now)
    team = TeamKeeper(settings.identity, settings.state, now_ms=real.now_ms, tell=lambda kind: told.append(kind.value))
    sealer = Sealer(box=BOX, signing_key=keys.signing, recipients=team.recipients)
    shadows = Shadows(store=store, patients=settings.patients, clock=clock, attempt=attempt)
    judging = CommandedJudging(
        box=BOX,
        store=store,
        sealer=sealer,
        patients=settings.patients,
        devices=settings.watched,
        clock=clock,
        on_kept=lambda: None,
        guard=guard,
        shadows=shadows,
    )
    trust = TeamTrust(team, now_ms=real.now_ms, clock_known=lambda: known[0])
    handlers: dict[CommandKind, Handler] = {
        CommandKind.PROTOCOL: ProtocolCommand(
            judging=judging, copies=copies, clock=clock, tells_now=lambda: settings.now.relay is not None
        ),
        CommandKind.SHADOW: ShadowOrder(judging=judging, store=store, clock=clock, attempt=attempt),
        CommandKind.DISPOSITION: DispositionOrder(judging),
        CommandKind.TEAM_LIST: trust.obey,
        **(others or {}),
    }

    def hash_of(patient: str) -> str:
        protocol = judging.protocol_of(patient)
        return "" if protocol is None else protocol.protocol_hash

    commands = Commands(
        box=BOX,
        store=store,
        link=link,
        signing_key=keys.signing,
        opening_keys=[keys.opening],
        team=trust,
        handlers={kind: handler for kind, handler in handlers.items() if kind not in without},
        protocol_hash=hash_of,
        clock=real,
        clock_known=lambda: known[0],
        counts=counts,
        attempt=attempt,
        on_refused_protocol=judging.tell_refused,
    )
    reports = ShadowReports(
        box=BOX,
        store=store,
        judging=judging,
        patients=[patient.pseudonym for patient in settings.patients],
        clock=clock,
        real=real,
        say=commands.say_more,
        attempt=attempt,
        nap=0.01,
    )
    parts = (judging.run(), commands.run(), shadows.run(), *((reports.run(),) if reporting else ()))
    running = [asyncio.create_task(part) for part in parts]
    opener = Opener(keys=[office.opening], signer_of=lambda _box, _signer: keys.signing.public)
    try:
        await judging.started.wait()
        yield Box(
            office=office,
            keys=keys,
            commands=commands,
            judging=judging,
            store=store,
            link=link,
            clock=clock,
            real=real,
            counts=counts,
            shadows=shadows,
            team=team,
            opener=opener,
            told=told,
            known=known,
        )
    finally:
        for task in running:
            task.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
        await store.close()
        for error in ended:
            if isinstance(error, Exception):
                raise error
