import asyncio
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devices.reading import Reading
from devices.relay import RelaySource
from devices.relay_address import RelayAddress, RelayForm
from devices.relay_history import RelayPatience
from devices.relay_http import RelayRefusedError, RelayUnreachableError, fetch
from devices.source import Batch, DeviceEvent, DeviceEventKind, DeviceFacts
from simulators.relay_server import RelayFaults, RelayServer, SimulatedValue

NOW = 1_795_334_400_000  # 2026-11-22T08:00:00Z
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
QUICK = RelayPatience(interval=0.001, timeout=5.0, first=0.001, cap=0.002, unreachable_after=0.0)
FORMS = pytest.mark.parametrize("form", list(RelayForm))


class Wrist:
    """A clock that shows what it is set to."""

    def __init__(self) -> None:
        self.now = NOW

    def now_ms(self) -> int:
        return self.now

    def seconds_until(self, at_ms: int) -> float:
        return max(0.0, (at_ms - self.now) / 1000)


@dataclass
class Keeper:
    """A box that keeps what one relay says, and stops when it has seen enough."""

    server: RelayServer
    clock: Wrist
    kept: dict[str, Reading] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    events: list[DeviceEvent] = field(default_factory=list)
    facts: list[DeviceFacts] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    patience: RelayPatience = QUICK

    def source(self, **shown: Any) -> RelaySource:
        return RelaySource(
            RelayAddress(self.server.url, **shown),
            device="relay:test",
            zone=ZoneInfo("Europe/Paris"),
            clock=self.clock,
            resume=lambda: max((one.measured_at for one in self.kept.values()), default=None),
            patience=self.patience,
            rng=random.Random(1),
        )

    def keep(self, batch: Batch) -> None:
        for one in batch.readings:
            self.order.append(one.measured_at)
            self.kept.setdefault(one.key, one)
        self.events += batch.events
        self.facts += [batch.facts] if batch.facts is not None else []
        self.sizes.append(len(batch.readings))

    async def follow(self, source: RelaySource, until: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), aclosing(source.batches()) as batches:
            async for batch in batches:
                self.keep(batch)
                if until():
                    return

    def kinds(self) -> list[DeviceEventKind]:
        return [event.kind for event in self.events]

    @property
    def times(self) -> list[int]:
        return sorted(one.measured_at for one in self.kept.values())


@pytest.fixture
def clock() -> Wrist:
    return Wrist()


@pytest.fixture
def server(form: RelayForm, clock: Wrist) -> Iterator[RelayServer]:
    with RelayServer(form=form, now=clock.now_ms) as relay:
        yield relay


@pytest.fixture
def keeper(server: RelayServer, clock: Wrist) -> Keeper:
    return Keeper(server=server, clock=clock)


@pytest.fixture
async def asking(keeper: Keeper) -> AsyncIterator[Callable[[Callable[[], bool]], Any]]:
    """Follow one source bit by bit, as the box does."""
    async with AsyncExitStack() as stack:
        opened: list[AsyncGenerator[Batch]] = []

        async def until(reached: Callable[[], bool]) -> None:
            if not opened:
                opened.append(await stack.enter_async_context(aclosing(keeper.source().batches())))
            async with asyncio.timeout(20):
                while not reached():
                    keeper.keep(await anext(opened[0]))

        yield until


def values(*minutes_ago: int, sgv: float = 110) -> list[SimulatedValue]:
    return [SimulatedValue(at=NOW - ago * MINUTE, sgv=sgv) for ago in minutes_ago]


@FORMS
async def test_values_are_read_oldest_first_and_once(keeper: Keeper, server: RelayServer, asking: Any) -> None:
    server.values += values(*range(0, 200, 5))
    await asking(lambda: len(keeper.kept) == 40)
    assert keeper.times == [value.at for value in reversed(server.values)]
    assert keeper.order == keeper.times
    asked = len(server.asked)
    server.values.append(SimulatedValue(at=NOW + MINUTE, sgv=111))
    await asking(lambda: len(keeper.kept) == 41)
    assert len(server.asked) > asked
    assert len(keeper.order) == 41


