"""A care protocol over recorded readings: which alerts it would have raised, and why.

The engine and the kernel are those of the box: a backtest over the readings that a box judged gives the alerts that
the box told, but for those it retracted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from alerting.alert import (
    AlertChange,
    Audience,
    Category,
    ChangeKind,
    Evidence,
    Priority,
    Reason,
    Sentence,
)
from alerting.care_protocol import CareProtocol
from alerting.engine import Engine
from alerting.history import History
from alerting.reading_order import canonical
from devices.reading import Reading, facts, to_value

_CHUNK = 8192
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertOutcome:
    """One alert from beginning to end; times in ms UTC.

    Attributes:
        patient: pseudonym.
        alert_id: see `alerting.alert.alert_id`.
        rule: id of the rule in its protocol.
        priority: how soon somebody must look.
        category: about the patient or about the watching.
        audience: whom it is for.
        onset: when the condition began.
        raised_at: when the rule was satisfied.
        resolved_at: when it ended, None when it still stands.
        told_at: when somebody was told; None when it was suppressed to its end.
        suppressed: why it was not told at once, None when it was.
        evidence: the readings it rests on.
        why: one sentence with its numbers.
    """

    patient: str
    alert_id: str
    rule: str
    priority: Priority
    category: Category
    audience: Audience
    onset: int
    raised_at: int
    resolved_at: int | None
    told_at: int | None
    suppressed: Reason | None
    evidence: tuple[Evidence, ...]
    why: Sentence


def backtest(
    protocol: CareProtocol,
    readings_by_patient: Mapping[str, Sequence[Reading]],
    *,
    zone: ZoneInfo,
    since: int | None = None,
    until: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    never_judged: dict[str, frozenset[str]] | None = None,
) -> Iterator[AlertOutcome]:
    """Yield the alerts of each patient, ordered by (patient, raised_at, rule).

    Args:
        protocol: what to judge by.
        readings_by_patient: pseudonym -> readings in any order; repeats are harmless.
        zone: the time zone of the sentences.
        since: ms UTC at which watching begins; by default at each patient's first reading.
        until: ms UTC up to which time passes, and after which readings are left out; by default time ends with each
            patient's last reading.
        progress: called with (readings judged, readings in all) as the work goes on.
        never_judged: takes, patient by patient, the ids of the rules that never had a value.
    """
    total = sum(len(readings) for readings in readings_by_patient.values())
    done = 0
    for patient in sorted(readings_by_patient):
        readings = readings_by_patient[patient]
        ordered = [one for one in canonical(readings) if until is None or one.measured_at <= until]
        if not ordered and since is None:
            continue
        begun = ordered[0].measured_at if since is None else since
        engine = Engine(protocol, patient=patient, zone=zone, since=begun)
        outcomes = _Outcomes(protocol)
        for start in range(0, len(ordered), _CHUNK):
            chunk = ordered[start : start + _CHUNK]
            outcomes.follow(engine.feed(chunk))
            if progress is not None:
                progress(done + start + len(chunk), total)
        if until is not None:
            outcomes.follow(engine.tick(until))
        done += len(readings)
        if never_judged is not None:
            never_judged[patient] = frozenset(rule.id for rule in protocol.rules if not engine.judged(rule.id))
        yield from outcomes.in_order()


def judge_patient(
    protocol: CareProtocol,
    history: History,
    *,
    zone: ZoneInfo,
    since: int | None = None,
    until: int | None = None,
    never_judged: dict[str, frozenset[str]] | None = None,
) -> tuple[AlertOutcome, ...]:
    """Return the alerts of one recorded patient, ordered by (raised_at, rule); arguments as in `backtest`."""
    known = {history.patient: history.until(until).readings()}
    return tuple(backtest(protocol, known, zone=zone, since=since, until=until, never_judged=never_judged))


def line(outcome: AlertOutcome) -> dict[str, object]:
    """Return an outcome as one line of JSON: times in ISO 8601 ending in Z, values in their canonical unit."""
    return {
        "patient": outcome.patient,
        "rule": outcome.rule,
        "priority": outcome.priority.value,
        "audience": outcome.audience.value,
        "onset": _iso(outcome.onset),
        "raised_at": _iso(outcome.raised_at),
        "resolved_at": None if outcome.resolved_at is None else _iso(outcome.resolved_at),
        "told_at": None if outcome.told_at is None else _iso(outcome.told_at),
        "suppressed": None if outcome.suppressed is None else outcome.suppressed.value,
        "evidence": [
            {
                "quantity": item.quantity.value,
                "value": float(to_value(item.quantity, item.count)),
                "unit": facts(item.quantity).unit.value,
                "measured_at": _iso(item.measured_at),
            }
            for item in outcome.evidence
        ],
        "why": {"fr": outcome.why.fr, "en": outcome.why.en},
    }


class _Outcomes:
    """The latest state of each alert; readings in order raise, resolve, suppress and release only."""

    def __init__(self, protocol: CareProtocol) -> None:
        self._audiences = {rule.id: rule.audience for rule in protocol.rules}
        self._found: dict[str, AlertOutcome] = {}

    def follow(self, changes: Sequence[AlertChange]) -> None:
        for change in changes:
            before = self._found.get(change.alert_id)
            if before is None:
                told_at = change.raised_at if change.suppressed is None else None
                reason = None if change.suppressed is None else change.suppressed.reason
            else:
                told_at, reason = before.told_at, before.suppressed
                if change.kind is ChangeKind.RELEASED and told_at is None:
                    told_at = change.told_at
            self._found[change.alert_id] = AlertOutcome(
                patient=change.patient,
                alert_id=change.alert_id,
                rule=change.rule,
                priority=change.priority,
                category=change.category,
                audience=self._audiences[change.rule],
                onset=change.onset,
                raised_at=change.raised_at,
                resolved_at=change.resolved_at,
                told_at=told_at,
                suppressed=reason,
                evidence=change.evidence,
                why=change.why,
            )

    def in_order(self) -> list[AlertOutcome]:
        return sorted(self._found.values(), key=lambda one: (one.raised_at, one.rule))


def _iso(ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=ms)
    text = moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds")
    return text.replace("+00:00", "Z")
