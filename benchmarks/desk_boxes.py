"""How long the list of boxes takes at 5 000 boxes and a million alerts, on both engines, for a nurse and an installer.

    python -m benchmarks.desk_boxes [--alerts 1000000] [--postgresql]

The team is that of `desk_worklist`, with what a fleet has besides: a certificate, keys and a status for each box, some
of them silent, late with their certificate or with a technical fact that stands, and boxes that an installer enrolled.
A page is asked for through Django with its middleware, signed in, and rendered whole.
"""

import sys
import time
from collections.abc import Iterator

from benchmarks.desk_worklist import DAY, PATIENTS, begin, database, fill, run
from benchmarks.figure import quantile, say
from coordination.sql import Sql
from coordination.team_database import connect, transaction
from devices.clock import SystemClock

ASKED = 12
OWN = 400
"""Boxes that the installer enrolled."""
SILENT, AWAY, ENDING, TWICE = 40, 15, 50, 7
"""One box in so many is silent, offline, late with its certificate, or has had two."""
KINDS = (
    ("first page", "nurse", "/boitiers"),
    ("page 3", "nurse", "/boitiers?page=3"),
    ("a box by number", "nurse", "/boitiers?chercher=box-04217"),
    ("a patient's box", "nurse", "/boitiers?chercher=patient-04217"),
    ("one in ten", "nurse", "/boitiers?chercher=0-0"),
    ("first page", "installer", "/boitiers"),
    ("one box", "nurse", "/boitiers/box-04217"),
)


def equip(connection: Sql, now: int) -> None:
    """Give each box of a team what a box in use has."""
    numbers = range(1, PATIENTS + 1)
    with transaction(connection):
        connection.executemany(
            "INSERT INTO box_status (box_id, state, epoch, session, next_seq, backlog, version, protocols, at,"
            " received_at) VALUES (?, ?, ?, 's', 9, ?, '1.4.0', '{}', ?, ?)",
            [(n, "offline" if n % AWAY == 0 else "online", "ab" * 16, n % 9, now - n, now - n) for n in numbers],
        )
        connection.executemany(
            "INSERT INTO box_certificate (serial, box_id, not_before, not_after, issued_at, tls_key, pem)"
            " VALUES (?, ?, 0, ?, ?, 'ab', ?)",
            list(_certificates(now)),
        )
        connection.executemany(
            "INSERT INTO box_key (box_id, purpose, key, public, since) VALUES (?, ?, ?, ?, ?)",
            [
                (n, purpose, f"{n:08x}{purpose}", f"{n:056x}{purpose}", now - n)
                for n in numbers
                for purpose in ("signing", "opening")
            ],
        )
        connection.executemany(
            "INSERT INTO enrolment (place, box_id, secret, state, created_at, expires_at, opened_by)"
            " VALUES (?, ?, ?, 'done', 0, 0, ?)",
            [(f"P{n:05d}", n, b"s", 2 if n <= OWN else None) for n in numbers],
        )
        connection.executemany(
            'INSERT INTO device_silence (box_id, "from", "to", cause) VALUES (?, ?, ?, \'not_transmitted\')',
            [(n, now - DAY, None if n % SILENT == 0 else now) for n in numbers if n % 4 == 0],
        )
        connection.execute("UPDATE alert SET category = 'technical' WHERE state < 2 AND box_id % 3 = 0")
    connection.execute("ANALYZE")


def _certificates(now: int) -> Iterator[tuple[object, ...]]:
    for n in range(1, PATIENTS + 1):
        days = 12 if n % ENDING == 0 else 45 + n % 45
        yield f"{n:016x}", n, now + days * DAY, now - DAY, b"certificate"
        if n % TWICE == 0:
            yield f"{n:016x}f", n, now + 2 * DAY, now - 90 * DAY, b"certificate"


def ask() -> Iterator[tuple[str, str, list[tuple[float, float]]]]:
    """Yield, for each kind of page, who asked and how long each took and was computed for, ms."""
    from django.test import Client  # noqa: PLC0415 - an extra

    from coordination.desk.models import Membership, User  # noqa: PLC0415

    clients = {}
    for number, role in enumerate(("nurse", "installer"), 1):
        user = User.objects.create_user(f"{role}@example.org", role)
        Membership.objects.create(user=user, team_id=1, role=role)
        if user.pk != number:
            raise RuntimeError(f"{role}: {user.pk}, of whom enrolments speak otherwise")
        clients[role] = Client()
        clients[role].force_login(user)
    for kind, role, address in KINDS:
        took = []
        for _ in range(ASKED + 1):
            began, computed = time.perf_counter(), time.thread_time()
            answer = clients[role].get(address)
            took.append((1000 * (time.perf_counter() - began), 1000 * (time.thread_time() - computed)))
            if answer.status_code != 200:
                raise RuntimeError(f"{address}: {answer.status_code}")
        yield kind, role, took[1:]


def measure(*, alerts: int, waiting: int, postgresql: bool) -> None:
    """Print the figures of one engine."""
    with database(postgresql=postgresql) as place:
        now = SystemClock().now_ms()
        connection = connect(place)
        fill(connection, alerts, waiting, now)
        equip(connection, now)
        connection.close()
        begin(place)
        for kind, role, took in ask():
            waited, computed = [one for one, _ in took], [one for _, one in took]
            say(
                f"boxes, {kind}, {role}", "ms", waited, p95=round(quantile(waited, 0.95), 1),
                computed_p50=round(quantile(computed, 0.5), 1), engine="PostgreSQL" if postgresql else "SQLite",
                alerts=alerts, boxes=PATIENTS,
            )  # fmt: skip
        from django.db import connections  # noqa: PLC0415 - an extra

        connections.close_all()


def figures() -> None:
    for postgresql in (False, True):
        measure(alerts=1_000_000, waiting=2_000, postgresql=postgresql)


if __name__ == "__main__":
    sys.exit(run(__doc__, measure))
