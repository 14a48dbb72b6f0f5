"""Whoever keeps the broker, reads every byte that passes and every file it leaves, learns nothing of a patient.

A whole simulated day of box and inbox over the real broker, with somebody who may read everything there. What is
looked for is everything that the team has at the end: values, patients, devices, rules, protocols, sentences, each as
text, as it is encoded, in hexadecimal, in base64 and compressed.
"""

import asyncio
import base64
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from coordination.view import View
from devices.reading import Quantity, facts
from exchange.connection import LinkSettings
from exchange.link import Link
from exchange.messages import Status
from exchange.sealing import BUCKETS, Header
from exchange.topics import ALERTS, OBSERVATIONS, RECEIPTS, STATUS, topic
from simulators.clock import AcceleratedClock
from simulators.demo import Demonstration
from simulators.show import START
from simulators.world import BOX, PROTOCOLS, World, WorldSettings

pytestmark = [pytest.mark.process, pytest.mark.broker, pytest.mark.radio, pytest.mark.long]

SPEED = 14_400.0
SHORTEST = 6
"""Bytes of what is looked for: shorter ones turn up in what is random."""


# --- looking ------------------------------------------------------------------------------------------------


def forms(word: bytes) -> Iterator[bytes]:
    """Yield a word as it may be written; of base64 what is the same wherever the word begins."""
    yield word
    yield word.hex().encode()
    yield word.hex().upper().encode()
    for before in range(3):
        for coded in (base64.b64encode, base64.urlsafe_b64encode):
            text = coded(bytes(before) + word)
            # The first and last groups depend on what stands beside the word.
            yield text[4 if before else 0 : len(text) // 4 * 4 - 4]


def unpacked(data: bytes) -> Iterator[bytes]:
    """Yield what any part of `data` that begins like zlib, or like a raw deflate of text, unpacks to."""
    for place in range(len(data) - 8):
        if data[place] & 0x0F == 8 and int.from_bytes(data[place : place + 2], "big") % 31 == 0:
            yield _inflated(data[place:], zlib.MAX_WBITS)
        if data[place : place + 2] == b"\x1f\x8b":
            yield _inflated(data[place:], zlib.MAX_WBITS | 16)


def _inflated(data: bytes, bits: int) -> bytes:
    try:
        return zlib.decompressobj(bits).decompress(data, 4096)
    except zlib.error:
        return b""


def found(words: Iterable[bytes], data: bytes) -> set[bytes]:
    """Return the words that are in `data`, in whatever form."""
    wanted = {form: word for word in words if len(word) >= SHORTEST for form in forms(word) if len(form) >= SHORTEST}
    places = [data, *(part for part in unpacked(data) if part)]
    return {word for form, word in wanted.items() if any(form in place for place in places)}


@pytest.mark.parametrize(
    "hide",
    [
        lambda word: word,
        lambda word: word.hex().encode(),
        lambda word: base64.b64encode(b"?" + word + b"!"),
        lambda word: base64.urlsafe_b64encode(b"??" + word + b"!"),
        base64.b64encode,
        lambda word: zlib.compress(b"before" + word),
        lambda word: zlib.compress(word.hex().encode()),
        lambda word: zlib.compress(word, wbits=31),
        lambda word: msgspec.msgpack.encode({"patient": word.decode()}),
    ],
)
def test_what_is_hidden_in_a_simple_way_would_be_found(hide: object) -> None:
    assert callable(hide)
    noise = bytes(range(256)) * 4
    assert found([b"patient-7f3a"], noise + hide(b"patient-7f3a") + noise) == {b"patient-7f3a"}
    assert found([b"patient-7f3a"], noise + hide(b"patient-21c8") + noise) == set()


# --- a day --------------------------------------------------------------------------------------------------


@dataclass
class Spy:
    """Everything that passed the broker, and everything that it left on its disk."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    async def listen(self, link: Link) -> None:
        async for message in link.messages():
            self.messages.append((message.topic, message.payload))
            message.acknowledge()

    def of(self, channel: str) -> list[bytes]:
        return [payload for name, payload in self.messages if name == topic(BOX, channel)]

    @property
    def everything(self) -> bytes:
        passed = b"".join(name.encode() + b"\x00" + payload for name, payload in self.messages)
        return passed + b"".join(self.files.values())


def spying(world: World) -> LinkSettings:
    acl = world.folder / "broker" / "acl"
    acl.write_text(acl.read_text(encoding="utf-8") + "\nuser spy\ntopic read #\n", encoding="utf-8")
    files = world.broker.certificates.client("spy")
    return LinkSettings(
        host=world.broker.host,
        port=world.broker.port,
        client_id="spy",
        ca=files.ca,
        certificate=files.certificate,
        key=files.key,
        session_expiry_s=0,
        clean_start=True,
        receive_maximum=1000,
    )


async def a_day(folder: Path) -> Spy:
    spy = Spy()
    clock = AcceleratedClock.starting_now(start_ms=round(START.timestamp() * 1000), speed=SPEED)
    demonstration = Demonstration(WorldSettings(folder=folder, clock=clock, days=1), say=lambda *_: None)
    async with demonstration.world as world:
        settings = spying(world)
        await asyncio.to_thread(world.broker.start)
        async with Link(settings) as link:
            await link.subscribe(["#"])
            await link.wait_connected()
            listening = asyncio.create_task(spy.listen(link))
            await world.start()
            await asyncio.sleep(clock.seconds_until(clock.now_ms() + 86_400_000))
            await world.home.tell({"stop_taking": True})
            await demonstration._flush()
            assert world.stored() == len(set(demonstration._taken())) > 0
            listening.cancel()
            await asyncio.wait([listening])
        await world.stop()
        places = [path for path in (folder / "broker").rglob("*") if path.is_file()]
        spy.files = {str(path): path.read_bytes() for path in places}
    return spy


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Spy]:
    folder = tmp_path_factory.mktemp("day")
    return folder, asyncio.run(a_day(folder))


def secrets_of(folder: Path) -> dict[str, set[bytes]]:
    """Everything about the patients that the team has at the end, and how it was encoded on its way."""
    view = View(folder / "desk.db")
    try:
        readings, alerts = list(view.readings()), list(view.alerts())
    finally:
        view.close()
    values = {f"{reading.value} {reading.unit}" for reading in readings}
    counts = {round(reading.value / facts(reading.quantity).quantum) for reading in readings}
    sentences = [sentence for alert in alerts for sentence in (alert.why.fr, alert.why.en)]
    connection = sqlite3.connect(folder / "desk.db")
    frames = {bytes(frame) for (frame,) in connection.execute("SELECT frame FROM observation") if frame}
    connection.close()
    return {
        "patients": {name.encode() for name in PROTOCOLS},
        "values": {value.encode() for value in values}
        | {b"\xa5count" + msgspec.msgpack.encode(count) for count in counts}
        | {f'"count":{count}'.encode() for count in counts},
        "frames": frames,
        "devices": {reading.device.encode() for reading in readings}
        | {bytes.fromhex(reading.device.replace(":", "")) for reading in readings if reading.device.count(":") == 5},
        "times": {msgspec.msgpack.encode(reading.measured_at) for reading in readings},
        "keys": {reading.key.encode() for reading in readings},
        "quantities": {quantity.value.encode() for quantity in Quantity},
        "rules": {alert.rule.encode() for alert in alerts},
        "alerts": {alert.id.encode() for alert in alerts} | {bytes.fromhex(alert.id) for alert in alerts},
        "protocols": {alert.protocol.encode() for alert in alerts}
        | {alert.protocol_hash.encode() for alert in alerts}
        | {name.encode() for name in PROTOCOLS.values()},
        "sentences": {
            word.encode() for sentence in sentences for word in sentence.split() if len(word) > 7 and word != BOX
        },
    }


def test_no_byte_that_passed_or_stayed_says_anything_of_a_patient(day: tuple[Path, Spy]) -> None:
    folder, spy = day
    secrets = secrets_of(folder)
    for kind in ("values", "devices", "keys", "rules", "frames", "sentences"):
        assert secrets[kind], kind
    assert len(spy.of(OBSERVATIONS)) > 20
    assert spy.of(ALERTS)
    assert spy.of(RECEIPTS)
    assert any(path.endswith("mosquitto.log") for path in spy.files)
    everything = spy.everything
    assert {kind: found(words, everything) for kind, words in secrets.items()} == {kind: set() for kind in secrets}


def test_sizes_fall_into_buckets_and_headers_say_only_what_their_form_allows(day: tuple[Path, Spy]) -> None:
    _, spy = day
    envelopes = [*spy.of(OBSERVATIONS), *spy.of(ALERTS)]
    assert {len(envelope) for envelope in envelopes} <= set(BUCKETS)
    for envelope in envelopes:
        header = msgspec.msgpack.decode(envelope[2 : 2 + int.from_bytes(envelope[:2], "big")], type=Header)
        assert header.box == BOX


def test_topics_name_the_box_and_the_status_says_nothing_of_whom_it_serves(day: tuple[Path, Spy]) -> None:
    _, spy = day
    channels = {name.removeprefix(f"veilleur/v1/{BOX}/") for name, _ in spy.messages}
    assert channels <= {OBSERVATIONS, ALERTS, STATUS, RECEIPTS, "cmd", "cmdack"}
    statuses = [msgspec.msgpack.decode(payload[8:-64], type=Status) for payload in spy.of(STATUS)]
    assert statuses
    assert {status.box for status in statuses} == {BOX}
    assert all(not getattr(status, "protocols", {}) for status in statuses)
