"""Two protocols beside each other on one patient: what was told, and what a shadow would have told meanwhile.

- Both are counted from what the box kept, over the same time: from when the pair stood as it does and nothing of the
  shadow's had to be dropped, to how far the shadow has judged.
- The applied protocol's alerts are those that were really told, with what people did about them; the shadow's are
  those that nobody heard of.
- What was taken back afterwards counts on neither side and is said apart. An alert that stood before counting began is
  paired, so that it is not taken for one that only the other raised, and not counted.

Nothing is counted here that a trial counts already (alerting.burden, alerting.comparison), and nothing is said
(shadow_command).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from agent.errors import RequestError
from agent.ordered_protocols import with_orders
from agent.settings import Patient, Settings
from agent.shadow_store import Fault, KeptAlert, ShadowReader, ShadowState
from agent.store_reader import StoreReader
from agent.vault import Vault
from alerting.alert import Audience, ChangeKind, Priority, Sentence
from alerting.backtest import AlertOutcome
from alerting.burden import Burden, Watched, burden_of
from alerting.care_protocol import CareProtocol
from alerting.comparison import Difference, Verdict, compare
from exchange import messages

NOT_BEGUN = Sentence(
    fr="Le protocole à l'essai n'a pas encore commencé : redémarrer le boîtier.",
    en="The shadow has not begun yet: restart the box.",
)
CHANGED = Sentence(
    fr="Les réglages nomment d'autres protocoles que ceux que le boîtier juge : redémarrer le boîtier.",
    en="The settings name other protocols than the box judges by: restart the box.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one of the two came to.

    Attributes:
        protocol: what was judged by.
        burden: what its alerts cost, or would have.
        taken_back: alerts that late readings showed never should have been.
    """

    protocol: CareProtocol
    burden: Burden
    taken_back: int

    def told(self, priority: Priority, audience: Audience) -> int:
        """Return how many alerts of a priority were told to an audience, or would have been."""
        rules = self.burden.rules.values()
        return sum(rule.told for rule in rules if (rule.priority, rule.audience) == (priority, audience))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both over the same time; times in ms UTC.

    Attributes:
        since: when the shadow began.
        counted_from: from when on both are counted, inclusive.
        until: to when, inclusive.
        readings: how many readings that may be judged were measured in that time.
        shadow: what nobody was told.
        active: what was told.
        differences: every alert of either, the shadow's first.
        fault: why the shadow judges no more, None while it does.
    """

    since: int
    counted_from: int
    until: int
    readings: int
    shadow: Side
    active: Side
    differences: tuple[Difference, ...]
    fault: Fault | None

    @property
    def verdicts(self) -> Counter[Verdict]:
        """How many alerts there are of each verdict."""
        return Counter(one.verdict for one in self.differences)

    @property
    def only_shadow(self) -> tuple[AlertOutcome, ...]:
        """The alerts that only the shadow raised."""
        return tuple(one.first for one in self.differences if one.first is not None and one.second is None)

    @property
    def only_active(self) -> tuple[AlertOutcome, ...]:
        """The alerts that only the applied protocol raised."""
        return tuple(one.second for one in self.differences if one.second is not None and one.first is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientShadow:
    """A patient who has a shadow: the comparison, or why there is none."""

    patient: str
    zone: ZoneInfo
    comparison: Comparison | None
    why: Sentence | None = None


def read_shadows(settings: Settings, vault: Vault, *, patient: str | None = None) -> tuple[PatientShadow, ...]:
    """Return what the shadows of a box came to, running or not; `patient`: of that one only.

    Raises:
        RequestError: there is no such patient, or no shadow for them.
        StoreError, VaultError: the database cannot be read with this key.
        sqlite3.Error: it is busy for too long.
    """
    store = StoreReader.open(settings.database, vault)
    try:
        patients = with_orders(settings, store.commands).patients
        chosen = [one for one in patients if patient in {None, one.pseudonym}]
        found = tuple(of_patient(store.shadows, one, one.shadow) for one in chosen if one.shadow is not None)
    finally:
        store.close()
    if patient is not None and not found:
        raise RequestError(
            Sentence(
                fr=f"{patient} n'a aucun protocole à l'essai, ni par les réglages ni par l'équipe.",
                en=f"{patient} has no shadow, neither by the settings nor by the team.",
            ),
            Sentence(
                fr="Le demander dans l'atelier de l'équipe, ou ajouter « shadow = » sous ce patient et redémarrer le "
                "boîtier.",
                en="Ask for one in the team's workshop, or add 'shadow =' below that patient and restart the box.",
            ),
        )
    return found


def of_patient(store: ShadowReader, patient: Patient, shadow: CareProtocol) -> PatientShadow:
    """Return what a patient's shadow came to, as one open database has it."""
    name, state = patient.pseudonym, store.state(patient.pseudonym)
    found: Comparison | None = None
    why: Sentence | None = None
    if state is None:
        why = NOT_BEGUN
    elif (state.pair.protocol_hash, state.pair.beside) != (shadow.protocol_hash, patient.protocol.protocol_hash):
        why = CHANGED
    else:
        found = _compared(store, patient, shadow, state)
    return PatientShadow(patient=name, zone=patient.zone, comparison=found, why=why)


