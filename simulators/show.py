"""Showing a demonstration: a live view on a terminal, plain lines elsewhere, the account at the end, and the desk.

The team's pages are served from the start on an address of this machine, which is told with accounts made for this run
alone. At the end a visitor signs in there and the page must show what waits for somebody; on a terminal the pages then
stay open until Ctrl-C.
"""

import asyncio
import signal
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.live import Live

from alerting.alert import ChangeKind
from coordination.alert_events import PRIO
from coordination.alert_page import page
from coordination.errors import CoordinationError
from coordination.tables import SHOWN_ID, Language
from coordination.view import View
from simulators.account import Account
from simulators.clock import AcceleratedClock
from simulators.demo import Demonstration
from simulators.desk_visit import Waiting
from simulators.errors import WorldError
from simulators.live_view import picture
from simulators.patients import DEFAULT_RECORDING, glucose_trace
from simulators.stage import Stage
from simulators.world import ZONE, WorldSettings

START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
"""When the simulated days begin: a Monday morning in Paris, far from a change of clocks."""
REFRESH_S = 0.25
HEAD_START_S = 8.0
"""Real seconds before simulated time begins: so long it takes to start everything on a small machine."""
SETTLE_HOURS = 36
SLOW = 120.0
"""Simulated seconds in a real one for whoever looks on at the desk afterwards: an hour in half a minute."""
MORE_DAYS = 3
ROLES = {
    "nurse": ("infirmière", "nurse"),
    "physician": ("médecin", "physician"),
    "installer": ("installateur", "installer"),
    "admin": ("administration", "administrator"),
    "auditor": ("audit", "auditor"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a demonstration: its account, what waited for somebody, and what of that the desk showed."""

    account: Account
    waiting: tuple[Waiting, ...]
    shown: tuple[Waiting, ...]

    @property
    def good(self) -> bool:
        """Whether the account balances, and the desk showed what it should, of which there was something."""
        return self.account.balanced and self.waiting == self.shown != ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """What was asked for on the command line."""

    speed: float
    days: int
    recording: Path | None
    person: str | None
    seed: int
    keep: Path | None
    lang: str


def show_demonstration(show: Show, *, headless: bool) -> int:
    """Run the demonstration and return its exit code: 0 when the account balances, 1 when it does not.

    Raises:
        SimulatorError: the world did not come up.
    """
    start_ms = round(START.timestamp() * 1000)
    # Told before anything is started, in words about the file.
    glucose_trace(show.recording or DEFAULT_RECORDING, start_ms=start_ms, patient=show.person)
    if show.keep is not None and show.keep.exists() and any(show.keep.iterdir()):
        raise WorldError(f"{show.keep} is not empty: name a new folder to keep this world in")
    with ExitStack() as stack:
        folder = show.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="veilleur-")))
        clock = AcceleratedClock(
            start_ms=start_ms,
            origin_ns=time.monotonic_ns() + round(HEAD_START_S * 1e9),
            speed=show.speed,
            # Whoever looks on afterwards has time to; a check has not.
            slows_at_ms=None if headless else start_ms + (show.days * 24 + SETTLE_HOURS) * 3_600_000,
            then=min(show.speed, SLOW),
        )
        settings = WorldSettings(
            folder=folder.resolve(),
            clock=clock,
            recording=None if show.recording is None else show.recording.resolve(),
            person=show.person,
            seed=show.seed,
            days=show.days,
            desk=True,
            more_days=0 if headless else MORE_DAYS,
        )
        stage = Stage(lang=show.lang, clock=clock)
        outcome = asyncio.run(_until_told(_run(settings, stage, headless=headless)))
        if outcome is None:
            raise WorldError("stopped before the end: no account was drawn up")
    if show.keep is not None:
        click.echo(f"{show.keep}: agent.toml, desk.toml, desk.db, taken.jsonl, *.log")
    return 0 if outcome.good else 1


async def _until_told(run: Coroutine[object, object, Outcome]) -> Outcome | None:
    """Return what came of it, or None when SIGTERM or SIGINT ended the demonstration with all its processes."""
    task = asyncio.ensure_future(run)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None


async def _run(settings: WorldSettings, stage: Stage, *, headless: bool) -> Outcome:
    demonstration = Demonstration(settings, say=stage.event)
    async with demonstration.world:
        run = asyncio.create_task(demonstration.run(), name="demonstration")
        try:
            if headless:
                await _print_lines(run, stage, demonstration)
            else:
                await _show_live(run, stage, demonstration)
            outcome = Outcome(account=await run, **await asyncio.to_thread(_seen, demonstration))
        finally:
            # Stopped early, what it was doing must end before its processes do.
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
        _print_outcome(stage, outcome, demonstration)
        if not headless:
            await _stay_open(stage, demonstration)
    return outcome


def _seen(demonstration: Demonstration) -> dict[str, tuple[Waiting, ...]]:
    waiting, shown = demonstration.seen_at_the_desk()
    return {"waiting": waiting, "shown": shown}


async def _stay_open(stage: Stage, demonstration: Demonstration) -> None:
    """Go on with the pages open until Ctrl-C: whoever came to look has looked at a terminal so far."""
    await demonstration.go_on()
    for line in desk_lines(stage, demonstration):
        click.echo(line)
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    french = stage.lang == "fr"
    click.echo(
        "Les mesures continuent, une heure simulée par demi-minute. Ctrl-C pour finir."
        if french
        else "Readings go on, a simulated hour in half a minute. Ctrl-C to end."
    )
    await told.wait()


def desk_lines(stage: Stage, demonstration: Demonstration) -> Iterator[str]:
    """Yield where the desk is and who may sign in; nothing before it is there."""
    if not demonstration.accounts:
        return
    french = stage.lang == "fr"
    yield (
        f"Le bureau de l'équipe : {demonstration.world.desk_address}"
        if french
        else f"The team's desk: {demonstration.world.desk_address}"
    )
    yield (
        "  Comptes de cette démonstration seule, sur cette machine seule :"
        if french
        else "  Accounts of this demonstration alone, on this machine alone:"
    )
    for one in demonstration.accounts:
        role = ROLES[one.role][0 if french else 1]
        yield f"  {role:<15} {one.email:<28} {one.password}"


def refresh(stage: Stage, demonstration: Demonstration) -> None:
    """Look at what the team has and what waits at the box."""
    world = demonstration.world
    stage.stored, stage.waiting = world.stored(), world.waiting()
    if world.desk_database.exists():
        try:
            view = View(world.desk_database)
        except CoordinationError:
            return
        try:
            alerts = [alert for alert in view.alerts() if alert.superseded_by is None]
        except CoordinationError:
            return
        finally:
            view.close()
        # What stands and is urgent first, then the newest: a small screen shows only the top.
        stage.alerts = sorted(alerts, key=lambda alert: (not alert.standing, PRIO[alert.priority], -alert.raised_at))


async def _show_live(run: "asyncio.Task[Account]", stage: Stage, demonstration: Demonstration) -> None:
    told = False
    with Live(picture(stage), refresh_per_second=8) as live:
        while not run.done():
            await asyncio.wait({run}, timeout=REFRESH_S)
            if demonstration.accounts and not told:
                told = True
                for line in desk_lines(stage, demonstration):
                    live.console.print(line, markup=False, highlight=False)
            await asyncio.to_thread(refresh, stage, demonstration)
            live.update(picture(stage))


async def _print_lines(run: "asyncio.Task[Account]", stage: Stage, demonstration: Demonstration) -> None:
    shown: dict[str, tuple[ChangeKind, int | None]] = {}
    told = False
    while not run.done():
        await asyncio.wait({run}, timeout=REFRESH_S)
        if demonstration.accounts and not told:
            told = True
            click.echo(f"desk {demonstration.world.desk_address}")
        await asyncio.to_thread(refresh, stage, demonstration)
        while stage.notes:
            click.echo(stage.notes.popleft())
        for alert in reversed(stage.alerts):
            now = (alert.change, alert.resolved_at)
            if shown.get(alert.id) != now:
                shown[alert.id] = now
                click.echo(stage.alert_line(alert))


def _print_alert(stage: Stage) -> None:
    """Print one alert as the team reads it with `veilleur-desk alert`."""
    alert = stage.gravest()
    if alert is not None:
        click.echo(f"\nveilleur-desk alert {alert.id[:SHOWN_ID]}")
        for line in page(alert, Language(stage.lang), ZoneInfo(ZONE)):
            click.echo(f"  {line}")
        click.echo("")


def _print_outcome(stage: Stage, outcome: Outcome, demonstration: Demonstration) -> None:
    _print_alert(stage)
    missing = [one for one in outcome.waiting if one not in outcome.shown]
    for one in missing:
        click.echo(f"not at the desk: {one.patient} {one.sentence}")
    patients = len({one.patient for one in outcome.shown})
    click.echo(
        f"desk {demonstration.world.desk_address} · patients {patients}"
        f" · alerts shown {len(outcome.shown)} of {len(outcome.waiting)}"
    )
    _print_account(stage, outcome.account)


def _print_account(stage: Stage, account: Account) -> None:
    for name, alerts in (("backtest only", account.untold), ("told only", account.unfounded)):
        for patient, rule, _, raised_at, _ in alerts:
            click.echo(f"{name}: {patient} {rule} {stage.local(raised_at)}")
    if account.strange:
        click.echo(f"{account.strange} stored readings that no device took")
    click.echo(account.line())