@FORMS
async def test_what_comes_double_or_in_any_order_is_kept_once(keeper: Keeper, server: RelayServer) -> None:
    server.faults = RelayFaults(double=True, oldest_first=True)
    server.values += values(*range(0, 60, 5))
    random.Random(3).shuffle(server.values)
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) == 12)
    assert keeper.order == keeper.times
    assert len(keeper.order) == 12


@FORMS
async def test_whoever_starts_anew_keeps_the_same_records(keeper: Keeper, server: RelayServer) -> None:
    server.values += values(0, 5, 10)
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) == 3)
    await keeper.follow(keeper.source(), lambda: len(keeper.order) >= 6)
    assert len(keeper.kept) == 3


@FORMS
async def test_a_relay_that_has_nothing_is_well(keeper: Keeper) -> None:
    await keeper.follow(keeper.source(), lambda: keeper.facts != [])
    assert keeper.kinds() == [DeviceEventKind.CONNECTED]
    assert keeper.facts == [DeviceFacts(seen_at=NOW)]


@FORMS
async def test_a_week_offline_is_made_good_in_batches(keeper: Keeper, server: RelayServer, clock: Wrist) -> None:
    server.values += values(0)
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) == 1)
    clock.now = NOW + 7 * DAY
    # Every 20 minutes, so that xDrip+'s 1000 values reach back over the week.
    server.values += [SimulatedValue(at=NOW + step * 20 * MINUTE, sgv=120) for step in range(1, 505)]
    keeper.facts.clear()
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) == 505)
    assert keeper.times == sorted(value.at for value in server.values)
    assert keeper.order[1:] == sorted(keeper.order[1:])
    assert max(keeper.sizes) <= QUICK.batch
    assert DeviceEventKind.HISTORY_FAILED not in keeper.kinds()


@pytest.mark.parametrize("form", [RelayForm.NIGHTSCOUT])
async def test_a_full_page_leads_to_the_one_before(keeper: Keeper, server: RelayServer) -> None:
    keeper.patience = replace(QUICK, page=7)
    server.values += values(*range(60))
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) == 60)
    assert keeper.order == keeper.times
    assert all(int(asked.query["count"]) == 7 for asked in server.asked)


@pytest.mark.parametrize("form", [RelayForm.NIGHTSCOUT])
async def test_a_box_that_stops_half_way_goes_on_from_there(keeper: Keeper, server: RelayServer, clock: Wrist) -> None:
    server.values += values(0)
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) == 1)
    clock.now = NOW + 7 * DAY
    server.values += [SimulatedValue(at=NOW + step * 5 * MINUTE, sgv=120) for step in range(1, 2017)]
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) > 700)
    assert len(keeper.kept) < 2017
    assert keeper.times == [value.at for value in server.values[: len(keeper.kept)]]
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) == 2017)


@pytest.mark.parametrize("form", [RelayForm.NIGHTSCOUT])
async def test_a_relay_is_asked_no_further_back_than_the_horizon(keeper: Keeper, server: RelayServer) -> None:
    keeper.patience = replace(QUICK, horizon_ms=DAY)
    server.values += values(0)
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) == 1)
    server.asked.clear()
    keeper.events.clear()
    keeper.clock.now = NOW + 300 * DAY
    await keeper.follow(keeper.source(), lambda: keeper.events != [])
    assert int(server.asked[0].query["find[date][$gte]"]) == keeper.clock.now - DAY


@pytest.mark.parametrize("form", [RelayForm.XDRIP])
async def test_what_the_telephone_no_longer_has_is_said(keeper: Keeper, server: RelayServer, clock: Wrist) -> None:
    server.values += values(0)
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) == 1)
    clock.now = NOW + 7 * DAY
    server.values += [SimulatedValue(at=NOW + step * 5 * MINUTE, sgv=120) for step in range(1, 2017)]
    keeper.patience = replace(QUICK, facts_every=0.0, look_back_every=0.0)
    await keeper.follow(keeper.source(), lambda: len(keeper.facts) == 4)
    assert len(keeper.kept) == 1001
    assert keeper.kinds().count(DeviceEventKind.HISTORY_FAILED) == 1


