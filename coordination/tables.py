"""Alerts and readings for people: tables and a few plain sentences, in French or English.

Times are local, and numbers have the comma or point of the reader's language.
"""

from collections.abc import Iterable, Iterator
from datetime import tzinfo
from enum import StrEnum

from tabulate import tabulate

from alerting.alert import Category, ChangeKind, Priority, Reason, Sentence
from alerting.explain import shown_unit
from alerting.quantity_words import NAMES
from coordination.alert_events import PRIO
from coordination.lines import moment_of
from coordination.view import AlertView, FleetView, ReadingView
from devices.reading import Quantity, Validity

EMERGENCY = Sentence(
    fr="Veilleur n'est pas un service d'urgence\u00a0: en cas d'urgence, appeler le 15.",
    en="Veilleur is not an emergency service: in an emergency, call 15 or 112.",
)

NB = "\u00a0"
_SENTENCE_WIDTH = 60
SHOWN_ID = 8
"""Characters of an alert's id in a table: enough to name it to `veilleur-desk acknowledge`."""


class Language(StrEnum):
    """What the reader reads."""

    FR = "fr"
    EN = "en"


_HEADERS = {
    Language.FR: ("N°", "Priorité", "Patient", "Ce qui se passe", "Déclenchée", "Vue par", "Fin"),
    Language.EN: ("Id", "Priority", "Patient", "What happens", "Raised", "Seen by", "Ended"),
}
_READING_HEADERS = {
    Language.FR: ("Patient", "Mesurée", "Grandeur", "Valeur", "Validité", "Appareil"),
    Language.EN: ("Patient", "Measured", "Quantity", "Value", "Validity", "Device"),
}
PRIORITY = {
    Priority.HIGH: Sentence(fr="Haute", en="High"),
    Priority.MEDIUM: Sentence(fr="Moyenne", en="Medium"),
    Priority.LOW: Sentence(fr="Basse", en="Low"),
}
UNTIL = Sentence(fr="jusqu'au", en="until")
HELD = {
    Reason.ABSORBED: Sentence(fr="une alerte plus grave la couvre", en="a graver alert covers it"),
    Reason.REFRACTORY: Sentence(fr="la précédente vient de finir", en="one ended just before"),
    Reason.TOO_MANY: Sentence(fr="trop d'alertes en peu de temps", en="too many in a short time"),
    Reason.QUIET_HOURS: Sentence(fr="heures calmes", en="quiet hours"),
    Reason.SHELVED: Sentence(fr="mise de côté", en="set aside"),
    Reason.DIGEST: Sentence(fr="au résumé du jour", en="in the daily digest"),
    Reason.STALE: Sentence(fr="trop tard pour agir", en="too late to act on"),
}
_HELD_BACK = Sentence(fr="retenue, ", en="held back, ")
_TECHNICAL = Sentence(fr="technique", en="technical")
QUANTITIES = NAMES | {Quantity.SPO2: Sentence(fr="saturation (SpO2)", en="saturation (SpO2)")}
_VALIDITY = {
    Validity.VALID: Sentence(fr="valide", en="valid"),
    Validity.QUESTIONABLE: Sentence(fr="douteuse", en="questionable"),
    Validity.CALIBRATING: Sentence(fr="étalonnage", en="calibrating"),
    Validity.INVALID: Sentence(fr="non valable", en="invalid"),
    Validity.OVERFLOW: Sentence(fr="au-dessus de la plage", en="above the range"),
    Validity.UNDERFLOW: Sentence(fr="sous la plage", en="below the range"),
}


def alert_table(alerts: Iterable[AlertView], language: Language) -> str:
    """Return alerts as a table: those that stand first, then by priority, then the oldest."""
    rows = [
        (
            alert.id[:SHOWN_ID],
            _priority(alert, language),
            alert.patient or alert.box,
            _what(alert, language),
            local(alert.raised_at, language),
            "-" if alert.acknowledgement is None else alert.acknowledgement.by,
            _end(alert, language),
        )
        for alert in sorted(alerts, key=lambda alert: (not alert.standing, PRIO[alert.priority], alert.raised_at))
    ]
    return str(
        tabulate(
            rows,
            headers=_HEADERS[language],
            tablefmt="simple",
            disable_numparse=True,
            maxcolwidths=[None, None, None, _SENTENCE_WIDTH, None, None, None],
        )
    )


