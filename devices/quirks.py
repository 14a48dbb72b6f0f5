"""What real devices do besides what their service's specification says: data, in one place, each with its report.

A quirk is found by the name that a device advertises, or by the model that it names itself when connected. Nothing
here was seen by us on a device unless `reported` says so: it is what others reported, where `reported` says.
"""

from dataclasses import dataclass
from enum import Enum

from devices.driver import ClockSetting
from devices.radio import Advertisement


class Pairing(Enum):
    """How a device is bonded."""

    JUST_WORKS = "just_works"
    PASSKEY_SHOWN = "passkey_shown"
    """The device shows six digits, which are typed in at the box."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What an installer or a nurse reads."""

    fr: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """What is known of one model or family.

    Attributes:
        model: as on its label, such as "A&D UA-651BLE".
        names: beginnings of the name that it advertises or of the model that it names itself.
        drivers: names of the drivers that read it; empty when none does.
        pairing: how it is bonded.
        clock: how its clock is set when otherwise than its driver says; None: as the driver says.
        clock_first: whether its clock is set before its records are read, because it hangs up after the last one.
        consent: whether it gives results only to who shows a user's consent code.
        refused: why it is not read although it offers a standard service; None: it is read.
        note: what whoever installs it should know.
        reported: where each of these was reported.
    """

    model: str
    names: tuple[str, ...]
    drivers: tuple[str, ...]
    pairing: Pairing = Pairing.JUST_WORKS
    clock: ClockSetting | None = None
    clock_first: bool = False
    consent: bool = False
    refused: Words | None = None
    note: Words
    reported: tuple[str, ...]


QUIRKS: tuple[Quirk, ...] = (
    Quirk(
        model="A&D UA-651BLE",
        names=("A&D_UA-651BLE", "UA-651BLE"),
        drivers=("blood_pressure",),
        clock=ClockSetting.DATE_TIME,
        note=Words(
            fr="N'envoie que ce qui ne l'a pas été, puis se déconnecte ; ne parle qu'au dernier appareil appairé.",
            en="Sends only what it has not sent yet, then disconnects; talks only to the last paired peer.",
        ),
        reported=("A&D Medical, UA-651BLE communication specification",),
    ),
    Quirk(
        model="AiDEX",
        names=("AiDEX", "LinX"),
        drivers=(),
        refused=Words(
            fr="annonce le service CGM standard mais parle un protocole chiffré propre à son fabricant",
            en="advertises the standard CGM service but speaks its maker's own encrypted protocol",
        ),
        note=Words(fr="À lire par le téléphone et un relais.", en="Read it by the phone and a relay."),
        reported=("xDrip+ source code, AiDEX support",),
    ),
)


def quirk_named(name: str | None) -> Quirk | None:
    """Return what is known of a device by its advertised name or its model; the longest beginning counts."""
    if not name:
        return None
    found = [(len(start), quirk) for quirk in QUIRKS for start in quirk.names if name.startswith(start)]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def quirk_of(advertisement: Advertisement) -> Quirk | None:
    """Return what is known of an advertised device."""
    return quirk_named(advertisement.name)
