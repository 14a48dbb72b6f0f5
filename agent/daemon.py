"""The one place where the parts of the box are joined.

    sessions, ears, relays -> pipeline -> store -> forwarder -> link
        |                        |          ^         ^
    shared links    watch --> judging ------+      receipts
        |                        ^   |              orders -> commands -> judging, radio
    an adapter looked after -----+   +--> shadows, which tell nobody

Each part runs as a named task of one group: when one cannot go on, all stop, and systemd starts the box again
from what is on the disk. Only here is an error of any kind caught: a fault in judging must not stop keeping.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from importlib.metadata import version

from agent import systemd
from agent.alive import Alive
from agent.audit import Audit
from agent.canary import ASKED_FOR_TIME, Canary
from agent.commanded_judging import CommandedJudging
from agent.counts import Counts
from agent.errors import DamagedError, StoreError, VaultError
from agent.fleet import FleetFigures
from agent.forwarder import Forwarder
from agent.key_orders import key_orders
from agent.key_places import make_kek_file, open_vault, settle_key_file
from agent.key_rotation import rotate
from agent.leaving import Leaving
from agent.logs import COUNT, EVENT, KERNEL, PATIENTS, REASON
from agent.notifier import Notifier
from agent.orders import begin
from agent.own_acts import OwnActs
from agent.own_envelopes import OwnEnvelopes
from agent.own_signers import own_signers
from agent.pipeline import Pipeline
from agent.presence import Presence
from agent.quarantine import open_store, set_aside
from agent.readers import Readers
from agent.renewal import Renewal
from agent.room import limits_of
from agent.settings import BrokerSettings, Settings
from agent.shadow import Shadows
from agent.sources import Sources, always_there
from agent.state_lock import state_lock
from agent.store import Store
from agent.store_thread import StoreThread
from agent.team_keeper import TeamKeeper
from agent.team_orders import OneCall
from agent.time_keeper import begin_time, hearing, keep_time, real_time
from agent.turns import Turns
from agent.upkeep import Upkeep
from agent.watch import watch
from alerting import compiled
from devices.bonded_once import BondedOnce
from devices.clock import Clock
from devices.installer import Bonds
from devices.radio import Radio
from devices.recovering_radio import RecoveringRadio
from devices.recovery import AdapterControl, Controls
from devices.slots import SlottedRadio
from devices.source import DeviceEvent, DeviceEventKind
from exchange.commands import CommandKind
from exchange.connection import LinkSettings
from exchange.identity import SigningKey
from exchange.link import Link
from exchange.sealing import Sealer

logger = logging.getLogger(__name__)

FAULT_PAUSE_S = 0.5
SESSION_EXPIRY_S = 7 * 86_400
RETRY_FIRST_S = 2.0
RETRY_CAP_S = 60.0
"""A fleet that lost its broker comes back within two seconds at most if the broker can take it, and else spread out."""
MOST_DAMAGES = 3
"""Databases that may turn out damaged in one run; then it is the disk, and systemd decides how often to try."""


async def run(
    settings: Settings,
    *,
    clock: Clock,
    radio: Radio,
    control: AdapterControl | None = None,
    bonds: Bonds | None = None,
    on_ready: Callable[[], None] = lambda: systemd.notify("READY=1"),
) -> None:
    """Run the box until cancelled.

    Args:
        settings: checked settings.
        clock: tells the time that readings and deadlines are judged by.
        radio: the adapter.
        control: what can be done about the adapter when it fails or hears nothing; None: it can only scan anew.
        bonds: the keys that the system keeps, without which a device is not bonded a second time; None: not looked at.
        on_ready: called once, when readings can be kept and judged.

    Raises:
        VaultError, StoreError, IdentityError, TeamListUnusableError: it cannot start; the hint says what to do.
    """
    ready = Once(on_ready)
    with state_lock(settings.state):
        for damages in range(MOST_DAMAGES + 1):
            damaged: DamagedError | None = None
            try:
                await _run(settings, clock=clock, radio=radio, control=control, bonds=bonds, on_ready=ready)
            except* DamagedError as group:
                damaged = _first(group)
            if damaged is None:
                return
            if damages == MOST_DAMAGES:
                raise damaged
            # All parts begin again from the disk, as after a restart: none holds anything of the old database.
            set_aside(settings.database, damaged, now_ms=clock.now_ms())


class Once:
    """Calls what it was given the first time only."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def __call__(self) -> None:
        """Call it, unless it was called."""
        call, self._call = self._call, None
        if call is not None:
            call()


