"""How long a nurse waits for a page of the worklist when the team has a million alerts, on both engines.

    python -m benchmarks.desk_worklist [--alerts 1000000] [--waiting 2000] [--postgresql]

One team, 5 000 patients. The alerts are of the shape that the inbox keeps; all but those that wait are closed, with
outcomes. A page is asked for through Django with its middleware, signed in, and rendered whole; what a network adds is
left out. Told beside it: how long after a commit an open page is told that something is new.

The rows are written at once and not through the inbox, which is measured elsewhere (drain).
"""

import argparse
import asyncio
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence, alert_id
from benchmarks.figure import quantile, say
from coordination.place import Place
from coordination.problem_tables import COLUMNS, WORKED_OUT
from coordination.sql import Sql
from coordination.team_database import connect, transaction
from devices.clock import SystemClock
from exchange.messages import AlertRecord
from exchange.messages import alert as alert_record
from simulators.postgres import Postgres

PATIENTS = 5_000
RULES = ("hypo_level_2", "hyper_prolonged", "weight_gain", "bp_high", "spo2_low", "no_weight", "sensor_silent")
DAY = 86_400_000
ASKED = 40
TOLD = 60
KINDS = {
    "first page": "/alertes",
    "page 3": "/alertes?page=3",
    "mine": "/alertes?voir=les-miennes",
    "technical": "/alertes?priorite=4",
    "one patient": "/alertes?patient=patient-04217",
    "closed": "/alertes?voir=closes",
    "closed, one patient": "/alertes?voir=closes&patient=patient-04217",
}
_COLUMNS = (
    "id, patient_id, box_id, origin, version, kind, rule_id, prio, category, onset, raised_at, resolved_at, late,"
    " supersedes, text_fr, text_en, protocol, protocol_version, protocol_hash, engine_version, evidence, audience,"
    " told_at, due_by, record, state, ack_due, act_due, team_id, holder, holder_id, taken_at, handled, closed_at"
)


def raised(patient: int, rule: str, at: int, *, priority: Priority = Priority.HIGH) -> AlertRecord:
    """Return an alert of the patient of that number, as a box raises it at `at` (ms UTC)."""
    return alert_record(
        AlertChange(
            kind=ChangeKind.RAISED,
            alert_id=alert_id(patient=str(patient), protocol="p", rule=rule, onset=at),
            patient=f"patient-{patient:05d}",
            rule=rule,
            priority=priority,
            category=Category.TECHNICAL if rule == "sensor_silent" else Category.CLINICAL,
            onset=at,
            raised_at=at,
            resolved_at=None,
            evidence=(),
            why=Sentence(fr="Poids en hausse de 2,4 kg en 3 jours ; le seuil est de 2 kg.", en="Weight is up."),
            late=False,
            supersedes=None,
            protocol="heart_failure",
            protocol_version=2,
            protocol_hash="ab" * 32,
            engine_version="1",
            told_at=at,
        )
    )