def _compared(store: ShadowReader, patient: Patient, shadow: CareProtocol, state: ShadowState) -> Comparison:
    name, begin, end = patient.pseudonym, state.counted_from, max(state.until, state.counted_from)
    watched = Watched(begin=begin, end=end, zone=patient.zone)
    both = ((shadow, store.alerts(name)), (patient.protocol, store.active_alerts(name)))
    outcomes = [_outcomes(kept, protocol, watched) for protocol, kept in both]
    silent, told = (
        Side(
            protocol=protocol,
            burden=burden_of(protocol, [one for one in found if one.raised_at >= begin], watched),
            taken_back=_taken_back(kept, watched),
        )
        for (protocol, kept), found in zip(both, outcomes, strict=True)
    )
    return Comparison(
        since=state.since,
        counted_from=begin,
        until=end,
        readings=store.readings_within(name, begin, end),
        shadow=silent,
        active=told,
        differences=tuple(one for one in compare(*outcomes) if any(alert.raised_at >= begin for alert in one.shown)),
        fault=state.fault,
    )


def _outcomes(kept: Sequence[KeptAlert], protocol: CareProtocol, watched: Watched) -> list[AlertOutcome]:
    """Return the alerts that stood at any time while both were watched, in order of (raised_at, rule)."""
    rules = {rule.id for rule in protocol.rules}
    return [
        outcome_of(one)
        for one in kept
        if one.record.rule in rules
        and (one.standing or (one.record.resolved_at or 0) >= watched.begin)
        and one.record.raised_at <= watched.end
        and one.record.kind is not ChangeKind.RETRACTED
    ]


def _taken_back(kept: Sequence[KeptAlert], watched: Watched) -> int:
    return sum(
        one.record.kind is ChangeKind.RETRACTED and watched.begin <= one.record.raised_at <= watched.end for one in kept
    )


def outcome_of(kept: KeptAlert) -> AlertOutcome:
    """Return a kept alert as a trial counts it; `suppressed` is said only of one that was never told."""
    change = messages.alert_change(kept.record)
    held = None if kept.told_at is not None or change.suppressed is None else change.suppressed.reason
    return AlertOutcome(
        patient=change.patient,
        alert_id=change.alert_id,
        rule=change.rule,
        priority=change.priority,
        category=change.category,
        audience=change.audience,
        onset=change.onset,
        raised_at=change.raised_at,
        resolved_at=change.resolved_at,
        told_at=kept.told_at,
        suppressed=held,
        evidence=change.evidence,
        why=change.why,
    )
