"""Storing each record once: ranges first, then whose it is, then its own table.

The received ranges decide what is new, and they alone: who stores is one at a time, and a range is kept in the
transaction that keeps its records.

A number is a box's, a reading is its device's. A box that lost what it knew of a device, because its database was
damaged or what it held of a stream gave way, takes the device's memory over again under other numbers: the same
reading, by device, key, quantity and value, is received then, and stored once.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec

from coordination.alert_events import AlertEvent
from coordination.attribution import TO_ATTRIBUTE, Assignment, Owners, Reason, assigned, unassigned
from coordination.audit_witness import Witness
from coordination.erased_patients import is_erased
from coordination.observation_rows import Observations
from coordination.ranges import merge
from coordination.received_ranges import ReceivedRanges
from coordination.sql import Sql
from coordination.sql_alerts import Alerts
from coordination.sql_gaps import keep_gap, move_gaps
from coordination.sql_of_boxes import Corrections, keep_canary, keep_correction
from exchange.audit_chain import CheckpointRecord
from exchange.box_records import CanaryRecord, ClockCorrection
from exchange.gaps import GapRecord
from exchange.messages import AlertRecord, ObservationRecord, PatientRecord, Range, Record, is_by_arrival
from exchange.receipts import Received
from exchange.sealing import LANE_DENSE, LANE_SPARSE, Opened


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where records come from: `created` and `stored_at` are ms UTC, by the box's clock and by the team's.

    `row` is the box's.
    """

    box: str
    row: int
    epoch: str
    created: int
    stored_at: int
    lane: int = LANE_SPARSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who is known: changed when the settings are applied, and when a box that was enrolled since first speaks.

    Attributes:
        boxes: name -> row.
        patients: pseudonym -> row.
        assignments: box -> its assignments, past ones included, oldest first.
    """

    boxes: Mapping[str, int]
    patients: Mapping[str, int]
    assignments: Mapping[str, Sequence[Assignment]]

    @classmethod
    def load(cls, connection: Sql) -> Self:
        """Read who is known."""
        assignments: defaultdict[str, list[Assignment]] = defaultdict(list)
        for patient, box, since, until, zone in connection.execute(
            'SELECT pseudonym, box.name, "from", "to", time_zone FROM box_assignment'
            " JOIN box ON box.id = box_id JOIN patient ON patient.id = patient_id"
            ' ORDER BY pseudonym, "from"'
        ):
            assignments[box].append(Assignment(patient=patient, box=box, since=since, until=until, time_zone=zone))
        return cls(
            boxes=dict(connection.execute("SELECT name, id FROM box")),
            patients=dict(connection.execute("SELECT pseudonym, id FROM patient")),
            assignments=dict(assignments),
        )


class Records:
    """The records of one batch, in one open transaction."""

    def __init__(self, connection: Sql, roster: Roster, *, stored_at: int) -> None:
        """`stored_at` is ms UTC by the team's clock."""
        self._connection = connection
        self._alerts = Alerts(connection)
        self._witness = Witness(connection)
        self._observations = Observations(connection)
        self._stored_at = stored_at
        self._boxes = roster.boxes
        self._patients = roster.patients
        self._assignments = roster.assignments
        self._owners = Owners(roster.assignments)
        self._ranges = ReceivedRanges(connection)
        self._received: dict[tuple[str, str], list[Range]] = defaultdict(list)
        self._strangers: set[str] = set()
        self._corrections = Corrections(connection)
        self._corrected: set[int] = set()
        self._gaps: set[int] = set()
        self.sang: set[str] = set()
        """The boxes whose canary was among the records."""

    def expect(self, envelopes: Sequence[Opened]) -> None:
        """Look up, in one go, what is known of what these envelopes bring, before they are added."""
        headers = [(self._boxes[opened.header.box], opened.header) for opened in envelopes]
        self._ranges.expect([(box, header.epoch, Range(header.first, header.last)) for box, header in headers])
        self._corrections.expect({(box, header.epoch) for box, header in headers})
        alerts: set[str] = set()
        devices: set[tuple[int, str]] = set()
        for (box, _), opened in zip(headers, envelopes, strict=True):
            alerts |= {record.alert_id for record in opened.records if isinstance(record, AlertRecord)}
            named = {record.device for record in opened.records if isinstance(record, ObservationRecord)}
            devices |= {(box, name) for name in named}
        self._alerts.expect(alerts)
        self._observations.expect(devices)

    def add(self, opened: Opened) -> bool:
        """Store the records of an envelope that are new; return whether any was."""
        header = opened.header
        part = Range(first=header.first, last=header.last)
        self._received[header.box, header.epoch].append(part)
        missing = self._ranges.take(self._boxes[header.box], header.epoch, part)
        place = _Place(
            box=header.box,
            row=self._boxes[header.box],
            epoch=header.epoch,
            created=header.created,
            stored_at=self._stored_at,
            lane=header.lane,
        )
        for new in missing:
            records = opened.records[new.first - header.first : new.last + 1 - header.first]
            for seq, record in enumerate(records, new.first):
                reason = self._store(place, seq, record)
                if reason is not None:
                    self._set_apart(place, seq, record, reason)
        return bool(missing)

    def attribute_again(self) -> None:
        """Take up the records set apart that an assignment now covers, and end the alerts that ask for one."""
        apart = self._connection.execute(
            "SELECT box.name, epoch, seq, created, stored_at, content FROM to_attribute JOIN box ON box.id = box_id"
            " WHERE reason IN (?, ?) ORDER BY box_id, epoch, seq",
            (Reason.PATIENT, Reason.DATES),
        ).fetchall()
        for box, epoch, seq, created, stored_at, content in apart:
            record = msgspec.json.decode(content, type=PatientRecord)
            place = _Place(box=box, row=self._boxes[box], epoch=epoch, created=created, stored_at=stored_at)
            reason = self._store(place, seq, record)
            at = (place.row, epoch, seq)
            if reason is None:
                self._connection.execute("DELETE FROM to_attribute WHERE (box_id, epoch, seq) = (?, ?, ?)", at)
            else:
                self._connection.execute(
                    "UPDATE to_attribute SET reason = ? WHERE (box_id, epoch, seq) = (?, ?, ?)", (reason, *at)
                )
        for team in self._alerts.standing(TO_ATTRIBUTE):
            if not self._asks_for_assignment(team.box):
                self._alerts.say(assigned(team, self._stored_at), self._stored_at)
        self._observations.flush()
        self._observations.keep_devices()

    def received(self) -> Mapping[str, Sequence[Received]]:
        """Return what a receipt says to each box of every envelope added, whether new or seen before."""
        epochs = {(self._boxes[box], epoch) for box, epoch in self._received}
        reached = self._ranges.reached(epochs)
        found: defaultdict[str, list[Received]] = defaultdict(list)
        for (box, epoch), ranges in self._received.items():
            at = reached[self._boxes[box], epoch]
            found[box].append(Received(epoch=epoch, ranges=merge(ranges), high=at.high, others=at.others))
        return found

    def finish(self) -> None:
        """Keep what the batch came to: when devices spoke first and last, and whose records nobody is assigned."""
        if self._corrected:
            # What was of no time of an assignment may be of one by the right time.
            self.attribute_again()
        self._ranges.flush()
        self._alerts.flush()
        self._observations.flush()
        for row in self._corrected | self._gaps:
            move_gaps(self._connection, self._corrections, box=row)
        self._observations.keep_devices()
        if not self._strangers:
            return
        asking = {team.box for team in self._alerts.standing(TO_ATTRIBUTE)}
        for box in sorted(self._strangers - asking):
            self._alerts.say(unassigned(box, self._stored_at), self._stored_at)

    def _store(self, place: _Place, seq: int, record: Record) -> Reason | None:
        """Store a record as its patient's, or as its box's own; return why not when it is to be set apart."""
        if isinstance(record, ObservationRecord):
            record = self._corrections.applied(place.row, place.epoch, seq, record)
        elif not isinstance(record, AlertRecord):
            self._of_box(place, seq, record)
            return None
        reason = self._owners.reason(record, place.box)
        if reason is not None:
            return reason
        if isinstance(record, ObservationRecord):
            self._observations.add(
                record,
                (place.row, place.epoch, seq),
                patient=self._patients[record.patient],
                stored_at=place.stored_at,
                # What a stream brought has no memory: it was heard when it was sent, and never again.
                remembered=place.lane != LANE_DENSE or not is_by_arrival(record),
            )
            return None
        patient = self._patients.get(record.patient)
        if not self._alerts.owner_is(record.alert_id, patient):
            return Reason.ALERT
        event = AlertEvent(box=place.row, epoch=place.epoch, seq=seq, created=place.created, record=record)
        self._alerts.keep(event, patient, stored_at=place.stored_at)
        return None

    def _of_box(
        self, place: _Place, seq: int, record: ClockCorrection | CanaryRecord | CheckpointRecord | GapRecord
    ) -> None:
        """Store what a box says of itself."""
        box, at = place.row, place.stored_at
        match record:
            case CheckpointRecord():
                self._witness.keep(place.box, record, stored_at=at)
            case ClockCorrection():
                self._observations.flush()
                keep_correction(self._connection, box, record, stored_at=at)
                self._corrections.forget()
                self._corrected.add(box)
            case CanaryRecord():
                keep_canary(self._connection, box, place.epoch, seq, record, stored_at=at)
                self.sang.add(place.box)
            case GapRecord():
                known = any(given.patient == record.patient for given in self._assignments.get(place.box, ()))
                patient = self._patients.get(record.patient) if known else None
                keep_gap(self._connection, record, box=box, patient=patient, at=at, said=(place.epoch, seq))
                self._gaps.add(box)

    def _set_apart(self, place: _Place, seq: int, record: Record, reason: Reason) -> None:
        if not isinstance(record, PatientRecord) or is_erased(self._connection, record.patient):
            return
        if reason is Reason.PATIENT:
            self._strangers.add(place.box)
        self._connection.execute(
            "INSERT INTO to_attribute (box_id, epoch, seq, patient, reason, created, stored_at, content)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                place.row,
                place.epoch,
                seq,
                record.patient,
                reason.value,
                place.created,
                place.stored_at,
                msgspec.json.encode(record).decode(),
            ),
        )

    def _asks_for_assignment(self, box: str) -> bool:
        return (
            self._connection.execute(
                "SELECT 1 FROM to_attribute WHERE box_id = ? AND reason = ? LIMIT 1",
                (self._boxes[box], Reason.PATIENT),
            ).fetchone()
            is not None
        )
