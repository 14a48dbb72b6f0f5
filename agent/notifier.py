"""The box's own voice: a sound, a spoken French sentence, a light, a command; off unless the settings ask for it.

- What it says identifies nobody: no name, no pseudonym, no value. It asks to look, and whom to call.
- A program that fails or hangs is ended, counted and said; the other channels still tell, and the next telling tries
  it again. Programs get their arguments as they are, without a shell, and nothing of the box's environment.
- What was told is remembered over a restart: a box that starts again and again does not cry again and again.

When it tells is decided elsewhere (telling_here). Not here: what an alert means, and sending it to the team.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from agent.counts import Counts
from agent.errors import VaultError
from agent.logs import COUNT, EVENT, REASON
from agent.settings import NotifierSettings
from agent.store import Store
from agent.store_memos import ToldHere
from agent.store_thread import StoreThread
from agent.telling_here import Standing, TellingPlan, concerns, due, is_over
from alerting.alert import AlertChange
from devices.clock import Clock

logger = logging.getLogger(__name__)

LOOK_S: Final = 5.0
"""Between two looks at what stands: what ends a telling (a receipt, a disposition) is no event of its own here."""
PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_SECOND: Final = 1000


def plan_of(settings: NotifierSettings, *, at_once: bool) -> TellingPlan:
    """Return how the box tells, by its settings."""
    return TellingPlan(
        at_once=at_once,
        receipt_within=int(settings.receipt_within * _SECOND),
        attend_within=int(settings.attend_within * _SECOND),
        repeat=int(settings.repeat * _SECOND),
        most=settings.most,
        pause=int(settings.pause * _SECOND),
    )


class Notifier:
    """Tells the patient or a carer, in the home, of what stands."""

    def __init__(
        self,
        *,
        settings: NotifierSettings,
        at_once: bool,
        alone: bool,
        store: StoreThread,
        clock: Clock,
        counts: Counts,
        attended: Callable[[str, str], bool],
        on_failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin without any alert.

        Args:
            settings: the channels and their pace.
            at_once: whether the box is the channel for rules that are meant for the patient at once.
            alone: whether the box serves one patient: only then may it say what is to be verified.
            store: where it is remembered what was told, and what the team has not confirmed.
            clock: tells the time that alerts are dated by.
            counts: of what failed.
            attended: whether somebody has attended to a patient's alert (pseudonym, alert id).
            on_failed: called when a telling reached nobody, since every channel failed.
        """
        self._settings = settings
        self._plan = plan_of(settings, at_once=at_once)
        self._alone = alone
        self._store = store
        self._clock = clock
        self._counts = counts
        self._attended = attended
        self._on_failed = on_failed
        self._standing: dict[str, Standing] = {}
        self._told: dict[str, tuple[int, int]] = {}
        self._last: int | None = None
        self._lit = False
        self._said: set[str] = set()
        self._to_enter: list[ToldHere] = []
        self._wake = asyncio.Event()

    def take(self, changes: Sequence[AlertChange]) -> None:
        """Take note of what happened to alerts; called before they are kept, since a full disk silences nobody."""
        now = self._clock.now_ms()
        for change in changes:
            before = self._standing.pop(change.supersedes or change.alert_id, None)
            if is_over(change):
                continue
            if before is not None:
                # Its onset moved, or late readings confirm it: it goes on, and what was told counts.
                self._standing[change.alert_id] = replace(before, alert_id=change.alert_id)
            elif concerns(change):
                tellings, last = self._told.get(change.alert_id, (0, None))
                self._standing[change.alert_id] = Standing(
                    alert_id=change.alert_id,
                    patient=change.patient,
                    kept_at=now,
                    due_by=change.due_by,
                    check=change.check.fr,
                    tellings=tellings,
                    last=last,
                )
        self._wake.set()

    async def run(self) -> None:
        """Tell what is due, until cancelled; without a channel there is nothing to do."""
        if not self._settings.is_on:
            return
        await self.take_up()
        while True:
            self._wake.clear()
            await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S if self._standing else None):
                    await self._wake.wait()

    async def take_up(self) -> None:
        """Take up what stands, and what was told of it, as the store remembers them."""
        with contextlib.suppress(sqlite3.Error, VaultError):
            self._told = _read(await self._store.call(Store.remembered, "told_here"))
            self._last = max((last for _, last in self._told.values()), default=None)
            standing = await self._store.call(Store.standing_alerts)
            self.take([change for change in standing if change.alert_id not in self._standing])

    async def look(self) -> None:
        """Tell what is due now."""
        since: int | None = 0
        # Without the store it is not known what the team has: then it has nothing.
        with contextlib.suppress(sqlite3.Error):
            since = await self._store.call(Store.unconfirmed_alerts_since)
        for alert in list(self._standing.values()):
            if self._attended(alert.patient, alert.alert_id):
                # It is told no more, and stands all the same.
                self._standing[alert.alert_id] = replace(alert, tellings=self._plan.most, last=alert.last)
        now = self._clock.now_ms()
        alerts = due(self._standing.values(), self._plan, now=now, unconfirmed_since=since, last=self._last)
        if alerts:
            await self._tell(alerts, now)
        await self._light()

    async def _tell(self, alerts: Sequence[Standing], now: int) -> None:
        self._last = now
        for alert in alerts:
            told = replace(alert, tellings=alert.tellings + 1, last=now)
            self._standing[alert.alert_id] = told
            self._to_enter.append(
                ToldHere(alert_id=alert.alert_id, patient=alert.patient, telling=told.tellings, at=now)
            )
        logger.info("told in the home", extra={EVENT: "told_here", COUNT: len(alerts)})
        await self._remember()
        commands = list(self._commands(alerts))
        worked = [await self._run(name, command) for name, command in commands]
        if commands and not any(worked):
            self._on_failed()

    def _commands(self, alerts: Sequence[Standing]) -> list[tuple[str, Sequence[str]]]:
        settings = self._settings
        found: list[tuple[str, Sequence[str]]] = []
        if settings.command:
            found.append(("command", settings.command))
        if settings.sound is not None:
            found.append(("sound", ("aplay", "-q", str(settings.sound))))
        if settings.speak:
            found.append(("speech", ("espeak-ng", "-v", "fr", "-s", "140", "--", self._sentence(alerts))))
        return found

    def _sentence(self, alerts: Sequence[Standing]) -> str:
        """Return what is said aloud: nothing that identifies, and what to verify only where one patient lives."""
        checks = list(dict.fromkeys(alert.check for alert in alerts if alert.check)) if self._alone else []
        return " ".join([self._settings.sentence, *(checks if self._settings.say_check else [])])

    async def _light(self) -> None:
        """Switch the light on while something waits for somebody, and off after."""
        wanted = any(alert.tellings and alert.tellings < self._plan.most for alert in self._standing.values())
        command = self._settings.light_on if wanted else self._settings.light_off
        if wanted is not self._lit and command and await self._run("light", command):
            self._lit = wanted

    async def _run(self, name: str, command: Sequence[str]) -> bool:
        """Run a program to its end, or end it; return whether it went well."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": PATH, "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        except OSError as error:
            return self._failed(name, error.strerror or type(error).__name__)
        try:
            async with asyncio.timeout(self._settings.timeout):
                code = await process.wait()
        except TimeoutError:
            return self._failed(name, f"not done in {self._settings.timeout:g} s")
        finally:
            # With all that it started: a sound that loops must not go on for ever.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())
        return code == 0 or self._failed(name, f"exit code {code}")

    def _failed(self, name: str, reason: str) -> bool:
        self._counts.add(f"notifier.{name}_failed")
        if (cause := f"{name}: {reason}") not in self._said:
            self._said.add(cause)
            logger.error("the box could not tell in the home", extra={EVENT: "notifier_failed", REASON: cause})
        return False

    async def _remember(self) -> None:
        told = {one.alert_id: (one.tellings, one.last) for one in self._standing.values() if one.last is not None}
        data, now = json.dumps(told).encode(), self._clock.now_ms()
        # On a disk that refuses it is told all the same, and entered with the next telling.
        with contextlib.suppress(sqlite3.Error):
            await self._store.call(Store.remember_told, "told_here", data, tuple(self._to_enter), now_ms=now)
            self._to_enter.clear()


def _read(remembered: bytes | None) -> dict[str, tuple[int, int]]:
    """Return how often and when last each alert was told here; what cannot be read is forgotten."""
    try:
        return {str(name): (int(n), int(last)) for name, (n, last) in json.loads(remembered or b"{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}
