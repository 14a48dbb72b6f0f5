"""Numbers, times and short words of a trial in the reader's form.

French: a comma before decimals, thousands and units kept together by U+202F and U+00A0, "3 mars 2026". English: a
point, a comma between thousands, "3 March 2026". Dates are days of the patient's time zone.
"""

import errno
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from alerting.alert import Audience, Priority, Reason, Sentence
from devices.reading import Quantity, Unit, facts, to_value

NOT_A_DEVICE = Sentence(
    fr="Veilleur n'est ni un dispositif médical certifié ni un service d'urgence.",
    en="Veilleur is not a certified medical device and not an emergency service.",
)
NO_PROMISE = Sentence(
    fr="Un historique n'est pas une promesse : demain, les mesures et la personne seront autres.",
    en="A history is not a promise: tomorrow's readings, and the person, will be others.",
)
SIMULATED = Sentence(fr="Mesures SIMULÉES : personne n'a été mesuré.", en="SIMULATED readings: nobody was measured.")
PRIORITIES = {
    Priority.HIGH: Sentence(fr="haute", en="high"),
    Priority.MEDIUM: Sentence(fr="moyenne", en="medium"),
    Priority.LOW: Sentence(fr="basse", en="low"),
}
AUDIENCES = {
    Audience.PATIENT_NOW: Sentence(fr="patient ou aidant", en="patient or carer"),
    Audience.NURSE: Sentence(fr="infirmière", en="nurse"),
}
REASONS = {
    Reason.ABSORBED: Sentence(fr="une plus grave était en cours", en="a graver one stood"),
    Reason.REFRACTORY: Sentence(fr="juste après une autre", en="just after another"),
    Reason.TOO_MANY: Sentence(fr="trop nombreuses", en="too many"),
    Reason.QUIET_HOURS: Sentence(fr="heures calmes", en="quiet hours"),
    Reason.SHELVED: Sentence(fr="mise de côté", en="shelved"),
    Reason.DIGEST: Sentence(fr="gardée pour le résumé", en="kept for the digest"),
    Reason.STALE: Sentence(fr="reçue trop tard", en="received too late"),
}

_REFUSED = {
    errno.ENOENT: Sentence(fr="il n'existe pas", en="there is none"),
    errno.EACCES: Sentence(fr="l'accès est refusé", en="access is denied"),
    errno.EISDIR: Sentence(fr="c'est un dossier", en="it is a folder"),
    errno.ENOTDIR: Sentence(fr="il n'est pas dans un dossier", en="it lies in no folder"),
    errno.ENOSPC: Sentence(fr="le disque est plein", en="the disk is full"),
    errno.EROFS: Sentence(fr="le disque ne peut pas être écrit", en="the disk cannot be written"),
}

