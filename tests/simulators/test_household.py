"""Homes as files: those that ship can be lived in, and what is no home is refused in one sentence."""

import asyncio
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from devices.drivers import ALL
from devices.reading import plausible
from simulators.clock import AcceleratedClock
from simulators.daily_life import daily_life
from simulators.device_kinds import KINDS, Order, install
from simulators.errors import HomeError
from simulators.household import MOST_DEVICES, packaged_homes, read_household
from simulators.link import Air
from simulators.peripherals.peripheral import Circumstances
from tests.simulators.kit import START, Recorder

PARIS = ZoneInfo("Europe/Paris")
DAY = 86_400_000
PERSON = '[[people]]\nname = "patient-a"\n'
DEVICE = '[[devices]]\nkind = "cgm"\naddress = "C4:B0:00:00:00:01"\nowner = "patient-a"\n'


def written(folder: Path, text: str) -> str:
    path = folder / "home.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_virtual_device_exists_for_every_driver() -> None:
    assert KINDS.keys() == {driver.name for driver in ALL}
    assert {device.kind for device in read_household("every_kind").devices} == KINDS.keys()


def test_the_homes_that_ship() -> None:
    assert {"default", "every_kind", "residence"} <= set(packaged_homes())
    assert all(read_household(name).devices for name in packaged_homes())
    residence = read_household("residence")
    assert len(residence.devices) == MOST_DEVICES
    assert len(residence.people) == 20
    # Sixty devices that advertise five times a second would be most of what the machine does.
    assert residence.advertising_seconds >= 1.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing required field"),
        ("not toml", "is not a home"),
        (PERSON, "devices"),
        (PERSON + DEVICE + "colour = 'red'\n", "colour"),
        (PERSON + DEVICE.replace('"cgm"', '"toaster"'), "no virtual 'toaster'"),
        (PERSON + DEVICE.replace("C4:", "04:"), "no static random address"),
        (PERSON + DEVICE.replace("owner", "#owner"), "owner or owners"),
        (PERSON + DEVICE + 'owners = [{ person = "patient-a" }]\n', "owner or owners"),
        (PERSON + DEVICE.replace("patient-a", "patient-b"), "nobody named 'patient-b'"),
        (PERSON + DEVICE + DEVICE, "is there 2 times"),
        (PERSON + PERSON + DEVICE, "is there 2 times"),
        (PERSON + DEVICE + '[[faults]]\nkind = "melt"\ndevice = "cgm"\n', "melt"),
        (PERSON + DEVICE * 61, "is not a home"),
    ],
)
def test_what_is_no_home_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(HomeError, match=reason):
        read_household(written(tmp_path, text))


def test_a_file_that_is_not_there_is_told_with_the_homes_that_are() -> None:
    with pytest.raises(HomeError, match=", ".join(packaged_homes())):
        read_household("/nowhere/at/all.toml")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_day_is_the_same_for_the_same_seed_and_plausible(kind: str) -> None:
    one, again, other = (
        list(daily_life(kind, seed=seed, start_ms=START, zone=PARIS, days=2, user=1)) for seed in (1, 1, 2)
    )
    assert one == again
    assert [item.counts for item in one] != [item.counts for item in other]
    assert all(START <= item.at < START + 2 * DAY for item in one)
    assert all(before.at < after.at for before, after in pairwise(one))
    assert all(plausible(quantity, count) for item in one for quantity, count in item.counts.items())
    assert Counter(item.user for item in one) == {1: len(one)}


def where() -> Circumstances:
    clock = AcceleratedClock.starting_now(start_ms=START, speed=1)
    return Circumstances(air=Air(), clock=clock, zone=PARIS, witness=Recorder())


async def test_every_kind_takes_what_its_day_brings() -> None:
    for kind in sorted(KINDS.keys() - {"heart_rate"}):
        surroundings = where()
        witness = surroundings.witness
        assert isinstance(witness, Recorder)
        options: dict[str, object] = {"codes": {"1": 1234}} if kind == "body_composition" else {}
        order = Order(address="C4:B0:00:00:00:01", where=surroundings, options=options, began_at=START)
        installed = install(kind, order)
        sample = next(daily_life(kind, seed=1, start_ms=START, zone=PARIS, days=1, user=1))
        installed.take(sample)
        taken = {reading.quantity: reading.count for reading in witness.readings}
        assert taken.keys() <= sample.counts.keys()
        assert taken, kind
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("toaster", {}, "no virtual 'toaster'"),
        ("weight_scale", {"colour": "red"}, "colour"),
        ("weight_scale", {"battery": 101}, "an option is refused"),
        ("body_composition", {}, "codes"),
        ("glucose_meter", {"meal": "elevenses"}, "a meal is one of"),
        ("thermometer", {"unit": "kelvin"}, "an option is refused"),
    ],
)
async def test_what_no_device_can_be_is_refused(kind: str, options: dict[str, object], reason: str) -> None:
    order = Order(address="C4:B0:00:00:00:01", where=where(), options=options, began_at=START)
    with pytest.raises(HomeError, match=reason):
        install(kind, replace(order))
