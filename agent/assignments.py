"""Whose devices and relays are, as the settings say it: checked until no record can have two owners.

- A device and its people appear once; people may follow each other in time, or share the device.
- Those who share it at one time are told apart by the device's user index, or all of them by ranges of weight that
  have no weight in common. Anything else would be a guess, and is refused here rather than made later.

Not here: to whom one record goes (attribution).
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from agent.errors import SecretError
from agent.faults import Faults
from agent.secret_file import read_secret
from agent.settings import (
    Assignment,
    Device,
    DeviceSettings,
    GivenSettings,
    Patient,
    PersonSettings,
    Relay,
    RelaySettings,
)
from devices.drivers import ALL
from devices.errors import UnitError
from devices.reading import Quantity, Unit, plausible, to_counts
from devices.relay_address import RelayAddress, RelayAddressError

WEIGHING: Final = frozenset({"weight_scale", "body_composition", "xiaomi_scale"})
"""Drivers whose records hold a weight."""
NAMING_USERS: Final = frozenset({"weight_scale", "body_composition", "blood_pressure"})
"""Drivers whose records can say which of the device's users they are of."""
_KINDS: Final = frozenset({"relay", *(driver.name for driver in ALL)})
"""Of a kind that does not exist only that is told, not what such a thing cannot do."""

_ADDRESS = re.compile(r"([0-9A-F]{2}:){5}[0-9A-F]{2}")
_RELAY = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HOUR_S = 3600.0


