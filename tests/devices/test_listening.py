"""How a scan listens: passively only where nobody can be missed by it."""

import pytest

from devices.drivers import DRIVERS
from devices.listening import PATTERNS, Ear, ScanMode

ADDRESS = "C4:B0:00:00:00:01"
OTHER = "C4:B0:00:00:00:02"


def known(mode: ScanMode, address: str = ADDRESS, *, bonded: bool = True) -> ScanMode:
    mode.running = "active"
    mode.heard(address, bonded=bonded)
    return mode


@pytest.fixture
def mode() -> ScanMode:
    return ScanMode(allowed=True)


def test_it_begins_actively_and_with_nobody_it_stays_so(mode: ScanMode) -> None:
    assert mode.wanted([]) == mode.wanted([Ear(ADDRESS)]) == mode.wanted([Ear(ADDRESS, broadcast=True)]) == "active"


def test_a_bonded_device_that_was_heard_is_sought_passively(mode: ScanMode) -> None:
    assert known(mode).wanted([Ear(ADDRESS)]) == "passive"
    assert ScanMode(allowed=False).wanted([Ear(ADDRESS)]) == "active"


def test_a_device_without_bond_is_sought_passively_only_for_what_it_broadcasts(mode: ScanMode) -> None:
    known(mode, bonded=False)
    assert mode.wanted([Ear(ADDRESS)]) == "active"
    assert mode.wanted([Ear(ADDRESS, broadcast=True)]) == "passive"


@pytest.mark.parametrize("other", [Ear(None, broadcast=True), Ear(OTHER), Ear(OTHER, broadcast=True)])
def test_one_that_cannot_be_served_passively_makes_it_active_for_all(mode: ScanMode, other: Ear) -> None:
    assert known(mode).wanted([Ear(ADDRESS), other]) == "active"


def test_a_device_that_was_never_heard_passively_is_asked_for_good_once_it_is_missed(mode: ScanMode) -> None:
    known(mode).running = "passive"
    mode.missed(Ear(ADDRESS))
    assert known(mode).wanted([Ear(ADDRESS)]) == "active"


def test_a_device_that_was_heard_passively_and_then_missed_is_asked_until_it_is_heard(mode: ScanMode) -> None:
    known(mode).running = "passive"
    mode.heard(ADDRESS, bonded=True)
    mode.missed(Ear(ADDRESS))
    assert mode.wanted([Ear(ADDRESS)]) == "active"
    assert known(mode).wanted([Ear(ADDRESS)]) == "passive"


def test_missing_a_device_actively_says_nothing_about_passive_scans(mode: ScanMode) -> None:
    known(mode).missed(Ear(ADDRESS))
    assert mode.wanted([Ear(ADDRESS)]) == "passive"


def test_a_trial_ends_for_those_that_were_not_heard_in_it(mode: ScanMode) -> None:
    ears = [Ear(ADDRESS, broadcast=True), Ear(OTHER, broadcast=True)]
    for address in (ADDRESS, OTHER):
        known(mode, address)
    assert mode.trial(ears) is None, "an active scan is no trial"
    mode.running = "passive"
    mode.heard(ADDRESS, bonded=False)
    assert mode.trial(ears) is not None
    mode.end_trial(ears)
    assert mode.wanted(ears[1:]) == "active"
    assert mode.wanted(ears[:1]) == "passive"
    assert mode.trial(ears[:1]) is None, "it was heard passively"


def test_a_scan_that_is_forbidden_is_not_wanted_any_more(mode: ScanMode) -> None:
    known(mode).forbid("no AdvertisementMonitor")
    assert mode.wanted([Ear(ADDRESS)]) == "active"


def test_the_patterns_let_every_device_that_is_read_through() -> None:
    assert {content for _, kind, content in PATTERNS if kind == 0x03} == {
        driver.service.to_bytes(2, "little") for driver in DRIVERS
    }
    assert {b"\x04", b"\x06"} <= {content for _, kind, content in PATTERNS if kind == 0x01}
