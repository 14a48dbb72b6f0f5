"""One alert, whole, for a person: what it rests on, what was done with it and by whom, and what came of it.

What the box knew when it raised the alert stands in the change as it travelled, so nothing is computed here again.

Not here: the list of alerts (worklist), and doing anything with one (views.alerts).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from alerting.alert import AlertChange, Evidence, Outcome, Sentence
from alerting.wording import shown_unit
from coordination.alert_acts import AlertAct, Detail, Done, Standing
from coordination.desk.access import ALLOWED, Action, Role
from coordination.desk.models import Alert, AlertEvent, AlertOutcome, Team, User
from coordination.desk.models import AlertAct as ActRow
from coordination.desk.pages import number
from coordination.handling import Handler, can_undo
from coordination.outcomes import MEANINGS, RECALL_WORDS, Said
from coordination.tables import HELD, QUANTITIES
from devices.reading import facts, to_value
from exchange.messages import AlertRecord, EvidenceItem, alert_change

OUTCOMES = {
    Outcome.ACTION: Sentence(fr="Vraie, suivie d'une action", en="True, something was done"),
    Outcome.NO_ACTION: Sentence(fr="Vraie, sans action", en="True, nothing needed doing"),
    Outcome.ARTEFACT: Sentence(fr="Artefact", en="Artefact"),
    Outcome.WRONG_PERSON: Sentence(fr="Une autre personne", en="Another person"),
    Outcome.DUPLICATE: Sentence(fr="En double", en="Said twice"),
}
DONE = {
    Done.TAKEN: Sentence(fr="Prise en charge", en="Taken in hand"),
    Done.RETURNED: Sentence(fr="Rendue à l'équipe", en="Given back to the team"),
    Done.ASSIGNED: Sentence(fr="Affectée à", en="Assigned to"),
    Done.PHYSICIAN_TOLD: Sentence(fr="Médecin prévenu :", en="Physician told:"),
    Done.RECALL: RECALL_WORDS,
    Done.CLOSED: Sentence(fr="Close :", en="Closed:"),
    Done.REOPENED: Sentence(fr="Rouverte", en="Opened again"),
    Done.UNDONE: Sentence(fr="Annulé :", en="Undone:"),
    Done.LAPSED: Sentence(
        fr="Non close à temps, revenue dans la liste ; elle était à",
        en="Not closed in time, back in the list; it was in the hands of",
    ),
    Done.RAISED_AGAIN: Sentence(
        fr="Revenue après sa fin : elle attend de nouveau quelqu'un",
        en="Back after its end: it waits for somebody anew",
    ),
    Done.ESCALATED: Sentence(
        fr="Personne ne l'avait prise à temps : signalée aux médecins",
        en="Nobody had taken it in time: shown to the physicians",
    ),
}
HOW = {
    "telephone": Sentence(fr="par téléphone", en="by telephone"),
    "messagerie": Sentence(fr="par messagerie sécurisée", en="by secure message"),
    "de-vive-voix": Sentence(fr="de vive voix", en="face to face"),
}
MOST_ALIKE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One reading as a person reads it: what, how much with its unit, when (ms UTC), by which device."""

    quantity: Sentence
    value: str
    at: int
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One act in the history: what, of what more, who, when (ms UTC), what was noted; `undo` names its turn."""

    what: Sentence
    more: str | Sentence
    person: str
    at: int
    note: str = ""
    recall_at: int | None = None
    undo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """An earlier alert of the same rule about the same patient, and what came of it, None while nobody said."""

    alert: str
    raised_at: int
    outcome: Sentence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One alert, whole."""

    said: AlertChange
    evidence: tuple[Shown, ...]
    signals: tuple[Shown, ...]
    recent: tuple[Shown, ...]
    held: Sentence | None
    acts: tuple[Told, ...]
    alike: tuple[Alike, ...]
    came: Sentence | None


def story_of(alert: Alert, *, by: Handler, now: int) -> Story:
    """Return an alert whole, as somebody reads it at `now` (ms UTC)."""
    said = alert_change(msgspec.json.decode(alert.record, type=AlertRecord))
    others = tuple(one for one in said.signals if one not in said.evidence)
    outcome = AlertOutcome.objects.filter(alert=alert).first()
    return Story(
        said=said,
        evidence=shown(said.evidence),
        signals=shown(others),
        recent=shown(said.recent),
        held=None if said.suppressed is None else HELD[said.suppressed.reason],
        acts=_acts(alert, by, now),
        alike=_alike(alert),
        came=None if outcome is None else outcome_words(outcome.outcome, outcome.said),
    )


