"""How a device is called in a sentence: by what it is and the end of its address, as whoever has it in hand knows it.

Not here: the sentences (technical_rules), and what a device calls itself (devices.about).
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A name in one language, as a sentence needs it: "la balance (…00:03)", "de la balance (…00:03)"."""

    the: str
    of_the: str

    @property
    def at_start(self) -> str:
        """With which a sentence begins."""
        return self.the[0].upper() + self.the[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The name of one device in both languages."""

    fr: Name
    en: Name


_FRENCH: Final = {"la ": "de la ", "le ": "du ", "l'": "de l'"}
"""An article, and what becomes of it after *de*."""

_KINDS: Final = {
    "cgm": ("le capteur de glucose", "glucose sensor"),
    "glucose_meter": ("le lecteur de glycémie", "glucose meter"),
    "blood_pressure": ("le tensiomètre", "blood-pressure monitor"),
    "weight_scale": ("la balance", "scale"),
    "body_composition": ("la balance", "scale"),
    "xiaomi_scale": ("la balance", "scale"),
    "pulse_oximeter": ("l'oxymètre", "oximeter"),
    "thermometer": ("le thermomètre", "thermometer"),
    "heart_rate": ("le cardiofréquencemètre", "heart-rate sensor"),
    "relay": ("le relais", "relay"),
}
"""By the driver that reads it."""
_ANY: Final = ("l'appareil", "device")
_TAIL: Final = 5
"""Characters of an address that are shown: the last two pairs, as in `veilleur devices`."""


def names_of(address: str, kind: str | None) -> Names:
    """Return how a device or relay is called.

    Args:
        address: its identity, such as "C4:B0:00:00:00:03" or "relay:phone".
        kind: its driver's name, or "relay"; None or an unknown one: it is called a device.
    """
    french, english = _KINDS.get(kind or "", _ANY)
    which = address.removeprefix("relay:") if address.startswith("relay:") else f"(…{address[-_TAIL:]})"
    article = next(start for start in _FRENCH if french.startswith(start))
    of_the = _FRENCH[article] + french.removeprefix(article)
    return Names(
        fr=Name(the=f"{french} {which}", of_the=f"{of_the} {which}"),
        en=Name(the=f"the {english} {which}", of_the=f"of the {english} {which}"),
    )
