"""Reading the team's database: alerts and readings as the commands show them. Nothing is ever written here."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from alerting.alert import (
    Acknowledgement,
    AlertChange,
    AlertState,
    Audience,
    Category,
    ChangeKind,
    Priority,
    Sentence,
    Suppression,
    state_of,
)
from coordination.acknowledging import named
from coordination.alert_events import PRIO
from coordination.place import Place
from coordination.sql_alerts import PERSON
from coordination.sql_gaps import unexplained
from coordination.team_database import ERRORS, as_error, connect_to_read
from coordination.team_origin import IS_BOX
from devices.reading import ClockTrust, Quantity, Unit, Validity, to_value
from exchange.gaps import GapReason
from exchange.messages import AlertRecord, EvidenceItem, Range, alert_change, lineage

ALL = 2**62
"""More rows than there are."""
_PRIORITIES = {number: priority for priority, number in PRIO.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """One alert as it is now; times in ms UTC.

    Attributes:
        patient: pseudonym, None when the alert is about the box alone.
        origin: "box", or "team" when the inbox raised it by itself.
        change: what happened to it last.
        acknowledgement: who has seen it, or an alert that it continues, first; None when nobody has.
        superseded_by: id of the alert that continues it, None otherwise.
        told_at: from when on it is told, None while it is held back.
        due_by: by when somebody must look, None when the protocol does not say.
        said: its last change, whole, as its box or the inbox said it.
    """

    id: str
    patient: str | None
    box: str
    origin: str
    rule: str
    priority: Priority
    category: Category
    change: ChangeKind
    onset: int
    raised_at: int
    resolved_at: int | None
    late: bool
    supersedes: str | None
    superseded_by: str | None
    why: Sentence
    evidence: tuple[EvidenceItem, ...]
    protocol: str
    protocol_version: int
    protocol_hash: str
    engine_version: str
    audience: Audience
    told_at: int | None
    due_by: int | None
    said: AlertChange
    acknowledgement: Acknowledgement | None

    @property
    def state(self) -> AlertState:
        """Where the alert is in its life."""
        return state_of(self.change, self.resolved_at, self.acknowledgement)

    @property
    def suppressed(self) -> Suppression | None:
        """Why it is held back, None when it is not."""
        return self.said.suppressed

    @property
    def standing(self) -> bool:
        """Whether it is neither over, nor taken back, nor continued by another."""
        return self.resolved_at is None and self.change is not ChangeKind.RETRACTED and self.superseded_by is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingView:
    """One observation; times in ms UTC.

    Attributes:
        measured_at: event time.
        received_at: when the box had it.
        stored_at: when the team had it.
    """

    patient: str
    measured_at: int
    quantity: Quantity
    value: Decimal
    unit: Unit
    validity: Validity
    clock: ClockTrust
    device: str
    key: str
    box: str
    epoch: str
    seq: int
    received_at: int
    stored_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GapView:
    """What a box declared missing; times in ms UTC, both included.

    Attributes:
        patient: pseudonym, None when nobody can say whose it was.
        measured_from: when the oldest of it was measured.
        measured_to: when the newest of it was measured.
        readings: how many.
        stored_at: when the team had the declaration.
    """

    patient: str | None
    box: str
    measured_from: int
    measured_to: int
    readings: int
    reason: GapReason
    stored_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingView:
    """Sequence numbers that neither came nor were declared missing: on their way, or lost.

    Attributes:
        database: the lineage of the box's database, within which numbers go on (`exchange.messages.lineage`).
    """

    box: str
    database: str
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """How the boxes are doing.

    Attributes:
        boxes: how many there are.
        silent: those that have been silent for too long.
        heard_at: ms UTC of the last message, None before the first.
        to_attribute: (box, number of records set apart), for each that has any.
    """

    boxes: int
    silent: tuple[str, ...]
    heard_at: int | None
    to_attribute: tuple[tuple[str, int], ...]


class View:
    """The team's database, open for reading."""

    def __init__(self, path: Place) -> None:
        """Open the database.

        Raises:
            DatabaseUnusableError: missing, from another version, not ours or damaged.
            DatabaseBusyError: locked at the moment.
        """
        self._connection = connect_to_read(path)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def patients(self) -> tuple[str, ...]:
        """Return every pseudonym, sorted."""
        return tuple(row[0] for row in self._rows("SELECT pseudonym FROM patient ORDER BY pseudonym"))

    def whole(self, alert: str) -> AlertView:
        """Return the one alert whose id begins with `alert`.

        Raises:
            CoordinationError: no alert, or more than one, begins like that.
        """
        try:
            known = named(self._connection, alert)
        except ERRORS as error:
            raise as_error(error) from error
        return next(self.alerts(alert=known))

    def alerts(
        self, *, patient: str | None = None, standing: bool = False, alert: str | None = None
    ) -> Iterator[AlertView]:
        """Yield alerts by (patient, raised_at, rule); `standing` leaves out what is over or was taken back.

        `patient` and `alert` (a whole id) leave out all others.
        """
        rows = self._rows(
            "SELECT alert.id, pseudonym, box.name, origin, rule_id, prio, category, kind, onset, raised_at,"
            " resolved_at, late, supersedes,"
            " (SELECT min(other.id) FROM alert AS other WHERE other.supersedes = alert.id) AS superseded_by,"
            " text_fr, text_en, evidence, protocol, protocol_version, protocol_hash, engine_version, audience, told_at,"
            " due_by, record,"
            " (WITH RECURSIVE matter (id, supersedes) AS (SELECT alert.id, alert.supersedes"
            " UNION SELECT earlier.id, earlier.supersedes FROM alert AS earlier JOIN matter"
            " ON earlier.id = matter.supersedes) SELECT content FROM alert_event JOIN matter"
            " ON matter.id = alert_event.alert_id WHERE epoch = :person ORDER BY created LIMIT 1) AS seen"
            " FROM alert JOIN box ON box.id = alert.box_id LEFT JOIN patient ON patient.id = alert.patient_id"
            " WHERE (:patient IS NULL OR pseudonym = :patient) AND (:alert IS NULL OR alert.id = :alert)"
            " AND (NOT :standing OR (resolved_at IS NULL AND kind <> 'retracted'"
            " AND NOT EXISTS (SELECT 1 FROM alert AS other WHERE other.supersedes = alert.id)))"
            " ORDER BY pseudonym NULLS FIRST, raised_at, rule_id, alert.id",
            {"patient": patient, "standing": standing, "alert": alert, "person": PERSON},
        )
        for row in rows:
            record = msgspec.json.decode(row[24], type=AlertRecord)
            yield AlertView(
                id=row[0],
                patient=row[1],
                box=row[2],
                origin=row[3],
                rule=row[4],
                priority=_PRIORITIES[row[5]],
                category=Category(row[6]),
                change=ChangeKind(row[7]),
                onset=row[8],
                raised_at=row[9],
                resolved_at=row[10],
                late=bool(row[11]),
                supersedes=row[12],
                superseded_by=row[13],
                why=Sentence(fr=row[14], en=row[15]),
                evidence=msgspec.json.decode(row[16], type=tuple[EvidenceItem, ...]),
                protocol=row[17],
                protocol_version=row[18],
                protocol_hash=row[19],
                engine_version=row[20],
                audience=Audience(row[21]),
                told_at=row[22],
                due_by=row[23],
                said=alert_change(record),
                acknowledgement=None if row[25] is None else msgspec.json.decode(row[25], type=Acknowledgement),
            )

    def readings(
        self, *, patient: str | None = None, since: int | None = None, limit: int | None = None
    ) -> Iterator[ReadingView]:
        """Yield readings in canonical order within each patient: (measured_at, quantity, device, key).

        Args:
            patient: only theirs.
            since: ms UTC, included.
            limit: only the last so many, by measured_at.
        """
        rows = self._rows(
            "SELECT pseudonym, t, quantity, count, unit, validity, clock, device.name AS device, key, box.name, epoch,"
            " seq, received_at, stored_at"
            " FROM (SELECT observation.*, pseudonym FROM observation"
            " JOIN patient ON patient.id = patient_id"
            " WHERE (:patient IS NULL OR pseudonym = :patient) AND (:since IS NULL OR t >= :since)"
            " ORDER BY t DESC LIMIT :limit) AS chosen"
            " JOIN device ON device.id = chosen.device_id JOIN box ON box.id = chosen.box_id"
            " ORDER BY pseudonym, t, quantity, device, key, box.name, epoch, seq",
            {"patient": patient, "since": since, "limit": ALL if limit is None else limit},
        )
        for row in rows:
            quantity = Quantity(row[2])
            yield ReadingView(
                patient=row[0],
                measured_at=row[1],
                quantity=quantity,
                value=to_value(quantity, row[3]),
                unit=Unit(row[4]),
                validity=Validity(row[5]),
                clock=ClockTrust(row[6]),
                device=row[7],
                key=row[8],
                box=row[9],
                epoch=row[10],
                seq=row[11],
                received_at=row[12],
                stored_at=row[13],
            )

    def canaries(self) -> dict[str, int | None]:
        """Return when (ms UTC, the team's clock) the last canary of each box came; None when none ever did."""
        return {str(row[0]): row[1] for row in self._rows("SELECT name, canary_at FROM box ORDER BY name")}

    def gaps(self, *, patient: str | None = None) -> Iterator[GapView]:
        """Yield what boxes declared missing, by (patient, from, to); `patient` leaves out all others."""
        rows = self._rows(
            'SELECT pseudonym, box.name, "from", "to", CAST(sum(readings) AS BIGINT), reason, stored_at'
            " FROM declared_gap"
            " JOIN box ON box.id = box_id LEFT JOIN patient ON patient.id = patient_id"
            " WHERE :patient IS NULL OR pseudonym = :patient"
            ' GROUP BY pseudonym, box.name, "from", "to", reason, stored_at ORDER BY pseudonym NULLS FIRST,'
            ' "from", "to", box.name',
            {"patient": patient},
        )
        for pseudonym, box, begin, end, readings, reason, stored_at in rows:
            yield GapView(
                patient=pseudonym,
                box=box,
                measured_from=begin,
                measured_to=end,
                readings=readings,
                reason=GapReason(reason),
                stored_at=stored_at,
            )

    def missing(self) -> tuple[MissingView, ...]:
        """Return what is missing of each database of a box below the highest number received, and not declared."""
        received = self._ranges("received_range")
        declared = self._ranges("declared_gap")
        boxes = Counter(box for box, _ in received)
        found = []
        for (box, database), ranges in received.items():
            # A database that took over from another one goes on with its numbers.
            begins = min(part.first for part in ranges) if boxes[box] > 1 else 0
            left = unexplained(ranges, declared.get((box, database), ()), begins=begins)
            found.append(MissingView(box=box, database=database, ranges=left))
        return tuple(one for one in found if one.ranges)

    def _ranges(self, table: str) -> dict[tuple[str, str], list[Range]]:
        """Return the ranges of one of two tables by box and lineage."""
        found: dict[tuple[str, str], list[Range]] = {}
        rows = self._rows(
            f"SELECT name, epoch, first, last FROM {table} JOIN box ON box.id = box_id"  # noqa: S608 one of two
            " WHERE first IS NOT NULL ORDER BY name, first"
        )
        for box, epoch, first, last in rows:
            found.setdefault((box, lineage(epoch)), []).append(Range(first=first, last=last))
        return found

    def fleet(self) -> FleetView:
        """Return how the boxes are doing."""
        boxes, heard_at = next(self._rows("SELECT count(*), max(heard_at) FROM box WHERE " + IS_BOX))  # noqa: S608 - our own words
        silent = self._rows(
            "SELECT DISTINCT box.name FROM device_silence JOIN box ON box.id = box_id"
            ' WHERE device_id IS NULL AND "to" IS NULL ORDER BY box.name'
        )
        apart = self._rows(
            "SELECT box.name, count(*) FROM to_attribute JOIN box ON box.id = box_id"
            " GROUP BY box.name ORDER BY box.name"
        )
        return FleetView(
            boxes=boxes,
            silent=tuple(row[0] for row in silent),
            heard_at=heard_at,
            to_attribute=tuple((row[0], row[1]) for row in apart),
        )

    def _rows(self, query: str, values: dict[str, object] | None = None) -> Iterator[tuple[Any, ...]]:
        try:
            # Not "yield from": who stops half way would close a cursor of a database that is closed already.
            for row in self._connection.execute(query, values or {}):  # noqa: UP028
                yield row
        except ERRORS as error:
            raise as_error(error) from error