class Assignments:
    """Reads who was given what, and says what is wrong with it."""

    def __init__(self, *, declared: Sequence[str], patients: Mapping[str, Patient], faults: Faults) -> None:
        """Begin.

        Args:
            declared: every pseudonym in the settings.
            patients: those of them that are without fault.
            faults: where faults are said.
        """
        self._declared = frozenset(declared)
        self._patients = patients
        self._faults = faults

    def devices(self, found: Sequence[DeviceSettings]) -> tuple[Device, ...]:
        """Return the devices that are without fault."""
        drivers = {driver.name: driver for driver in ALL}
        devices: list[Device] = []
        addresses: set[str] = set()
        for number, item in enumerate(found, 1):
            where = f"devices[{number}]"
            if not _ADDRESS.fullmatch(item.address):
                self._faults.add(
                    f"{where}.address",
                    "six paires hexadécimales en majuscules, avec deux-points",
                    "six pairs of upper-case hexadecimal digits with colons",
                )
            self._once(f"{where}.address", item.address, addresses)
            people = self._people(where, item, kind=item.driver)
            driver = drivers.get(item.driver)
            if driver is None:
                names = ", ".join(drivers)
                self._faults.add(
                    f"{where}.driver", f"« {item.driver} » n'est pas l'un de {names}", f"must be one of {names}"
                )
            elif people:
                expect_s = _seconds(item)
                devices.append(Device(address=item.address, driver=driver, people=people, expect_s=expect_s))
        return tuple(devices)

    def relays(self, found: Sequence[RelaySettings], folder: Path) -> tuple[Relay, ...]:
        """Return the relays that are without fault; paths are relative to `folder`."""
        relays: list[Relay] = []
        names: set[str] = set()
        for number, item in enumerate(found, 1):
            where = f"relays[{number}]"
            if not _RELAY.fullmatch(item.name):
                self._faults.add(
                    f"{where}.name",
                    "1 à 32 caractères a-z, 0-9 et -, jamais un nom de personne",
                    "1 to 32 of a-z, 0-9 and -, never a person's name",
                )
            self._once(f"{where}.name", item.name, names)
            self._check_address(where, item, folder)
            people = self._people(where, item, kind="relay")
            if people:
                relays.append(
                    Relay(
                        address=f"relay:{item.name}",
                        people=people,
                        expect_s=_seconds(item),
                        url=item.url,
                        secret_file=None if item.secret_file is None else folder / item.secret_file,
                        token_file=None if item.token_file is None else folder / item.token_file,
                    )
                )
        return tuple(relays)

    # --- one device or relay ------------------------------------------------------------------------------

    def _once(self, where: str, name: str, seen: set[str]) -> None:
        if name in seen:
            self._faults.add(where, f"« {name} » y est deux fois", f"'{name}' is there twice")
        seen.add(name)

    def _check_address(self, where: str, item: RelaySettings, folder: Path) -> None:
        """Say why the relay cannot be asked there, or with these secrets."""
        secrets: dict[str, str | None] = {"secret_file": None, "token_file": None}
        for key, path in (("secret_file", item.secret_file), ("token_file", item.token_file)):
            try:
                secrets[key] = None if path is None else read_secret(folder / path)
            except SecretError as error:
                self._refuse(f"{where}.{key}", f"{error.why.fr} {error.hint.fr}", f"{error.why.en} {error.hint.en}")
        if item.secret_file is not None and item.token_file is not None:
            self._faults.add(where, "donner secret_file ou token_file, pas les deux", "give one of the two secrets")
        try:
            RelayAddress(item.url, token=secrets["token_file"], secret=secrets["secret_file"])
        except RelayAddressError as error:
            self._refuse(f"{where}.url", error.words.fr, error.words.en)

    def _refuse(self, where: str, fr: str, en: str) -> None:
        """Say a fault whose sentence ends in a full stop already."""
        self._faults.add(where, fr.removesuffix("."), en.removesuffix("."))

    # --- its people ---------------------------------------------------------------------------------------

    def _people(self, where: str, item: GivenSettings, *, kind: str) -> tuple[Assignment, ...]:
        """Return the people without fault; none when there is no saying."""
        in_short = item.patient is not None or item.given_on is not None or item.until is not None
        if in_short and item.people:
            self._faults.add(
                where,
                "donner soit patient et from, soit une liste people",
                "give either patient and from, or a list of people",
            )
            return ()
        if not item.people and (item.patient is None or item.given_on is None):
            self._faults.add(
                where,
                "dire à qui il est donné : patient et from, ou une liste people",
                "say whom it is given to: patient and from, or a list of people",
            )
            return ()
        listed = [(f"{where}.people[{number}]", person) for number, person in enumerate(item.people, 1)]
        if item.patient is not None and item.given_on is not None:
            listed = [(where, PersonSettings(patient=item.patient, given_on=item.given_on, until=item.until))]
        people = [(at, found) for at, person in listed if (found := self._person(at, person, kind=kind)) is not None]
        for (_, one), (at, other) in itertools.combinations(people, 2):
            self._check_told_apart(at, one, other)
        if len({person.patient.zone.key for _, person in people}) > 1:
            self._faults.add(
                where,
                "son horloge est à l'heure d'un seul lieu : ses patients doivent avoir le même fuseau",
                "its clock shows the time of one place: its patients must have the same time zone",
            )
        return tuple(person for _, person in people)

    def _person(self, where: str, item: PersonSettings, *, kind: str) -> Assignment | None:
        if item.patient not in self._declared:
            self._faults.add(
                f"{where}.patient",
                f"« {item.patient} » n'est pas parmi les patients",
                f"'{item.patient}' is not among the patients",
            )
        given_on = self._moment(f"{where}.from", item.given_on)
        until = None if item.until is None else self._moment(f"{where}.until", item.until)
        if given_on is not None and until is not None and until <= given_on:
            self._faults.add(f"{where}.until", "doit venir après from", "must come after from")
        if item.user is None and item.code is not None:
            self._faults.add(
                f"{where}.code", "ne sert qu'avec user, l'index de la personne", "is of use with user only, their index"
            )
        if item.user is not None and kind in _KINDS - NAMING_USERS:
            self._faults.add(
                f"{where}.user", "cet appareil ne dit pas de qui sont ses mesures", "this device names no users"
            )
        weight = None if item.weight_kg is None else self._weight(f"{where}.weight_kg", item.weight_kg, kind=kind)
        patient = self._patients.get(item.patient)
        if patient is None or given_on is None or (item.until is not None and until is None):
            return None
        return Assignment(
            patient=patient, given_on=given_on, until=until, user=item.user, code=item.code, weight=weight
        )

    def _moment(self, where: str, at: datetime) -> int | None:
        if at.tzinfo is None:
            self._faults.add(where, "donner le décalage, comme …08:00:00Z", "give the offset, such as …08:00:00Z")
            return None
        if not 2000 <= at.year < 2200:
            self._faults.add(where, "l'année doit être entre 2000 et 2199", "the year must be from 2000 to 2199")
            return None
        return round(at.astimezone(UTC).timestamp() * 1000)

    def _weight(self, where: str, given: tuple[float, float], *, kind: str) -> tuple[int, int] | None:
        if kind in _KINDS - WEIGHING:
            self._faults.add(where, "cet appareil ne pèse pas", "this device does not weigh")
        try:
            low, high = (to_counts(Quantity.BODY_WEIGHT, Decimal(str(kilograms)), Unit.KILOGRAM) for kilograms in given)
        except UnitError:
            low, high = 0, 0
        if low > high or not (plausible(Quantity.BODY_WEIGHT, low) and plausible(Quantity.BODY_WEIGHT, high)):
            self._faults.add(
                where,
                "donner le plus petit puis le plus grand poids en kg, comme [60.0, 75.0]",
                "give the lowest and the highest weight in kg, such as [60.0, 75.0]",
            )
            return None
        return low, high

    def _check_told_apart(self, where: str, one: Assignment, other: Assignment) -> None:
        """Say when a record of a time at which the device was both's could be either's."""
        if not _overlap(one, other):
            return
        if one.user is not None and other.user is not None:
            if one.user == other.user:
                self._faults.add(
                    f"{where}.user",
                    f"l'index {other.user} est à deux personnes en même temps",
                    f"index {other.user} is two people's at the same time",
                )
        elif one.user is not None or other.user is not None:
            self._faults.add(
                where,
                "donner un index user à tous ceux qui se partagent l'appareil, ou à aucun",
                "give a user index to everybody who shares the device, or to nobody",
            )
        elif one.weight is None or other.weight is None:
            self._faults.add(
                where,
                "deux personnes ont l'appareil en même temps : les distinguer par user ou par weight_kg, ou mettre "
                "until à la première",
                "two people have the device at the same time: tell them apart by user or weight_kg, or give the "
                "first an until",
            )
        elif one.weight[0] <= other.weight[1] and other.weight[0] <= one.weight[1]:
            self._faults.add(
                f"{where}.weight_kg",
                "des poids sont communs à deux personnes : resserrer, ou distinguer par user",
                "some weights are two people's: narrow the ranges, or tell them apart by user",
            )


def _seconds(item: GivenSettings) -> float | None:
    return None if item.expect_hours is None else item.expect_hours * _HOUR_S


def _overlap(one: Assignment, other: Assignment) -> bool:
    return (other.until is None or one.given_on < other.until) and (one.until is None or other.given_on < one.until)
