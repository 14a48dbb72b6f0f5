"""Days, hours and lengths of time as a reader says them, in French and English.

Times are in the patient's time zone. In the hour that occurs twice at the end of summer time the offset is said.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from alerting.alert import Sentence
from alerting.wording import MINUS, NB, say

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_MONTHS = (
    ("janvier", "January"),
    ("février", "February"),
    ("mars", "March"),
    ("avril", "April"),
    ("mai", "May"),
    ("juin", "June"),
    ("juillet", "July"),
    ("août", "August"),
    ("septembre", "September"),
    ("octobre", "October"),
    ("novembre", "November"),
    ("décembre", "December"),
)
_LONG = 72 * HOUR
"""From here on a length that is no whole number of days is told in days too."""


def span(ms: int) -> Sentence:
    """Return a length of time to the second, cut downwards: "15 min", "24 h", "3 jours"."""
    days, hours, minutes, seconds = _split(ms)
    parts = [_days(days)] * (days > 0)
    parts += [
        Sentence(fr=f"{number}{NB}{unit}", en=f"{number} {unit}")
        for number, unit in ((hours, "h"), (minutes, "min"), (seconds, "s"))
        if number or (unit == "s" and ms < SECOND)
    ]
    return Sentence(fr=NB.join(part.fr for part in parts), en=" ".join(part.en for part in parts))


def lasted(ms: int, threshold: int) -> Sentence:
    """Return how long something lasted, to the minute unless that would show less than the threshold it reached."""
    minutes = ms // MINUTE * MINUTE
    return span(ms if minutes < threshold <= ms or ms < MINUTE else minutes)


def roughly(ms: int) -> Sentence:
    """Return how long something spread, rounded: seconds under 2 min, days from 2 days on, minutes between."""
    for unit, under in ((SECOND, 2 * MINUTE), (MINUTE, 2 * DAY)):
        if ms < under:
            return span(_nearest(ms, unit))
    return _days(_nearest(ms, DAY) // DAY)


def latest(ms: int) -> Sentence:
    """Return "of the last ..." for a window: "des 120 dernières minutes"."""
    for unit, least, words in (
        (DAY, 2, Sentence(fr="derniers jours", en="days")),
        (HOUR, 3, Sentence(fr="dernières heures", en="hours")),
        (MINUTE, 2, Sentence(fr="dernières minutes", en="minutes")),
    ):
        if ms % unit == 0 and ms >= least * unit:
            return say("des {n}~{words}", "of the last {n} {words}", n=ms // unit, words=words)
    return say("sur {span}", "over {span}", span=span(ms))


def moment(at: int, zone: ZoneInfo, *, beside: int | None = None) -> Sentence:
    """Return a time of day with its date; without the date when it is on the same day as `beside` (ms UTC)."""
    local = _local(at, zone)
    shown = clock(at, zone)
    if beside is not None and _local(beside, zone).date() == local.date():
        return shown
    return say("{day} à {clock}", "{day} at {clock}", day=day(at, zone), clock=shown)


def clock(at: int, zone: ZoneInfo) -> Sentence:
    """Return a time of day; with its offset in an hour that occurs twice."""
    local = _local(at, zone)
    shown = f"{local:%H:%M}"
    offset = local.utcoffset()
    if offset is not None and offset != local.replace(fold=1 - local.fold).utcoffset():
        hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
        sign = MINUS if offset < timedelta(0) else "+"
        shown = f"{shown} (UTC{sign}{hours}{f':{minutes:02d}' if minutes else ''})"
    return Sentence(fr=shown, en=shown)


def day(at: int, zone: ZoneInfo) -> Sentence:
    """Return a date without its year: "le 3 mars"."""
    local = _local(at, zone)
    month_fr, month_en = _MONTHS[local.month - 1]
    return Sentence(fr=f"le {'1er' if local.day == 1 else local.day} {month_fr}", en=f"on {local.day} {month_en}")


def _local(at: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)


def _split(ms: int) -> tuple[int, int, int, int]:
    days = ms // DAY if ms >= _LONG or (ms > DAY and ms % DAY == 0) else 0
    seconds = (ms - days * DAY) // SECOND
    return days, seconds // 3600, seconds // 60 % 60, seconds % 60


def _days(number: int) -> Sentence:
    return Sentence(fr=f"{number}{NB}jours", en=f"{number} days")


def _nearest(ms: int, unit: int) -> int:
    return (ms + unit // 2) // unit * unit