def reading_table(readings: Iterable[ReadingView], language: Language) -> str:
    """Return readings as a table."""
    rows = [
        (
            reading.patient,
            local(reading.measured_at, language),
            said(QUANTITIES[reading.quantity], language),
            _amount(reading, language),
            said(_VALIDITY[reading.validity], language),
            reading.device,
        )
        for reading in readings
    ]
    return str(
        tabulate(
            rows,
            headers=_READING_HEADERS[language],
            tablefmt="simple",
            disable_numparse=True,
            colalign=("left", "left", "left", "right", "left", "left"),
        )
    )


def fleet_lines(fleet: FleetView, language: Language) -> Iterator[str]:
    """Yield what must not be missed beside a list: when boxes were last heard, which are silent, what is set apart."""
    if fleet.heard_at is None:
        yield said(Sentence(fr="Aucun message reçu pour l'instant.", en="No message received yet."), language)
    else:
        at = local(fleet.heard_at, language)
        yield said(Sentence(fr=f"Dernier message reçu le {at}.", en=f"Last message received on {at}."), language)
    silent = len(fleet.silent)
    names = f" ({', '.join(fleet.silent)})" if silent else ""
    yield said(
        Sentence(
            fr=f"Boîtiers muets{NB}: {silent} sur {fleet.boxes}{names}.",
            en=f"Silent boxes: {silent} of {fleet.boxes}{names}.",
        ),
        language,
    )
    if fleet.to_attribute:
        parts = ", ".join(f"{box} ({count})" for box, count in fleet.to_attribute)
        yield said(Sentence(fr=f"Relevés à attribuer{NB}: {parts}.", en=f"Records to attribute: {parts}."), language)
    yield said(EMERGENCY, language)


def said(sentence: Sentence, language: Language) -> str:
    """Return a sentence in the reader's language."""
    return sentence.fr if language is Language.FR else sentence.en


def _priority(alert: AlertView, language: Language) -> str:
    word = said(PRIORITY[alert.priority], language)
    return word if alert.category is Category.CLINICAL else f"{word}, {said(_TECHNICAL, language)}"


def _what(alert: AlertView, language: Language) -> str:
    """Return what happens, and why it is held back when it is."""
    held = alert.suppressed
    if held is None or not alert.standing:
        return said(alert.why, language)
    reason = said(HELD[held.reason], language)
    until = "" if held.until is None else f" ({said(UNTIL, language)} {local(held.until, language)})"
    return f"{said(alert.why, language)} [{said(_HELD_BACK, language)}{reason}{until}]"


def _end(alert: AlertView, language: Language) -> str:
    if alert.change is ChangeKind.RETRACTED:
        return said(Sentence(fr="retirée", en="retracted"), language)
    if alert.superseded_by is not None:
        return said(Sentence(fr="révisée", en="revised"), language)
    return "-" if alert.resolved_at is None else local(alert.resolved_at, language)


def _amount(reading: ReadingView, language: Language) -> str:
    number = str(reading.value).replace(".", "," if language is Language.FR else ".")
    return f"{number}{NB}{shown_unit(reading.unit)}"


def local(at: int, language: Language, zone: tzinfo | None = None) -> str:
    """Return a time (ms UTC) as the reader writes it, in `zone` or else in this machine's."""
    moment = moment_of(at)
    if moment is None:
        return "?"
    # The zone is this machine's and says so: sentences are in the patient's.
    shown = moment.astimezone(zone)
    return f"{shown:%d/%m/%Y %H:%M %Z}" if language is Language.FR else f"{shown:%Y-%m-%d %H:%M %Z}"
