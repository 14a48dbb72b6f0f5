"""A small region, for real: certificates, TLS, seals, signatures and receipts of each box, over a real broker."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.tls import client_context
from exchange.topics import OBSERVATIONS, STATUS, topic
from simulators import fleet_command
from simulators.broker import Broker
from simulators.fleet_command import Trial, run_trial
from simulators.fleet_run import Steady, Storm, connecting
from simulators.mqtt_client import Address, Hello, MqttClient, MqttError
from simulators.region import Region, RegionSettings

pytestmark = [pytest.mark.broker, pytest.mark.process, pytest.mark.timeout(300)]


@pytest.fixture
async def region(tmp_path: Path) -> AsyncIterator[Region]:
    settings = RegionSettings(folder=tmp_path, boxes=6, workers=2, postgresql=False, say=print)
    async with Region(settings) as made:
        yield made


PATIENCE_S = 60


async def until(holds: object) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # type: ignore[operator]  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(0.02)


async def test_what_waits_at_every_box_is_stored_once_and_receipted(region: Region) -> None:
    for box in region.boxes:
        box.alert(at=1_790_000_000_000)
        for number in range(9):
            box.measure(at=1_790_000_000_000 + number * 300_000)
    async with connecting(region.boxes, within_s=0.1):
        await until(lambda: not any(box.backlog for box in region.boxes))
    assert region.count("SELECT count(*) FROM observation") == 6 * 9
    assert region.count("SELECT count(*) FROM alert WHERE origin = 'box'") == 6
    assert [box.receipted for box in region.boxes] == [10] * 6


async def test_a_box_whose_broker_goes_away_comes_back_and_loses_nothing(region: Region) -> None:
    async with connecting(region.boxes, within_s=0.1):
        await until(lambda: all(box.connections for box in region.boxes))
        region.broker.kill()
        for box in region.boxes:
            box.measure(at=1_790_000_000_000)
        region.broker.start()
        await until(lambda: not any(box.backlog for box in region.boxes))
    assert all(box.connections > 1 for box in region.boxes)
    assert region.count("SELECT count(*) FROM observation") == 6


@pytest.mark.parametrize("storm", [False, True], ids=["steady", "a storm"])
async def test_the_command_says_what_came_of_it(
    *, storm: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_command, "SPREAD_S", 2.0)
    trial = Trial(boxes=4, workers=1, postgresql=False, seconds=5, every_s=1, storm=storm, alerts=2, readings=3)
    came = await run_trial(trial, say=print)
    said = capsys.readouterr().out
    assert "Simulated boxes" in said
    if isinstance(came, Storm):
        assert (came.boxes, came.alerts, came.readings) == (4, 8, 12)
        assert 0 < came.first_alert_s <= came.half_alerts_s <= came.all_alerts_s
    else:
        assert isinstance(came, Steady)
        assert came.readings >= 4
        assert came.lag_ms[0] <= came.lag_ms[1] <= came.lag_ms[2]


async def test_a_client_is_told_why_it_is_refused_and_what_it_may_not_say(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        files = broker.certificates.client("box-1")
        context = client_context(ca=files.ca, certificate=files.certificate, key=files.key)
        context.sslsocket_class = ssl.SSLSocket
        here = Address(host=broker.host, port=broker.port, context=context)
        hello = Hello(client_id="box-1", will=(topic("box-1", STATUS), b"gone"))
        async with MqttClient(here, hello, lambda *_: None) as client:
            assert await client.publish(topic("box-2", OBSERVATIONS), b"not mine") == 0x87
            assert await client.publish(topic("box-1", OBSERVATIONS), b"mine, and nobody listens") == 0x10
            broker.kill()
            with pytest.raises(MqttError):
                await client.publish(topic("box-1", OBSERVATIONS), b"to nobody")
            assert client.broken
        with pytest.raises(MqttError):
            async with MqttClient(here, hello, lambda *_: None):
                pass
