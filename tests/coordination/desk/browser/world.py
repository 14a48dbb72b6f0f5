"""A team as it is on a working day, and its desk served by the real command: what a browser is shown in these tests."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import msgspec

from alerting.alert import ChangeKind, Outcome, alert_id
from alerting.protocol_writer import write_protocol
from coordination.closing import close
from coordination.database import Presence
from coordination.sql_database import SqlDatabase
from exchange.identity import SigningKey
from exchange.messages import MAX_RECORDS, AlertRecord, Record, Status
from tests.coordination.desk.browser.enrolment import add_enrolment
from tests.coordination.desk.browser.household import BOX_OF, NEW, PROTOCOL_OF, Home, homes
from tests.coordination.desk.browser.served import Served
from tests.coordination.kit import EPOCH, HOUR, Team, hypo

SAID = {
    "fr": "Glucose bas : 62 mg/dL depuis 15 min ; à vérifier : une glycémie au doigt, de quoi se resucrer",
    "en": "Low glucose: 62 mg/dL for 15 min; to check: a fingerstick, something sweet at hand",
}


@dataclass
class World(Served):
    """The team, its database and its served desk, while the block lasts."""

    now: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def __enter__(self) -> Self:
        self.boxes = Team(self.folder, boxes={box: SigningKey.generate() for box in BOX_OF.values()})
        self._seq: dict[str, int] = {}
        self._raised = 0
        self.come_by: dict[str, str] = {}
        patients = [(name, box, "2020-01-01T00:00:00Z", PROTOCOL_OF[name]) for name, box in BOX_OF.items()]
        self.database: SqlDatabase = self.boxes.open_database(self.boxes.settings(*patients), at=self.now)
        self.name_desk()
        add_enrolment(self.settings, self.boxes.receipt, now=self.now)
        try:
            self._receive_all()
            self.admit()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self.database.close()

    def receive(self, *records: Record, box: str) -> None:
        """Let a box send records, which the inbox keeps."""
        for start in range(0, len(records), MAX_RECORDS):
            part = records[start : start + MAX_RECORDS]
            first = self._seq.get(box, 0)
            self._seq[box] = first + len(part)
            self.boxes.store(self.database, self.boxes.opened(first, part, box=box), at=self.now)

    def raise_alert(self, *, patient: str = NEW, hours_ago: int = 1, **changes: object) -> str:
        """Let a patient's box raise an alert of its own kind, and return its id."""
        # Each begins a second after the one before, and so is another alert.
        self._raised += 1
        onset = self.now - hours_ago * HOUR + self._raised * 1000
        record = hypo(ChangeKind.RAISED, patient=patient, onset=onset)
        rule = str(changes.get("rule", record.rule))
        known = alert_id(patient=patient, protocol=record.protocol, rule=rule, onset=record.onset)
        record = msgspec.structs.replace(record, **SAID | {"alert_id": known} | changes)
        self.receive(record, box=BOX_OF[patient])
        return record.alert_id

    def _receive_all(self) -> None:
        found = homes(self.now)
        texts = {home.protocol.protocol_hash: write_protocol(home.protocol) for home in found.values()}
        self.database.commands.keep_protocols(texts, at=self.now)
        for patient, home in found.items():
            self.receive(*home.records, box=BOX_OF[patient])
            if patient != NEW:
                self._hear(home)
        self._close_older(found)

    def _hear(self, home: Home) -> None:
        status = Status(
            state="online", box=BOX_OF[home.patient], epoch=EPOCH, session="1" * 32,
            next_seq=len(home.records), backlog=0, version="0.1.0",
            protocols={home.patient: home.protocol.protocol_hash}, at=self.now,
        )  # fmt: skip
        self.boxes.store(self.database, Presence(status=status, retained=False), at=self.now)

    def _close_older(self, found: Mapping[str, Home]) -> None:
        """Yesterday's alerts were dealt with yesterday."""
        for home in found.values():
            raised = {one.alert_id: one for one in home.records if isinstance(one, AlertRecord)}
            for number, one in enumerate(raised.values()):
                if self.now - one.raised_at > 20 * HOUR and one.resolved_at is not None:
                    outcome = (Outcome.ACTION, Outcome.NO_ACTION, Outcome.ARTEFACT)[number % 3]
                    close(self.boxes.database, one.alert_id, by="M. Lefèvre", outcome=outcome, at=one.resolved_at)
