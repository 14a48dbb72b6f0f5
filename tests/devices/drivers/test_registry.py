"""Which driver reads which device."""

from pathlib import Path

import pytest

from devices.driver import Resume
from devices.drivers import ALL, DRIVERS, driver_for, driver_named
from devices.errors import DriverError
from devices.radio import Advertisement
from tests.devices.kit import known_frames

# Advertisements made here after the devices' published descriptions; services that no driver reads are among them.
ADVERTISED = [
    ({0x181F}, "cgm"),
    ({0x181F, 0x180A, 0x180F}, "cgm"),
    ({0x1810}, "blood_pressure"),
    ({0x1810, 0x1805}, "blood_pressure"),
    ({0x181D}, "weight_scale"),
    ({0x181D, 0x181B, 0x181C}, "body_composition"),
    ({0x1822}, "pulse_oximeter"),
    ({0x1822, 0x180D, 0x180F}, "pulse_oximeter"),
    ({0x1809}, "thermometer"),
    ({0x180D}, "heart_rate"),
    ({0x180D, 0x180F, 0xFEEE}, "heart_rate"),
    ({0x1810, 0x180D}, "blood_pressure"),
    ({0x181A}, None),
    ({0x1808}, "glucose_meter"),
    ({0x1808, 0x1805, 0x180A}, "glucose_meter"),
    (set(), None),
]

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", [driver.name for driver in ALL])
def test_every_driver_has_its_page(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "devices" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [driver.name for driver in DRIVERS])
def test_every_driver_has_known_frames(name: str) -> None:
    assert name in {frame.driver for frame in known_frames()}


@pytest.mark.parametrize(("services", "name"), ADVERTISED)
def test_exactly_one_driver_claims_what_it_should(services: set[int], name: str | None) -> None:
    heard = Advertisement(address="C4:B0:00:00:00:01", services=frozenset(services))
    claiming = [driver.name for driver in DRIVERS if driver.claims(heard)]
    assert claiming == ([] if name is None else [name])


def test_the_claiming_driver_is_found_and_a_stranger_is_refused() -> None:
    assert driver_for(Advertisement(address="A", services=frozenset({0x181D}))).name == "weight_scale"
    with pytest.raises(DriverError, match="no driver reads A"):
        driver_for(Advertisement(address="A"))


def test_a_device_that_two_drivers_claim_is_refused_whatever_their_order() -> None:
    with pytest.raises(DriverError, match="cgm and blood_pressure"):
        driver_for(Advertisement(address="A", services=frozenset({0x1810, 0x181F})))


def test_drivers_are_found_by_name() -> None:
    assert [driver_named(driver.name) for driver in DRIVERS] == list(DRIVERS)
    with pytest.raises(DriverError, match="blood_pressure"):
        driver_named("barometer")


def test_only_a_cgms_key_says_where_its_history_goes_on() -> None:
    assert driver_named("cgm").resume_after("1763625600000:2995") == Resume(session_start=1763625600000, sequence=2995)
    assert driver_named("cgm").resume_after("1763625600000:0f1e2d3c4b5a6978") == Resume()
    for name in ("blood_pressure", "weight_scale"):
        assert driver_named(name).resume_after("1763625600000:0f1e2d3c4b5a6978") == Resume()