def rows_of(alerts: int, waiting: int, now: int) -> Iterator[tuple[object, ...]]:
    """Yield alerts, the newest of which wait, a third of those in somebody's hands."""
    for number in range(alerts):
        patient, rule = number % PATIENTS + 1, RULES[number // PATIENTS % len(RULES)]
        at = now - (alerts - number) * 25_000
        waits = number >= alerts - waiting
        state = (1 if number % 3 == 0 else 0) if waits else 2
        said = raised(patient, rule, at, priority=(Priority.HIGH, Priority.MEDIUM, Priority.LOW)[number % 3])
        yield (
            said.alert_id, patient, patient, "box", 1, "raised", rule, number % 3 + 1, said.category.value, at, at,
            None, 0, None, said.fr, said.en, "heart_failure", 2, "ab" * 32, "1", "[]", "nurse", at, None,
            msgspec.json.encode(said).decode(), state, at + DAY, at + 2 * DAY, 1, "C. Martin" if state else "",
            1 if state == 1 and number % 2 else None, at if state else None, 1, at + DAY if state == 2 else None,
        )  # fmt: skip


def fill(connection: Sql, alerts: int, waiting: int, now: int) -> None:
    """Write a team's patients, boxes and alerts."""
    with transaction(connection):
        numbers = range(1, PATIENTS + 1)
        connection.executemany(
            "INSERT INTO box (name, heard_at) VALUES (?, ?)", [(f"box-{n:05d}", now) for n in numbers]
        )
        connection.executemany(
            "INSERT INTO patient (pseudonym, time_zone) VALUES (?, 'Europe/Paris')",
            [(f"patient-{n:05d}",) for n in numbers],
        )
        connection.executemany(
            'INSERT INTO box_assignment (box_id, patient_id, "from", listened) VALUES (?, ?, 0, 0)',
            [(n, n) for n in numbers],
        )
        _write(connection, "alert", _COLUMNS, rows_of(alerts, waiting, now))
        connection.execute(
            "INSERT INTO alert_outcome (alert_id, outcome, person, at, said)"
            " SELECT id, 'action', 'C. Martin', closed_at, 'advised' FROM alert WHERE state = 2"
        )
        connection.execute(f"INSERT INTO problem ({COLUMNS}) {WORKED_OUT.format(which='')}")
    connection.execute("ANALYZE")


def _write(connection: Sql, table: str, columns: str, rows: Iterator[Sequence[object]]) -> None:
    if isinstance(connection, sqlite3.Connection):
        # Ids are in no order: their index has to fit while it is made.
        connection.execute("PRAGMA cache_size = -400000")
        marks = ", ".join("?" * len(columns.split(",")))
        connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
        return
    from coordination.postgresql import Postgres as Opened  # noqa: PLC0415 - an extra

    if not isinstance(connection, Opened):
        raise TypeError(table)
    with connection.raw.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def begin(place: Place) -> None:
    """Make this process a desk on a database."""
    from coordination.desk.site import DeskSite, configure  # noqa: PLC0415 - an extra

    configure(
        DeskSite(
            database=place,
            secret="of a measurement, " * 4,
            hosts=("testserver", "127.0.0.1"),
            https=False,
            clock=SystemClock(),
            reading_hours=Sentence(fr="", en=""),
            # The sessions measured are made without signing in.
            second_factor="offered",
        )
    )
    from django.core.management import call_command  # noqa: PLC0415

    call_command("migrate", verbosity=0, interactive=False)


def ask() -> dict[str, list[tuple[float, float]]]:
    """Return how long each kind of page took, and how long this process computed for it, ms."""
    from django.test import Client  # noqa: PLC0415

    from coordination.desk.models import Membership, User  # noqa: PLC0415

    user = User.objects.create_user("nurse@example.org", "C. Martin")
    Membership.objects.create(user=user, team_id=1, role="nurse")
    client = Client()
    client.force_login(user)
    took: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for kind, address in KINDS.items():
        client.get(address)
        for _ in range(ASKED):
            began, computed = time.perf_counter(), time.thread_time()
            answer = client.get(address)
            took[kind].append((1000 * (time.perf_counter() - began), 1000 * (time.thread_time() - computed)))
            if answer.status_code != 200:
                raise RuntimeError(f"{address}: {answer.status_code}")
    return took


def told(place: Place) -> list[float]:
    """Return how long after a commit an open page was told, ms."""
    from coordination.desk.changes import Looking  # noqa: PLC0415
    from coordination.handling import Handler, give_back, take, turn  # noqa: PLC0415

    connection = connect(place)
    (alert, handled) = connection.execute(
        "SELECT alert_id, handled FROM problem JOIN alert ON alert.id = alert_id WHERE alert.state = 0 LIMIT 1"
    ).fetchone()
    who, took = Handler(name="M. Lefèvre", row=None), []

    def act(number: int) -> float:
        with transaction(connection):
            done = (give_back if number % 2 else take)(connection, alert, turn(who, number), handled=handled + number)
        if not done:
            raise RuntimeError("the act was not done")
        return time.perf_counter()

    async def hear() -> None:
        async with aclosing(Looking().changes(1)) as changes:
            await anext(changes)
            for number in range(TOLD):
                committed = act(number)
                while await anext(changes) is None:
                    pass
                took.append(1000 * (time.perf_counter() - committed))
                # Not in step with what looks four times a second.
                await asyncio.sleep(0.037 * (number % 7))

    asyncio.run(hear())
    connection.close()
    return took


@contextmanager
def database(*, postgresql: bool) -> Iterator[Place]:
    """Make a database of one engine, for as long as the block lasts."""
    with TemporaryDirectory() as folder:
        if not postgresql:
            yield Path(folder) / "desk.db"
            return
        import psycopg  # noqa: PLC0415 - an extra

        with Postgres(Path(folder) / "server", settings={"shared_buffers": "256MB"}) as server:
            with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
                admin.execute("CREATE DATABASE team TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
            yield server.url("team")


def measure(*, alerts: int, waiting: int, postgresql: bool) -> None:
    """Print the figures of one engine."""
    engine = "PostgreSQL" if postgresql else "SQLite"
    with database(postgresql=postgresql) as place:
        connection = connect(place)
        fill(connection, alerts, waiting, SystemClock().now_ms())
        rows = connection.execute("SELECT count(*) FROM problem").fetchone()[0]
        connection.close()
        begin(place)
        for kind, took in ask().items():
            waited, computed = [one for one, _ in took], [one for _, one in took]
            say(
                f"worklist, {kind}", "ms", waited, p95=round(quantile(waited, 0.95), 2),
                computed_p50=round(quantile(computed, 0.5), 2), computed_p95=round(quantile(computed, 0.95), 2),
                engine=engine, alerts=alerts, rows=rows,
            )  # fmt: skip
        say("commit to an open page told", "ms", told(place), engine=engine, alerts=alerts)
        from django.db import connections  # noqa: PLC0415

        connections.close_all()


def figures() -> None:
    for postgresql in (False, True):
        measure(alerts=1_000_000, waiting=2_000, postgresql=postgresql)


def run(what: str | None, measuring: Callable[..., None]) -> int:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--alerts", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=2_000)
    parser.add_argument("--postgresql", action="store_true")
    measuring(**vars(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(run(__doc__, measure))
