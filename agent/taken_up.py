"""Devices that the box took up by itself, once it had paired them by an order that says whose they are.

- Kept in the box's own database, sealed, so that they are read again after a stop; the settings file is not touched.
- The settings win: a device that they name is theirs. So is who is watched here: what was given to somebody whom they
  do not name is not read.
- An assignment is dated from when the pairing was begun, and never moved. One that is given to somebody else follows
  on the one before; what was measured before anybody had it is nobody's. Somebody who is erased leaves the time that
  they had it to nobody, never to the one before.

Not here: pairing (radio_orders), and reading (readers).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
from msgspec import Struct

from agent.settings import MOST_DEVICES, MOST_PEOPLE, Assignment, Device, Patient, Settings
from agent.store import Store
from agent.store_reader import StoreReader
from devices.drivers import ALL
from exchange.errors import UNDECODABLE

MEMO: Final = "taken_up_devices"
MOST: Final = MOST_DEVICES + MOST_PEOPLE
NOBODY: Final = ""
_DRIVERS = {driver.name: driver for driver in ALL}


class TakenUp(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A device that was given to somebody.

    Attributes:
        address: Bluetooth address.
        driver: what reads it.
        patient: whose it is, a pseudonym; `NOBODY` where that is erased.
        given_on: ms UTC, inclusive; theirs until it is given to somebody else.
    """

    address: str
    driver: str
    patient: str
    given_on: int


def taken_up(store: StoreReader) -> tuple[TakenUp, ...]:
    """Return what was taken up, in the order of it; nothing when what is kept cannot be read."""
    data = store.remembered(MEMO)
    try:
        return () if data is None else msgspec.msgpack.decode(data, type=tuple[TakenUp, ...])
    except UNDECODABLE:
        return ()


def take_up(store: Store, new: TakenUp, *, now_ms: int) -> tuple[TakenUp, ...]:
    """Keep that a device was given to somebody, and return all that was; what is so already is not kept twice.

    Where there is no room, who had a device longest ago and has it no more is forgotten; a device that somebody has is
    not, and then the new one is not kept.
    """
    known = taken_up(store)
    last = next((one for one in reversed(known) if one.address == new.address), None)
    if last is not None and (last.patient, last.driver) == (new.patient, new.driver):
        return known
    kept = [*known, new]
    if len(kept) > MOST:
        addresses = [one.address for one in kept]
        over = next((at for at, address in enumerate(addresses) if address in addresses[at + 1 :]), None)
        if over is None:
            return known
        del kept[over]
    store.remember(MEMO, msgspec.msgpack.encode(kept), now_ms=now_ms)
    return tuple(kept)


def forget_taken_up(store: Store, patient: str, *, now_ms: int) -> None:
    """Erase that devices were given to a patient; a device that nobody else had is erased with them."""
    known = taken_up(store)
    others = {one.address for one in known if one.patient not in {patient, NOBODY}}
    without = (msgspec.structs.replace(one, patient=NOBODY) if one.patient == patient else one for one in known)
    kept = tuple(one for one in without if one.address in others)
    if kept != known:
        store.remember(MEMO, msgspec.msgpack.encode(kept), now_ms=now_ms)


def device_of(taken: Sequence[TakenUp], address: str, patients: Mapping[str, Patient]) -> Device | None:
    """Return a device with those it was given to, None when it is nobody's who is watched here."""
    given = [one for one in taken if one.address == address]
    if not given or given[-1].driver not in _DRIVERS or given[-1].patient not in patients:
        return None
    zone = patients[given[-1].patient].zone
    ends = [*(one.given_on for one in given[1:]), None]
    people = tuple(
        Assignment(patient=patient, given_on=one.given_on, until=until)
        for one, until in zip(given, ends, strict=True)
        # Its clock shows the time of one place, as of a device in the settings.
        if (patient := patients.get(one.patient)) is not None and patient.zone.key == zone.key
    )
    return Device(address=address, driver=_DRIVERS[given[-1].driver], people=people)


def with_taken_up(settings: Settings, taken: Sequence[TakenUp]) -> Settings:
    """Return the settings with the devices that were taken up, after those that they name."""
    named = {device.address for device in settings.devices}
    patients = {patient.pseudonym: patient for patient in settings.patients}
    addresses = dict.fromkeys(one.address for one in taken if one.address not in named)
    found = (device_of(taken, address, patients) for address in addresses)
    return replace(settings, devices=(*settings.devices, *(device for device in found if device is not None)))
