"""What is known of models: each row says where it was reported, and what is refused is refused with its reason."""

import pytest

from devices.drivers import ALL, driver_for
from devices.errors import DriverError
from devices.quirks import QUIRKS, Quirk, quirk_named, quirk_of
from devices.radio import Advertisement

ROWS = pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: quirk.model)


@ROWS
def test_a_row_says_where_it_was_reported_and_what_to_know_in_both_languages(quirk: Quirk) -> None:
    assert quirk.reported
    assert all(quirk.reported)
    sentences = [quirk.note] if quirk.refused is None else [quirk.note, quirk.refused]
    for words in sentences:
        assert words.fr
        assert words.en
        assert words.fr != words.en


@ROWS
def test_a_row_names_drivers_of_the_house_or_why_there_is_none(quirk: Quirk) -> None:
    assert set(quirk.drivers) <= {driver.name for driver in ALL}
    assert bool(quirk.drivers) is (quirk.refused is None)


def test_no_two_rows_begin_alike() -> None:
    names = [name for quirk in QUIRKS for name in quirk.names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("A&D_UA-651BLE_D57B3F", "A&D UA-651BLE"),
        ("A&D_UT201BLE_76C9B8", "A&D UT-201BLE"),
        ("BLEsmart_00000116B0495F086C71", "Omron HEM-9200T"),
        ("BLEsmart_00000244005FBF718118", "Omron HEM, others"),
        ("X4 Smart", "Omron X4 Smart"),
        ("MightySat", "Masimo MightySat"),
        ("Polar H10 02849638", "Polar H9, H10"),
        ("meter+02252924", "Accu-Chek Guide, Instant"),
        ("AiDEX X-2222267V4E", "AiDEX X, LinX"),
        ("Pump 2421559H", "Medtronic MiniMed 770G, 780G and Guardian sensors"),
        ("Somebody's phone", None),
        ("", None),
        (None, None),
    ],
)
def test_a_model_is_known_by_the_longest_beginning_of_its_name(name: str | None, model: str | None) -> None:
    found = quirk_named(name)
    assert (None if found is None else found.model) == model
    assert quirk_of(Advertisement(address="A", name=name)) is found


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("AiDEX X-2222267V4E", "A advertises the standard CGM service but speaks its maker's own encrypted protocol"),
        ("LinX-222227JKFK", "A advertises the standard CGM service but speaks its maker's own encrypted protocol"),
        ("Pump 2421559H", "A offers standard services whose values are encrypted by Medtronic's own protocol"),
        ("CGM GT1122867N", "A offers standard services whose values are encrypted by Medtronic's own protocol"),
    ],
)
def test_a_standard_service_with_another_protocol_behind_it_is_refused_with_its_reason(name: str, reason: str) -> None:
    cgm = frozenset({0x181F})
    assert driver_for(Advertisement(address="A", services=cgm)).name == "cgm"
    with pytest.raises(DriverError) as refused:
        driver_for(Advertisement(address="A", name=name, services=cgm))
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("name", "service", "driver"),
    [
        ("A&D_UA-651BLE_D57B3F", 0x1810, "blood_pressure"),
        ("A&D_UT201BLE_76C9B8", 0x1809, "thermometer"),
        ("BLEsmart_00000116B0495F086C71", 0x1810, "blood_pressure"),
        ("MightySat", 0x1822, "pulse_oximeter"),
        ("Polar H9 12345678", 0x180D, "heart_rate"),
        ("Contour7830H6000123", 0x1808, "glucose_meter"),
        ("meter+02252924", 0x1808, "glucose_meter"),
    ],
)
def test_a_known_model_is_read_by_the_driver_that_its_row_names(name: str, service: int, driver: str) -> None:
    heard = Advertisement(address="A", name=name, services=frozenset({service}))
    quirk = quirk_of(heard)
    assert quirk is not None
    assert driver_for(heard).name == driver
    assert driver in quirk.drivers


@pytest.mark.parametrize("name", ["BLEsmart_00000116B0495F086C71", "meter+02252924"])
def test_a_device_that_shows_a_code_says_so_before_it_is_paired(name: str) -> None:
    quirk = quirk_named(name)
    assert quirk is not None
    assert "code" in quirk.note.fr
    assert "code" in quirk.note.en
