"""A box and the inbox over a real mosquitto with mutual TLS and the shipped ACL."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from coordination import inbox
from coordination.settings import read_settings
from devices.clock import SystemClock
from exchange.connection import LinkSettings
from exchange.errors import LinkError
from exchange.link import Link
from exchange.receipts import Receipt
from exchange.sealing import verify_receipt
from exchange.topics import OBSERVATIONS, RECEIPTS, topic
from simulators.broker import Broker
from tests.coordination.kit import BOX, OTHER_BOX, Team, glucose, rows

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as started:
        yield started


def _settings(team: Team, broker: Broker) -> Path:
    files = broker.certificates.client("inbox-1")
    return team.write_settings(
        broker=f"host = '{broker.host}'\nport = {broker.port}\nca = '{files.ca}'\n"
        f"certificate = '{files.certificate}'\nkey = '{files.key}'"
    )


class Box:
    """A box that sends every envelope until it is receipted, as the forwarder does, only faster."""

    def __init__(self, team: Team, line: Link, name: str, count: int) -> None:
        self.name = name
        self.envelopes = {
            number: team.seal(number, [glucose(number, patient="patient-7f3a")], box=name) for number in range(count)
        }
        self.waiting = set(self.envelopes)
        self.receipts: list[Receipt] = []
        self._team = team
        self.line = line
        self._receipted = asyncio.Condition()

    async def until_waiting(self, at_most: int) -> None:
        """Send what waits, twenty at a time, until no more than `at_most` envelopes have no receipt."""
        while len(self.waiting) > at_most:
            await self.line.wait_connected()
            with suppress(LinkError):
                for number in sorted(self.waiting)[:20]:
                    await self.line.publish(topic(self.name, OBSERVATIONS), self.envelopes[number])
            before = len(self.waiting)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2), self._receipted:
                    await self._receipted.wait_for(lambda before=before: len(self.waiting) < before)  # type: ignore[misc]

    async def listen(self) -> None:
        async for message in self.line.messages():
            signers = {self._team.receipt.id: self._team.receipt.public}
            receipt = verify_receipt(message.payload, box=self.name, signers=signers)
            self.receipts.append(receipt)
            for part in receipt.epochs[0].ranges:
                self.waiting -= set(range(part.first, part.last + 1))
            message.acknowledge()
            async with self._receipted:
                self._receipted.notify_all()


def link_settings(broker: Broker, name: str, **other: Any) -> LinkSettings:
    files = broker.certificates.client(name)
    return LinkSettings(
        host=broker.host,
        port=broker.port,
        client_id=name,
        ca=files.ca,
        certificate=files.certificate,
        key=files.key,
        session_expiry_s=0,
        clean_start=True,
        **other,
    )


@asynccontextmanager
async def connected(team: Team, broker: Broker, name: str, count: int) -> AsyncIterator[Box]:
    async with Link(link_settings(broker, name)) as line:
        box = Box(team, line, name, count)
        await line.subscribe([topic(name, RECEIPTS)])
        listening = asyncio.create_task(box.listen())
        try:
            yield box
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            if not listening.cancelled():
                listening.result()


async def test_what_a_box_seals_is_in_the_teams_database_and_the_box_can_prove_it(team: Team, broker: Broker) -> None:
    settings = read_settings(_settings(team, broker))
    work = asyncio.create_task(inbox.run(settings, SystemClock()))
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(connected(team, broker, BOX, 60))
        second = await stack.enter_async_context(connected(team, broker, OTHER_BOX, 5))
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for box in (first, second):
                group.create_task(box.until_waiting(0))
        assert {receipt.box for receipt in first.receipts} == {BOX}
        assert first.receipts[-1].epochs[0].high == 59
    work.cancel()
    await asyncio.wait([work])
    assert rows(team.database, "SELECT count(*), count(DISTINCT seq), min(seq), max(seq) FROM observation") == [
        (60, 60, 0, 59)
    ]
    assert rows(team.database, "SELECT name, count(*) FROM to_attribute JOIN box ON box.id = box_id GROUP BY name") == [
        (OTHER_BOX, 5)
    ]


@pytest.mark.process
async def test_a_killed_inbox_loses_nothing_and_stores_nothing_twice(team: Team, broker: Broker) -> None:
    config = _settings(team, broker)

    async def start() -> Process:
        code = "from coordination.cli import main; main()"
        return await asyncio.create_subprocess_exec(sys.executable, "-c", code, "inbox", "--config", str(config))

    count = 150
    process = await start()
    try:
        async with asyncio.timeout(90), connected(team, broker, BOX, count) as box:
            for left in (110, 70, 30):
                await box.until_waiting(left)
                sending = asyncio.create_task(box.until_waiting(left - 20))
                process.send_signal(signal.SIGKILL)
                assert await process.wait() == -signal.SIGKILL
                process = await start()
                await sending
            await box.until_waiting(0)
            assert {part.last for receipt in box.receipts for part in receipt.epochs[0].ranges} <= set(range(count))
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert rows(team.database, "SELECT count(*), count(DISTINCT seq), min(seq), max(seq) FROM observation") == [
        (count, count, 0, count - 1)
    ]
    assert rows(team.database, "SELECT first, last FROM received_range") == [(0, count - 1)]
    assert rows(team.database, "SELECT count(*) FROM inbox_dead_letter_count") == [(0,)]
