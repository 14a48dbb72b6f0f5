"""The worker that tries drafts on histories: one job after the other, each in a process of its own.

A replay may take a minute of a processor, and whatever goes wrong in it must reach neither the pages nor the inbox: the
work is done by a child (replay_run) with bounded memory and time, and this worker only holds the job's lease, writes
how far it is, ends the child when somebody cancels, and keeps what came out.

`veilleur-desk serve` has one beside it; `veilleur-desk jobs` is one by itself, as many as wanted.
"""

import logging
import os
import queue
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import msgspec

from alerting.alert import Sentence
from coordination.errors import CoordinationError, DatabaseBusyError
from coordination.place import Place
from coordination.replay_jobs import DONE, FAILED, Job, claim, finish, renew, waits
from coordination.replay_run import Line, Request
from coordination.sql import Sql
from coordination.team_database import ERRORS, as_error, connect, transaction

logger = logging.getLogger(__name__)

LOOK_S = 1.0
WALL_S = 600.0
"""Real seconds after which a replay is ended, however little of the processor it got."""
RENEW_S = 1.0
MOST_LINE = 8 << 20
DAY_MS = 86_400_000
_NOTHING = Sentence(fr="", en="")


def work(place: Place, stop: threading.Event, *, idle: Callable[[], None] | None = None) -> None:
    """Do jobs until told to stop.

    Args:
        place: the team's database.
        stop: told to.
        idle: called each time when there is nothing to do.

    Raises:
        DatabaseUnusableError: see `team_database.connect`.
    """
    worker = f"{os.getpid()}-{secrets.token_hex(4)}"
    while not stop.is_set():
        try:
            busy = _one(place, worker, stop)
        except DatabaseBusyError as error:
            logger.warning("%s", error.why.en)
            busy = False
        if not busy:
            if idle is not None:
                idle()
            stop.wait(LOOK_S)


@contextmanager
def beside(place: Place) -> Iterator[None]:
    """Have one worker in a thread of this process for as long as the block lasts."""
    stop = threading.Event()
    worker = threading.Thread(target=_beside, args=(place, stop), name="jobs", daemon=True)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join(LOOK_S + 2 * RENEW_S)


def _beside(place: Place, stop: threading.Event) -> None:
    try:
        work(place, stop)
    except CoordinationError as error:
        logger.error("no draft can be replayed here any more: %s %s", error.why.en, error.hint.en)  # noqa: TRY400


def _one(place: Place, worker: str, stop: threading.Event) -> bool:
    """Do the oldest job; False when there is none."""
    connection = connect(place)
    try:
        if not waits(connection, now=_now()):
            return False
        with transaction(connection):
            job = claim(connection, worker, now=_now())
        if job is None:
            return False
        _Held(connection=connection, job=job, worker=worker, stop=stop).do(place)
    except ERRORS as error:
        raise as_error(error) from error
    finally:
        connection.close()
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A job that this worker holds."""

    connection: Sql
    job: Job
    worker: str
    stop: threading.Event

    def do(self, place: Place) -> None:
        """Have it done by a child, and keep what came of it."""
        request = Request(
            place=str(place),
            patient=self.job.patient,
            zone=self.job.zone,
            before=self.job.before,
            after=self.job.after,
            since=self.job.until - self.job.days * DAY_MS,
            until=self.job.until,
        )
        child = subprocess.Popen(
            [sys.executable, "-m", "coordination.replay_run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        asked = msgspec.json.encode(request)
        talk = threading.Thread(target=_talk, args=(child, asked, lines), name="replay", daemon=True)
        with child:
            talk.start()
            try:
                last = self._followed(lines)
            finally:
                child.kill()
                talk.join()
        if last is None:
            return
        if last.result is not None:
            self._keep(DONE, msgspec.json.encode(last.result).decode(), _NOTHING)
        else:
            fr, en = last.fault or _BROKE_OFF
            self._keep(FAILED, "", Sentence(fr=fr, en=en))

    def _followed(self, lines: "queue.SimpleQueue[bytes]") -> Line | None:
        """Return the last line of a child; None when the job is not to be answered by us."""
        begun = renewed = time.monotonic()
        done = 0
        while True:
            with suppress(queue.Empty):
                read = lines.get(timeout=RENEW_S)
                line = _line(read) if read else Line(fault=_BROKE_OFF)
                if line.result is not None or line.fault is not None:
                    return line
                done = max(done, line.done)
            now = time.monotonic()
            if now - begun > WALL_S:
                return Line(fault=_TOO_LONG)
            if self.stop.is_set():
                # Its lease runs out, and whoever works next begins it again.
                return None
            if now - renewed >= RENEW_S / 2:
                renewed = now
                if not self._renewed(done):
                    # Cancelled; of another worker's job nothing changes.
                    self._keep(FAILED, "", _NOTHING)
                    return None

    def _renewed(self, done: int) -> bool:
        with transaction(self.connection):
            return renew(self.connection, self.job.id, self.worker, done=done, now=_now())

    def _keep(self, state: str, result: str, fault: Sentence) -> None:
        with transaction(self.connection):
            finish(self.connection, self.job.id, self.worker, state=state, result=result, fault=fault, now=_now())


def _talk(child: "subprocess.Popen[bytes]", asked: bytes, lines: "queue.SimpleQueue[bytes]") -> None:
    with suppress(OSError, ValueError):
        if child.stdin is not None and child.stdout is not None:
            child.stdin.write(asked)
            child.stdin.close()
            while line := child.stdout.readline(MOST_LINE):
                lines.put(line)
    lines.put(b"")


def _line(read: bytes) -> Line:
    try:
        return msgspec.json.decode(read, type=Line)
    except msgspec.DecodeError:
        return Line(fault=_BROKE_OFF)


def _now() -> int:
    return time.time_ns() // 1_000_000


_BROKE_OFF = (
    "Le rejeu s'est interrompu (mémoire ou temps dépassés, ou panne) : choisir une durée plus courte, ou le signaler.",
    "The replay broke off (out of memory or time, or a fault): choose a shorter time, or report it.",
)
_TOO_LONG = (
    "Le rejeu a dépassé dix minutes : choisir une durée plus courte.",
    "The replay took more than ten minutes: choose a shorter time.",
)
