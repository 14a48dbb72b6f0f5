"""From the outbox to the team's database over a network that loses, repeats, swaps, holds back, cuts and lies."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from agent.counts import Counts
from agent.forwarder import Forwarder
from agent.presence import Presence
from agent.settings import ForwarderSettings
from agent.store import Store
from agent.store_thread import StoreThread
from coordination import inbox
from coordination.settings import read_settings
from devices.clock import SystemClock
from exchange.connection import LinkSettings
from exchange.identity import Recipient, RecipientRole, SigningKey
from exchange.link import Link
from exchange.messages import Range
from exchange.receipts import Receipt, Received
from exchange.sealing import Sealer, sign_receipt
from exchange.topics import OBSERVATIONS, RECEIPTS, topic
from simulators.broker import HOST, Broker
from simulators.proxy import Decide, Fate, Proxy, Way, Weather, puback, topic_of
from tests.agent.kit import MINUTE, START, arrivals, glucose, open_store, raised
from tests.coordination.kit import BOX, Team, rows

pytestmark = pytest.mark.broker

READINGS, ALERTS = 60, 6


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as started:
        yield started


@pytest.fixture
def team(tmp_path: Path) -> Team:
    (tmp_path / "team").mkdir()
    return Team(tmp_path / "team")


def config_of(team: Team, broker: Broker) -> Path:
    files = broker.certificates.client("inbox-1")
    return team.write_settings(
        broker=f"host = '{broker.host}'\nport = {broker.port}\nca = '{files.ca}'\n"
        f"certificate = '{files.certificate}'\nkey = '{files.key}'"
    )


@asynccontextmanager
async def box_behind(
    decide: Decide, folder: Path, team: Team, broker: Broker, *, receipt_timeout: float = 0.3
) -> AsyncIterator[tuple[StoreThread, Proxy, Sealer, Counts]]:
    """A forwarder over a store full of readings and alerts, behind a network that `decide` makes bad."""
    sealer = Sealer(box=BOX, signing_key=team.boxes[BOX], recipients=[Recipient.of(team.opening, RecipientRole.TEAM)])
    files, clock, counts = broker.certificates.client(BOX), SystemClock(), Counts()
    async with AsyncExitStack() as stack:
        store = StoreThread()
        await store.open(lambda: open_store(folder / "box.db"))
        stack.push_async_callback(store.close)
        for number in range(READINGS):
            readings = arrivals(glucose("100", 5 * number))
            await store.call(Store.accept, readings, sealer, now_ms=START + number * 5 * MINUTE)
        for number in range(ALERTS):
            await store.call(Store.keep_technical, raised().patient, [raised(number + 1)], sealer, now_ms=START)
        proxy = await stack.enter_async_context(Proxy(broker, files, decide))
        presence = Presence(
            box=BOX,
            epoch=await store.call(Store.this_epoch),
            version="0.1.0",
            signing_key=team.boxes[BOX],
            clock=clock,
        )
        settings = LinkSettings(
            host=HOST,
            port=proxy.port,
            client_id=BOX,
            ca=files.ca,
            certificate=files.certificate,
            key=files.key,
            session_expiry_s=60,
            clean_start=False,
            will=presence.will,
            retry_first_s=0.02,
            retry_cap_s=0.1,
            answer_timeout_s=0.4,
        )
        link = await stack.enter_async_context(Link(settings))
        forwarder = Forwarder(
            store=store,
            link=link,
            box=BOX,
            signers={team.receipt.id: team.receipt.public},
            settings=ForwarderSettings(receipt_timeout=receipt_timeout, heartbeat=60.0),
            presence=presence,
            clock=clock,
            counts=counts,
        )
        work = asyncio.create_task(forwarder.run())
        try:
            yield store, proxy, sealer, counts
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work


async def until_all_is_receipted(store: StoreThread, within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while (await store.call(Store.backlog))[1]:
            await asyncio.to_thread(time.sleep, 0.02)


@pytest.mark.parametrize(
    "shares",
    [
        {Fate.DROP: 0.15},
        {Fate.TWICE: 0.5},
        {Fate.LATER: 0.5},
        {Fate.SWALLOW: 0.12},
        {Fate.CUT: 0.1},
        {Fate.DROP: 0.05, Fate.TWICE: 0.2, Fate.LATER: 0.2, Fate.SWALLOW: 0.1, Fate.CUT: 0.04},
    ],
    ids=lambda shares: "+".join(fate.name.lower() for fate in shares),
)
async def test_all_arrives_once_whatever_the_network_does(
    shares: dict[Fate, float], tmp_path: Path, team: Team, broker: Broker
) -> None:
    work = asyncio.create_task(inbox.run(read_settings(config_of(team, broker)), SystemClock()))
    weather = Weather(seed=7, shares=shares)
    try:
        async with box_behind(weather, tmp_path, team, broker) as (store, proxy, _, _):
            await until_all_is_receipted(store)
            assert all(proxy.befell[fate] for fate in shares), "it did befall them"
    finally:
        work.cancel()
        await asyncio.wait([work])
    assert rows(team.database, "SELECT count(*), count(DISTINCT seq) FROM observation") == [(READINGS, READINGS)]
    assert rows(team.database, "SELECT count(*) FROM alert_event") == [(ALERTS,)]
    assert rows(team.database, "SELECT first, last FROM received_range") == [(0, READINGS + ALERTS - 1)]
    assert rows(team.database, "SELECT count(*) FROM inbox_dead_letter_count") == [(0,)]


async def test_pubacks_free_nothing_when_no_team_is_there(tmp_path: Path, team: Team, broker: Broker) -> None:
    """Whoever stands for the broker acknowledges everything, and the team sees none of it."""

    def swallow(way: Way, packet: bytes) -> Fate:
        return Fate.SWALLOW if way is Way.UP and topic_of(packet) != topic(BOX, "status") else Fate.PASS

    async with box_behind(swallow, tmp_path, team, broker, receipt_timeout=0.05) as (store, proxy, _, _):
        async with asyncio.timeout(30):
            while proxy.befell[Fate.SWALLOW] < 3 * (READINGS + ALERTS) // 2:
                await asyncio.to_thread(time.sleep, 0.01)
        assert await store.call(Store.backlog) == (READINGS + ALERTS, READINGS + ALERTS)
        # The lie ends, and a team is there: it all arrives.
        proxy.decide = lambda _way, _packet: Fate.PASS
        work = asyncio.create_task(inbox.run(read_settings(config_of(team, broker)), SystemClock()))
        try:
            await until_all_is_receipted(store)
        finally:
            work.cancel()
            await asyncio.wait([work])
    assert rows(team.database, "SELECT count(*) FROM observation") == [(READINGS,)]


async def test_receipts_forged_in_every_way_free_nothing(tmp_path: Path, team: Team, broker: Broker) -> None:
    """What somebody who owns the broker could send: no key of the team's is in the broker."""
    async with box_behind(lambda _way, _packet: Fate.PASS, tmp_path, team, broker) as (store, _, _, counts):
        epoch = await store.call(Store.this_epoch)
        files = broker.certificates.client("inbox-1")
        settings = LinkSettings(
            host=broker.host,
            port=broker.port,
            client_id="forger",
            ca=files.ca,
            certificate=files.certificate,
            key=files.key,
            session_expiry_s=0,
            clean_start=True,
        )

        def receipt(box: str = BOX, of_epoch: str = epoch) -> Receipt:
            every = Range(first=0, last=READINGS + ALERTS - 1)
            return Receipt(box=box, epochs=(Received(epoch=of_epoch, ranges=(every,), high=every.last),), at=START)

        good = sign_receipt(receipt(), team.receipt)
        stranger = SigningKey.generate()
        forged = {
            "receipt.signer": sign_receipt(receipt(), stranger),
            "receipt.signature": bytes.fromhex(team.receipt.id) + sign_receipt(receipt(), stranger)[8:],
            "receipt.box": sign_receipt(receipt(box="box-0002"), team.receipt),
            "receipt.other_epoch": sign_receipt(receipt(of_epoch="0" * 32), team.receipt),
            "receipt.malformed": good[:20],
        }
        async with Link(settings) as forger, asyncio.timeout(30):
            await forger.wait_connected()
            for name, data in forged.items():
                while not counts.seen(name):
                    await forger.publish(topic(BOX, RECEIPTS), data)
                    await asyncio.to_thread(time.sleep, 0.01)
            # A status or an envelope of the box's own, sent back as a receipt.
            await forger.publish(topic(BOX, RECEIPTS), (await store.call(Store.waiting, limit=1))[0].body)
            while counts.seen("receipt.malformed") + counts.seen("receipt.signer") < 3:
                await asyncio.to_thread(time.sleep, 0.01)
        assert (await store.call(Store.backlog))[1] == READINGS + ALERTS


def test_the_proxy_reads_the_packets_that_it_touches() -> None:
    name = topic(BOX, OBSERVATIONS).encode()
    rest = len(name).to_bytes(2, "big") + name + b"\x12\x34" + b"\x00" + bytes(300)
    packet = b"\x32" + bytes(((len(rest) & 0x7F) | 0x80, len(rest) >> 7)) + rest
    assert topic_of(packet) == topic(BOX, OBSERVATIONS)
    assert puback(packet) == b"\x40\x02\x12\x34"
