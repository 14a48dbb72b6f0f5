"""For how long a team keeps what it has: applied by `veilleur-desk retention`, as often as somebody runs it.

- A patient whose follow-up ended longer ago than the team keeps an archive is erased, as a person would (boxes that
  never answered do not hold it up: their assignment ended long before).
- Who looked at a patient's page is forgotten after its own time.
- Records that nobody could attribute stay until somebody does: they may be what a patient needs.

Times are ms UTC and days of 24 h, which are arguments. Not here: the settings' page (the desk).
"""

from dataclasses import dataclass

from coordination.erased_patients import unname_orders
from coordination.patient_erasure import erase
from coordination.sql import Sql

DAY_MS = 86_400_000
PROGRAM = "team"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """For how many days a team keeps things.

    Attributes:
        archive: from the end of a follow-up to the patient's erasure.
        views: who looked at a patient's page.
    """

    archive: int = 7_305
    views: int = 1_095


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was done: patients erased, notes of who looked that were forgotten."""

    patients: int
    views: int


def overdue(connection: Sql, team: int, keeping: Keeping, *, now: int) -> list[int]:
    """Return the rows of the patients that are to be erased by now."""
    rows = connection.execute(
        "SELECT id FROM patient WHERE team_id = ? AND ended_at IS NOT NULL AND ended_at < ? ORDER BY id",
        (team, now - keeping.archive * DAY_MS),
    ).fetchall()
    return [int(row) for (row,) in rows]


def keep_to(connection: Sql, team: int, keeping: Keeping, *, now: int) -> Kept:
    """Erase and forget what is due, inside a transaction of the caller's."""
    patients = overdue(connection, team, keeping, now=now)
    for patient in patients:
        erase(connection, patient, by=PROGRAM, at=now, without_box=True)
    unname_orders(connection, now=now)
    views = connection.execute(
        "DELETE FROM desk_patientview WHERE at < ? AND patient_id IN (SELECT id FROM patient WHERE team_id = ?)",
        (now - keeping.views * DAY_MS, team),
    ).rowcount
    return Kept(patients=len(patients), views=views)