@FORMS
async def test_what_the_telephone_fills_in_later_is_found(keeper: Keeper, server: RelayServer, asking: Any) -> None:
    keeper.patience = replace(QUICK, look_back_every=0.0)
    server.values += values(0, 600)
    await asking(lambda: len(keeper.kept) == 2)
    server.values += values(*range(5, 600, 5))
    await asking(lambda: len(keeper.kept) == 121)


@FORMS
async def test_a_telephone_whose_clock_is_ahead_gives_readings_of_unknown_time(
    keeper: Keeper, server: RelayServer, asking: Any
) -> None:
    server.values.append(SimulatedValue(at=NOW + HOUR, sgv=110))
    await asking(lambda: keeper.kept != {})
    (one,) = keeper.kept.values()
    assert (one.clock.value, one.measured_at) == ("unknown", NOW)
    server.values.append(SimulatedValue(at=NOW + HOUR + 5 * MINUTE, sgv=111))
    await asking(lambda: len(keeper.kept) == 2)
    assert len(keeper.order) == 2


@FORMS
async def test_values_of_another_kind_are_passed_over(keeper: Keeper, server: RelayServer) -> None:
    server.values += [
        *values(5),
        SimulatedValue(at=NOW, sgv=300, kind="mbg"),
        SimulatedValue(at=NOW, sgv=3, kind="cal"),
    ]
    await keeper.follow(keeper.source(), lambda: keeper.kept != {})
    assert [one.count for one in keeper.kept.values()] == [1100]


@FORMS
async def test_the_right_secret_opens_and_the_wrong_one_is_said_once(keeper: Keeper, server: RelayServer) -> None:
    server.secret = "correct horse"
    server.values += values(0)
    source = keeper.source(secret="wrong")
    server.faults = RelayFaults()

    def tried() -> bool:
        return len(server.asked) >= 1 and len(keeper.events) == 1

    await keeper.follow(source, tried)
    assert keeper.kinds() == [DeviceEventKind.RELAY_REFUSED]
    assert "secret" in keeper.events[0].detail
    await keeper.follow(keeper.source(secret="correct horse"), lambda: len(keeper.kept) == 1)
    assert "correct" not in "".join(event.detail for event in keeper.events)


@FORMS
async def test_a_relay_that_refuses_over_and_over_is_spoken_of_once(
    keeper: Keeper, server: RelayServer, asking: Any
) -> None:
    server.faults = RelayFaults(status=403, times=5)
    server.values += values(0)
    await asking(lambda: len(keeper.kept) == 1)
    assert len(server.asked) > 5
    assert keeper.kinds() == [DeviceEventKind.RELAY_REFUSED, DeviceEventKind.CONNECTED]


@FORMS
async def test_a_record_that_is_not_remembered_is_handed_on_again_and_kept_once(
    keeper: Keeper, server: RelayServer
) -> None:
    keeper.patience = replace(QUICK, remembered=2)
    server.values += values(0, 5, 10)
    source = keeper.source()
    await keeper.follow(source, lambda: len(keeper.order) > 6)
    assert len(keeper.kept) == 3
    assert {one.device for one in keeper.kept.values()} == {source.device}


@pytest.mark.parametrize("form", [RelayForm.NIGHTSCOUT])
async def test_a_token_opens_too(keeper: Keeper, server: RelayServer) -> None:
    server.token = "box-0123456789abcdef"
    server.values += values(0)
    await keeper.follow(keeper.source(token="box-0123456789abcdef"), lambda: len(keeper.kept) == 1)


@pytest.mark.parametrize("form", [RelayForm.XDRIP])
async def test_xdrip_without_a_secret_turns_away_who_shows_one(keeper: Keeper) -> None:
    await keeper.follow(keeper.source(secret="not asked for"), lambda: keeper.events != [])
    assert keeper.kinds() == [DeviceEventKind.RELAY_REFUSED]


@FORMS
async def test_a_relay_that_is_away_is_said_once_and_found_again(
    keeper: Keeper, server: RelayServer, asking: Any
) -> None:
    server.values += values(5)
    await asking(lambda: len(keeper.kept) == 1)
    port = server.port
    server.close()
    try:
        await asking(lambda: DeviceEventKind.RELAY_UNREACHABLE in keeper.kinds())
    finally:
        server.values += values(0)
        server.start(port)
    await asking(lambda: len(keeper.kept) == 2 and len(keeper.events) >= 3)
    assert keeper.kinds() == [
        DeviceEventKind.CONNECTED,
        DeviceEventKind.RELAY_UNREACHABLE,
        DeviceEventKind.CONNECTED,
    ]