def _first(group: BaseExceptionGroup[DamagedError]) -> DamagedError:
    """Return the first error of a group, however deep."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _run(
    settings: Settings,
    *,
    clock: Clock,
    radio: Radio,
    control: AdapterControl | None,
    bonds: Bonds | None,
    on_ready: Callable[[], None],
) -> None:
    signing_key = SigningKey.load(settings.identity.signing_key)
    async with AsyncExitStack() as stack:
        own = OwnEnvelopes(signing_key, own_signers(settings.state, signing_key.public))
        store = await _opened(settings, own, clock, stack)
        epoch = await store.call(Store.this_epoch)

        def tell(kind: DeviceEventKind) -> None:
            pipeline.notice(DeviceEvent(kind=kind, device=settings.box, at=clock.now_ms()))

        counts = Counts()
        own_acts = OwnActs(store=store, clock=clock, counts=counts)
        team = TeamKeeper(settings.identity, settings.state, now_ms=real_time(clock).now_ms, tell=tell, acts=own_acts)
        named = [device.address for device in settings.devices]
        orders, settings = await begin(settings, store, signing_key=signing_key, now_ms=clock.now_ms())
        sealer = Sealer(box=settings.box, signing_key=signing_key, recipients=team.recipients)
        team.seals_to(sealer.use)
        presence = Presence(
            box=settings.box, epoch=epoch, version=version("veilleur"), signing_key=signing_key, clock=clock
        )
        link = await stack.enter_async_context(Link(_link_settings(settings.box, settings.broker, presence)))
        audit = Audit(
            store=store,
            sealer=sealer,
            key=signing_key,
            clock=clock,
            counts=counts,
            keep_days=settings.audit.keep_days,
            on_kept=lambda: forwarder.kick(),  # noqa: PLW0108 the two know each other
        )
        keeper = await begin_time(
            clock, store=store, sealer=sealer, link=link, settings=settings, list_issued_at=team.issued_at
        )
        forwarder = Forwarder(
            store=store,
            link=link,
            box=settings.box,
            signers=team.signers,
            settings=settings.forwarder,
            presence=presence,
            clock=clock,
            counts=counts,
            heard=hearing(keeper, audit.heard),
            leaving=Leaving(own=own, store=store, sealer=sealer, clock=clock),
            on_set_back=lambda: upkeep.was_set_back(),  # noqa: PLW0108 made below
        )
        canary = Canary(store=store, sealer=sealer, clock=clock, on_kept=forwarder.kick)
        shadows = Shadows(store=store, patients=settings.patients, clock=clock, attempt=attempted)
        judging = CommandedJudging(
            box=settings.box,
            store=store,
            sealer=sealer,
            patients=settings.patients,
            devices=settings.watched,
            clock=clock,
            on_kept=forwarder.kick,
            guard=Guarded().run,
            shadows=shadows,
            on_alerts=lambda changes: notifier.take(changes),  # noqa: PLW0108 it asks judging who was attended to
        )
        notifier = Notifier(
            settings=settings.notifier,
            at_once=settings.now.relay is None,
            alone=len(settings.patients) == 1,
            store=store,
            clock=clock,
            counts=counts,
            attended=judging.attended,
            on_failed=lambda: tell(DeviceEventKind.NOTIFIER_FAILED),
        )
        pipeline = Pipeline(
            store=store,
            sealer=sealer,
            devices=settings.watched,
            clock=clock,
            judging=judging,
            counts=counts,
            on_kept=forwarder.kick,
            group_commit=settings.buffer.group_commit,
        )
        upkeep = Upkeep(
            store=store,
            sealer=sealer,
            clock=clock,
            counts=counts,
            notice=lambda rule: tell(DeviceEventKind(rule)),
            on_epoch=forwarder.announce,
            patients=settings.patients,
        )
        for part in (forwarder, judging, audit, own_acts, pipeline):
            stack.push_async_callback(part.stop)
        await pipeline.start()
        renewal = None
        if settings.enrolment is not None:
            renewal = Renewal(
                broker=settings.broker,
                office=settings.enrolment,
                signing_key=signing_key,
                renewed=own_acts.renewing(settings, link.reconnect),
                notice=tell,
            )
        orders.join(
            store=store,
            link=link,
            judging=judging,
            radio=radio,
            bonds=bonds,
            clock=clock,
            counts=counts,
            team=team,
            attempt=attempted,
            enter=audit.enter,
            take_up=lambda device: readers.take_up(device),  # noqa: PLW0108 made below
            others={
                CommandKind.CANARY: OneCall(lambda order: canary.sing(order.command.id)),
                **({} if renewal is None else {CommandKind.RENEW: renewal.obey}),
                **key_orders(store, settings, orders.copies, clock=clock, on_waiting=forwarder.kick),
            },
            hear=forwarder.hear_commands,
        )
        if bonds is not None:
            radio = BondedOnce(radio, bonds, was_kept=pipeline.key_was_kept, on_kept=pipeline.note_key)
        adapter = RecoveringRadio(
            radio,
            control or Controls(),
            adapter=settings.radio.adapter_name,
            clock=clock,
            on_event=pipeline.notice,
            expects=lambda: links.misses(),  # noqa: PLW0108 the links are shared out below
        )
        links = SlottedRadio(adapter, slots=settings.radio.slots, lasting=always_there(settings.devices))
        sources = Sources(radio=links, settings=settings.radio, clock=clock, last_reading=pipeline.last_reading)
        readers = Readers(
            settings=settings,
            named=named,
            sources=sources,
            links=links,
            pipeline=pipeline,
            judging=judging,
            store=store,
            clock=clock,
        )
        async with asyncio.TaskGroup() as group:
            _begin(
                group,
                pipeline=pipeline.run(),
                judging=judging.run(),
                shadows=shadows.run(),
                forwarder=forwarder.run(),
                orders=orders.run(),
            )
            await judging.started.wait()
            _begin(
                group,
                watch=watch(judging, clock, settle=settings.watch.settle),
                adapter=adapter.watch(),
                team_list=team.run(),
                upkeep=upkeep.run(),
                canary=canary.run(),
                audit=audit.run(settings),
                own_acts=own_acts.run(settings, team.signed),
                time=keep_time(
                    keeper,
                    right=judging.retime,
                    notice=pipeline.notice,
                    before=pipeline.keep_held,
                    ask_team=lambda: canary.sing(ASKED_FOR_TIME),
                ),
            )
            if renewal is not None:
                _begin(group, certificate=renewal.run())
            count = readers.begin(group)
            on_ready()
            _begin(group, notifier=notifier.run())
            _show_life(group, settings, store=store, turns=judging.turns, clock=clock)
            keys = {PATIENTS: len(settings.patients), COUNT: count, KERNEL: compiled.kind}
            logger.info("ready", extra={EVENT: "ready"} | keys)


def _begin(group: asyncio.TaskGroup, **parts: Coroutine[None, None, None]) -> None:
    """Let parts of the box run, each as a task of its name."""
    for name, part in parts.items():
        group.create_task(part, name=name)


async def _opened(settings: Settings, own: OwnEnvelopes, clock: Clock, stack: AsyncExitStack) -> StoreThread:
    """Open the store with the box's key, and end or begin what is to be done about that key."""
    if settings.vault.key_file is not None:
        make_kek_file(settings.vault.key_file, database=settings.database)
    vault = open_vault(settings)
    store = StoreThread()
    stack.push_async_callback(store.close)
    await store.open(
        lambda: open_store(
            settings.database, vault, own=own.header_of, now_ms=clock.now_ms(), limits=limits_of(settings.buffer)
        )
    )
    settle_key_file(settings.vault, vault)
    if settings.vault.credential is not None and vault.next_kek is not None:
        # Whoever laid it there wants the box to move over.
        await store.call(rotate, settings.vault, by="box", now_ms=clock.now_ms())
    return store


