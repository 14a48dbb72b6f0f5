"""A receipt waits for the link as long as its box waits for it."""

import asyncio
from pathlib import Path

import pytest

from coordination import receipts_out
from coordination.database import SignedReceipt
from exchange.connection import LinkSettings
from exchange.errors import LinkError
from exchange.link import Link
from exchange.topics import RECEIPTS, topic

RECEIPT = SignedReceipt(box="box-0001", data=b"signed")


class Line(Link):
    """A link that goes up and down by hand."""

    def __init__(self) -> None:
        nowhere = Path("/nonexistent")
        super().__init__(
            LinkSettings(
                host="127.0.0.1",
                port=1,
                client_id="inbox",
                ca=nowhere,
                certificate=nowhere,
                key=nowhere,
                session_expiry_s=0,
                clean_start=True,
            )
        )
        self.made = 0
        self.sent: list[tuple[str, bytes]] = []
        self.tried = 0
        self.fails: list[LinkError] = []
        self._moved = asyncio.Event()

    def up(self) -> None:
        self.made += 1
        self._moved.set()

    async def wait_generation_after(self, seen: int) -> int:
        while self.made <= seen:
            self._moved.clear()
            await self._moved.wait()
        return self.made

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        assert not retain
        self.tried += 1
        if self.fails:
            raise self.fails.pop()
        self.sent.append((topic, payload))
        return 0


async def test_a_receipt_leaves_when_the_link_is_up_and_again_when_it_broke() -> None:
    line = Line()
    line.fails = [LinkError("the link broke")]
    sending = asyncio.create_task(receipts_out.send(line, RECEIPT))
    await asyncio.sleep(0.01)
    assert line.tried == 0
    line.up()
    await asyncio.sleep(0.01)
    assert (line.tried, line.sent) == (1, []), "nor is it tried again over the link that broke"
    line.up()
    await sending
    assert line.sent == [(topic("box-0001", RECEIPTS), b"signed")]


async def test_a_receipt_that_the_broker_refuses_is_dropped_at_once() -> None:
    line = Line()
    line.up()
    line.fails = [LinkError("refused", reason_code=0x87)]
    async with asyncio.timeout(5):
        await receipts_out.send(line, RECEIPT)
    assert (line.tried, line.sent) == (1, [])


async def test_a_receipt_is_not_waited_with_for_longer_than_its_box_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts_out, "WAITS_S", 0.02)
    line = Line()
    async with asyncio.timeout(5):
        await receipts_out.send(line, RECEIPT)
    assert line.tried == 0