@FORMS
async def test_a_short_sleep_of_the_telephone_is_not_spoken_of(
    keeper: Keeper, server: RelayServer, asking: Any
) -> None:
    keeper.patience = replace(QUICK, unreachable_after=3600.0)
    server.faults = RelayFaults(status=503, times=5)
    await asking(lambda: keeper.facts != [])
    assert keeper.kinds() == [DeviceEventKind.CONNECTED]
    assert len(server.asked) > 5


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        (RelayFaults(status=401), DeviceEventKind.RELAY_REFUSED),
        (RelayFaults(status=403), DeviceEventKind.RELAY_REFUSED),
        (RelayFaults(status=404), DeviceEventKind.RELAY_REFUSED),
        (RelayFaults(status=302, location="http://127.0.0.1:1/sgv.json"), DeviceEventKind.RELAY_REFUSED),
        (RelayFaults(status=429), DeviceEventKind.RELAY_UNREACHABLE),
        (RelayFaults(status=500), DeviceEventKind.RELAY_UNREACHABLE),
        (RelayFaults(cut=True), DeviceEventKind.RELAY_UNREACHABLE),
        (RelayFaults(silent=True), DeviceEventKind.RELAY_UNREACHABLE),
        (RelayFaults(drip=True), DeviceEventKind.RELAY_UNREACHABLE),
        (RelayFaults(body=b"<html>Log in</html>"), DeviceEventKind.RELAY_REFUSED),
        (RelayFaults(body=b'{"status":200}'), DeviceEventKind.RELAY_REFUSED),
        (RelayFaults(body=b""), DeviceEventKind.RELAY_REFUSED),
        (RelayFaults(body=b"[" + b"{}," * 3000 + b"{}]"), DeviceEventKind.RELAY_REFUSED),
        (RelayFaults(body=b"[" + b" " * 1_048_576 + b"]"), DeviceEventKind.RELAY_REFUSED),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@FORMS
async def test_each_fault_is_said_as_what_it_is_and_ends(
    keeper: Keeper, server: RelayServer, asking: Any, faults: RelayFaults, kind: DeviceEventKind
) -> None:
    keeper.patience = replace(QUICK, timeout=0.2) if faults.silent or faults.drip else QUICK
    server.values += values(0)
    server.faults = faults
    source = keeper.source()
    async with aclosing(source.batches()) as batches, asyncio.timeout(20):
        keeper.keep(await anext(batches))
        assert keeper.kinds() == [kind]
        assert keeper.events[0].detail.startswith("the relay")
        server.faults = RelayFaults()
        while not keeper.kept:
            keeper.keep(await anext(batches))
    assert set(keeper.kinds()) <= {kind, DeviceEventKind.CONNECTED}


@FORMS
async def test_chunks_are_put_together_again(keeper: Keeper, server: RelayServer) -> None:
    server.faults = RelayFaults(chunked=True)
    server.values += values(*range(0, 100, 5))
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) == 20)


@pytest.mark.parametrize("form", [RelayForm.NIGHTSCOUT])
async def test_a_relay_that_does_not_heed_the_period_is_refused(keeper: Keeper, server: RelayServer) -> None:
    server.faults = RelayFaults(heedless=True)
    server.values += values(0, 3 * 24 * 60)
    await keeper.follow(keeper.source(), lambda: keeper.events != [])
    assert keeper.kinds() == [DeviceEventKind.RELAY_REFUSED]
    assert "/sgv.json" in keeper.events[0].detail


@pytest.mark.parametrize("form", [RelayForm.NIGHTSCOUT])
async def test_an_instant_without_end_is_refused_or_left(keeper: Keeper, server: RelayServer) -> None:
    keeper.patience = replace(QUICK, page=3, pages=4)
    server.values += values(0, 0, 0, 0, 0)
    await keeper.follow(keeper.source(), lambda: len(keeper.kept) == 1)
    assert len(keeper.kept) == 1
    server.values += values(*range(1, 30))
    await keeper.follow(keeper.source(), lambda: DeviceEventKind.RELAY_REFUSED in keeper.kinds())