def _show_life(group: asyncio.TaskGroup, settings: Settings, *, store: StoreThread, turns: Turns, clock: Clock) -> None:
    """Begin to show that the box works: to systemd, and to whoever runs the fleet."""
    alive = Alive(store=store, turns=turns, proven=settings.state / "proven")
    figures = FleetFigures(store=store, settings=settings, clock=clock)
    _begin(group, alive=alive.run(), fleet_figures=figures.run())


def _link_settings(box: str, broker: BrokerSettings, presence: Presence) -> LinkSettings:
    return LinkSettings(
        host=broker.host,
        port=broker.port,
        client_id=box,
        ca=broker.ca,
        certificate=broker.certificate,
        key=broker.key,
        keepalive_s=broker.keepalive,
        session_expiry_s=SESSION_EXPIRY_S,
        clean_start=False,
        will=presence.will,
        retry_first_s=RETRY_FIRST_S,
        retry_cap_s=RETRY_CAP_S,
    )


class Guarded:
    """Runs judging: a fault in it is told, once for each cause, and must not stop keeping and sending."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    async def run(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Await the work; return whether it went well, and after a fault only when it is time to try again."""
        try:
            await work()
        except (StoreError, VaultError):
            raise
        except Exception as error:
            cause = repr(error)
            if cause in self._told:
                logger.warning(
                    "judging failed as before", extra={EVENT: "judging_failed", REASON: type(error).__name__}
                )
            else:
                self._told.add(cause)
                logger.exception(
                    "judging failed; readings are kept and sent all the same", extra={EVENT: "judging_failed"}
                )
            await asyncio.sleep(FAULT_PAUSE_S)
            return False
        return True


async def attempted(work: Callable[[], Awaitable[None]]) -> Exception | None:
    """Await the work; return what it failed by: a shadow's fault, whatever it is, is nobody else's."""
    try:
        await work()
    except Exception as error:  # noqa: BLE001 - returned, and told by whoever asked
        return error
    return None
