"""From the outbox to the team and back: only a receipt that the team signed frees an entry."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agent.counts import Counts
from agent.forwarder import Forwarder
from agent.on_the_way import FIRST_CREDIT
from agent.presence import Presence
from agent.settings import ForwarderSettings
from agent.store import Store
from agent.store_thread import StoreThread
from devices.clock import SystemClock
from exchange.connection import LinkSettings
from exchange.identity import SigningKey
from exchange.link import Link
from exchange.messages import ObservationRecord, Range, Status
from exchange.receipts import Credit, Receipt, Received
from exchange.sealing import sign_receipt, verify_receipt, verify_status
from exchange.topics import ALERTS, OBSERVATIONS, RECEIPTS, STATUS, every_box, topic
from simulators.broker import Broker
from tests.agent.kit import BOX, PATIENT, START, Desk, arrivals, glucose, open_store, raised

pytestmark = pytest.mark.broker

TEAM = SigningKey.generate()
BOX_KEY = SigningKey.generate()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as started:
        yield started


def link_to(broker: Broker, name: str, *, presence: Presence | None = None) -> Link:
    files = broker.certificates.client(name)
    return Link(
        LinkSettings(
            host=broker.host,
            port=broker.port,
            client_id=name,
            ca=files.ca,
            certificate=files.certificate,
            key=files.key,
            session_expiry_s=0,
            clean_start=True,
            will=None if presence is None else presence.will,
            retry_first_s=0.05,
            retry_cap_s=0.2,
        )
    )


@dataclass
class Scene:
    """A forwarder that runs, and the team's end of the link."""

    store: StoreThread
    forwarder: Forwarder
    team: Link
    epoch: str
    counts: Counts
    heard: list[tuple[Receipt, bytes]]
    received: asyncio.Queue[tuple[str, bytes]] = field(default_factory=asyncio.Queue)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self, desk: Desk, *values: str) -> None:
        """Keep readings and say so, as the pipeline does."""
        first = (await self.store.call(Store.backlog))[0]
        readings = [glucose(value, 5 * (first + number)) for number, value in enumerate(values)]
        await self.store.call(Store.accept, arrivals(*readings), desk.sealer, now_ms=START)
        self.forwarder.kick()

    async def alert(self, desk: Desk) -> None:
        """Keep an alert, as judging does."""
        now = (await self.store.call(Store.backlog))[0]
        change = replace(raised(), alert_id=f"{now:032x}")
        await self.store.call(Store.keep_technical, PATIENT, [change], desk.sealer, now_ms=START)
        self.forwarder.kick()

    async def anything(self, desk: Desk) -> tuple[str, int]:
        """Return the channel and first sequence number of the next envelope."""
        async with asyncio.timeout(10):
            while True:
                name, payload = await self.received.get()
                channel = name.rsplit("/", 1)[1]
                if name.startswith(topic(BOX, "")) and channel != STATUS:
                    return channel, desk.opener.open(payload, box=BOX).header.first

    async def first_of(self, channel: str, desk: Desk) -> int:
        """Return the first sequence number of the next envelope of a channel."""
        return desk.opener.open(await self.next(channel), box=BOX).header.first

    async def online(self) -> None:
        """Let the forwarder begin."""
        self.begun.set()

    async def next(self, channel: str) -> bytes:
        """Return the next message of a channel; the others are passed over."""
        async with asyncio.timeout(10):
            while True:
                name, payload = await self.received.get()
                if name == topic(BOX, channel):
                    return payload

    async def birth(self) -> Status:
        """Return what this box says once it hears receipts; the broker still holds what those of earlier tests said."""
        while True:
            said = verify_status(await self.next(STATUS), box=BOX, signer_of=lambda _box, _signer: BOX_KEY.public)
            if (said.state, said.epoch) == ("online", self.epoch):
                return said

    async def receipt(
        self,
        *ranges: tuple[int, int],
        key: SigningKey = TEAM,
        epoch: str | None = None,
        at: int = START,
        credit: Credit | None = None,
    ) -> None:
        """Send a receipt."""
        receipt = Receipt(
            box=BOX,
            epochs=(
                Received(
                    epoch=epoch or self.epoch,
                    ranges=tuple(Range(first, last) for first, last in ranges),
                    high=max(last for _, last in ranges),
                ),
            ),
            at=at,
            credit=credit,
        )
        await self.team.publish(topic(BOX, RECEIPTS), sign_receipt(receipt, key))

    async def until_counted(self, name: str) -> None:
        """Return when something refused was counted."""
        async with asyncio.timeout(10):
            while not self.counts.seen(name):
                await self.store.call(Store.backlog)

    async def until_freed(self) -> None:
        """Return when nothing waits."""
        async with asyncio.timeout(10):
            while (await self.store.call(Store.backlog))[1]:
                pass


