"""The demonstration: two simulated days of three patients in under a minute, with everything going wrong once.

On the way the glucose sensor's link is cut, the broker and the box are killed (SIGKILL) and come back. At the end
the account is drawn up and checked: what the devices took against what the team has, and the alerts at the team
against `veilleur backtest` over the team's own readings; and whether the desk's page shows what waits for somebody.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from agent.status import iso
from alerting.alert import ChangeKind
from coordination.view import AlertView, ReadingView, View
from devices.reading import facts
from simulators.account import Account, TakenReading, ToldAlert, balance
from simulators.desk_server import Account as DeskAccount
from simulators.desk_visit import Visitor, Waiting
from simulators.errors import WorldError
from simulators.processes import Event, command
from simulators.world import START_WITHIN_S, World, WorldSettings

DAY_S = 86_400.0
FLUSH_S = 90.0
QUIET_S = 1.0
POLL_S = 0.1
LINK_CUT_HOURS = 3.5
"""Longer than the protocol waits for glucose: the absence is told, and taken back when the sensor's history comes."""
BROKER_DOWN_HOURS = 1.5
BOX_DOWN_HOURS = 6.5
"""Longer than the protocol waits for the box: the team's inbox tells that nothing is transmitted."""
LONGEST_OUTAGE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that goes wrong at a share of the time, 0 to 1."""

    share: float
    name: str
    happen: Callable[["Demonstration"], Awaitable[None]]


class Demonstration:
    """One run of the scenario in one world."""

    def __init__(self, settings: WorldSettings, *, say: Callable[[str, Event], None]) -> None:
        """`say` gets (origin, event) for everything that a person may want to see."""
        self.settings = settings
        self.world = World(settings, on_event=self._heard)
        self.say = say
        self.accounts: tuple[DeskAccount, ...] = ()
        """Who may sign in at the desk, once it is there."""

    def _heard(self, origin: str, event: Event) -> None:
        if origin == "desk" and event.get("event") == "ready":
            # Told to whoever started this, and to nobody else.
            told = msgspec.convert(event.get("accounts"), type=list[dict[str, str]])
            self.accounts = tuple(DeskAccount(**one) for one in told)
            return
        self.say(origin, event)

    def tell(self, event: str, **facts: object) -> None:
        """Say one thing that the demonstration itself does."""
        self.say("demo", {"event": event, **facts})

    def real_seconds(self, hours: float) -> float:
        """Return how long so many simulated hours take, but never so long that the demonstration stalls."""
        return min(hours * 3600.0 / self.settings.clock.speed, LONGEST_OUTAGE_S)

    async def run(self) -> Account:
        """Run from start to account; the processes are still there when it returns.

        Raises:
            WorldError: a process did not come up, or what was taken never arrived.
            BrokerUnavailableError: there is no broker to be had.
        """
        await self.world.start()
        # A machine that is ready before the clock starts does not shorten the days.
        began = max(time.monotonic(), self.settings.clock.origin_ns / 1e9)
        duration = self.settings.days * DAY_S / self.settings.clock.speed
        self.tell("started", seconds=duration)
        for trouble in TROUBLES:
            await asyncio.sleep(max(0.0, began + trouble.share * duration - time.monotonic()))
            self.tell("trouble", name=trouble.name)
            await trouble.happen(self)
        await asyncio.sleep(max(0.0, began + duration - time.monotonic()))
        if self.world.desk is not None:
            await self.world.desk_ready()
        return await self.finish()

    async def finish(self) -> Account:
        """Let nobody take a reading any more, wait until everything has arrived, and draw up the account."""
        await self.world.home.tell({"stop_taking": True})
        self.tell("stopped")
        await self._flush()
        return await asyncio.to_thread(self._account)

    def seen_at_the_desk(self) -> tuple[tuple[Waiting, ...], tuple[Waiting, ...]]:
        """Return what waits for somebody, and what of it a nurse who signs in sees in the worklist.

        Raises:
            WorldError: the desk does not answer, or lets nobody in.
        """
        view = View(self.world.desk_database)
        try:
            waiting = tuple(_waiting(view.alerts()))
        finally:
            view.close()
        visitor = Visitor(self.world.desk_address)
        visitor.sign_in(next(one for one in self.accounts if one.role == "nurse"))
        return waiting, visitor.shown(waiting)

    async def go_on(self) -> None:
        """Let people take readings again, for whoever looks on at the desk."""
        await self.world.home.tell({"go_on": True})

    async def _flush(self) -> None:
        """Return when everything taken is with the team and nothing more is on its way."""
        deadline, quiet_since = time.monotonic() + FLUSH_S, time.monotonic()
        while time.monotonic() - quiet_since < QUIET_S:
            waiting, stored = self.world.waiting(), self.world.stored()
            missing = len(set(self._taken())) - stored
            if waiting or missing > 0:
                quiet_since = time.monotonic()
            if time.monotonic() > deadline:
                self.tell("not_flushed", waiting=waiting, missing=missing)
                return
            await asyncio.sleep(POLL_S)

    # --- the account ----------------------------------------------------------------------------------------

    def _taken(self) -> Iterator[TakenReading]:
        for line in self.world.ledger.read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            yield item["device"], item["quantity"], item["measured_at"], item["count"]

    def _account(self) -> Account:
        taken = list(self._taken())
        # Time goes on while the last readings arrive; what it brings after the last of them is nobody's account.
        until = max((measured_at for _, _, measured_at, _ in taken), default=self.settings.clock.start_ms)
        view = View(self.world.desk_database)
        try:
            stored = [_as_taken(reading) for reading in view.readings()]
            told = list(_told(view.alerts(), until=until))
        finally:
            view.close()
        return balance(
            taken=taken, stored=stored, gaps=self.world.gaps(), told=told, expected=list(self._expected(until))
        )

    def _expected(self, until: int) -> Iterator[ToldAlert]:
        """Yield what an evaluator would find with the commands alone: the team's readings, judged once more."""
        state = json.loads(_run("veilleur", "status", "--config", self.world.agent_settings, "--json"))
        for patient, protocol in self.settings.protocols.items():
            recording = self.world.folder / f"{patient}.csv"
            database = self.world.desk_database
            _run("veilleur-desk", "readings", "--database", database, "--patient", patient, "--csv", recording)
            since = state["watched_since"][patient]
            options = ("--protocol", protocol, "--readings", recording, "--since", since, "--until", iso(until))
            for line in _run("veilleur", "backtest", *options, "--format", "jsonl").splitlines():
                alert = json.loads(line)
                resolved = alert["resolved_at"]
                yield (
                    patient,
                    alert["rule"],
                    _ms(alert["onset"]),
                    _ms(alert["raised_at"]),
                    None if resolved is None else _ms(resolved),
                )


