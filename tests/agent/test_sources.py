"""From a settings file to readings: a scale on a link, a scale on the air, and a telephone's relay."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.errors import SecretError
from agent.settings import RadioSettings, Settings
from agent.settings_file import read_settings
from agent.sources import Sources, always_there
from devices.drivers.weight_scale import WeightMeasurement
from devices.drivers.xiaomi_scale import CompositionBroadcast
from devices.gatt import USER_CONTROL_POINT, WEIGHT_MEASUREMENT
from devices.radio import Advertisement, Connection
from devices.reading import Reading
from devices.relay_address import RelayForm
from devices.source import Source
from devices.wall_clock import DateTime
from simulators.relay_server import RelayServer, SimulatedValue
from tests.agent.kit import MINUTE, PATIENT, START

CARE = 20.0
"""Seconds after which something that should happen has failed to."""
SENSOR, SCALE, SPEAKER = (f"C4:B0:00:00:00:0{number}" for number in (1, 3, 5))
PARIS = ZoneInfo("Europe/Paris")
IMPATIENT = RadioSettings(find=1.0, connect=1.0, quiet=0.01, pause=0.01, longest_pause=0.01)


class StandingClock:
    def now_ms(self) -> int:
        return START

    def seconds_until(self, at_ms: int) -> float:
        return max(0.0, (at_ms - START) / 1000)


class ConsentingScale:
    """A link to a scale that gives its one weighing to who shows its user's code; made here."""

    def __init__(self) -> None:
        self.shown: list[bytes] = []
        self._on_value: dict[int, Callable[[bytes], None]] = {}
        self._closed = asyncio.Event()

    def has(self, characteristic: int) -> bool:
        return characteristic in {WEIGHT_MEASUREMENT, USER_CONTROL_POINT}

    def properties(self, characteristic: int) -> frozenset[str]:
        return frozenset({"indicate", "write"}) if self.has(characteristic) else frozenset()

    async def read(self, characteristic: int) -> bytes:
        raise AssertionError(f"{characteristic:04X} was read, which it does not have")

    async def write(self, characteristic: int, value: bytes) -> None:
        self.shown.append(value)
        self._on_value[characteristic](bytes((0x20, 0x02, 0x01)))
        weighing = WeightMeasurement(
            weight=Decimal(80), time_stamp=DateTime.of(START - MINUTE, PARIS), user_id=value[1]
        )
        self._on_value[WEIGHT_MEASUREMENT](bytes(weighing))
        self._closed.set()

    async def subscribe(self, characteristic: int, on_value: Callable[[bytes], None]) -> None:
        self._on_value[characteristic] = on_value

    async def pair(self) -> None:
        return

    async def wait_closed(self) -> None:
        await self._closed.wait()


class SmallWorld:
    """A radio with one scale to connect to, and another that only speaks."""

    def __init__(self, scale: ConsentingScale | None = None) -> None:
        self.scale = scale or ConsentingScale()
        self.connected: list[str] = []

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        return Advertisement(address=address) if within else None

    @asynccontextmanager
    async def listen(self, address: str | None) -> AsyncIterator[AsyncIterator[Advertisement]]:
        yield self._heard(address)

    async def _heard(self, address: str | None) -> AsyncIterator[Advertisement]:
        said = CompositionBroadcast(weight=Decimal(80), time_stamp=DateTime.of(START, PARIS), settled=True)
        while address == SPEAKER:
            yield Advertisement(address=SPEAKER, services=frozenset({0x181B}), service_data={0x181B: bytes(said)})
            await asyncio.sleep(0)

    @asynccontextmanager
    async def connect(self, address: str, *, within: float) -> AsyncIterator[Connection]:
        self.connected.append(address)
        yield self.scale


def settings_of(tmp_path: Path, watched: str) -> Settings:
    shipped = Path(__file__).parents[2] / "configs" / "agent.toml"
    path = tmp_path / "agent.toml"
    path.write_text(shipped.read_text(encoding="utf-8").split("[[devices]]")[0] + watched, encoding="utf-8")
    return read_settings(path)


def sources_of(radio: SmallWorld, newest: dict[str, Reading] | None = None) -> Sources:
    known = newest or {}
    return Sources(radio=radio, settings=IMPATIENT, clock=StandingClock(), last_reading=known.get)


async def first_readings(source: Source) -> Sequence[Reading]:
    async with asyncio.timeout(CARE), aclosing(source.batches()) as batches:
        async for batch in batches:
            if batch.readings:
                return batch.readings
    raise AssertionError("it ended")