@asynccontextmanager
async def scene(
    path: Path, broker: Broker, *, receipt_timeout: float = 30.0, online: bool = True
) -> AsyncIterator[Scene]:
    store = StoreThread()
    await store.open(lambda: open_store(path))
    epoch = await store.call(Store.this_epoch)
    clock = SystemClock()
    presence = Presence(box=BOX, epoch=epoch, version="0.1.0", signing_key=BOX_KEY, clock=clock)
    heard: list[tuple[Receipt, bytes]] = []

    async def hear(receipt: Receipt, proof: bytes) -> None:
        heard.append((receipt, proof))

    async with link_to(broker, "inbox-1") as team, link_to(broker, BOX, presence=presence) as link:
        await team.subscribe([every_box(OBSERVATIONS), every_box(ALERTS), every_box(STATUS)])
        await team.wait_connected()
        forwarder = Forwarder(
            store=store,
            link=link,
            box=BOX,
            signers={TEAM.id: TEAM.public},
            settings=ForwarderSettings(receipt_timeout=receipt_timeout, heartbeat=60.0),
            presence=presence,
            clock=clock,
            counts=(counts := Counts()),
            heard=hear,
        )
        stage = Scene(store=store, forwarder=forwarder, team=team, epoch=epoch, counts=counts, heard=heard)

        async def listen() -> None:
            async for message in team.messages():
                message.acknowledge()
                stage.received.put_nowait((message.topic, message.payload))

        async def forward() -> None:
            await stage.begun.wait()
            await forwarder.run()

        if online:
            await stage.online()
        tasks = [asyncio.create_task(forward()), asyncio.create_task(listen())]
        try:
            yield stage
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if ended is not None and not isinstance(ended, asyncio.CancelledError):
                    raise ended
            await store.close()


async def test_an_entry_is_freed_by_the_teams_receipt(tmp_path: Path, broker: Broker, desk: Desk) -> None:
    async with scene(tmp_path / "box.db", broker) as stage:
        await stage.keep(desk, "100", "101")
        envelope = await stage.next(OBSERVATIONS)
        assert len(desk.records(envelope)) == 2
        assert (await stage.store.call(Store.backlog))[1] == 2
        await stage.receipt((0, 1))
        await stage.until_freed()


async def test_a_forged_receipt_frees_nothing_and_is_counted(tmp_path: Path, broker: Broker, desk: Desk) -> None:
    async with scene(tmp_path / "box.db", broker) as stage:
        await stage.keep(desk, "100")
        await stage.next(OBSERVATIONS)
        await stage.receipt((0, 0), key=SigningKey.generate())
        await stage.until_counted("receipt.signer")
        await stage.receipt((0, 0), epoch="0" * 32)
        await stage.until_counted("receipt.other_epoch")
        await stage.team.publish(topic(BOX, RECEIPTS), b"\xff not a receipt")
        await stage.until_counted("receipt.malformed")
        assert (await stage.store.call(Store.backlog))[1] == 1
        await stage.receipt((0, 0))
        await stage.until_freed()


async def test_a_receipt_from_before_the_team_lost_what_it_had_frees_nothing(
    tmp_path: Path, broker: Broker, desk: Desk
) -> None:
    async with scene(tmp_path / "box.db", broker) as stage:
        await stage.keep(desk, "100")
        await stage.next(OBSERVATIONS)
        # The team's database was restored, and asked for what it lacks.
        await stage.store.call(Store.distrust_receipts_before, START + 1000)
        await stage.receipt((0, 0), at=START + 999)
        await stage.until_counted("receipt.outdated")
        assert (await stage.store.call(Store.backlog))[1] == 1
        await stage.store.call(Store.distrust_receipts_before, START)
        await stage.receipt((0, 0), at=START + 999)
        await stage.receipt((0, 0), at=START + 1000)
        await stage.until_freed()


async def test_one_receipt_may_speak_of_several_epochs(tmp_path: Path, broker: Broker, desk: Desk) -> None:
    async with scene(tmp_path / "box.db", broker) as stage:
        await stage.keep(desk, "100", "101")
        await stage.next(OBSERVATIONS)
        parts = [Received(epoch=epoch, ranges=(Range(0, 1),), high=1) for epoch in ("0" * 32, "f" * 32, stage.epoch)]
        await stage.team.publish(
            topic(BOX, RECEIPTS), sign_receipt(Receipt(box=BOX, epochs=tuple(parts), at=START), TEAM)
        )
        await stage.until_freed()
        assert stage.counts.take()["receipt.other_epoch"] == 2


