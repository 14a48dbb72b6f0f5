"""One alert, whole, for a person: everything that it says of itself, as a short page of text.

What the box knew when it raised the alert stands in the change as it travelled, so nothing is computed here again.

Not here: the list of alerts (tables), and what the team did about it beyond seeing it (the desk).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from itertools import groupby

from alerting.alert import AlertChange, Audience, Evidence, Outcome, Sentence
from alerting.wording import shown_unit
from coordination.tables import EMERGENCY, HELD, NB, PRIORITY, QUANTITIES, SHOWN_ID, UNTIL, Language, local, said
from coordination.view import AlertView
from devices.reading import facts, to_value

_AUDIENCE = {
    Audience.PATIENT_NOW: Sentence(fr="le patient ou un aidant, tout de suite", en="the patient or a carer, at once"),
    Audience.NURSE: Sentence(fr="l'infirmière, aux heures du poste", en="the nurse, in the desk's hours"),
}
_OUTCOME = {
    Outcome.ACTION: Sentence(fr="vraie, suivie d'une action", en="true, something was done"),
    Outcome.NO_ACTION: Sentence(fr="vraie, sans action", en="true, nothing needed doing"),
    Outcome.ARTEFACT: Sentence(fr="artefact", en="artefact"),
    Outcome.WRONG_PERSON: Sentence(fr="une autre personne", en="another person"),
    Outcome.DUPLICATE: Sentence(fr="en double", en="duplicate"),
}
_NO_OUTCOME = Sentence(fr="issue non notée", en="no outcome recorded")
_CHECK = Sentence(fr="À vérifier", en="To check")
_FOR = Sentence(fr="Pour", en="For")
_DUE = Sentence(fr="À regarder avant", en="To be looked at by")
_LATE = Sentence(
    fr="Connue après coup : ce n'est pas la situation de maintenant.",
    en="It became known late: this is not how things are now.",
)
_LATE_AND_STANDING = Sentence(
    fr="Mesure reçue en retard ; l'alerte est toujours en cours.",
    en="Its readings came late; the alert still stands.",
)
_IMPROVING = Sentence(fr="La valeur revient vers la normale.", en="The value is on its way back.")
_NOT_TOLD = Sentence(fr="Non annoncée", en="Not told")
_ESCALATED = Sentence(fr="Non vue à temps, dite aussi à", en="Not seen in time, told as well to")
_REMINDED = Sentence(fr="Non vue à temps, rappelée à", en="Not seen in time, told once more to")
_HIGHER = Sentence(fr="Pourquoi pas plus haut, quand elle s'est déclenchée", en="Why not higher, when it was raised")
_LACKING = Sentence(fr="Ce qui manque", en="What is missing")
_SIMILAR = Sentence(fr="La précédente semblable", en="The last one alike")
_RESTS_ON = Sentence(fr="Repose sur", en="Rests on")
_RECENT = Sentence(fr="Dernières valeurs", en="Latest values")
_SIGNALS = Sentence(fr="Autres mesures", en="Other readings")
_PROTOCOL = Sentence(fr="Protocole", en="Protocol")
_ENGINE = Sentence(fr="moteur", en="engine")
_SEEN = Sentence(fr="Vue par", en="Seen by")


def page(view: AlertView, language: Language, zone: tzinfo | None = None) -> Iterator[str]:
    """Yield the lines of an alert.

    Args:
        view: the alert as the team has it.
        language: of the reader.
        zone: of the times beside the sentences; this machine's when None.
    """
    words = _Words(language, zone)
    yield f"{view.id[:SHOWN_ID]}  {said(PRIORITY[view.priority], language)}  {view.patient or view.box}  {view.rule}"
    yield words.say(view.why)
    if view.late:
        yield words.say(_LATE_AND_STANDING if view.standing else _LATE)
    if view.said.improving and view.standing:
        yield words.say(_IMPROVING)
    yield from _telling(view, words)
    yield from _reasons(view.said, words)
    yield from _numbers(view.said, words)
    if view.protocol:
        engine = f"{words.say(_ENGINE)} {view.engine_version}"
        protocol = f"{view.protocol} v{view.protocol_version} ({view.protocol_hash[:12]})"
        yield words.titled(_PROTOCOL, f"{protocol}, {engine}")
    yield words.say(EMERGENCY)


@dataclass(frozen=True, slots=True)
class _Words:
    language: Language
    zone: tzinfo | None

    def say(self, sentence: Sentence) -> str:
        return said(sentence, self.language)

    def titled(self, title: Sentence, text: str) -> str:
        return f"{self.say(title)}{NB if self.language is Language.FR else ''}: {text}".rstrip()

    def when(self, at: int) -> str:
        return local(at, self.language, self.zone)

    def number(self, one: Evidence) -> str:
        shown = f"{to_value(one.quantity, one.count).normalize():f}"
        return shown.replace(".", "," if self.language is Language.FR else ".")


def _telling(view: AlertView, words: _Words) -> Iterator[str]:
    """Yield whom it is for, by when, whether it is told, and who has seen it."""
    change, seen = view.said, view.acknowledgement
    yield words.titled(_FOR, words.say(_AUDIENCE[view.audience]))
    if view.due_by is not None and view.standing:
        yield words.titled(_DUE, words.when(view.due_by))
    if change.suppressed is not None:
        until = (
            "" if change.suppressed.until is None else f" ({words.say(UNTIL)} {words.when(change.suppressed.until)})"
        )
        yield words.titled(_NOT_TOLD, f"{words.say(HELD[change.suppressed.reason])}{until}")
    known = {view.audience}
    for step in change.escalated:
        title = _REMINDED if step.audience in known else _ESCALATED
        known.add(step.audience)
        yield words.titled(title, f"{words.say(_AUDIENCE[step.audience])}, {words.when(step.at)}")
    if seen is not None:
        yield words.titled(_SEEN, f"{seen.by}, {words.when(seen.at)}")


def _reasons(change: AlertChange, words: _Words) -> Iterator[str]:
    """Yield what to check, why it is not graver, what was missing, and what came of the last one."""
    sentences = (
        # The sentence has it mostly already.
        (_CHECK, change.check if change.check.fr and change.check.fr not in change.why.fr else None),
        (_HIGHER, change.higher),
        (_LACKING, change.lacking),
    )
    yield from (words.titled(title, words.say(sentence)) for title, sentence in sentences if sentence is not None)
    before = change.similar
    if before is not None:
        came = words.say(_NO_OUTCOME if before.outcome is None else _OUTCOME[before.outcome])
        yield words.titled(_SIMILAR, f"{before.alert_id[:SHOWN_ID]}, {words.when(before.raised_at)}, {came}")


def _numbers(change: AlertChange, words: _Words) -> Iterator[str]:
    """Yield the readings that it rests on, the latest values, and the other quantities."""
    others = tuple(one for one in change.signals if one not in change.evidence)
    for title, readings in ((_RESTS_ON, change.evidence), (_SIGNALS, others)):
        if readings:
            yield words.titled(title, "")
            yield from (f"  {_reading(one, words)}, {words.when(one.measured_at)}, {one.device}" for one in readings)
    if change.recent:
        yield words.titled(_RECENT, _values(change.recent, words))


def _reading(one: Evidence, words: _Words) -> str:
    return f"{words.say(QUANTITIES[one.quantity])} {words.number(one)}{NB}{shown_unit(facts(one.quantity).unit)}"


def _values(recent: tuple[Evidence, ...], words: _Words) -> str:
    """Return values with their unit said once for each run of a quantity."""
    runs = (
        f"{' '.join(map(words.number, run))}{NB}{shown_unit(facts(quantity).unit)}"
        for quantity, run in groupby(recent, key=lambda one: one.quantity)
    )
    return ", ".join(runs)