DEVICE = '\n[[devices]]\naddress = "{address}"\ndriver = "{driver}"\n'
HIS = f'patient = "{PATIENT}"\nfrom = 2025-11-01T08:00:00Z\n'


async def test_a_shared_scale_is_shown_the_code_of_its_user_and_names_them(tmp_path: Path) -> None:
    person = f'[[devices.people]]\npatient = "{PATIENT}"\nfrom = 2025-11-01T08:00:00Z\nuser = 1\ncode = 1234\n'
    settings = settings_of(tmp_path, DEVICE.format(address=SCALE, driver="weight_scale") + person)
    world = SmallWorld()
    readings = await first_readings(sources_of(world).of_device(settings.devices[0]))
    assert world.scale.shown == [bytes((0x02, 1)) + (1234).to_bytes(2, "little")]
    assert [(item.device, item.count, item.measured_at, item.provenance.user) for item in readings] == [
        (SCALE, 80_000, START - MINUTE, 1)
    ]


async def test_a_scale_that_only_broadcasts_costs_no_connection(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, DEVICE.format(address=SPEAKER, driver="xiaomi_scale") + HIS)
    world = SmallWorld()
    readings = await first_readings(sources_of(world).of_device(settings.devices[0]))
    assert {(item.device, item.measured_at) for item in readings} == {(SPEAKER, START)}
    assert world.connected == []


RELAY = '\n[[relays]]\nname = "phone"\nurl = "{url}"\n{secret}' + HIS


def secret_file(tmp_path: Path, secret: str) -> Path:
    path = tmp_path / "phone.secret"
    path.touch(mode=0o600)
    path.write_text(f"{secret}\n", encoding="ascii")
    return path


@pytest.mark.parametrize(
    ("form", "key"),
    [(RelayForm.XDRIP, "secret_file"), (RelayForm.NIGHTSCOUT, "secret_file"), (RelayForm.NIGHTSCOUT, "token_file")],
)
async def test_a_relay_is_asked_with_the_secret_of_its_file(tmp_path: Path, form: RelayForm, key: str) -> None:
    secret_file(tmp_path, "box-0123456789abcdef")
    with RelayServer(form=form, now=StandingClock().now_ms) as phone:
        by_secret = key == "secret_file"
        phone.secret = "box-0123456789abcdef" if by_secret else "another secret"
        phone.token = None if by_secret else "box-0123456789abcdef"
        phone.values.append(SimulatedValue(at=START - MINUTE, sgv=104))
        settings = settings_of(tmp_path, RELAY.format(url=phone.url, secret=f'{key} = "phone.secret"\n'))
        source = sources_of(SmallWorld()).of_relay(settings.relays[0])
        (reading,) = await first_readings(source)
    assert source.device == settings.relays[0].address == reading.device == "relay:phone"
    assert (reading.count, reading.measured_at, reading.provenance.source) == (1040, START - MINUTE, "relay")


async def test_a_relay_is_asked_for_what_came_since_its_newest_reading(tmp_path: Path) -> None:
    with RelayServer(form=RelayForm.NIGHTSCOUT, now=StandingClock().now_ms) as phone:
        phone.values += [SimulatedValue(at=START - days * 1440 * MINUTE, sgv=100 + days) for days in range(10)]
        settings = settings_of(tmp_path, RELAY.format(url=phone.url, secret=""))
        relay = settings.relays[0]
        (newest,) = await first_readings(sources_of(SmallWorld()).of_relay(relay))
        assert newest.measured_at == START - 1440 * MINUTE
        three_days_ago = {relay.address: replace(newest, measured_at=START - 3 * 1440 * MINUTE)}
        oldest = (await first_readings(sources_of(SmallWorld(), three_days_ago).of_relay(relay)))[0]
    assert oldest.measured_at == START - 4 * 1440 * MINUTE


def test_a_secret_that_others_can_read_by_now_is_not_used(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "box-0123456789abcdef")
    url = "http://127.0.0.1:17580/sgv.json"
    settings = settings_of(tmp_path, RELAY.format(url=url, secret='secret_file = "phone.secret"\n'))
    path.chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        sources_of(SmallWorld()).of_relay(settings.relays[0])


def test_sensors_are_there_all_the_time_and_scales_for_a_moment(tmp_path: Path) -> None:
    kinds = ((SENSOR, "cgm"), (SCALE, "weight_scale"), (SPEAKER, "xiaomi_scale"))
    text = "".join(DEVICE.format(address=address, driver=driver) + HIS for address, driver in kinds)
    assert always_there(settings_of(tmp_path, text).devices) == [SENSOR]