async def test_readings_wait_for_the_teams_credit_and_alerts_never(tmp_path: Path, broker: Broker, desk: Desk) -> None:
    async with scene(tmp_path / "box.db", broker, online=False) as stage:
        for number in range(12):
            await stage.keep(desk, str(100 + number))
        await stage.online()
        first = [await stage.first_of(OBSERVATIONS, desk) for _ in range(FIRST_CREDIT)]
        assert first == [11, 10, 9, 8], "the newest first, no more than may leave before the team has said anything"
        await stage.alert(desk)
        assert await stage.first_of(ALERTS, desk) == 12
        await stage.receipt((8, 11), credit=Credit(envelopes=2, size=1 << 20))
        assert [await stage.first_of(OBSERVATIONS, desk) for _ in range(2)] == [7, 6]
        await stage.receipt((6, 6), credit=Credit(envelopes=1, size=1 << 20))
        await stage.alert(desk)
        # The alert overtakes: one envelope is on its way, and the credit is one.
        assert await stage.anything(desk) == (ALERTS, 13)
        await stage.receipt((7, 7), (12, 13), credit=Credit(envelopes=200, size=1 << 20))
        assert [await stage.first_of(OBSERVATIONS, desk) for _ in range(6)] == [5, 4, 3, 2, 1, 0]
        await stage.receipt((0, 5))
        await stage.until_freed()


async def test_what_has_no_receipt_is_sent_again_and_the_same(tmp_path: Path, broker: Broker, desk: Desk) -> None:
    async with scene(tmp_path / "box.db", broker, receipt_timeout=0.05) as stage:
        await stage.keep(desk, "100")
        assert await stage.next(OBSERVATIONS) == await stage.next(OBSERVATIONS) == await stage.next(OBSERVATIONS)


async def test_what_waited_while_the_broker_was_dead_goes_out_when_it_is_back(
    tmp_path: Path, broker: Broker, desk: Desk
) -> None:
    async with scene(tmp_path / "box.db", broker) as stage:
        await stage.birth()
        broker.kill()
        await stage.keep(desk, "100")
        await asyncio.to_thread(broker.start)
        envelope = await stage.next(OBSERVATIONS)
        assert [record.patient for record in desk.records(envelope) if isinstance(record, ObservationRecord)] == [
            "patient-7f3a"
        ]


async def test_birth_says_what_the_box_is_and_a_will_belongs_to_its_session(
    tmp_path: Path, broker: Broker, desk: Desk
) -> None:
    def verified(payload: bytes) -> Status:
        return verify_status(payload, box=BOX, signer_of=lambda _box, _signer: BOX_KEY.public)

    async with scene(tmp_path / "box.db", broker) as stage:
        await stage.keep(desk, "100", "101", "102")
        birth = await stage.birth()
    # Whoever keeps the broker must not learn who is followed for what.
    assert birth.protocols == {}
    presence = Presence(box=BOX, epoch=stage.epoch, version="0.1.0", signing_key=BOX_KEY, clock=SystemClock())
    _, first_will = presence.will()
    _, second_will = presence.will()
    online = verified(presence.online(next_seq=7, backlog=2))
    assert online.session == verified(second_will).session != verified(first_will).session
    assert (online.next_seq, online.backlog, online.state) == (7, 2, "online")
    assert verified(first_will).state == "offline"


async def test_what_the_team_has_seen_of_the_acts_is_heard_in_its_receipts_only_also_for_another_epoch(
    tmp_path: Path, broker: Broker, desk: Desk
) -> None:
    async with scene(tmp_path / "box.db", broker) as stage:
        await stage.birth()
        await stage.keep(desk, "100")
        await stage.receipt((0, 0), key=SigningKey.generate())
        await stage.until_counted("receipt.signer")
        await stage.receipt((0, 0), epoch="0" * 32)
        await stage.until_counted("receipt.other_epoch")
        await stage.receipt((0, 0))
        await stage.until_freed()
        assert [part.epoch for receipt, _ in stage.heard for part in receipt.epochs] == ["0" * 32, stage.epoch]
        for receipt, proof in stage.heard:
            assert verify_receipt(proof, box=BOX, signers={TEAM.id: TEAM.public}) == receipt
