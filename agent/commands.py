"""What the team orders, on the box: believed or not, remembered, done once, answered.

A command is looked at in this order, and the first objection ends it: its size and form, which box it is for, who
sealed it, who signed it, whether their roles allow it, whether it came before (then it gets the same answer), whether
its time has passed or is not known here, and whether its version rises. Only then is its body read, and it is kept
before it is done: what a power cut interrupts is begun again.

- What nobody of the team sealed is counted and not answered: a broker learns nothing by trying.
- What the team sealed and the box refuses is answered, with why. An answer is sealed to the team.
- A part that fails at an order, in whatever way, has refused it: no order may stop the box or come back for ever.

Not here: receiving (forwarder), doing it (`obeying.Handler`s), and what an answer means to the team.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from agent.command_store import ATTEMPTS, Finished
from agent.counts import Counts
from agent.logs import EVENT, REASON
from agent.obeying import Done, Handler, Order, refused
from agent.store import Store
from agent.store_thread import StoreThread
from agent.team_trust import TeamTrust
from alerting.alert import Sentence
from devices.clock import Clock
from exchange.command_answers import Answer, AnswerState, seal_answer
from exchange.command_bodies import decode_body, place_of
from exchange.commands import (
    AUTOMATION,
    Command,
    CommandKind,
    Received,
    Signatory,
    SignedCommand,
    Trust,
    check_authority,
    check_time,
    decode,
    open_command,
)
from exchange.connection import SUCCESS
from exchange.errors import CommandError, EnvelopeError, LinkError
from exchange.identity import OpeningKey, SigningKey
from exchange.link import Link
from exchange.team_list import Person
from exchange.topics import COMMAND_ACKS, topic

logger = logging.getLogger(__name__)

WAITING = 32
"""Commands that may wait to be looked at; one more is dropped: the team sends it again."""
QUEUE = 64
"""Orders that may wait to be done."""
SPEAK_AGAIN_S = 60.0
"""Real seconds after which an answer that nobody heard is sent again."""
QUIET_S = 5.0
"""Real seconds for which the same command gets no second answer: a broker that repeats itself is not fed."""
REMEMBERED = 256
SLOW: Final = frozenset({CommandKind.PAIR, CommandKind.SCAN})
"""What waits for people and devices: it must hold up nothing else."""

Attempt = Callable[[Callable[[], Awaitable[None]]], Awaitable[Exception | None]]
"""Awaits what it is given; returns what it failed by, whatever that is, None when it went well."""


class Commands:
    """The orders of one box."""

    def __init__(
        self,
        *,
        box: str,
        store: StoreThread,
        link: Link,
        signing_key: SigningKey,
        opening_keys: Sequence[OpeningKey],
        team: TeamTrust,
        handlers: Mapping[CommandKind, Handler],
        protocol_hash: Callable[[str], str],
        clock: Clock,
        clock_known: Callable[[], bool],
        counts: Counts,
        attempt: Attempt,
        on_refused_protocol: Callable[[str], Awaitable[None]],
    ) -> None:
        """Take what it needs.

        Args:
            box: its id.
            store: where commands are remembered.
            link: over which answers leave.
            signing_key: signs answers.
            opening_keys: of the box, the present one and the one before.
            team: whom it believes.
            handlers: who obeys which kind; the others are refused.
            protocol_hash: pseudonym -> hash of the protocol applied, "" for somebody not known here.
            clock: real time.
            clock_known: whether that time is trusted.
            counts: of what was refused.
            attempt: runs each handler.
            on_refused_protocol: told the pseudonym when a protocol that the team sealed may not even be looked at.
        """
        self._box = box
        self._store = store
        self._link = link
        self._signing_key = signing_key
        self._opening_keys = opening_keys
        self._team = team
        self._handlers = handlers
        self._protocol_hash = protocol_hash
        self._clock = clock
        self._clock_known = clock_known
        self._counts = counts
        self._attempt = attempt
        self._on_refused_protocol = on_refused_protocol
        self._came: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self._quick: asyncio.Queue[Order] = asyncio.Queue(QUEUE)
        self._slow: asyncio.Queue[Order] = asyncio.Queue(QUEUE)
        self._unsaid: OrderedDict[str, Answer] = OrderedDict()
        self._said_at: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._told: set[str] = set()
        self._speak = asyncio.Event()

    # --- what others call ---------------------------------------------------------------------------------

    def arrived(self, data: bytes) -> None:
        """Let a message of the command topic be looked at in its turn."""
        with suppress(asyncio.QueueFull):
            self._came.put_nowait(data)

    def say_more(self, answer: Answer) -> None:
        """Answer an order that was obeyed once more, with what it has come to since."""
        self._said_at.pop(_key(answer), None)
        self._reply(answer)

    async def run(self) -> None:
        """Obey for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._obey_each(self._quick), name="orders")
            group.create_task(self._obey_each(self._slow), name="slow orders")
            group.create_task(self._answer(), name="answers")
            await self._resume()
            while True:
                await self._look_at(await self._came.get())

    # --- whether --------------------------------------------------------------------------------------------

    async def _look_at(self, data: bytes) -> None:
        trust = self._team.trust()
        try:
            received = open_command(
                data,
                box=self._box,
                keys=self._opening_keys,
                automation=trust.automation,
                list_signers=self._team.list_signers,
            )
        except (EnvelopeError, CommandError) as error:
            self._say_once(error.reason)
            return
        try:
            order = await self._allowed(received, trust)
        except CommandError as error:
            self._say_once(error.reason)
            await self._answer_unkept(received, error)
            return
        if order is not None:
            await self._queue_of(order).put(order)

    async def _allowed(self, received: Received, trust: Trust) -> Order | None:
        """Return the order that a command is, now accepted; None when it came before.

        Raises:
            CommandError: it may not be obeyed.
        """
        command, signed = received.command, received.signed
        by = check_authority(received, trust)
        known = await self._store.persist(Store.known_command, command.id)
        if known is not None:
            if known.fingerprint != hashlib.sha256(signed.command).digest():
                raise CommandError("repeated", "another command has this id")
            # While it is being done there is nothing new to say.
            if known.answer is not None:
                self._reply(known.answer)
            return None
        now = self._clock.now_ms()
        check_time(command, now=now, known=self._clock_known())
        order = _order(command, by=by, at=now)
        if not await self._store.persist(Store.accept_command, command, signed, now_ms=now):
            raise CommandError("rollback", f"version {command.version} does not rise")
        if command.kind in SLOW:
            self._reply(Answer(box=self._box, command=command.id, state=AnswerState.ACCEPTED, at=now))
        return order

    async def _answer_unkept(self, received: Received, error: CommandError) -> None:
        """Answer a command that was never accepted; it may come again."""
        command = received.command
        if error.reason not in _NOT_YET:
            now = self._clock.now_ms()
            await self._store.persist(Store.note_refused_command, command, error.reason, now_ms=now)
        highest = await self._store.persist(Store.highest_version, command.series)
        self._reply(
            Answer(
                box=self._box,
                command=command.id,
                state=AnswerState.WAITING if error.reason in _NOT_YET else AnswerState.REFUSED,
                at=self._clock.now_ms(),
                reason=error.reason,
                protocol_hash=self._protocol_hash(command.subject),
                highest=highest,
            )
        )
        if command.kind is CommandKind.PROTOCOL and error.reason not in _NO_ALERT:
            await self._on_refused_protocol(command.subject)

    # --- doing ----------------------------------------------------------------------------------------------

    def _queue_of(self, order: Order) -> asyncio.Queue[Order]:
        return self._slow if order.command.kind in SLOW else self._quick

    async def _resume(self) -> None:
        """Begin again what a stop interrupted; what was begun too often without an end is refused."""
        for left in await self._store.persist(Store.unfinished_commands):
            order = self._resumed(left.signed)
            if left.attempts >= ATTEMPTS or order.command.kind in SLOW:
                await self._finish(order, refused("interrupted", _INTERRUPTED))
            else:
                await self._queue_of(order).put(order)

    def _resumed(self, signed: SignedCommand) -> Order:
        # It was found good before it was kept, and keys may have been replaced since.
        command = decode(signed.command)
        people = self._team.trust().people
        by = tuple(_signatory(item.key, people.get(item.key)) for item in signed.signatures)
        return _order(command, by=by, at=self._clock.now_ms())

    async def _obey_each(self, orders: asyncio.Queue[Order]) -> None:
        while True:
            order = await orders.get()
            await self._store.persist(Store.begin_command, order.command.id)
            await self._finish(order, await self._obey(order))

    async def _obey(self, order: Order) -> Done:
        handler = self._handlers.get(order.command.kind)
        if handler is None:
            return refused("unsupported", _UNSUPPORTED)
        done: Done | None = None

        async def work() -> None:
            nonlocal done
            done = await handler(order)

        error = await self._attempt(work)
        if done is None or error is not None:
            logger.error(
                "an order failed and is refused",
                extra={EVENT: "order_failed", REASON: f"{order.command.kind} {type(error).__name__}"},
            )
            return refused("fault", _FAILED)
        return done

    async def _finish(self, order: Order, done: Done) -> None:
        if not done.went_well:
            self._counts.add(f"command.{done.reason}")
        answer = done.kept
        if answer is None:
            answer = order.answered(done, protocol_hash=self._protocol_hash(order.command.subject))
            await self._store.persist(Store.finish_command, Finished(answer=answer), now_ms=self._clock.now_ms())
        self._said_at.pop(_key(answer), None)
        self._reply(answer)

    # --- answering ------------------------------------------------------------------------------------------

    def _reply(self, answer: Answer) -> None:
        """Let an answer be said, unless it was said a moment ago."""
        key, now = _key(answer), asyncio.get_running_loop().time()
        if now - self._said_at.get(key, -QUIET_S) < QUIET_S:
            return
        self._said_at[key] = now
        while len(self._said_at) > REMEMBERED:
            self._said_at.popitem(last=False)
        self._unsaid[answer.command] = answer
        while len(self._unsaid) > REMEMBERED:
            self._unsaid.popitem(last=False)
        self._speak.set()

    async def _answer(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SPEAK_AGAIN_S if self._unsaid else None):
                    await self._speak.wait()
            self._speak.clear()
            await self._link.wait_connected()
            for answer in list(self._unsaid.values()):
                await self._publish(answer)

    async def _publish(self, answer: Answer) -> None:
        note = seal_answer(answer, signer=self._signing_key, readers=self._team.readers())
        try:
            code = await self._link.publish(topic(self._box, COMMAND_ACKS), note)
        except LinkError as error:
            logger.info("an answer did not leave", extra={EVENT: "answer_not_sent", REASON: str(error)})
            return
        if code == SUCCESS and self._unsaid.get(answer.command) is answer:
            del self._unsaid[answer.command]

    def _say_once(self, reason: str) -> None:
        self._counts.add(f"command.{reason}")
        if reason not in self._told:
            self._told.add(reason)
            logger.warning("a command was refused", extra={EVENT: "command_refused", REASON: reason})


