"""What the tests of the team's side are made of: boxes that seal, a team with its keys, a clock by hand."""

import os
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TypeGuard, cast

from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence, alert_id
from coordination.database import Arrival, Moment, SignedReceipt
from coordination.place import Place
from coordination.settings import Settings, read_settings
from coordination.sql import Sql
from coordination.sql_database import SqlDatabase
from coordination.team_database import connect, connect_to_read
from devices.reading import ClockTrust, Quantity, Unit, Validity
from exchange.gaps import GapReason, GapRecord
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.messages import SCHEMA, AlertRecord, ObservationRecord, Record, Status
from exchange.messages import alert as alert_record
from exchange.receipts import Receipt
from exchange.sealing import (
    CONTENT_TYPE,
    LANE_SPARSE,
    VERSION,
    Header,
    Opened,
    Sealer,
    sign_receipt,
    sign_status,
    verify_receipt,
)

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_763_800_000_000  # 2025-11-22T08:26:40Z
BOX = "box-0001"
PATIENT = "patient-7f3a"
OTHER_BOX = "box-0002"
OTHER_PATIENT = "patient-21c8"
EPOCH = "0123456789abcdef0123456789abcdef"
OTHER_EPOCH = "fedcba9876543210fedcba9876543210"


USUAL = (PATIENT, BOX, "2025-11-01T00:00:00Z", "diabetes_cgm")
"""Pseudonym, box, from, protocol."""


class ManualClock:
    """Time by hand. Waits are short and real (`wait`, seconds): whoever waits for a deadline soon looks again."""

    def __init__(self, now: int = START, *, wait: float = 0.005) -> None:
        self.now = now
        self.wait = wait

    def now_ms(self) -> int:
        return self.now

    def seconds_until(self, at_ms: int) -> float:
        return self.wait if at_ms > self.now else 0.0


def glucose(number: int, *, patient: str = PATIENT, **changes: object) -> ObservationRecord:
    """A glucose reading, five minutes after the one numbered before it."""
    at = START + 5 * MINUTE * number
    fields: dict[str, object] = {
        "patient": patient,
        "quantity": Quantity.GLUCOSE_INTERSTITIAL,
        "count": 1040 + number,
        "unit": Unit.MG_PER_DL,
        "validity": Validity.VALID,
        "measured_at": at,
        "clock": ClockTrust.TRUSTED,
        "received_at": at + 800,
        "device": "C4:B0:00:00:00:01",
        "key": f"{START}:{5 * number}",
        "quality": 0,
        "source": "device",
        "device_value": "104",
        "device_unit": Unit.MG_PER_DL,
        "device_time": None,
        "frame": b"\x0a\x0b",
    }
    return ObservationRecord(**(fields | changes))  # type: ignore[arg-type]


def hypo(kind: ChangeKind, *, onset: int = START, patient: str = PATIENT, supersedes: str | None = None) -> AlertRecord:
    """One change of a hypoglycaemia that lasts an hour."""
    return alert_record(
        AlertChange(
            kind=kind,
            alert_id=alert_id(patient=patient, protocol="diabetes_cgm", rule="hypo_level_1", onset=onset),
            patient=patient,
            rule="hypo_level_1",
            priority=Priority.HIGH,
            category=Category.CLINICAL,
            onset=onset,
            raised_at=onset + 15 * MINUTE,
            resolved_at=onset + HOUR if kind is ChangeKind.RESOLVED else None,
            evidence=(),
            why=Sentence(fr=f"Hypoglycémie ({kind})", en=f"Hypoglycaemia ({kind})"),
            late=False,
            supersedes=supersedes,
            protocol="diabetes_cgm",
            protocol_version=1,
            protocol_hash="ab" * 32,
            engine_version="1",
        )
    )


def gap(
    *ranges: tuple[int, int],
    patient: str = PATIENT,
    epoch: str = EPOCH,
    reason: GapReason = GapReason.EVICTED,
    at: int = START,
    by_arrival: bool = False,
) -> GapRecord:
    return GapRecord(
        patient=patient,
        lane=2,
        epoch=epoch,
        ranges=ranges,
        measured_from=at,
        measured_to=at + HOUR,
        readings=sum(last - first + 1 for first, last in ranges) or 10,
        reason=reason,
        by_arrival=by_arrival,
    )


