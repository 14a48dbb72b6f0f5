"""Sends queued commands to boxes, until each is answered: sealed to the box, and signed by the team's programs.

- A command is sealed anew each time it leaves: to the box's opening key of now, under the team's key of now.
- What the broker refuses, or has nobody to give to, stays queued; what is not answered is sent again later each time,
  and at once when the box says that it is back.
- Several workers may do this on one database: each command is claimed by one at a time.

What is not here: what is queued (sql_commands), and answers (the inbox stores them).
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from coordination.command_queue import Due
from coordination.database_thread import DatabaseThread
from devices.clock import SystemClock
from exchange.commands import AUTOMATION, is_allowed, seal_command, sign
from exchange.connection import SUCCESS
from exchange.errors import CommandError, EnvelopeError, LinkError
from exchange.identity import SigningKey
from exchange.link import Link
from exchange.messages import Status
from exchange.sealed_notes import Reader
from exchange.topics import COMMANDS, topic

logger = logging.getLogger(__name__)

LOOK_S = 2.0
"""Real seconds between two looks at the queue: people queue from other programs."""
ONLINE = "online"


class CommandSender:
    """One worker's sender."""

    def __init__(
        self,
        *,
        store: DatabaseThread,
        line: Link,
        signer: Callable[[], SigningKey],
        reader_of: Callable[[str], Reader | None],
    ) -> None:
        """`signer` returns the team's key of now; `reader_of` a box's opening key, None when it is not known."""
        self._store = store
        self._line = line
        self._signer = signer
        self._reader_of = reader_of
        self._sessions: dict[str, str] = {}
        self._back: set[str] = set()
        self._wake = asyncio.Event()
        self._told: set[str] = set()

    def heard(self, status: Status) -> None:
        """Take note of a status that a box has just sent: of a new session, what waits is sent at once."""
        if status.state == ONLINE and self._sessions.get(status.box) != status.session:
            self._sessions[status.box] = status.session
            self._back.add(status.box)
            self._wake.set()

    async def run(self) -> None:
        """Send for ever.

        Raises:
            DatabaseBusyError: the queue cannot be written now.
        """
        clock = SystemClock()
        while True:
            await self._line.wait_connected()
            while self._back:
                box = self._back.pop()
                await self._store.call(lambda database, box=box: database.commands.hurry(box, now=clock.now_ms()))  # type: ignore[misc]
            for due in await self._store.call(lambda database: database.commands.claim(now=clock.now_ms())):
                await self._send(due, now=clock.now_ms())
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def _send(self, due: Due, *, now: int) -> None:
        reader, signer = self._reader_of(due.box), self._signer()
        if reader is None:
            self._say("no opening key of that box is known: its commands wait")
            return
        signed = due.signed
        # A team list needs nobody's signature, and may be what tells a box that was away of the key of now.
        if not signed.signatures and not is_allowed(due.kind, []) and is_allowed(due.kind, [AUTOMATION]):
            signed = msgspec.structs.replace(signed, signatures=(sign(signed.command, signer),))
        try:
            note = seal_command(signed, box=due.box, key=reader, signer=signer)
            code = await self._line.publish(topic(due.box, COMMANDS), note)
        except LinkError as error:
            logger.info("a command did not leave: %s", error)
            return
        except (EnvelopeError, CommandError) as error:
            self._say(f"a command cannot be sealed: {error.reason}")
            return
        if code == SUCCESS:
            await self._store.call(lambda database: database.commands.sent(due.id, now=now))

    def _say(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            logger.warning("%s", sentence)
