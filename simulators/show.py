"""Showing a demonstration: a live view on a terminal, plain lines elsewhere, and the account at the end."""

import asyncio
import signal
import tempfile
from collections.abc import Coroutine
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
from simulators.errors import WorldError
from simulators.live_view import picture
from simulators.patients import DEFAULT_RECORDING, glucose_trace
from simulators.stage import Stage
from simulators.world import ZONE, WorldSettings

START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
"""When the simulated days begin: a Monday morning in Paris, far from a change of clocks."""
REFRESH_S = 0.25


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
        clock = AcceleratedClock.starting_now(start_ms=start_ms, speed=show.speed)
        settings = WorldSettings(
            folder=folder.resolve(),
            clock=clock,
            recording=None if show.recording is None else show.recording.resolve(),
            person=show.person,
            seed=show.seed,
            days=show.days,
        )
        stage = Stage(lang=show.lang, clock=clock)
        account = asyncio.run(_until_told(_run(settings, stage, headless=headless)))
        if account is None:
            raise WorldError("stopped before the end: no account was drawn up")
    _print_alert(stage)
    _print_account(stage, account)
    if show.keep is not None:
        click.echo(f"{show.keep}: agent.toml, desk.toml, desk.db, taken.jsonl, *.log")
    return 0 if account.balanced else 1


async def _until_told(run: Coroutine[object, object, Account]) -> Account | None:
    """Return the account, or None when SIGTERM or SIGINT ended the demonstration with all its processes."""
    task = asyncio.ensure_future(run)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None


async def _run(settings: WorldSettings, stage: Stage, *, headless: bool) -> Account:
    demonstration = Demonstration(settings, say=stage.event)
    async with demonstration.world:
        run = asyncio.create_task(demonstration.run(), name="demonstration")
        try:
            if headless:
                await _print_lines(run, stage, demonstration)
            else:
                await _show_live(run, stage, demonstration)
            return await run
        finally:
            # Stopped early, what it was doing must end before its processes do.
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)


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
    with Live(picture(stage), refresh_per_second=8) as live:
        while not run.done():
            await asyncio.wait({run}, timeout=REFRESH_S)
            await asyncio.to_thread(refresh, stage, demonstration)
            live.update(picture(stage))


async def _print_lines(run: "asyncio.Task[Account]", stage: Stage, demonstration: Demonstration) -> None:
    shown: dict[str, tuple[ChangeKind, int | None]] = {}
    while not run.done():
        await asyncio.wait({run}, timeout=REFRESH_S)
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


def _print_account(stage: Stage, account: Account) -> None:
    for name, alerts in (("backtest only", account.untold), ("told only", account.unfounded)):
        for patient, rule, _, raised_at, _ in alerts:
            click.echo(f"{name}: {patient} {rule} {stage.local(raised_at)}")
    if account.strange:
        click.echo(f"{account.strange} stored readings that no device took")
    click.echo(account.line())
