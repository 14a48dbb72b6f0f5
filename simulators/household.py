"""A household as a file: who lives there, which devices they have, and what goes wrong.

    [[people]]
    name = "patient-7f3a"
    glucose = "recorded"

    [[devices]]
    kind = "cgm"
    address = "C4:B0:00:00:00:01"
    owner = "patient-7f3a"

    [[faults]]
    kind = "out_of_reach"
    device = "cgm"
    seconds = 2.0

Homes that ship lie in simulators/homes. Not here: living in it (home), and what the devices are (device_kinds).
"""

import re
import tomllib
from collections import Counter
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from simulators.device_kinds import KINDS
from simulators.errors import HomeError
from simulators.faults import Fault

MOST_DEVICES = 60
_ADDRESS = re.compile(r"[C-F][0-9A-F](:[0-9A-F]{2}){5}")


class Glucose(StrEnum):
    """Where a person's glucose comes from."""

    MODELLED = "modelled"
    RECORDED = "recorded"


class Heart(StrEnum):
    """How a person's heart does."""

    STEADY = "steady"
    FAILING = "failing"
    """It decompensates from the start on; the days before are in the memory of their scale."""


class Temperature(StrEnum):
    """How warm a person is."""

    STEADY = "steady"
    FEVER = "fever"
    """It begins in the evening of the first day and lasts."""


class Person(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody who lives here, by pseudonym; `seed` makes one person differ from another."""

    name: Annotated[str, Meta(min_length=1, max_length=48)]
    seed: int | None = None
    glucose: Glucose = Glucose.MODELLED
    heart: Heart = Heart.STEADY
    temperature: Temperature = Temperature.STEADY


class User(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of several who use a device, and their index in it."""

    person: str
    user: Annotated[int, Meta(ge=0, le=254)] | None = None


class Furniture(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One device: whose it is, and what is special about it.

    Attributes:
        kind: the name of the driver that reads it.
        address: static random Bluetooth address, upper case.
        name: by which faults find it; its address does too, and its kind where there is one of the kind.
        owner: the one who uses it.
        owners: those who use it, where there are several.
        options: as its kind has them.
        date_time: whether its wall clock is a Date Time (0x2A08).
    """

    kind: str
    address: str
    name: str = ""
    owner: str | None = None
    owners: list[User] = []
    options: dict[str, object] = {}
    date_time: bool = False

    @property
    def users(self) -> tuple[User, ...]:
        """Those who use it."""
        return tuple(self.owners) if self.owner is None else (User(person=self.owner),)


class Household(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a file says."""

    people: Annotated[list[Person], Meta(min_length=1)]
    devices: Annotated[list[Furniture], Meta(min_length=1, max_length=MOST_DEVICES)]
    faults: list[Fault] = []
    advertising_seconds: Annotated[float, Meta(gt=0, le=10)] = 0.2

    def person(self, name: str) -> Person:
        """Return somebody who lives here.

        Raises:
            HomeError: nobody of that name does.
        """
        for person in self.people:
            if person.name == name:
                return person
        raise HomeError(f"nobody named {name!r} lives here")


def packaged_homes() -> tuple[str, ...]:
    """Return the names of the homes that ship."""
    found = (item.name for item in files("simulators").joinpath("homes").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


def read_household(home: str) -> Household:
    """Return a home that ships, by name, or the one in a file.

    Raises:
        HomeError: there is none, or it is not a home.
    """
    try:
        if home in packaged_homes():
            text = files("simulators").joinpath("homes").joinpath(f"{home}.toml").read_text(encoding="utf-8")
        else:
            text = Path(home).read_text(encoding="utf-8")
        found = msgspec.convert(tomllib.loads(text), Household, strict=True)
    except OSError as error:
        raise HomeError(f"{home} is neither a file nor one of {', '.join(packaged_homes())}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise HomeError(f"{home} is not a home: {error}") from error
    _check(found, home)
    return found


def _check(found: Household, home: str) -> None:
    """Refuse what would only be met later, half way.

    Raises:
        HomeError: with the first thing that is wrong.
    """
    for device in found.devices:
        if device.kind not in KINDS:
            raise HomeError(f"{home}: there is no virtual {device.kind!r}; there are {', '.join(KINDS)}")
        if not _ADDRESS.fullmatch(device.address):
            raise HomeError(f"{home}: {device.address!r} is no static random address such as C4:B0:00:00:00:01")
        if not device.users or (device.owner is not None and device.owners):
            raise HomeError(f"{home}: device {device.address} needs either an owner or owners")
        for user in device.users:
            found.person(user.person)
    names = Counter(name for device in found.devices for name in {device.address, device.name} - {""})
    people = Counter(person.name for person in found.people)
    for name, times in (names + people).items():
        if times > 1:
            raise HomeError(f"{home}: {name!r} is there {times} times")
