"""What was observed, as rows: days watched, readings of each day, alerts, boxes. Sums of them are `summed`'s.

One team, one period: local days of each patient's zone from `since` (included) to `until` (not included); of alerts and
boxes, the same days in UTC. Nothing after the moment of the export is counted as watched.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

import numpy as np
from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from numpy.typing import NDArray

from alerting.alert import ChangeKind
from coordination.alert_events import PRIO
from coordination.desk.evaluation.dictionary import DENSE_S, ENOUGH_PERCENT
from coordination.desk.evaluation.pseudonyms import Pseudonyms
from coordination.desk.models import (
    Alert,
    AlertEvent,
    Box,
    BoxAssignment,
    BoxStatus,
    DeclaredGap,
    DeviceSilence,
    Observation,
    Patient,
    Team,
)
from coordination.desk.patients import protocol_of
from coordination.sql_alerts import PERSON
from devices.reading import JUDGED

Row = dict[str, str | int | None]
"""Column -> value; times are ms UTC until they are written."""
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
_PRIORITY = {number: priority.value for priority, number in PRIO.items()}
_RETRACTED = ChangeKind.RETRACTED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The days of an export, and when it was made (ms UTC)."""

    since: date
    until: date
    made: int

    def edges(self, zone: str) -> list[int]:
        """Return where its days begin in a zone, and where the last one ends (ms UTC)."""
        days = (self.until - self.since).days
        place = ZoneInfo(zone)
        starts = (datetime.combine(self.since + timedelta(days=n), time(), place) for n in range(days + 1))
        return [round(start.timestamp() * 1000) for start in starts]

    @property
    def bounds(self) -> tuple[int, int]:
        """Its beginning (included) and its end (not included) in UTC, ms."""
        edges = self.edges("UTC")
        return edges[0], edges[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """A patient's days: when each begins, and how many minutes of it a box was assigned."""

    patient: Patient
    name: str
    edges: list[int]
    watched: list[int]


def days_of(team: Team, period: Period, names: Pseudonyms) -> Iterator[Days]:
    """Yield the days of each patient of a team, those on which nobody watched included."""
    for patient in Patient.objects.filter(team=team).order_by("pk"):
        edges = period.edges(patient.time_zone)
        given = [
            (since, period.made if until is None else min(until, period.made))
            for since, until in BoxAssignment.objects.filter(patient=patient).values_list("since", "until")
        ]
        watched = [_minutes(_joined(given), begin, end) for begin, end in pairwise(edges)]
        yield Days(patient=patient, name=names.patient(patient.pseudonym), edges=edges, watched=watched)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans without their overlaps: two boxes at once watch no longer than one."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(span for span in spans if span[1] > span[0]):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _minutes(spans: list[tuple[int, int]], begin: int, end: int) -> int:
    return sum(max(0, min(last, end) - max(first, begin)) for first, last in spans) // MINUTE_MS


def exposure(days: Days, period: Period) -> Iterator[Row]:
    """Yield the days on which a patient was watched."""
    for number, watched in enumerate(days.watched):
        if watched:
            day = period.since + timedelta(days=number)
            yield {"patient": days.name, "day": day.isoformat(), "watched_min": watched}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A patient's readings of one quantity: how many on each day, and how far apart they usually are (s)."""

    quantity: str
    asked: bool
    counts: list[int]
    cadence_s: int | None

    def with_data(self, number: int, watched_min: int) -> bool:
        """Return whether a day has enough of them; of a dense quantity that depends on how long it was watched."""
        readings = self.counts[number]
        if self.cadence_s is not None and self.cadence_s <= DENSE_S:
            return 100 * readings * self.cadence_s >= ENOUGH_PERCENT * 60 * watched_min
        return readings >= 1


def measured(days: Days) -> list[Measured]:
    """Return a patient's readings of each quantity that there are any of, or that their protocol looks at."""
    protocol, _ = protocol_of(days.patient)
    asked = set() if protocol is None else {one.value for rule in protocol.rules for one in rule.inputs}
    rows = (
        Observation.objects.filter(
            patient=days.patient, t__gte=days.edges[0], t__lt=days.edges[-1], validity__in=[one.value for one in JUDGED]
        )
        .order_by("quantity", "t")
        .values_list("quantity", "t")
    )
    times = {
        quantity: np.array([at for _, at in group], np.int64)
        for quantity, group in groupby(rows.iterator(), key=lambda row: str(row[0]))
    }
    nothing = np.array([], np.int64)
    return [
        Measured(
            quantity=quantity,
            asked=quantity in asked,
            counts=np.diff(np.searchsorted(times.get(quantity, nothing), days.edges)).tolist(),
            cadence_s=_cadence(times.get(quantity, nothing)),
        )
        for quantity in sorted(asked | set(times))
    ]


def _cadence(times: NDArray[np.int64]) -> int | None:
    return round(float(np.median(np.diff(times))) / 1000) if len(times) > 1 else None


def readings(days: Days, period: Period, found: list[Measured]) -> Iterator[Row]:
    """Yield each watched day of each quantity."""
    for one in found:
        for number, watched in enumerate(days.watched):
            if watched:
                yield {
                    "patient": days.name,
                    "day": (period.since + timedelta(days=number)).isoformat(),
                    "quantity": one.quantity,
                    "readings": one.counts[number],
                    "cadence_s": one.cadence_s,
                    "with_data": int(one.with_data(number, watched)),
                }


def alerts(team: Team, period: Period, names: Pseudonyms) -> Iterator[Row]:
    """Yield the alerts that were raised in the period."""
    begin, end = period.bounds
    events = AlertEvent.objects.filter(alert=OuterRef("pk"))
    rows = (
        Alert.objects.filter(team=team, raised_at__gte=begin, raised_at__lt=end)
        .annotate(
            received=Subquery(events.order_by("stored_at").values("stored_at")[:1]),
            seen=Subquery(events.filter(kind="acknowledged", epoch=PERSON).order_by("created").values("created")[:1]),
            closed=F("alertoutcome__at"),
            outcome=F("alertoutcome__outcome"),
        )
        .select_related("patient", "box")
        .order_by("raised_at", "pk")
    )
    for row in rows.iterator(chunk_size=2_000):
        yield _alert(row, names)


def _alert(row: Alert, names: Pseudonyms) -> Row:
    asks = None if row.told_at is None else max(row.told_at, row.received)
    return {
        "alert": names.alert(row.pk),
        "patient": None if row.patient is None else names.patient(row.patient.pseudonym),
        "box": names.box(row.box.name),
        "protocol": row.protocol,
        "protocol_version": row.protocol_version,
        "rule": row.rule_id,
        "protocol_sha256": row.protocol_hash,
        "priority": _PRIORITY[row.prio],
        "category": row.category,
        "origin": row.origin,
        "kind": row.kind,
        "onset": row.onset,
        "raised": row.raised_at,
        "received": row.received,
        "told": row.told_at,
        "due": row.ack_due if row.ack_due is not None else row.due_by,
        "taken": row.seen,
        "closed": row.closed,
        "resolved": row.resolved_at,
        "outcome": row.outcome,
        "late": int(bool(row.late)),
        "transmit_s": _seconds(row.raised_at, row.received),
        "take_s": _seconds(asks, row.seen),
        "close_s": _seconds(row.seen, row.closed),
    }


def _seconds(begin: int | None, end: int | None) -> int | None:
    """Return the whole seconds between two times as they are written, which is to the second."""
    return None if begin is None or end is None else end // 1000 - begin // 1000


def boxes(team: Team, period: Period, names: Pseudonyms) -> Iterator[Row]:
    """Yield the boxes of a team."""
    begin, end = period.bounds
    status = BoxStatus.objects.filter(box=OuterRef("pk"))
    for box in (
        Box.objects.filter(team=team)
        .annotate(backlog=Subquery(status.values("backlog")[:1]), version=Subquery(status.values("version")[:1]))
        .order_by("pk")
    ):
        given = BoxAssignment.objects.filter(box=box, since__lt=end).filter(Q(until=None) | Q(until__gt=begin))
        silent = DeviceSilence.objects.filter(box=box, device=None, since__gte=begin, since__lt=end)
        lost = DeclaredGap.objects.filter(box=box, since__gte=begin, since__lt=end).aggregate(number=Sum("readings"))
        assigned = sum(
            max(0, min(period.made if one.until is None else one.until, end, period.made) - max(one.since, begin))
            for one in given
        )
        yield {
            "box": names.box(box.name),
            "patients": given.aggregate(number=Count("patient", distinct=True))["number"],
            "assigned_h": assigned // HOUR_MS,
            "readings": Observation.objects.filter(box=box, t__gte=begin, t__lt=end).count(),
            "silences": silent.count(),
            "silent_h": sum((one.until or period.made) - one.since for one in silent) // HOUR_MS,
            "lost_readings": lost["number"] or 0,
            "backlog": box.backlog,
            "version": box.version,
            "heard": box.heard_at,
        }


def retracted(row: Row) -> bool:
    """Return whether an alert was taken back: it should never have been."""
    return row["kind"] == _RETRACTED


def today(now: int) -> date:
    """Return the day of a time (ms UTC), in UTC."""
    return datetime.fromtimestamp(now / 1000, UTC).date()