def opened(
    first: int,
    records: Sequence[Record],
    *,
    box: str = BOX,
    epoch: str = EPOCH,
    created: int = START,
    signer: str = "0" * 16,
) -> Opened:
    """An envelope as it is after travelling and opening."""
    header = Header(
        v=VERSION,
        box=box,
        epoch=epoch,
        first=first,
        last=first + len(records) - 1,
        lane=LANE_SPARSE,
        created=created,
        signer=signer,
        recipients=("0" * 16,),
        content_type=CONTENT_TYPE,
        schema=SCHEMA,
    )
    return Opened(header=header, records=tuple(records))


@dataclass
class Team:
    """A coordination team in a folder: its keys, its boxes' keys, its settings file."""

    folder: Path
    opening: OpeningKey = field(default_factory=OpeningKey.generate)
    receipt: SigningKey = field(default_factory=SigningKey.generate)
    boxes: dict[str, SigningKey] = field(
        default_factory=lambda: {BOX: SigningKey.generate(), OTHER_BOX: SigningKey.generate()}
    )

    def __post_init__(self) -> None:
        self.opening.save(self.folder / "opening.key")
        self.receipt.save(self.folder / "receipt.key")
        for name in ("ca.pem", "c.pem", "k.pem"):
            (self.folder / name).touch()

    @cached_property
    def database(self) -> Path:
        """Where the database is: a file, or of PostgreSQL when the tests run on that (test_on_postgresql.py)."""
        server = os.environ.get(POSTGRESQL)
        # A Place; the tests that name it a Path run on SQLite only, or hand it on.
        return self.folder / "desk.db" if server is None else cast("Path", used_database(server, empty_tables(server)))

    def write_settings(
        self,
        *,
        patients: Iterable[tuple[str, str, str, str]] = (USUAL,),
        broker: str = 'host = "127.0.0.1"\nport = 1\nca = "ca.pem"\ncertificate = "c.pem"\nkey = "k.pem"',
    ) -> Path:
        """Write desk.toml; `patients` are (pseudonym, box, from, protocol)."""
        place = self.database.name if is_file(self.database) else self.database
        text = f"[broker]\n{broker}\n\n[inbox]\ndatabase = '{place}'\n"
        text += "opening_keys = ['opening.key']\nreceipt_key = 'receipt.key'\n"
        for box, key in self.boxes.items():
            text += f"\n[[boxes]]\nid = '{box}'\nsigning_keys = ['{key.public.hex()}']\n"
        for pseudonym, box, given_on, protocol in patients:
            text += f"\n[[patients]]\npseudonym = '{pseudonym}'\nbox = '{box}'\nfrom = {given_on}\n"
            text += f"protocol = '{protocol}'\n"
        path = self.folder / "desk.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def settings(self, *patients: tuple[str, str, str, str]) -> Settings:
        """The settings with these patients, or with the usual one."""
        return read_settings(self.write_settings(patients=patients or (USUAL,)))

    def seal(
        self, first: int, records: Sequence[Record], *, box: str = BOX, epoch: str = EPOCH, created: int = START
    ) -> bytes:
        recipients = [Recipient.of(self.opening, RecipientRole.TEAM)]
        sealer = Sealer(box=box, signing_key=self.boxes[box], recipients=recipients)
        return sealer.seal(epoch=epoch, first=first, lane=1, created=created, records=records)

    def opened(
        self, first: int, records: Sequence[Record], *, box: str = BOX, epoch: str = EPOCH, created: int = START
    ) -> Opened:
        """An envelope as it is after travelling and opening."""
        return opened(first, records, box=box, epoch=epoch, created=created, signer=self.boxes[box].id)

    def status(self, state: str = "online", *, at: int = START, session: str = "1" * 32, box: str = BOX) -> Status:
        return Status(
            state=state,
            box=box,
            epoch=EPOCH,
            session=session,
            next_seq=0,
            backlog=0,
            version="0.1.0",
            protocols={PATIENT: "ab" * 32},
            at=at,
        )

    def signed(self, status: Status) -> bytes:
        return sign_status(status, self.boxes[status.box])

    def open_database(self, settings: Settings | None = None, *, at: int = START) -> SqlDatabase:
        settings = settings or self.settings()
        database = SqlDatabase(settings.database)
        database.enrol(tuple(settings.signers), settings.assignments, at=at)
        return database

    def store(self, database: SqlDatabase, *arrivals: Arrival, at: int = START) -> tuple[SignedReceipt, ...]:
        return database.store(arrivals, moment=Moment(at=at), receipt_at=at, sign=self.sign)

    def sign(self, receipt: Receipt) -> bytes:
        return sign_receipt(receipt, self.receipt)

    def read_receipt(self, receipt: SignedReceipt) -> Receipt:
        return verify_receipt(receipt.data, box=receipt.box, signers={self.receipt.id: self.receipt.public})