_NB, _THIN = "\u00a0", "\u202f"
_MONTHS = {
    "fr": ("janvier février mars avril mai juin", "juillet août septembre octobre novembre décembre"),
    "en": ("January February March April May June", "July August September October November December"),
}
_SHORT = {
    "fr": ("janv. févr. mars avr. mai juin", "juil. août sept. oct. nov. déc."),
    "en": ("Jan Feb Mar Apr May Jun", "Jul Aug Sep Oct Nov Dec"),
}
_EPOCH = date(1970, 1, 1)
_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Words:
    """How one reader is spoken to.

    Attributes:
        lang: "fr" or "en".
        zone: the patients' time zone.
    """

    lang: str
    zone: ZoneInfo

    def say(self, fr: str, en: str) -> str:
        """Return the text of the reader's language."""
        return fr if self.lang == "fr" else en

    def of(self, sentence: Sentence) -> str:
        """Return a sentence in the reader's language."""
        return self.say(sentence.fr, sentence.en)

    def number(self, value: float, decimals: int = 0) -> str:
        """Return a number with that many decimals."""
        text = f"{value:,.{decimals}f}"
        return text.translate({ord(","): _THIN, ord("."): ","}) if self.lang == "fr" else text

    def percent(self, share: float) -> str:
        """Return a share with one decimal, such as "4,3 %"."""
        return self.number(share * 100, 1) + self.say(f"{_NB}%", "%")

    def rate(self, value: float | None, decimals: int = 2) -> str:
        """Return a rate, or a dash where there is none."""
        return "-" if value is None else self.number(value, decimals)

    def span(self, ms: int) -> str:
        """Return a duration in its two largest units, such as "2 h 05 min" or "3 j 4 h"."""
        day = self.say("j", "d")
        if ms >= _DAY:
            days, rest = divmod(ms // _HOUR, 24)
            return f"{self.number(days)}{_NB}{day}" + (f" {rest}{_NB}h" if rest and days < 100 else "")
        hours, minutes = divmod(ms // _MINUTE, 60)
        if hours:
            return f"{hours}{_NB}h" + (f" {minutes:02d}{_NB}min" if minutes else "")
        return f"{minutes}{_NB}min" if minutes or not ms else f"{ms // 1000}{_NB}s"

    def day(self, count: int, *, year: bool = False, short: bool = False) -> str:
        """Return a local day counted from 1970-01-01, such as "3 mars" or "3 mars 2026"."""
        when = _EPOCH + timedelta(days=count)
        month = " ".join((_SHORT if short else _MONTHS)[self.lang]).split()[when.month - 1]
        first = "1er" if when.day == 1 and self.lang == "fr" else str(when.day)
        return f"{first} {month} {when.year}" if year else f"{first} {month}"

    def date_of(self, at: int, *, year: bool = True, short: bool = False) -> str:
        """Return the local day of a moment (ms UTC)."""
        return self.day((self.local(at).date() - _EPOCH).days, year=year, short=short)

    def period(self, first: int, last: int) -> str:
        """Return the local days of two moments (ms UTC): "du 3 mars 2026 au 4 mars 2026", or "le 3 mars 2026"."""
        begin, end = self.date_of(first), self.date_of(last)
        if begin == end:
            return self.say(f"le {begin}", f"on {begin}")
        return self.say(f"du {begin} au {end}", f"from {begin} to {end}")

    def moment(self, at: int) -> str:
        """Return a moment (ms UTC), such as "3 mars 2026 à 08:11"."""
        return f"{self.date_of(at)} {self.say('à', 'at')} {self.local(at):%H:%M}"

    def local(self, at: int) -> datetime:
        """Return a moment (ms UTC) in the patients' time zone."""
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)).astimezone(self.zone)

    def amount(self, quantity: Quantity, count: int, unit: Unit) -> str:
        """Return a value in one of its quantity's units, without the unit and without needless zeros."""
        return self._shortest(in_unit(quantity, count, unit))

    def difference(self, quantity: Quantity, count: int, unit: Unit) -> str:
        """Return a difference of two values (quanta) in one of its quantity's units, written as an amount is."""
        return self._shortest(in_unit(quantity, count, unit) - in_unit(quantity, 0, unit))

    def _shortest(self, value: float) -> str:
        text = f"{value:.3f}".rstrip("0").rstrip(".")
        return text.replace(".", ",") if self.lang == "fr" else text


def system_said(error: OSError) -> Sentence:
    """Return why the system refused a file; the system's own words where it is none of the usual reasons."""
    return _REFUSED.get(error.errno or 0, Sentence(fr=error.strerror or "", en=error.strerror or ""))


def in_unit(quantity: Quantity, count: float, unit: Unit) -> float:
    """Return quanta as a number of `unit`, for showing only."""
    known = facts(quantity)
    value = float(count) * float(known.quantum)
    if unit is known.unit:
        return float(to_value(quantity, int(count))) if count == int(count) else value
    factor, offset = known.conversions[unit]
    return (value - float(offset)) / float(factor)
