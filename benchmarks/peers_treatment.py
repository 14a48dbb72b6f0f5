"""What is done to each buffer, the same to all: a mere outage, kills at random moments, and a disk that fills.

A kill takes the process and leaves what the kernel had of it: it is no power cut, which also takes what was never
synced (the box's own tests cut the power, `tests/faults`).
"""

import asyncio
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from benchmarks.peers_buffers import Buffer
from benchmarks.peers_uplink import Uplink
from benchmarks.wear_disk import Disk

WINDOW = 100
"""Records without an answer at once, where as many are given as are taken."""
MOST_OPEN = 2000
"""Records without an answer at which a producer of a fixed rate waits."""
ANSWER_S = 10.0
HELD_S = 5.0
SETTLE_S = 1.0
POLL_S = 0.05
TICK_S = 0.01
BETWEEN_KILLS_S = (0.5, 5.0)
"""Longer than the shortest pause between two savings of mosquitto, which is a second."""
COMES_BACK_S = 30.0
COME_BACK = 20
"""Records told safe after room was made, at which a buffer counts as back."""


@dataclass(frozen=True, slots=True)
class Drained:
    """How long the team waited for the last record that came, and for how many."""

    seconds: float
    records: int


async def drained(buffer: Buffer, uplink: Uplink, *, settle_s: float = SETTLE_S) -> Drained:
    """Return once every record that was told safe has arrived, or nothing more does."""
    await uplink.gate.open()
    account = buffer.account
    account.received = await uplink.received()
    began = last = time.monotonic()
    before = have = account.received.total()
    while account.missing() and time.monotonic() - last < buffer.quiet_s:
        await asyncio.sleep(POLL_S)
        account.received = await uplink.received()
        if account.received.total() != have:
            have, last = account.received.total(), time.monotonic()
    await asyncio.sleep(settle_s)
    account.received = await uplink.received()
    return Drained(seconds=last - began, records=have - before)


class Producer:
    """Gives the records of one buffer, in the order of their numbers, while it is alive."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._numbers = count()
        self.next = 0

    def _give(self) -> None:
        self.next = next(self._numbers) + 1
        self._buffer.give(self.next - 1)

    async def at(self, rate: float, *, until: Callable[[], bool]) -> None:
        """Give `rate` records a second until told to end; those that fall into a kill are not given later."""
        due, before = 0.0, time.monotonic()
        while not until():
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            due, before = due + (now - before) * rate, now
            many, due = int(due), due % 1.0
            for _ in range(many):
                if self._buffer.alive and len(self._buffer.open) < MOST_OPEN:
                    self._give()

    async def quickly(self, *, until: Callable[[], bool]) -> None:
        """Give as many as are answered."""
        while not until():
            while self._buffer.alive and len(self._buffer.open) < WINDOW and not until():
                self._give()
            await asyncio.sleep(0)
            if len(self._buffer.open) >= WINDOW:
                await asyncio.sleep(0.0005)

    async def answered(self) -> None:
        """Wait until all is answered, or none comes."""
        until = time.monotonic() + ANSWER_S
        while self._buffer.open and time.monotonic() < until:  # noqa: ASYNC110 - a bound, not an event
            await asyncio.sleep(POLL_S)


async def killed(buffer: Buffer, uplink: Uplink, *, kills: int, rate: float, dice: random.Random) -> dict[str, object]:
    """Kill the buffer at random moments, half of them before the way to the team opens; return the account."""
    uplink.gate.shut()
    ended = asyncio.Event()
    producer = Producer(buffer)
    opened = 0
    async with asyncio.TaskGroup() as group:
        await buffer.start()
        group.create_task(producer.at(rate, until=ended.is_set))
        for number in range(kills):
            if number == (kills + 1) // 2:
                await uplink.gate.open()
                opened = producer.next
            await asyncio.sleep(dice.uniform(*BETWEEN_KILLS_S))
            await buffer.kill()
            await buffer.start()
        await asyncio.sleep(dice.uniform(*BETWEEN_KILLS_S))
        ended.set()
    await producer.answered()
    drain = await drained(buffer, uplink)
    await buffer.stop()
    return {
        **buffer.account.facts(),
        "lost_while_shut": buffer.account.lost_of(range(opened)),
        "kills": kills,
        "kills_while_shut": (kills + 1) // 2,
        "rate": rate,
        "drain_s": round(drain.seconds, 1),
    }


class Filler:
    """A file of somebody else that leaves a disk so many bytes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "filler"

    def fill(self, *, leave: int) -> None:
        free = os.statvfs(self._path.parent)
        size = free.f_bavail * free.f_frsize - leave
        with self._path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
            os.fsync(file.fileno())

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