POSTGRESQL = "VEILLEUR_TEST_POSTGRESQL"
"""Names the variable with the URL of a server on which each test makes a database of its own."""


def is_file(place: Place) -> TypeGuard[Path]:
    return isinstance(place, Path)


def new_database(server: str, template: str = "template0") -> str:
    """Return the URL of a new database: an empty one, or a copy of another."""
    name = f"team_{secrets.token_hex(8)}"
    _tell(server, f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' LOCALE 'C'")
    return f"{server.rpartition('/')[0]}/{name}"


used: list[tuple[str, str]] = []
"""(server, name) of each database that `used_database` has made and that is still there."""


def used_database(server: str, template: str = "template0") -> str:
    """Return the URL of a new database that lasts as long as the test that asks for it (conftest.py)."""
    url = new_database(server, template)
    used.append((server, url.rpartition("/")[2]))
    return url


def drop_used(first: int) -> None:
    """Drop what is used, but the first so many: a server of a thousand databases is slow, and slower to remove."""
    while len(used) > first:
        server, name = used.pop()
        with suppress(OSError):  # The server has ended, and took it along.
            _tell(server, f"DROP DATABASE {name} WITH (FORCE)")


@cache
def empty_tables(server: str) -> str:
    """Return the name of a database with the team's tables and nothing in them, to make others of."""
    url = new_database(server)
    connect(url).close()
    return url.rpartition("/")[2]


def _tell(server: str, command: str) -> None:
    import psycopg  # noqa: PLC0415 - an extra

    try:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(command)
    except psycopg.OperationalError as error:
        raise OSError(str(error)) from error


def column_names(connection: Sql, table: str) -> list[str]:
    """The columns of a table, in their order."""
    if isinstance(connection, sqlite3.Connection):
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = ? ORDER BY ordinal_position"
    return [row[0] for row in connection.execute(query, (table,)).fetchall()]


_NAMES = (
    ("box_id", "box", "name"),
    ("patient_id", "patient", "pseudonym"),
    ("device_id", "device", "name"),
)


def contents(path: Path, *tables: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of each table, with names instead of row numbers, sorted: two equal databases have equal contents."""
    connection = connect_to_read(path)
    try:
        found: dict[str, list[tuple[object, ...]]] = {}
        for table in tables:
            columns = column_names(connection, table)
            chosen = [f'{table}."{column}"' for column in columns if column != "id" or table == "alert"]
            for reference, other, name in _NAMES:
                if f'{table}."{reference}"' in chosen:
                    chosen[chosen.index(f'{table}."{reference}"')] = (
                        f"(SELECT {other}.{name} FROM {other} WHERE {other}.id = {table}.{reference})"
                    )
            rows = connection.execute(f"SELECT {', '.join(chosen)} FROM {table}").fetchall()
            found[table] = sorted(rows, key=repr)
        return found
    finally:
        connection.close()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection: Sql = sqlite3.connect(path) if is_file(path) else connect_to_read(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
