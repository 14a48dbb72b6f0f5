"""A whole world that lives through one great misfortune, and the account afterwards.

The processes are those of the demonstration (simulators.world): the box with its radio over virtual devices, a real
mosquitto with mutual TLS, two inbox workers. What a person would do meanwhile is done with the team's own commands.
Not here: the misfortunes (test_lives), and a machine whose clock is wrong (wrong_clock).
"""

import asyncio
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

from exchange.topics import ALERTS, OBSERVATIONS, topic
from simulators.account import Account
from simulators.broker import Broker
from simulators.demo import Demonstration
from simulators.forgetful import KEEPS, Links, forgotten
from simulators.processes import command
from simulators.world import BOX, START_WITHIN_S, World, WorldSettings
from tests.faults.wrong_clock import Machine

WITHIN_S = 60.0
POLL_S = 0.05
MOST_QUANTITIES = 4
"""Readings of one measurement, at most: a cuff's pressures and its pulse."""


class Life:
    """One world under way; an async context manager that leaves nothing running."""

    def __init__(self, settings: WorldSettings) -> None:
        self.settings = settings
        self.links = Links()
        self.demonstration = Demonstration(settings, say=self.links.hear)
        self.world: World = self.demonstration.world

    async def __aenter__(self) -> Self:
        try:
            await self.world.start()
        except BaseException:
            await self.world.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.world.stop()

    # --- time -----------------------------------------------------------------------------------------------

    async def until(self, what: str, holds: Callable[[], bool], *, within: float = WITHIN_S) -> None:
        """Return once something holds; fail in its words when it does not come to hold in time."""
        deadline = time.monotonic() + within
        while not await asyncio.to_thread(holds):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {within:.0f} s\n{self.last_words()}")
            await asyncio.sleep(POLL_S)

    async def taken(self, more: int) -> None:
        """Return once the devices have measured so many times more."""
        goal = self._taken() + more
        await self.until(f"{more} more readings are taken", lambda: self._taken() >= goal)

    async def settled(self) -> None:
        """Return once all that was taken so far has reached the team, but for what a device may have forgotten."""
        forgettable = sum(times for device, times in self.links.cut.items() if device not in KEEPS)
        goal = self._taken() - MOST_QUANTITIES * forgettable
        await self.until("what was taken arrives", lambda: self.world.stored() >= goal)

    def _taken(self) -> int:
        return len(set(self.world.ledger.read_bytes().splitlines()))

    async def finish(self) -> Account:
        """Let nobody measure any more, and draw up the account once everything has arrived."""
        return await self.demonstration.finish()

    # --- who is there ---------------------------------------------------------------------------------------

    async def without_team(self, work: Callable[[], None]) -> None:
        """Kill the inbox's workers, do something, and let them come back."""
        for inbox in self.world.inboxes:
            await inbox.kill()
        work()
        for inbox in self.world.inboxes:
            await inbox.start()
        for inbox in self.world.inboxes:
            await inbox.ready(within=START_WITHIN_S)

    async def forget_at_broker(self) -> None:
        """Stop the broker, which saves what it knows, delete that, and let it come back.

        Gone are sessions, subscriptions, retained births and queued messages.
        """
        await asyncio.to_thread(self.world.broker.stop)
        saved = list((self.world.folder / "broker" / "data").iterdir())
        assert sum(path.stat().st_size for path in saved) > 0, "the broker had saved nothing to lose"
        for path in saved:
            path.unlink()
        await asyncio.to_thread(self.world.broker.start)

    async def kill_box(self) -> None:
        """Kill the box; what a device forgets by that is no loss of the box (simulators.forgetful)."""
        self.links.box_is_killed()
        await self.world.box.kill()

    async def power_cut(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Kill the box and start it again."""
        await self.kill_box()
        meanwhile()
        await self.world.box.start()
        await self.world.box.ready(within=START_WITHIN_S)

    def lose_team_database(self) -> None:
        """Delete the team's database."""
        for path in self.world.folder.glob("desk.db*"):
            path.unlink()

    def copy_team_database(self, copy: Path) -> None:
        """Take a copy of the team's database, as a backup does while it is written."""
        with closing(sqlite3.connect(self.world.desk_database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)

    def put_back(self, copy: Path) -> None:
        """Put a copy of the team's database in its place."""
        self.lose_team_database()
        shutil.copy(copy, self.world.desk_database)

    # --- what is there --------------------------------------------------------------------------------------

    def desk(self, *words: str, machine: Machine | None = None) -> str:
        """Return what one of the team's commands prints, on a machine of theirs."""
        line = [command("veilleur-desk"), *words]
        environment = os.environ if machine is None else machine.environment
        done = subprocess.run(line, capture_output=True, encoding="utf-8", env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def orders(self, kind: str) -> list[str]:
        """Return how far each order of a kind came, oldest first."""
        return [
            str(state) for (state,) in self.at_team("SELECT state FROM command WHERE kind = ? ORDER BY version", kind)
        ]

    def at_team(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Return rows of the team's database, none while it is not there."""
        return _rows(self.world.desk_database, query, values)

    def stored_at(self, table: str, chosen: str, *values: object) -> list[int]:
        """Return when (ms UTC, by the clock of all) chosen rows were stored, in the order of their numbers."""
        query = f"SELECT stored_at FROM {table} WHERE {chosen} ORDER BY seq"
        return [int(str(at)) for (at,) in self.at_team(query, *values)]

    def at_box(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Return rows of the box's database."""
        return _rows(self.world.box_database, query, values)

    def received_of_box(self, since: int) -> list[str]:
        """Return the channels of what the broker received of the box, in order; it must have been told to log it.

        Args:
            since: so many bytes of its log are left out.
        """
        log = self.world.broker.log.read_bytes()[since:].decode("utf-8", errors="replace")
        of_box = re.escape(topic(BOX, ""))
        return re.findall(rf"Received PUBLISH from \S+ \([^']*'{of_box}([a-z]+)'", log)

    def last_words(self) -> str:
        """Return the end of each process's log, for whoever reads why a test failed."""
        logs = sorted(self.world.folder.glob("*.log"))
        return "\n".join(f"{log.name}: {line}" for log in logs for line in _last_lines(log))


def _last_lines(log: Path) -> Iterator[str]:
    yield from log.read_text(encoding="utf-8", errors="replace").splitlines()[-6:]


def _rows(path: Path, query: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise


class Cable:
    """What joins one client to the broker, and can be cut: bytes go through as they are. An async context manager."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self._whole = True

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._joined, self._broker.host, 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        while self._carrying:
            await asyncio.wait(self._carrying)

    @property
    def port(self) -> int:
        """That the client connects to."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Break what stands, and let nothing through any more."""
        self._whole = False
        for task in self._carrying:
            task.cancel()

    def mend(self) -> None:
        """Let things through again."""
        self._whole = True

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                if self._whole:
                    up, down = await asyncio.open_connection(self._broker.host, self._broker.port)
                    try:
                        await asyncio.gather(_carry(reader, down), _carry(up, writer))
                    finally:
                        down.transport.abort()
        finally:
            writer.transport.abort()
            self._carrying.discard(task)


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.transport.abort()


RACE_S = 2.0
"""Wall time by which one worker may store what came first after what another one stored, on a busy machine."""


def require_order(life: Life, *, back_at: int, alerts: int, arrived: Sequence[str]) -> None:
    """Hold that of what waited when the team and the box found each other alerts came first, and the newest early.

    What comes first is asked of the broker: two workers may store a little what they got one after the other the
    other way round. What is sent again for want of a receipt may be late, so it is the middle of each half of the
    readings that is compared, by more than that little.

    Args:
        life: under way.
        back_at: ms UTC by the clock of all: what is from before, and was stored since, had waited.
        alerts: how many envelopes of alerts had waited.
        arrived: the channels of the messages that the broker received of the box since, in their order.
    """
    of_records = [channel for channel in arrived if channel in {ALERTS, OBSERVATIONS}]
    assert of_records[:alerts] == [ALERTS] * alerts, of_records
    readings = life.stored_at("observation", "received_at < ?1 AND stored_at >= ?1", back_at)
    assert readings, "no reading had waited"
    assert OBSERVATIONS in of_records
    half = len(readings) // 2
    race_ms = RACE_S * 1000 * life.settings.clock.speed
    assert median(readings[half:]) <= median(readings[:half]) + race_ms, "the oldest came before the newest"


def require(account: Account, life: Life) -> None:
    """Hold the account: lost 0, duplicated 0, gaps 0, and exactly the alerts of a backtest."""
    assert account.taken, "nothing was measured"
    excused = forgotten(account.missing, life.links.cut)
    lost = [one for one in account.missing if (one[0], one[2]) not in excused]
    assert replace(account, lost=len(lost)).balanced, f"{account.line()}\n{account}\n{life.last_words()}"
    assert life.at_team("SELECT name FROM box") == [(BOX,)]
