"""Joins what obeys the team's orders on one box, as `daemon` joins the rest.

Not here: what each part does.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.box_clock import BoxClock
from agent.commanded_judging import CommandedJudging
from agent.commands import Attempt, Commands
from agent.counts import Counts
from agent.obeying import Handler
from agent.ordered_protocols import ordered_protocols
from agent.protocol_command import ProtocolCommand
from agent.protocol_copies import ProtocolCopies
from agent.radio_orders import Enter, PairOrder, ScanOrder, TakeUp
from agent.settings import Settings
from agent.shadow_order import ShadowOrder
from agent.shadow_reports import ShadowReports
from agent.store_thread import StoreThread
from agent.taken_up import taken_up, with_taken_up
from agent.team_keeper import TeamKeeper
from agent.team_orders import DispositionOrder
from agent.team_trust import TeamTrust
from agent.time_keeper import real_time
from devices.clock import Clock
from devices.installer import Bonds
from devices.radio import Radio
from exchange.commands import CommandKind
from exchange.identity import OpeningKey, SigningKey
from exchange.link import Link


class Orders:
    """What a box needs to take orders; a box without an opening key takes none."""

    def __init__(self, settings: Settings, *, signing_key: SigningKey) -> None:
        """Read the box's opening key.

        Raises:
            IdentityError: it cannot be used.
        """
        self._settings = settings
        self._signing_key = signing_key
        path = settings.identity.opening_key
        self._keys: Sequence[OpeningKey] = () if path is None else _keys(path)
        self.copies = (
            ProtocolCopies(settings.state, box=settings.box, signing_key=signing_key, opening_key=self._keys[0])
            if self._keys
            else None
        )
        """Of the protocols that the team ordered; None where it can order none."""
        self._commands: Commands | None = None
        self._reports: ShadowReports | None = None

    def join(
        self,
        *,
        store: StoreThread,
        link: Link,
        judging: CommandedJudging,
        radio: Radio,
        bonds: Bonds | None,
        clock: Clock,
        counts: Counts,
        team: TeamKeeper,
        attempt: Attempt,
        enter: Enter,
        take_up: TakeUp,
        others: Mapping[CommandKind, Handler],
        hear: Callable[[Callable[[bytes], None]], None],
    ) -> None:
        """Join what obeys, where the box takes orders.

        Args:
            store: where orders are remembered.
            link: over which answers leave.
            judging: obeys what concerns patients and alerts.
            radio: the adapter as it is, for scanning and pairing.
            bonds: without it no device is paired by order.
            clock: the box's time.
            counts: of what was refused.
            team: whom the box believes.
            attempt: runs each handler.
            enter: enters what was paired in the record of acts.
            take_up: reads what was paired for somebody.
            others: who obeys the kinds that are not joined here.
            hear: hands over what takes the messages of the command topic.
        """
        copies, settings = self.copies, self._settings
        if copies is None:
            return

        def hash_of(patient: str) -> str:
            protocol = judging.protocol_of(patient)
            return "" if protocol is None else protocol.protocol_hash

        async def on_refused(patient: str) -> None:
            if judging.protocol_of(patient) is not None:
                await judging.tell_refused(patient)

        # Orders and keys are dated by people: whatever clock readings are judged by in a demonstration.
        real = real_time(clock)

        def clock_known() -> bool:
            return not isinstance(real, BoxClock) or real.trusted

        trust = TeamTrust(team, now_ms=real.now_ms, clock_known=clock_known)
        handlers: dict[CommandKind, Handler] = {
            CommandKind.PROTOCOL: ProtocolCommand(
                judging=judging,
                copies=copies,
                clock=clock,
                tells_now=lambda: settings.tells_now is not None,
            ),
            CommandKind.SHADOW: ShadowOrder(judging=judging, store=store, clock=clock, attempt=attempt),
            CommandKind.DISPOSITION: DispositionOrder(judging),
            CommandKind.SCAN: ScanOrder(radio),
            CommandKind.TEAM_LIST: trust.obey,
            **others,
        }
        if bonds is not None:
            zone = settings.patients[0].zone if settings.patients else ZoneInfo("Europe/Paris")
            handlers[CommandKind.PAIR] = PairOrder(radio, bonds, clock=clock, zone=zone, enter=enter, take_up=take_up)
        self._commands = Commands(
            box=settings.box,
            store=store,
            link=link,
            signing_key=self._signing_key,
            opening_keys=self._keys,
            team=trust,
            handlers=handlers,
            protocol_hash=hash_of,
            clock=real,
            clock_known=clock_known,
            counts=counts,
            attempt=attempt,
            on_refused_protocol=on_refused,
        )
        self._reports = ShadowReports(
            box=settings.box,
            store=store,
            judging=judging,
            patients=[patient.pseudonym for patient in settings.patients],
            clock=clock,
            real=real,
            say=self._commands.say_more,
            attempt=attempt,
        )
        hear(self._commands.arrived)

    async def run(self) -> None:
        """Obey for ever, and tell what shadows come to; return at once where the box takes no orders."""
        if self._commands is None or self._reports is None:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._commands.run(), name="commands")
            group.create_task(self._reports.run(), name="shadow reports")


async def begin(
    settings: Settings, store: StoreThread, *, signing_key: SigningKey, now_ms: int
) -> tuple[Orders, Settings]:
    """Return what takes orders, and the settings as they hold because of what was ordered: protocols and devices.

    Raises:
        IdentityError: the box's opening key cannot be used.
    """
    orders = Orders(settings, signing_key=signing_key)
    settings = with_taken_up(settings, await store.persist(taken_up))
    return orders, await ordered_protocols(settings, store, orders.copies, now_ms=now_ms)


def _keys(path: Path) -> Sequence[OpeningKey]:
    """Return the box's opening key, and the one before when it lies beside it, named `.old`."""
    before = path.with_name(f"{path.name}.old")
    return (OpeningKey.load(path), *([OpeningKey.load(before)] if before.exists() else []))