def _order(command: Command, *, by: tuple[Signatory, ...], at: int) -> Order:
    """Return the order that a believed command is.

    Raises:
        CommandError: "malformed" when its body is not of its kind, or not of what it is about.
    """
    body = decode_body(command.kind, command.body)
    if place_of(body, command.subject) != command.about:
        raise CommandError("malformed", "its body is not what it is about")
    return Order(command=command, body=body, by=by, at=at)


def _key(answer: Answer) -> tuple[str, str, str]:
    """Return what makes an answer the same news."""
    return answer.command, answer.state.value, answer.reason


def _signatory(key: str, person: Person | None) -> Signatory:
    if person is None:
        return Signatory(name=f"key {key}", power=AUTOMATION)
    return Signatory(name=person.name, power=person.role.value)


_NOT_YET: Final = frozenset({"clock", "list"})
"""What the box cannot say for now: the command comes again."""
_NO_ALERT: Final = frozenset({"clock", "list", "rollback", "repeated"})
"""What is no news of a protocol that a person waits for: it comes again, or a newer one has come."""
_INTERRUPTED = Sentence(
    fr="Le boîtier s'est arrêté pendant cet ordre : le donner de nouveau.",
    en="The box stopped while it obeyed this order: give it again.",
)
_UNSUPPORTED = Sentence(
    fr="Cette version du boîtier ne sait pas faire cela : mettre le boîtier à jour.",
    en="This version of the box cannot do that: upgrade the box.",
)
_FAILED = Sentence(
    fr="Le boîtier a échoué à cet ordre, rien n'est changé : le signaler, son journal dit pourquoi.",
    en="The box failed at this order, nothing is changed: report it, its log says why.",
)
