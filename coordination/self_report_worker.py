"""The worker that follows people by questionnaire: judges what came, lets time pass, sends links that are due.

A process of its own: what goes wrong here stops neither the inbox nor the pages, and as many as wanted may run. It
looks every second; the page of an answer judges at once and waits for nobody. It leaves word of its last look, so
that the pages can say when nobody looks any more.
"""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from coordination.errors import DatabaseBusyError
from coordination.link_relay import Relay, queue_due, send_due
from coordination.place import Place
from coordination.self_report_judging import follow
from coordination.sql import Sql
from coordination.team_database import connect, transaction
from devices.clock import Clock

logger = logging.getLogger(__name__)

LOOK_S = 1.0
WORD_MS = 20_000
"""How often it leaves word that it looks."""
SEEN_MS = 10_000
"""How often it looks for alerts that somebody has seen: those that wait for that end within it."""
LOST_MS = 180_000
"""After which the pages say that nobody looks."""


class Worker:
    """One worker on one database."""

    def __init__(self, database: Place, clock: Clock, relay: Relay | None) -> None:
        """Open the database.

        Raises:
            DatabaseUnusableError: see `team_database.connect`.
            DatabaseBusyError: see `team_database.connect`.
        """
        self._connection = connect(database)
        self._clock = clock
        self._relay = relay
        self._word_at = self._seen_at = 0

    @contextmanager
    def _within(self) -> Iterator[Sql]:
        with transaction(self._connection):
            yield self._connection

    def look(self) -> None:
        """Do what there is to do now.

        Raises:
            DatabaseBusyError: not all of it was kept; what was is not done twice.
            DatabaseUnusableError: it needs a person.
        """
        now = self._clock.now_ms()
        seen = abs(now - self._seen_at) >= SEEN_MS
        follow(self._connection, self._within, now=now, seen=seen)
        self._seen_at = now if seen else self._seen_at
        if self._relay is not None:
            if self._is_due(now):
                with self._within() as connection:
                    queue_due(connection, at=now)
            send_due(self._within, self._relay, now=self._clock.now_ms)
        if abs(now - self._word_at) >= WORD_MS:
            with self._within() as connection:
                connection.execute(
                    "INSERT INTO self_report_pass (id, at) VALUES (1, ?)"
                    " ON CONFLICT (id) DO UPDATE SET at = excluded.at",
                    (now,),
                )
            self._word_at = now

    def _is_due(self, now: int) -> bool:
        """Return whether a rhythm asks for a link: looked at without a transaction, every second."""
        return (
            self._connection.execute(
                "SELECT 1 FROM self_report WHERE next_link_at <= ? AND way = 'relay' LIMIT 1", (now,)
            ).fetchone()
            is not None
        )

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def serve(database: Place, clock: Clock, relay: Relay | None) -> None:
    """Look every second until SIGTERM or SIGINT.

    Raises:
        DatabaseUnusableError: it needs a person.
    """
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    worker, busy = Worker(database, clock, relay), False
    try:
        while not told.wait(LOOK_S):
            try:
                worker.look()
                busy = False
            except DatabaseBusyError as error:
                if not busy:
                    logger.warning("answers wait: %s", error.why.en)
                busy = True
    finally:
        worker.close()