def _as_taken(reading: ReadingView) -> TakenReading:
    count = round(reading.value / facts(reading.quantity).quantum)
    return reading.device, reading.quantity.value, reading.measured_at, count


def _told(alerts: Iterable[AlertView], *, until: int) -> Iterator[ToldAlert]:
    """Yield the box's alerts by a protocol as they stood at `until`, leaving out what was taken back or continued."""
    for alert in alerts:
        gone = alert.change is ChangeKind.RETRACTED or alert.superseded_by is not None
        if alert.origin == "box" and alert.protocol and not gone and alert.raised_at <= until:
            ended = alert.resolved_at if alert.resolved_at is not None and alert.resolved_at <= until else None
            yield alert.patient or "", alert.rule, alert.onset, alert.raised_at, ended


def _waiting(alerts: Iterable[AlertView]) -> Iterator[Waiting]:
    """Yield the newest sentence of each problem of a patient that waits: told, and not taken back."""
    newest: dict[tuple[str, str], AlertView] = {}
    for alert in alerts:
        gone = alert.change is ChangeKind.RETRACTED or alert.superseded_by is not None
        if alert.patient is None or gone or alert.told_at is None:
            continue
        before = newest.get((alert.patient, alert.rule))
        if before is None or (before.raised_at, before.id) < (alert.raised_at, alert.id):
            newest[alert.patient, alert.rule] = alert
    for (patient, _), alert in sorted(newest.items()):
        yield Waiting(patient=patient, sentence=alert.why.fr)


def _run(name: str, *arguments: object) -> str:
    """Return what one of our commands prints.

    Raises:
        WorldError: it failed.
    """
    line = [command(name), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, encoding="utf-8", check=False)  # noqa: S603 - our own command
    if done.returncode:
        raise WorldError(f"{name} {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


async def _cut_link(demonstration: Demonstration) -> None:
    seconds = demonstration.real_seconds(LINK_CUT_HOURS)
    for fault in (
        {"kind": "cut_link", "device": "cgm"},
        {"kind": "refuse_connections", "device": "cgm", "seconds": seconds},
    ):
        await demonstration.world.home.tell({"fault": fault})


async def _kill_broker(demonstration: Demonstration) -> None:
    broker = demonstration.world.broker
    await asyncio.to_thread(broker.kill)
    await asyncio.sleep(demonstration.real_seconds(BROKER_DOWN_HOURS))
    await asyncio.to_thread(broker.start)


async def _kill_box(demonstration: Demonstration) -> None:
    box = demonstration.world.box
    await box.kill()
    await asyncio.sleep(demonstration.real_seconds(BOX_DOWN_HOURS))
    await box.start()
    await box.ready(within=START_WITHIN_S)


TROUBLES = (
    Trouble(share=0.20, name="link_cut", happen=_cut_link),
    Trouble(share=0.40, name="broker_killed", happen=_kill_broker),
    Trouble(share=0.62, name="box_killed", happen=_kill_box),
)