def shown(readings: Sequence[Evidence | EvidenceItem]) -> tuple[Shown, ...]:
    """Return readings as a person reads them."""
    return tuple(
        Shown(
            quantity=QUANTITIES[one.quantity],
            value=f"{number(f'{to_value(one.quantity, one.count).normalize():f}')}\u00a0"
            f"{shown_unit(facts(one.quantity).unit)}",
            at=one.measured_at,
            device=one.device,
        )
        for one in readings
    )


def outcome_words(outcome: str, said: str) -> Sentence:
    """Return what came of an alert in words: as it was said at the desk, else as its box was told."""
    return MEANINGS[Said(said)].words if said in set(Said) else OUTCOMES[Outcome(outcome)]


def colleagues(team: Team) -> dict[Role, tuple[User, ...]]:
    """Return who of a team can have an alert in hand, by role, by name."""
    roles = [role for role in Role if Action.HANDLE_ALERTS in ALLOWED[role]]
    return {
        role: tuple(
            User.objects.filter(memberships__team=team, memberships__role=role.value, is_active=True).order_by("name")
        )
        for role in roles
    }


def _acts(alert: Alert, by: Handler, now: int) -> tuple[Told, ...]:
    """Return what was done with an alert and those that it continues, newest first."""
    line, earlier = [alert.pk], alert.supersedes
    while earlier is not None and earlier not in line:
        line.append(earlier)
        earlier = Alert.objects.filter(pk=earlier).values_list("supersedes", flat=True).first()
    rows = list(ActRow.objects.filter(alert__in=line).order_by("-at", "-pk"))
    last = next((row.pk for row in rows if row.alert_id == alert.pk), None)
    told = [_told(row, undo=row.pk == last and _can_undo(row, alert, by, now)) for row in rows]
    if not rows:
        # From before acts were kept one by one, or seen under another alert's name.
        seen = AlertEvent.objects.filter(alert__in=line, epoch="desk").order_by("created").first()
        if seen is not None:
            who = msgspec.json.decode(seen.content, type=dict[str, object])
            told.append(Told(what=DONE[Done.TAKEN], more="", person=str(who.get("by", "")), at=seen.created))
    return tuple(told)


def _told(row: ActRow, *, undo: bool) -> Told:
    kind, detail = Done(row.kind), msgspec.json.decode(row.detail, type=Detail)
    more: str | Sentence = detail.to
    if kind is Done.CLOSED:
        more = outcome_words(detail.outcome, detail.outcome)
    elif kind is Done.PHYSICIAN_TOLD and detail.how in HOW:
        more = Sentence(fr=f"{detail.to}, {HOW[detail.how].fr}", en=f"{detail.to}, {HOW[detail.how].en}")
    elif kind is Done.UNDONE:
        undone = DONE[Done(detail.undone)]
        more = Sentence(fr=undone.fr.rstrip(" :à").lower(), en=undone.en.rstrip(" :").lower())
    elif kind is Done.ESCALATED:
        more = ""
    return Told(
        what=DONE[kind],
        more=more,
        person=row.person,
        at=row.at,
        note=row.note,
        recall_at=detail.recall_at,
        undo=row.turn if undo else "",
    )


def _can_undo(row: ActRow, alert: Alert, by: Handler, now: int) -> bool:
    act = AlertAct(
        alert=alert.pk,
        turn=row.turn,
        handled=row.handled,
        kind=Done(row.kind),
        at=row.at,
        person=row.person,
        person_id=row.person_id,
        detail=Detail(),
        before=msgspec.json.decode(row.before, type=Standing),
    )
    return can_undo(act, by=by, at=now, handled=alert.handled, turn=row.turn)


def _alike(alert: Alert) -> tuple[Alike, ...]:
    if alert.patient is None:
        return ()
    earlier = (
        Alert.objects.filter(patient=alert.patient, rule_id=alert.rule_id, raised_at__lt=alert.raised_at)
        .exclude(kind="retracted")
        .select_related("alertoutcome")
        .defer("record")
        .order_by("-raised_at")[:MOST_ALIKE]
    )
    return tuple(
        Alike(
            alert=one.pk,
            raised_at=one.raised_at,
            outcome=outcome_words(one.alertoutcome.outcome, one.alertoutcome.said)
            if hasattr(one, "alertoutcome")
            else None,
        )
        for one in earlier
    )