@pytest.mark.parametrize("form", [RelayForm.XDRIP])
async def test_an_entry_that_cannot_be_read_is_said_and_the_others_are_kept(
    keeper: Keeper, server: RelayServer
) -> None:
    keeper.patience = replace(QUICK, facts_every=0.0)
    server.faults = RelayFaults(
        body=b'[{"type":"sgv","date":1795334400000},{"type":"sgv","sgv":"x"},7,{"sgv":5.5,"date":1795334100000},'
        b'{"sgv":99,"date":1795334400000}]'
    )
    await keeper.follow(keeper.source(), lambda: len(keeper.facts) == 2)
    assert sorted(keeper.kinds()) == [
        DeviceEventKind.CONNECTED,
        DeviceEventKind.FRAME_REJECTED,
        DeviceEventKind.VALUE_IMPLAUSIBLE,
    ]
    assert [one.provenance.value for one in keeper.kept.values()] == ["5.5", "99"]


@FORMS
async def test_what_the_app_calls_the_sensor_is_told_when_it_changes(
    keeper: Keeper, server: RelayServer, asking: Any
) -> None:
    server.values.append(SimulatedValue(at=NOW - 5 * MINUTE, sgv=110, device="G6"))
    await asking(lambda: any(facts.model for facts in keeper.facts))
    server.values.append(SimulatedValue(at=NOW, sgv=110, device="Libre"))
    await asking(lambda: sum(facts.model is not None for facts in keeper.facts) == 2)
    assert [facts.model for facts in keeper.facts if facts.model] == ["G6", "Libre"]
    assert {facts.seen_at for facts in keeper.facts} == {NOW}


@pytest.mark.parametrize("form", [RelayForm.XDRIP])
async def test_the_secret_comes_last_in_the_question(keeper: Keeper, server: RelayServer) -> None:
    server.secret = "Abc"
    await keeper.follow(keeper.source(secret="Abc"), lambda: keeper.facts != [])
    assert server.asked[0].secret == "915858afa2278f25527f192038108346164b47f2"
    assert server.asked[0].query == {"count": "48", "all_data": "Y"}


# One question and its answer, from servers that no library would write


async def answered(answer: bytes, **address: str) -> bytes:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        place = RelayAddress(f"http://localhost:{port}/sgv.json", **address)
        return await fetch(place, [("count", "1")], within=5.0, most=100)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.0 200 OK\n\n[]", b"[]"),
        (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n[] and more", b"[]"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n[\r\n1\r\n]\r\n0\r\n\r\n", b"[]"),
    ],
)
async def test_an_answer_is_read_however_it_is_laid_out(answer: bytes, body: bytes) -> None:
    assert await answered(answer) == body


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101,
    ],
)
async def test_what_speaks_otherwise_is_refused(answer: bytes) -> None:
    with pytest.raises(RelayRefusedError):
        await answered(answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\nX: y",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[]",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40_000,
    ],
)
async def test_what_breaks_off_is_unreachable(answer: bytes) -> None:
    with pytest.raises(RelayUnreachableError):
        await answered(answer)


async def test_a_name_that_leads_out_of_the_home_is_not_asked_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    async def elsewhere(*_: object, **__: object) -> list[Any]:
        return [(2, 1, 6, "", ("8.8.8.8", 80))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", elsewhere)
    with pytest.raises(RelayRefusedError, match="https"):
        await fetch(RelayAddress("http://phone.example/sgv.json"), [], within=1.0, most=10)


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Any) -> None:
    from simulators.broker import Certificates  # noqa: PLC0415 slow to import, and for this test alone

    made = Certificates(tmp_path / "ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server.certificate, made.server.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        place = RelayAddress(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/sgv.json")
        with pytest.raises(RelayRefusedError, match="certificate"):
            await fetch(place, [], within=5.0, most=100)
        known = ssl.create_default_context(cafile=str(made.ca))
        assert await fetch(place, [], within=5.0, most=100, tls=known) == b"[]"
