"""What the inbox itself enters in the team's record of acts: that it starts and stops, with which settings, and keys.

It also has the record signed for, and shortened to what may be kept.
"""

import time
from importlib.metadata import version

from coordination.audit_log import TEAM, AuditLog
from coordination.database_thread import DatabaseThread
from coordination.errors import CoordinationError
from coordination.key_acts import KeysInUse, enter_news
from coordination.keys import TeamPrivateKeys
from coordination.settings import Settings
from devices.clock import Clock
from exchange.audit_chain import Act, Erasable

DAY_MS = 86_400_000
SIGN_EVERY_S = 5.0
"""Real seconds between two times that what was entered is signed for."""


class InboxActs:
    """The acts of one run of one inbox."""

    def __init__(self, settings: Settings, keys: TeamPrivateKeys, clock: Clock) -> None:
        """The receipt key in use signs for the record of acts too."""
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._in_use = KeysInUse(settings)
        self._begun = False
        self._entered = ""
        self._signed_at: float | None = None

    async def begin(self, store: DatabaseThread) -> None:
        """Enter that the inbox started, once, and what changed in its settings.

        Raises:
            DatabaseBusyError: nothing was entered.
        """
        if self._begun:
            if self._entered != self._settings.fingerprint:
                await self.take_up(store, self._settings)
            return
        now, settings = self._clock.now_ms(), self._settings
        name = settings.broker.client_id

        def work(log: AuditLog) -> None:
            log.begin(at=now)
            log.enter(Act.STARTED, at=now, by=TEAM, reference=name, detail={"version": version("veilleur")})
            _enter_settings(log, settings, now)

        await store.call(lambda database: database.audited(work))
        self._begun, self._entered = True, settings.fingerprint

    async def take_up(self, store: DatabaseThread, settings: Settings) -> None:
        """Enter that other settings are used from now on.

        Raises:
            DatabaseBusyError: nothing was entered; it is when the inbox begins again.
        """
        now, self._settings = self._clock.now_ms(), settings
        await store.call(lambda database: database.audited(lambda log: _enter_settings(log, settings, now)))
        self._entered = settings.fingerprint

    async def end(self, store: DatabaseThread) -> None:
        """Enter that the inbox stops in order.

        Raises:
            DatabaseBusyError: nothing was entered.
        """
        now, name = self._clock.now_ms(), self._settings.broker.client_id
        await store.call(
            lambda database: database.audited(lambda log: log.enter(Act.STOPPED, at=now, by=TEAM, reference=name))
        )
        self._signed_at = None
        await self.settle(store)

    async def settle(self, store: DatabaseThread) -> None:
        """Have what was entered signed for, and what is too old deleted, unless that was done just now.

        Raises:
            DatabaseBusyError: nothing was changed.
        """
        if self._signed_at is not None and time.monotonic() - self._signed_at < SIGN_EVERY_S:
            return
        self._signed_at = time.monotonic()
        now = self._clock.now_ms()
        before = now - self._settings.keep_acts_days * DAY_MS
        await self._enter_keys(store, now)
        await store.call(lambda database: database.settle_audit(self._keys.receipt, at=now, before=before))

    async def _enter_keys(self, store: DatabaseThread, now: int) -> None:
        """Enter the keys and the list that were taken up since the last look, as far as nobody has."""
        news = self._in_use.news(self._keys.receipt.id)
        if news is None:
            return
        try:
            await store.call(lambda database: database.audited(lambda log: enter_news(log, news, at=now)))
        except CoordinationError:
            self._in_use.forget()
            raise


def _enter_settings(log: AuditLog, settings: Settings, now: int) -> None:
    """Enter that the settings changed, unless that was entered for these."""
    if log.changed("desk.toml", settings.fingerprint):
        file = Erasable(value=settings.fingerprint, of="desk.toml")
        log.enter(Act.SETTINGS_CHANGED, at=now, by=TEAM, reference="desk.toml", detail={"fingerprint": file})
