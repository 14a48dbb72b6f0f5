"""Somebody followed by questionnaire at the level of the database: proposed and confirmed, with answers and weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from alerting.backtest import backtest
from alerting.care_protocol import CareProtocol
from alerting.protocol_file import read_protocol
from coordination.answers import Answers, keep
from coordination.handling import Handler
from coordination.kept_readings import COLUMNS, reading_of
from coordination.protocol_sources import pack_bytes
from coordination.questionnaire_links import find, make
from coordination.questionnaires import Questionnaire
from coordination.self_report import adapted, asking_pathways, confirm, propose, propose_change
from coordination.self_report_judging import NOT_JUDGED, follow
from coordination.sql import Sql
from coordination.team_database import connect, transaction
from devices.reading import Quantity, Reading, Unit
from tests.coordination.kit import EPOCH, HOUR, OTHER_BOX, OTHER_PATIENT, PATIENT, START, USUAL, Team, glucose

DAY = 24 * HOUR
NURSE, PHYSICIAN = Handler(name="C. Martin", row=1), Handler(name="Dr A. Roux", row=2)
OTHER = (OTHER_PATIENT, OTHER_BOX, "2025-11-01T00:00:00Z", "heart_failure")
ZONE = ZoneInfo("Europe/Paris")


def packs(name: str) -> bytes:
    """Return a pack as it ships."""
    return pack_bytes(name, Path())


def shipped(name: str) -> CareProtocol:
    """Return what a pack means, as it ships."""
    return read_protocol(packs(name), name_hint=name, packs=packs)


@dataclass
class Followed:
    """One patient followed by questionnaire on a fresh database."""

    team: Team
    protocol: str = "heart_failure_symptoms"

    def __post_init__(self) -> None:
        self.inbox = self.team.open_database(self.team.settings(USUAL, OTHER), at=START)
        self.sql: Sql = connect(self.team.database)
        self.patient = int(self.sql.execute("SELECT id FROM patient WHERE pseudonym = ?", (PATIENT,)).fetchone()[0])
        (self.pathway,) = asking_pathways({self.protocol: shipped(self.protocol)})
        self.weights = 0
        self.holding = self.pathway.protocol
        with self.within() as connection:
            assert propose(connection, self.patient, self.pathway, by=NURSE, seen=-1, at=START)
            assert confirm(connection, self.patient, by=PHYSICIAN, seen=0, at=START)

    @contextmanager
    def within(self) -> Iterator[Sql]:
        with transaction(self.sql):
            yield self.sql

    def answer(self, at: int, **points: int) -> None:
        asked: Questionnaire = self.pathway.questionnaire
        chosen = {
            question.name: question.choice(points.get(question.name, question.choices[0].points))
            for question in asked.questions
        }
        with self.within() as connection:
            token = make(connection, self.patient, asked, by="C. Martin", at=at)
            link = find(connection, token)
            assert link is not None
            assert keep(connection, link, Answers(questionnaire=asked, chosen=chosen), at=at)

    def weigh(self, at: int, grams: int, *, stored_at: int | None = None, epoch: str = EPOCH) -> None:
        record = glucose(
            0,
            quantity=Quantity.BODY_WEIGHT,
            count=grams,
            unit=Unit.KILOGRAM,
            device_unit=Unit.KILOGRAM,
            measured_at=at,
            received_at=at + 1000,
            device="scale",
            key=f"w{at}",
        )
        self.team.store(
            self.inbox, self.team.opened(self.weights, [record], epoch=epoch), at=at if stored_at is None else stored_at
        )
        self.weights += 1

    def adapt(self, at: int, *, seen: int, **numbers: object) -> None:
        """Let other thresholds hold: "rule__key" -> as a protocol file writes it."""
        values = {(table, key): value for name, value in numbers.items() for table, key in [name.split("__")]}
        other = adapted(self.pathway, values, packs=packs, holding=self.holding)
        with self.within() as connection:
            assert propose_change(connection, self.patient, other, by=NURSE, seen=seen, at=at)
            assert not confirm(connection, self.patient, by=NURSE, seen=seen + 1, at=at), "two people"
            assert confirm(connection, self.patient, by=PHYSICIAN, seen=seen + 1, at=at)
        self.holding = other.protocol

    def look(self, now: int) -> None:
        follow(self.sql, self.within, now=now)

    def told(self) -> list[tuple[object, ...]]:
        return sorted(
            self.sql.execute(
                "SELECT id, rule_id, kind, raised_at, resolved_at, evidence FROM alert WHERE origin = 'team'"
            ).fetchall()
        )

    def readings(self) -> list[Reading]:
        found = self.sql.execute(
            f"SELECT {COLUMNS} FROM observation JOIN device ON device.id = device_id WHERE patient_id = ?",
            (self.patient,),
        ).fetchall()
        return [reading_of(row) for row in found]

    def again(self, until: int) -> list[tuple[str, str, int, int | None]]:
        """What a backtest of the same protocol over everything kept comes to."""
        found = backtest(self.pathway.protocol, {PATIENT: self.readings()}, zone=ZONE, since=START, until=until)
        return sorted((one.alert_id, one.rule, one.raised_at, one.resolved_at) for one in found)

    def standing(self) -> list[tuple[str, str, int, int | None]]:
        return sorted(
            (str(alert), str(rule), int(str(raised)), None if ended is None else int(str(ended)))
            for alert, rule, kind, raised, ended, _ in self.told()
            if kind != "retracted" and rule != NOT_JUDGED
        )

    def close(self) -> None:
        self.sql.close()
        self.inbox.close()
