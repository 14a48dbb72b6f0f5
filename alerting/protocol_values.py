"""Durations, times of day, days of the week and quality flags, as a protocol file writes them, both ways.

A duration carries its unit ("15 min", "3 days"; a day is 24 hours), a time of day is "11:00" in the patient's time
zone.

What is not here: what has the unit of a quantity (protocol_amounts), and which key takes which value (protocol_schema).
"""

import re
from typing import ClassVar, Self

from alerting.alert import Sentence
from devices.reading import Quality

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LONGEST = 400 * DAY
"""No duration of a protocol is longer."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_MS = {
    **dict.fromkeys(("s", "second", "seconds", "seconde", "secondes"), 1_000),
    **dict.fromkeys(("min", "minute", "minutes"), MINUTE),
    **dict.fromkeys(("h", "hour", "hours", "heure", "heures"), HOUR),
    **dict.fromkeys(("day", "days", "jour", "jours"), DAY),
    **dict.fromkeys(("week", "weeks", "semaine", "semaines"), 7 * DAY),
}
SPACES = " \u00a0\u2007\u202f"
"""What may stand between a number and its unit: a space, or one that an editor ties them with."""
_DURATION = re.compile(rf"([0-9]{{1,6}})[{SPACES}]*([a-z]+)")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


# Classes without more: msgspec would take a dataclass for a table of its own.


class Duration:
    """A length of time in ms, written such as "15 min"."""

    __slots__ = ("ms",)

    def __init__(self, ms: int) -> None:
        self.ms = ms

    @property
    def plain(self) -> int:
        """Milliseconds."""
        return self.ms

    @classmethod
    def read(cls, text: object) -> Self:
        """Read it.

        Raises:
            ValueError: it is no duration, or longer than 400 days.
        """
        match = _DURATION.fullmatch(text_of(text).strip())
        if match is None or match[2] not in _MS or int(match[1]) * _MS[match[2]] > LONGEST:
            raise ValueError(text)
        return cls(int(match[1]) * _MS[match[2]])


class Lasting(Duration):
    """A length of time above zero."""

    __slots__ = ()

    @classmethod
    def read(cls, text: object) -> Self:
        """Read it.

        Raises:
            ValueError: it is no duration, zero, or longer than 400 days.
        """
        duration = super().read(text)
        if duration.ms == 0:
            raise ValueError(text)
        return duration


class TimeOfDay:
    """Minutes after local midnight, written such as "11:00"."""

    __slots__ = ("minutes",)

    def __init__(self, minutes: int) -> None:
        self.minutes = minutes

    @property
    def plain(self) -> int:
        """Minutes after local midnight."""
        return self.minutes

    @classmethod
    def read(cls, text: object) -> Self:
        """Read it.

        Raises:
            ValueError: it is no time between "00:00" and "23:59".
        """
        match = _TIME.fullmatch(text_of(text).strip())
        if match is None:
            raise ValueError(text)
        return cls(60 * int(match[1]) + int(match[2]))


class Span:
    """A part of the day, from inclusive, to exclusive, minutes after local midnight: ["22:00", "07:00"]."""

    __slots__ = ("begin", "end")

    def __init__(self, begin: int, end: int) -> None:
        self.begin = begin
        self.end = end

    @property
    def plain(self) -> tuple[int, int]:
        """(from, to)."""
        return (self.begin, self.end)

    @classmethod
    def read(cls, pair: object) -> Self:
        """Read it.

        Raises:
            ValueError: it is not two different times of day.
        """
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(pair)
        begin, end = (TimeOfDay.read(text).minutes for text in pair)
        if begin == end:
            raise ValueError(pair)
        return cls(begin, end)


class Days:
    """Days of the week, bit 0 is Monday: ["mon", "thu"]."""

    __slots__ = ("bits",)

    def __init__(self, bits: int) -> None:
        self.bits = bits

    @property
    def plain(self) -> int:
        """The bits."""
        return self.bits

    @classmethod
    def read(cls, names: object) -> Self:
        """Read them.

        Raises:
            ValueError: it is not a list of days of the week, at least one, each once.
        """
        return cls(sum(1 << WEEKDAYS.index(name) for name in _words(names, WEEKDAYS)))


class Flags:
    """Quality flags by their names: ["cuff_too_loose", "body_movement"]."""

    __slots__ = ("quality",)

    names: ClassVar = tuple(str(flag.name).lower() for flag in Quality)

    def __init__(self, quality: Quality) -> None:
        self.quality = quality

    @property
    def plain(self) -> Quality:
        """The flags."""
        return self.quality

    @classmethod
    def read(cls, names: object) -> Self:
        """Read them.

        Raises:
            ValueError: it is not a list of names of flags, at least one, each once.
        """
        quality = Quality.NONE
        for name in _words(names, cls.names):
            quality |= Quality[name.upper()]
        return cls(quality)


def duration_text(ms: int) -> str:
    """Return a duration as a protocol is written; it is a whole number of seconds."""
    for unit, size in (("days", DAY), ("h", HOUR), ("min", MINUTE)):
        if ms and ms % size == 0:
            count = ms // size
            return f"{count} day" if (unit, count) == ("days", 1) else f"{count} {unit}"
    return f"{ms // 1000} s"


def duration_said(ms: int) -> Sentence:
    """Return a duration as a reader writes it, such as "3 jours" and "3 days"."""
    written = duration_text(ms)
    return Sentence(fr=written.replace("day", "jour"), en=written)


def time_text(minutes: int) -> str:
    """Return a time of day as a protocol is written."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def days_text(bits: int) -> list[str]:
    """Return days of the week as a protocol is written."""
    return [name for bit, name in enumerate(WEEKDAYS) if bits >> bit & 1]


def flags_text(quality: int) -> list[str]:
    """Return quality flags as a protocol is written."""
    return [str(flag.name).lower() for flag in Quality if flag & quality]


def text_of(value: object) -> str:
    """Return a text.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError("a text")  # noqa: TRY004 - msgspec turns a ValueError into its ValidationError
    return value


def _words(names: object, known: tuple[str, ...]) -> list[str]:
    if not isinstance(names, list) or not names:
        raise ValueError(names)
    words = [text_of(name) for name in names]
    if len(set(words)) != len(words) or not set(words) <= set(known):
        raise ValueError(names)
    return words