async def filled(
    buffer: Buffer, uplink: Uplink, disk: Disk, *, rate: float, seconds: float, leave: int
) -> dict[str, object]:
    """Give records to a buffer whose disk has little room, make room, and return what became of them.

    The process is never killed here: what it lost, it lost for want of room, or of a longer queue.
    """
    uplink.gate.shut()
    filler = Filler(disk.folder)
    await buffer.start()
    producer = Producer(buffer)
    await asyncio.to_thread(filler.fill, leave=leave)
    ends = time.monotonic() + seconds
    try:
        await producer.at(rate, until=lambda: time.monotonic() > ends)
        await producer.answered()
        # Those that write what they called safe later do it while there is still no room.
        await asyncio.sleep(HELD_S)
        full = os.statvfs(disk.folder)
        safe = len(buffer.account.safe)
        given = producer.next
    finally:
        filler.remove()
    back = await _comes_back(buffer, producer)
    drain = await drained(buffer, uplink)
    await buffer.stop()
    return {
        **buffer.account.facts(),
        "told_safe_in_want": safe,
        "lost_in_want": buffer.account.lost_of(range(given)),
        "rate": rate,
        "room": leave,
        "free_at_the_end": full.f_bavail * full.f_frsize,
        "takes_again_after_s": back,
        "lost_after": buffer.account.lost_of(range(given, producer.next)),
        "drain_s": round(drain.seconds, 1),
    }


async def _comes_back(buffer: Buffer, producer: Producer) -> float | None:
    """Return after how many seconds so many further records were told safe; None: they were not."""
    wanted, began = len(buffer.account.safe) + COME_BACK, time.monotonic()

    def over() -> bool:
        return len(buffer.account.safe) >= wanted or time.monotonic() - began > COMES_BACK_S

    await producer.at(float(COME_BACK), until=over)
    await producer.answered()
    return round(time.monotonic() - began, 1) if len(buffer.account.safe) >= wanted else None


async def undisturbed(buffer: Buffer, uplink: Uplink, disk: Disk, *, rate: float, seconds: float) -> dict[str, object]:
    """Let a mere outage pass, and return what it cost: nothing fails but the way to the team.

    Bytes that reach the device a record at a fixed rate; records a second when as many are given as are taken; and
    how many a second the team gets afterwards.
    """
    uplink.gate.shut()
    await buffer.start()
    producer = Producer(buffer)
    before = await asyncio.to_thread(disk.written)
    ends = time.monotonic() + seconds
    await producer.at(rate, until=lambda: time.monotonic() > ends)
    await producer.answered()
    await asyncio.sleep(SETTLE_S)
    safe = len(buffer.account.safe)
    written = await asyncio.to_thread(disk.written) - before
    began = time.monotonic()
    await producer.quickly(until=lambda: time.monotonic() > began + seconds)
    await producer.answered()
    quick = (len(buffer.account.safe) - safe) / (time.monotonic() - began)
    drain = await drained(buffer, uplink)
    await buffer.stop()
    return {
        **buffer.account.facts(),
        "rate": rate,
        "bytes_a_record": round(written / max(safe, 1)),
        "records_a_second": round(quick),
        "drained_a_second": round(drain.records / drain.seconds) if drain.seconds else None,
    }


def dice(seed: int, name: str) -> random.Random:
    """Return the same moments for the same name and seed."""
    return random.Random(f"{seed} {name}")
