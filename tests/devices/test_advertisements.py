"""Exactly one driver claims each advertisement of the advertisements files, and a refused one says why."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from devices.driver import FrameContext
from devices.drivers import ALL, BROADCASTS, driver_for
from devices.errors import DriverError
from devices.radio import Advertisement

FILES = sorted((Path(__file__).parent / "advertisements").glob("*.toml"))
ENTRIES = [entry for path in FILES for entry in tomllib.loads(path.read_text(encoding="utf-8"))["advertisement"]]
each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry["name"]))


def heard(entry: dict[str, Any]) -> Advertisement:
    return Advertisement(
        address="C4:B0:00:00:00:01",
        name=entry.get("local_name"),
        services=frozenset(int(number, 16) for number in entry.get("services", [])),
        service_data={int(number, 16): bytes.fromhex(data) for number, data in entry.get("service_data", {}).items()},
        manufacturer_data={
            int(number, 16): bytes.fromhex(data) for number, data in entry.get("manufacturer_data", {}).items()
        },
    )


@each
def test_exactly_one_driver_claims_an_advertisement(entry: dict[str, Any]) -> None:
    claiming = [driver.name for driver in ALL if driver.claims(heard(entry))]
    assert claiming == ([entry["driver"]] if entry["driver"] else [])


@each
def test_an_advertisement_is_read_or_refused_with_a_reason(entry: dict[str, Any]) -> None:
    if "refused" in entry or not entry["driver"]:
        with pytest.raises(DriverError, match=entry.get("refused", "no driver reads")):
            driver_for(heard(entry))
    else:
        assert driver_for(heard(entry)).name == entry["driver"]


@each
def test_a_broadcast_says_its_weight(entry: dict[str, Any], context: FrameContext) -> None:
    said = [
        str(reading.value)
        for driver in BROADCASTS
        if driver.name == entry["driver"]
        for reading in driver.decode_advertisement(heard(entry), context)
    ]
    assert said == ([entry["weight"]] if "weight" in entry else [])


@each
def test_an_advertisement_says_where_it_comes_from(entry: dict[str, Any]) -> None:
    assert entry["provenance"] == "made here" or (entry["provenance"] == "recorded" and entry["source"])
